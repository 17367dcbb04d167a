"""Validation that is left out at the end of some epochs."""

import json

import numpy as np
import pytest
import torch

from easiness.trials.engines import run_trials
from easiness.trials.trial import work_in_trial
from easiness.trials.trial_folder import Ledger
from tests.tiny_data import tiny_recipe, tiny_task

CPU = torch.device("cpu")


def run(task, report=None):
    news = []
    run_trials([task], engine="inline", device=CPU, report=report or news.append, finished=lambda _: None)
    return news


def epochs_of(task):
    return json.loads((task.folder / "validation" / "epochs.json").read_text())


@pytest.mark.parametrize(("every", "validated"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3]), (7, [3])])
def test_the_network_is_the_same_and_the_last_epoch_is_always_validated(tmp_path, every, validated):
    always, seldom = (tiny_task(tmp_path / str(n), epochs=3, validate_every=n) for n in (0 + 1, every))
    run(always)
    news = run(seldom) if every > 1 else []
    epochs = epochs_of(seldom)
    assert [epoch["epoch"] for epoch in epochs if "val_accuracy" in epoch] == validated
    assert [epoch["epoch"] for epoch in epochs if "val_loss" in epoch] == validated
    for one, other in zip(epochs, epochs_of(always), strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one.get("val_accuracy", other["val_accuracy"]) == other["val_accuracy"]
    weights = [torch.load(task.folder / "model.pt", weights_only=True) for task in (always, seldom)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for name in ("validation/correct.npy", *Ledger(always.folder).files):
        if name.endswith(".npy"):
            np.testing.assert_array_equal(np.load(always.folder / name), np.load(seldom.folder / name))
    if every > 1:
        assert sum(progress.images for progress in news) == work_in_trial(seldom.recipe, 21, 9)


def test_a_trial_that_was_cut_off_counts_what_it_has_done(tmp_path):
    class CutError(Exception):
        pass

    def cut(progress):
        if progress.metrics and progress.metrics["epoch"] == 3:
            raise CutError

    task = tiny_task(tmp_path / "a", epochs=5, validate_every=2)
    with pytest.raises(CutError):
        run(task, cut)
    news = run(task)
    assert news[0].resumed
    assert news[0].images == 2 * (21 + 21) + 9  # two epochs, scored twice, validated once
    assert sum(progress.images for progress in news) == work_in_trial(task.recipe, 21, 9)


def test_with_folds_every_epoch_is_validated():
    with pytest.raises(ValueError, match="validate_every is 2, and with folds every epoch is validated"):
        tiny_recipe(folds=2, trials=2, validate_every=2)
