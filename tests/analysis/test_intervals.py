import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.analysis.intervals import paired_difference

# Quantiles of Student's t at 97.5 %, from a printed table: the exact interval of normal differences.
STUDENT = {2: 12.706, 3: 4.303, 10: 2.262}
values = st.lists(st.floats(-1, 1), min_size=2, max_size=4)


@pytest.mark.parametrize("seeds", STUDENT)
def test_ninety_five_of_a_hundred_intervals_hold_the_truth(seeds):
    rng = np.random.default_rng(seeds)
    truth, repetitions = 0.3, 1500
    inside = 0
    for _ in range(repetitions):
        shared = rng.normal(size=seeds)  # what both arms have in common must not matter
        found = paired_difference(shared + rng.normal(truth, 0.5, seeds), shared)
        inside += found.low <= truth <= found.high
    assert 0.93 < inside / repetitions < 0.97


@pytest.mark.parametrize("seeds", STUDENT)
def test_it_is_as_wide_as_students_on_average(seeds):
    rng = np.random.default_rng(seeds)
    ours, students = [], []
    for _ in range(300):
        values = rng.normal(size=seeds)
        found = paired_difference(values, np.zeros(seeds))
        ours.append(found.high - found.low)
        students.append(2 * STUDENT[seeds] * values.std(ddof=1) / math.sqrt(seeds))
    assert np.mean(ours) == pytest.approx(np.mean(students), rel=0.1)


@settings(deadline=None, max_examples=30)
@given(a=values, shift=st.floats(-1, 1))
def test_mirrored_and_shifted_differences(a, shift):
    a = np.array(a)
    b = np.zeros(len(a))
    found, moved = paired_difference(a, b), paired_difference(a + shift, b)
    assert found.low <= found.mean + 1e-12
    assert found.mean <= found.high + 1e-12
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(getattr(found, name) + shift, abs=1e-9)
    assert paired_difference(b, a).mean == pytest.approx(-found.mean)


def test_seeds_are_paired():
    a, b = np.array([0.9, 0.5, 0.7]), np.array([0.8, 0.4, 0.6])
    found = paired_difference(a, b)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    unpaired = paired_difference(a, b[[1, 2, 0]])
    assert unpaired.low < 0 < unpaired.high


def test_one_seed_says_nothing_of_the_spread():
    found = paired_difference([0.9], [0.7])
    assert found.mean == pytest.approx(0.2)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


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
