"""Trials needed, against trials that were drawn afresh."""

import dataclasses
import math

import numpy as np
import pytest

from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.analysis.matching.trials_needed import COUNTS, overlap_of, predict_repeats, trials_needed
from easiness.analysis.sets import easiest, hardest, overlap

GLOBAL = MatchOptions(scopes=("global",), threads=1)
COUNT = 5000
LABELS = np.arange(COUNT) % 5


def trials_of(kind, trials, mean_N, rng):
    """Losses of fresh trials: skewed, or noisier the harder the example."""
    noise_MN = rng.normal(size=(trials, len(mean_N)))
    losses_MN = 1.5 * (mean_N + noise_MN) if kind == "skewed" else 2 * (mean_N + np.exp(0.4 * mean_N) * noise_MN)
    return (np.exp(losses_MN) if kind == "skewed" else np.logaddexp(0, losses_MN)).astype(np.float32)


def predict(losses_MN, options=GLOBAL):
    return {row.set: row for row in predict_repeats(ScoredModel("net", (9,), [losses_MN]), LABELS, options)}


@pytest.mark.parametrize("kind", ["skewed", "noisier"])
@pytest.mark.parametrize(("trials", "luck"), [(4, 0.03), (10, 0.02)])  # sd of predictions, as the benchmark has it
def test_predictions_come_true(kind, trials, luck):
    rng = np.random.default_rng(trials)
    mean_N = rng.normal(size=COUNT)
    rows = predict(trials_of(kind, trials, mean_N, rng))
    for more in (10, 42):
        means = [trials_of(kind, more, mean_N, rng).mean(axis=0) for _ in range(4)]
        for name, cut in (("easy", easiest), ("hard", hardest)):
            sets = [cut(easiness_N) for easiness_N in means]
            truth = np.mean([overlap(a, b) for at, a in enumerate(sets) for b in sets[:at]])
            low, high = (overlap_of(more, curve_G) for curve_G in (rows[name].low_G, rows[name].high_G))
            assert low - 2 * luck <= truth <= high + 2 * luck
            assert overlap_of(more, rows[name].overlap_G) == pytest.approx(truth, abs=3 * luck)


def test_noise_that_is_not_the_same_for_easy_and_hard_widens_the_range():
    rng = np.random.default_rng(0)
    mean_N = rng.normal(size=COUNT)
    width = {
        kind: overlap_of(30, rows["easy"].high_G) - overlap_of(30, rows["easy"].low_G)
        for kind in ("skewed", "noisier")
        for rows in [predict(trials_of(kind, 6, mean_N, rng))]
    }
    assert width["noisier"] > 2 * width["skewed"]


def test_curves_rise_and_the_range_holds_them():
    rng = np.random.default_rng(1)
    for row in predict(trials_of("noisier", 5, rng.normal(size=COUNT), rng)).values():
        assert (np.diff(row.overlap_G) >= 0).all()
        assert (row.low_G <= row.overlap_G).all()
        assert (row.overlap_G <= row.high_G).all()
        assert row.measured == 5


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_fewer_than_four_trials_tell_nothing(trials):
    rng = np.random.default_rng(2)
    for row in predict(trials_of("skewed", trials, rng.normal(size=COUNT), rng)).values():
        assert np.isnan([row.overlap_G, row.low_G, row.high_G]).all()
        assert math.isnan(trials_needed(row.overlap_G, 0.8))


def test_trials_that_share_no_more_than_luck_tell_nothing():
    rng = np.random.default_rng(5)
    opposed_MN = np.concatenate([losses_MN := rng.normal(size=(2, COUNT)), -losses_MN]).astype(np.float32)
    for row in predict(opposed_MN).values():
        assert np.isnan(row.overlap_G).all()


def test_equal_trials_need_no_more():
    losses_MN = np.tile(np.random.default_rng(3).normal(size=COUNT), (4, 1)).astype(np.float32)
    for row in predict(losses_MN).values():
        assert trials_needed(row.overlap_G, 0.9) == 1


def test_every_moment_and_scope_has_its_rows_whatever_the_order_of_the_trials():
    rng = np.random.default_rng(4)
    mean_N = rng.normal(size=COUNT)
    losses = [trials_of("skewed", 4, mean_N, rng) for _ in range(2)]
    both = dataclasses.replace(GLOBAL, scopes=("global", "per_class"))
    rows = predict_repeats(ScoredModel("net", (9, 18), losses), LABELS, both)
    assert [(row.epoch, row.updates, row.scope, row.set) for row in rows] == [
        (epoch, 9 * epoch, scope, kind) for epoch in (1, 2) for scope in both.scopes for kind in ("easy", "hard")
    ]
    shuffled = predict_repeats(ScoredModel("net", (9, 18), [part[[2, 0, 3, 1]] for part in losses]), LABELS, both)
    for row, same in zip(rows, shuffled, strict=True):
        np.testing.assert_array_equal(row.overlap_G, same.overlap_G)


def test_the_number_needed_is_the_smallest_that_reaches_the_target():
    curve_G = np.sqrt(np.array(COUNTS) / 110)
    assert trials_needed(curve_G, 0.01) == 1
    assert trials_needed(curve_G, 0.5) == math.ceil(0.25 * 110)
    assert trials_needed(curve_G, math.sqrt(20 / 110)) == 20
    assert trials_needed(curve_G, 0.99) == math.inf
    assert math.isnan(overlap_of(101, curve_G))
