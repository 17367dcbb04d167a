"""Reliability against every split, and against known truths."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.analysis.reliability import reliability, reliability_curve, trial_covariance
from easiness.analysis.scores import canonical_order
from tests.tiny_scores import noisy_losses


def test_covariance_matches_numpy_across_chunks():
    losses_MN = noisy_losses(3, 150_000, 1.0) + 100
    order = canonical_order(losses_MN)
    np.testing.assert_allclose(trial_covariance(losses_MN), np.cov(losses_MN[order], bias=True), rtol=1e-6)


def test_reliability_of_an_even_number_of_trials_against_every_split():
    losses_MN = noisy_losses(4, 300, 2.0)
    correlations = []
    for half in combinations(range(4), 2):
        rest = [m for m in range(4) if m not in half]
        correlations.append(np.corrcoef(losses_MN[list(half)].mean(0), losses_MN[rest].mean(0))[0, 1])
    r = np.mean(correlations)
    assert reliability(losses_MN, splits=5000) == pytest.approx(2 * r / (1 + r), abs=2e-3)


@pytest.mark.parametrize("trials", [2, 3, 5, 10])
def test_reliability_recovers_the_truth(trials):
    losses_MN = noisy_losses(trials, 40_000, 1.5)
    assert reliability(losses_MN) == pytest.approx(trials / (trials + 1.5**2), abs=0.02)


def test_reliability_curve_recovers_the_truth():
    curve = reliability_curve(noisy_losses(8, 40_000, 1.5))
    np.testing.assert_array_equal(curve.trials, np.arange(1, 9))
    np.testing.assert_allclose(curve.reliability, curve.trials / (curve.trials + 1.5**2), atol=0.02)
    assert curve.trials_needed == pytest.approx(9 * 1.5**2, rel=0.06)


def test_reliability_does_not_depend_on_the_order_of_trials():
    losses_MN = noisy_losses(5, 200, 1.0)
    assert reliability(losses_MN) == reliability(losses_MN[::-1])
    assert reliability_curve(losses_MN).trials_needed == reliability_curve(losses_MN[[3, 1, 0, 4, 2]]).trials_needed


def test_reliability_of_one_trial_is_not_faked():
    curve = reliability_curve(noisy_losses(1, 50, 1.0))
    assert math.isnan(reliability(noisy_losses(1, 50, 1.0)))
    assert np.isnan(curve.reliability).all()
    assert math.isnan(curve.trials_needed)


def test_reliability_of_constant_and_of_opposed_trials():
    assert math.isnan(reliability(np.ones((4, 10))))
    opposed_MN = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    assert reliability(opposed_MN) == pytest.approx(-1)
    assert reliability_curve(opposed_MN).trials_needed == math.inf


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_reliability_is_at_most_one(trials, seed):
    assert reliability(noisy_losses(trials, 12, 0.5, seed), splits=10) <= 1 + 1e-12
