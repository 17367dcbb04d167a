"""Paired differences against printed tables of Student's t and known truths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from easiness.analysis.intervals import detectable, holm, p_above, paired_difference

# Quantiles of Student's t at 97.5 %, from a printed table, by number of seeds.
STUDENT = {2: 12.706, 3: 4.303, 6: 2.571, 10: 2.262, 19: 2.101, 201: 1.972}
values = st.lists(st.floats(-1, 1), min_size=2, max_size=4)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_ninety_five_of_a_hundred_intervals_hold_the_truth(seeds):
    rng = np.random.default_rng(seeds)
    truth, repetitions = 0.3, 1500
    inside = 0
    for _ in range(repetitions):
        shared = rng.normal(size=seeds)  # what both arms have in common must not matter
        result = paired_difference(shared + rng.normal(truth, 0.5, seeds), shared)
        inside += result.low <= truth <= result.high
    assert 0.93 < inside / repetitions < 0.97


@pytest.mark.parametrize("seeds", STUDENT)
def test_it_reaches_to_students_quantile_on_both_sides(seeds):
    values = np.random.default_rng(seeds).normal(size=seeds)
    result = paired_difference(values, np.zeros(seeds))
    reach = STUDENT[seeds] * values.std(ddof=1) / math.sqrt(seeds)
    assert (result.low, result.high) == pytest.approx((values.mean() - reach, values.mean() + reach), rel=1e-3)


@settings(deadline=None, max_examples=30)
@given(a=values, shift=st.floats(-1, 1))
def test_mirrored_and_shifted_differences(a, shift):
    a = np.array(a)
    b = np.zeros(len(a))
    result, moved = paired_difference(a, b), paired_difference(a + shift, b)
    assert result.low <= result.mean + 1e-12
    assert result.mean <= result.high + 1e-12
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(getattr(result, name) + shift, abs=1e-9)
    mirrored = paired_difference(b, a)
    assert (mirrored.mean, mirrored.low, mirrored.high) == pytest.approx((-result.mean, -result.high, -result.low))


def test_seeds_are_paired():
    a, b = np.array([0.9, 0.5, 0.7]), np.array([0.8, 0.4, 0.6])
    result = paired_difference(a, b)
    assert (result.mean, result.low, result.high) == pytest.approx((0.1, 0.1, 0.1))
    unpaired = paired_difference(a, b[[1, 2, 0]])
    assert unpaired.low < 0 < unpaired.high


def test_one_seed_has_no_interval():
    result = paired_difference([0.9], [0.7])
    assert result.mean == pytest.approx(0.2)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0.1, 0.2], [0.1], "cannot be paired"),
        ([], [], "cannot be paired"),
        ([[0.1]], [[0.1]], "cannot be paired"),
        ([math.nan], [0.1], "must be finite"),
        ([math.inf], [math.inf], "must be finite"),
    ],
)
def test_wrong_arms(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b)


def test_one_sided_p_values_are_those_of_scipys_paired_test():
    a, b = np.array([0.72, 0.70, 0.74, 0.69]), np.array([0.70, 0.69, 0.71, 0.70])
    result = paired_difference(a, b)
    assert result.p_above == pytest.approx(ttest_rel(a, b, alternative="greater").pvalue)
    assert result.p_below == pytest.approx(ttest_rel(a, b, alternative="less").pvalue)


def test_differences_without_spread_are_certain_and_without_a_second_seed_unknown():
    constant = paired_difference([0.5, 0.75], [0.25, 0.5])
    assert (constant.p_above, constant.p_below) == (0, 1)
    nothing = paired_difference([0.5, 0.5], [0.5, 0.5])
    assert (nothing.p_above, nothing.p_below) == (1, 1)
    alone = paired_difference([0.5], [0.2])
    assert (alone.p_above, alone.p_below) == (1, 1)
    assert detectable(alone.error, 0) == math.inf


def test_holm_is_what_the_book_says():
    """Holm 1979: the smallest times H, the next times H - 1, and never less than the one before."""
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.005]), [0.06, 0.03, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.02]), [0.02])


@pytest.mark.parametrize("tests", [1, 4])
@pytest.mark.parametrize("seeds", [3, 10])
def test_eighty_of_a_hundred_detectable_means_are_found(seeds, tests):
    rng, draws = np.random.default_rng(seeds), 2000
    mean = detectable(1 / math.sqrt(seeds), seeds - 1, tests)
    values = rng.normal(mean, 1, (draws, seeds))
    errors = values.std(axis=1, ddof=1) / math.sqrt(seeds)
    found = np.mean(
        [p_above(*pair, seeds - 1) <= 0.025 / tests for pair in zip(values.mean(axis=1), errors, strict=True)]
    )
    assert abs(found - 0.8) < 3.3 * math.sqrt(0.8 * 0.2 / draws)
