"""Trials that stand apart: found where there is one, and not where trials merely differ."""

import numpy as np
import pytest

from easiness.analysis.outliers import outliers

COUNT, CLASSES = 300, 10
LABELS = np.arange(COUNT) % CLASSES


def draw_losses(rng, kind, trials):
    """(M, N) losses of trials that all trained well."""
    common_N, noise_MN = rng.normal(size=COUNT), rng.normal(size=(trials, COUNT))
    if kind == "right_or_wrong":
        right_MN = rng.random((trials, COUNT)) < 1 / (1 + np.exp(-3 * common_N))
        return np.where(right_MN, 0.02, 3.0) * np.exp(noise_MN / 2)
    if kind == "class_swings":  # of an early epoch: as large as all that the trials share
        return np.exp(common_N + rng.normal(size=(trials, CLASSES))[:, LABELS] + 0.7 * noise_MN)
    if kind == "one_noisy":
        noise_MN[0] *= 2
    losses_MN = np.exp({"late": 1.5}.get(kind, 0.5) * (common_N + 0.7 * noise_MN))
    if kind == "one_scaled":
        losses_MN[0] *= 5
    return losses_MN


KINDS = ("early", "late", "right_or_wrong", "class_swings", "one_noisy", "one_scaled")


@pytest.mark.parametrize("trials", [3, 4, 10])
def test_good_trials_are_left_alone(trials):
    """None in 1,000 runs for each number of trials: a rate of 1 in 1,000 would pass all three in 5 of 100 cases."""
    rng = np.random.default_rng(trials)
    assert [
        (run, found)
        for run in range(1000)
        if (found := outliers(draw_losses(rng, KINDS[run % len(KINDS)], trials), LABELS))
    ] == []


def spoil(losses_N, how, rng):
    """Losses of a network that went wrong, in the place of good ones."""
    if how == "blown_up":
        return losses_N * 1e4
    if how == "blown_up_at_random":
        return 1e4 * rng.exponential(size=COUNT)
    guess_K = np.log(CLASSES) + 0.1 * rng.normal(size=CLASSES)
    return guess_K[LABELS] + (0.02 * rng.normal(size=COUNT) if how == "nearly_stuck" else 0)


@pytest.mark.parametrize("trials", [3, 4, 10])
@pytest.mark.parametrize("how", ["blown_up", "blown_up_at_random", "stuck", "nearly_stuck"])
def test_a_bad_trial_is_named_alone(how, trials):
    """In all of 100 runs where the good trials agree well, so in more than 97 of 100 at least."""
    rng = np.random.default_rng(trials)
    for run in range(100):
        losses_MN = draw_losses(rng, ("early", "late", "class_swings")[run % 3], trials)
        bad = rng.integers(trials)
        losses_MN[bad] = spoil(losses_MN[bad], how, rng)
        assert [outlier.trial for outlier in outliers(losses_MN, LABELS)] == [bad]


def test_several_bad_trials_are_named():
    rng = np.random.default_rng(0)
    losses_MN = draw_losses(rng, "early", 10)
    for trial, how in ((1, "stuck"), (4, "blown_up"), (7, "stuck")):
        losses_MN[trial] = spoil(losses_MN[trial], how, rng)
    assert [outlier.trial for outlier in outliers(losses_MN, LABELS)] == [1, 4, 7]


def test_of_two_trials_that_do_not_correlate_both_are_named():
    rng = np.random.default_rng(0)
    losses_MN = draw_losses(rng, "early", 2)
    assert outliers(losses_MN, LABELS) == []
    losses_MN[1] = spoil(losses_MN[1], "stuck", rng)
    both = outliers(losses_MN, LABELS)
    assert [(outlier.trial, outlier.correlation, outlier.others) for outlier in both] == [(0, 0.0, ()), (1, 0.0, ())]
    losses_MN[1] = 1e4 * losses_MN[0]
    assert [outlier.trial for outlier in outliers(losses_MN, LABELS)] == [1]


def test_one_trial_stands_alone_and_not_apart():
    assert outliers(np.full((1, 5), 1e9), [0, 0, 1, 1, 1]) == []


def test_the_reason_has_numbers():
    losses_MN = np.exp(np.linspace(0, 1, COUNT) + np.zeros((4, 1)))
    losses_MN[2] = losses_MN[2, ::-1] * 100
    (outlier,) = outliers(losses_MN)
    assert outlier.describe() == (
        "its losses have rank correlation -1.00 with the other trials', which have 1.00 among themselves, and their "
        "mean is 100 times that of the others"
    )
