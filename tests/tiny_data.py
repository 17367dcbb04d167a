"""Datasets, recipes and trials that take no time, for tests of what is done with them."""

import numpy as np
import torch

from easiness.datasets import Dataset
from easiness.loaders import part_of, stage_resident
from easiness.recipes.recipe import Recipe, make_recipe
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.setup import TrainingSetup
from easiness.trials.trial import TrialTask

MODEL = "tests.tiny_model:build"


def tiny_dataset(count=21, *, size=12, classes=3, split="train", seed=0) -> Dataset:
    """Noise with a tint of its class; ids are not rows, so that taking one for the other shows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 256, (count, size, size, 3))
    images[..., 0] = images[..., 0] // 2 + 127 * labels[:, None, None] // max(classes - 1, 1)
    return Dataset(
        "planted",
        split,
        images.astype(np.uint8),
        labels.astype(np.int64),
        tuple(f"class {k}" for k in range(classes)),
        np.array([f"{split}#{row}" for row in range(count)]),
        np.arange(count, dtype=np.int64) * 7 + 1000,
        rng.integers(0, 256, (count, 16)).astype(np.uint8),
    )


def tiny_recipe(**chosen) -> Recipe:
    """Three epochs of batches of eight; every field may be chosen."""
    fields = {"resolution": 12, "shift": 3, "batch_size": 8, "epochs": 3, "trials": 2, "learning_rate": 0.05} | chosen
    return make_recipe("planted", fields.pop("model", MODEL), **fields)


def tiny_task(folder, *, name="", trial=0, count=21, in_files=None, **chosen) -> TrialTask:
    """A trial on tiny data; `in_files` is the folder of the staged images, without it they are in memory."""
    recipe = tiny_recipe(**chosen)
    staged = stage_resident(tiny_dataset(count), tiny_dataset(9, split="val", seed=1), recipe, in_files)
    return TrialTask(recipe, trial, *staged, folder, name)


# Rows of 21 examples that a tiny trial with folds holds out, and trains on.
HELD_OUT_ROWS = np.array([0, 3, 4, 11, 20])
REST = np.setdiff1d(np.arange(21), HELD_OUT_ROWS)


def tiny_folded_task(folder, *, name="", joint=False, in_files=None, **chosen) -> TrialTask:
    """A trial that holds five of 21 examples out, and measures all."""
    data, recipe = tiny_dataset(21), tiny_recipe(**chosen)
    whole, _ = stage_resident(data, data, recipe, in_files)
    parts = (part_of(whole, rows) for rows in (REST, HELD_OUT_ROWS))
    return TrialTask(recipe, 0, *parts, folder, name, joint, whole)


def tiny_setup(recipe: Recipe, train: Dataset, val: Dataset, **run) -> TrainingSetup:
    """What `prepare_training` gives, of data that are there already."""
    run = RunOptions(**({"engine": "inline", "log_models": "none"} | run))
    return TrainingSetup(recipe, train, val, torch.device("cpu"), TrainingOptions(), run, "it is tiny")
