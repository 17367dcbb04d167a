"""Recordings of trainings that never were: logits that a test chose."""

import numpy as np

import easiness
from tests.tiny_data import tiny_dataset


def draw_logits(dataset, seed=0, sharpness=3.0):
    """(N, K) float32 logits: a difficulty that all recordings share, and noise of their own."""
    rng = np.random.default_rng(seed)
    logits_NK = rng.normal(size=(len(dataset), dataset.num_classes))
    logits_NK[np.arange(len(dataset)), dataset.labels] += np.linspace(0, sharpness, len(dataset))
    return logits_NK.astype(np.float32)


def recorder_of(dataset, **options):
    """Recorder of a dataset, whose content is told by its digests."""
    told = {name: getattr(dataset, name) for name in ("class_names", "digests", "name", "sources")}
    return easiness.Recorder(dataset.labels, **{"ids": dataset.example_ids, "model": "mine"} | told | options)


def record(dataset=None, seed=0, updates=(4, 8), **options):
    """Record one trial; returns its run id."""
    dataset = tiny_dataset(60) if dataset is None else dataset
    with recorder_of(dataset, trial=seed, **options) as recorder:
        for position, update in enumerate(updates):
            recorder.update(recorder.ids, draw_logits(dataset, seed, sharpness=3.0 + position))
            recorder.checkpoint(update)
    return recorder.run_id
