"""Score runs brought together: in an order of their own, by names that tell them apart, their losses in files."""

import re

import numpy as np
import pytest

from easiness import load_scores, tracking
from easiness.runs.match.comparable import open_matched_runs, scored_models
from tests.tiny_data import tiny_dataset
from tests.tiny_scores import draw_losses, log_score_run, tiny_settings


@pytest.fixture
def runs(store, tmp_path):
    """Two runs of one model and one of another, and the losses of all by run id."""
    dataset = tiny_dataset(30)
    losses = [draw_losses(dataset, seed) for seed in range(3)]
    return {
        log_score_run(tmp_path, dataset, losses_TMN, model=model, recipe=tiny_settings(seed=seed)): losses_TMN
        for seed, (model, losses_TMN) in enumerate(zip(("wide_resnet_10_1", "net", "net"), losses, strict=True))
    }


def test_the_order_in_which_runs_are_named_does_not_matter(runs):
    wide, net, other = runs
    with tracking.tracked_run("match", "m") as run_id:
        one = open_matched_runs(run_id, [wide, net, other])
        two = open_matched_runs(run_id, [other, wide, net])
    assert [run.run_id for run in one.values()] == [run.run_id for run in two.values()] == [*sorted([net, other]), wide]
    assert list(one) == [*(f"net ({each[:8]})" for each in sorted([net, other])), "wide_resnet_10_1"]


def test_losses_are_mapped_and_are_those_of_the_run(runs, tmp_path):
    with tracking.tracked_run("match", "m") as run_id:
        scores = open_matched_runs(run_id, list(runs))
    place = tmp_path / "mapped"
    place.mkdir()
    models = scored_models(scores, place)
    for (name, run), model in zip(scores.items(), models, strict=True):
        assert model.name == name
        assert model.updates == (4, 8)
        assert isinstance(model.losses[0].base, np.memmap)
        assert not model.losses[0].flags.writeable
        np.testing.assert_array_equal(np.stack(model.losses), runs[run.run_id])
    assert sum(path.stat().st_size for path in place.rglob("*.npy")) < 3 * (2 * 3 * 30 * 4 + 200)


def test_a_second_scoring_of_the_same_trials_is_refused(store, tmp_path):
    dataset = tiny_dataset(30)
    losses_TMN = draw_losses(dataset, 0)
    first = log_score_run(tmp_path, dataset, losses_TMN)
    trials = load_scores(first).manifest.trials
    second = log_score_run(tmp_path, dataset, losses_TMN, trials=trials)
    said = re.escape(
        f"runs {first} (net) and {second} (net) cannot be matched: both were made of trial run {trials[0]['run_id']}"
    )
    with pytest.raises(ValueError, match=said), tracking.tracked_run("match", "m") as run_id:
        open_matched_runs(run_id, [first, second])


@pytest.mark.parametrize(
    ("models", "seeds", "common", "why"),
    [
        (("net", "net"), (0, 0), False, "the same model and seed"),
        (("net", "wide"), (0, 0), True, "common_random_numbers=true"),
        (("net", "wide"), (0, 0), False, None),
        (("net", "net"), (0, 1), False, None),
        (("net", "wide"), (0, 1), True, None),
    ],
)
def test_runs_whose_trials_share_seeds_are_refused(store, tmp_path, models, seeds, common, why):
    dataset = tiny_dataset(30)
    runs = [
        log_score_run(
            tmp_path,
            dataset,
            draw_losses(dataset, place),
            model=model,
            recipe=tiny_settings(seed=seed, common_random_numbers=common),
        )
        for place, (model, seed) in enumerate(zip(models, seeds, strict=True))
    ]
    with tracking.tracked_run("match", "m") as run_id:
        if why is None:
            assert {run.run_id for run in open_matched_runs(run_id, runs).values()} == set(runs)
            return
        with pytest.raises(ValueError, match=rf"trial 0 of both has the same seeds \({why}\), and shared luck"):
            open_matched_runs(run_id, runs)
