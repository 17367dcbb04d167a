"""Reliability against every split, and against known truths."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.analysis.reliability import reliability
from tests.tiny_scores import noisy_losses


def halves(losses_MN):
    """Means of all pairs of halves of an even number of trials."""
    trials = range(len(losses_MN))
    for half in combinations(trials, len(trials) // 2):
        yield losses_MN[list(half)].mean(0), losses_MN[[m for m in trials if m not in half]].mean(0)


@pytest.mark.parametrize("trials", [2, 4, 6])
def test_reliability_is_the_mean_over_every_split(trials):
    losses_MN = noisy_losses(trials, 300, 2.0).astype(float) * np.arange(1, trials + 1)[:, None]
    # The reliability of a split (Flanagan, Rulon): the covariance of the halves beside the variance of their sum.
    stepped_up = [4 * np.cov(a, b, bias=True)[0, 1] / (a + b).var() for a, b in halves(losses_MN)]
    assert reliability(losses_MN) == pytest.approx(np.mean(stepped_up), rel=1e-12)


def test_reliability_is_near_the_stepped_up_correlation_of_halves():
    losses_MN = noisy_losses(4, 300, 2.0)
    r = np.mean([np.corrcoef(a, b)[0, 1] for a, b in halves(losses_MN)])
    assert reliability(losses_MN) == pytest.approx(2 * r / (1 + r), abs=2e-3)


@pytest.mark.parametrize("trials", [2, 3, 5, 10])
def test_reliability_recovers_the_truth(trials):
    losses_MN = noisy_losses(trials, 40_000, 1.5)
    assert reliability(losses_MN) == pytest.approx(trials / (trials + 1.5**2), abs=0.02)


def test_reliability_does_not_depend_on_the_order_of_trials():
    losses_MN = noisy_losses(5, 200, 1.0)
    assert reliability(losses_MN) == pytest.approx(reliability(losses_MN[[3, 1, 0, 4, 2]]), rel=1e-12)


def test_reliability_of_mapped_losses_is_the_same(tmp_path):
    losses_MN = noisy_losses(5, 200, 1.0)
    np.save(tmp_path / "losses.npy", losses_MN)
    assert reliability(np.load(tmp_path / "losses.npy", mmap_mode="r")) == reliability(losses_MN)


def test_reliability_of_one_trial_is_not_faked():
    assert math.isnan(reliability(noisy_losses(1, 50, 1.0)))


@pytest.mark.parametrize("level", [1.0, 0.1])
def test_constant_trials_have_no_reliability(level):
    assert math.isnan(reliability(np.full((4, 1000), level, np.float32)))


def test_equal_trials_are_wholly_reliable_and_opposed_ones_are_not_stepped_up():
    losses_MN = np.tile(noisy_losses(1, 50, 1.0), (7, 1))
    assert reliability(losses_MN) == pytest.approx(1)
    opposed_MN = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    assert reliability(opposed_MN) == pytest.approx(-1)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_reliability_is_at_most_one(trials, seed):
    assert reliability(noisy_losses(trials, 12, 0.5, seed)) <= 1 + 1e-12
