"""Easiness, rank correlation, ROC area and deciles against slow versions and known truths."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.analysis.reliability import reliability
from easiness.analysis.scores import SCORES, deciles, easiness, rank_correlation, roc_auc, trial_scores
from easiness.analysis.sets import easiest, hardest
from tests.tiny_scores import noisy_losses

relaxed = settings(deadline=None)  # the machine may be busy, and scipy is imported at its first use
small_scores = st.lists(st.integers(-3, 3), min_size=1, max_size=30)


def slow_ranks(values):
    return [
        sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2 for value in values
    ]


def test_easiness_is_the_mean_over_trials():
    losses_MN = noisy_losses(5, 40, 1.0)
    slow = [sum(float(value) for value in losses_MN[:, n]) / 5 for n in range(40)]
    measured = easiness(losses_MN)
    assert measured.dtype == np.float64
    np.testing.assert_allclose(measured, slow, rtol=1e-14)


def test_easiness_reads_mapped_losses_without_copying_them(tmp_path):
    np.save(tmp_path / "losses.npy", noisy_losses(20, 100_000, 1.0))
    losses_MN = np.load(tmp_path / "losses.npy", mmap_mode="r")
    tracemalloc.start()
    easiness(losses_MN)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 8 * 100_000  # a few rows of float64, not twenty


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_trial_is_named(bad):
    losses_MN = noisy_losses(3, 10, 1.0)
    losses_MN[1, [2, 7]] = bad
    with pytest.raises(ValueError, match=r"trial 1: 2 of 10 examples"):
        easiness(losses_MN)
    with pytest.raises(ValueError, match=r"trial 1: 2 of 10 examples"):
        reliability(losses_MN)


def test_opposite_infinities_do_not_cancel():
    losses_MN = np.zeros((2, 3))
    losses_MN[:, 1] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"trial 0: 1 of 3 examples, trial 1: 1 of 3"):
        easiness(losses_MN)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (2, 3, 4)])
def test_easiness_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="shape"):
        easiness(np.zeros(shape))


def test_easiness_refuses_what_is_not_a_number():
    with pytest.raises(ValueError, match="dtype"):
        easiness(np.array([["0.1", "0.2"]]))


@relaxed
@given(small_scores, st.randoms())
def test_rank_correlation_is_pearson_of_slow_ranks(values, random):
    others = [random.randint(-3, 3) for _ in values]
    measured = rank_correlation(values, others)
    if len(set(values)) == 1 or len(set(others)) == 1:
        assert math.isnan(measured)
    else:
        assert measured == pytest.approx(np.corrcoef(slow_ranks(values), slow_ranks(others))[0, 1], abs=1e-12)


def test_rank_correlation_refuses_unequal_lengths_and_nan():
    with pytest.raises(ValueError, match="3 and 2 examples"):
        rank_correlation([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="1 of 3 scores are not finite"):
        rank_correlation([1, 2, np.nan], [1, 2, 3])


@relaxed
@given(small_scores, st.randoms())
def test_roc_auc_counts_pairs(values, random):
    positive = [random.random() < 0.5 for _ in values]
    pairs = [(p, q) for p, is_p in zip(values, positive, strict=True) if is_p
             for q, is_q in zip(values, positive, strict=True) if not is_q]  # fmt: skip
    if not pairs:
        with pytest.raises(ValueError, match="both kinds"):
            roc_auc(values, positive)
    else:
        expected = sum((p > q) + 0.5 * (p == q) for p, q in pairs) / len(pairs)
        assert roc_auc(values, positive) == pytest.approx(expected)


def test_roc_auc_refuses_other_shapes():
    with pytest.raises(ValueError, match="same shape"):
        roc_auc([1, 2, 3], [True, False])


@relaxed
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=80), st.integers(0, 5))
def test_deciles_are_even_and_in_order(values, seed):
    decile_N = deciles(values, seed)
    sizes = np.bincount(decile_N, minlength=10)
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == 10
    in_order = np.asarray(values)[np.argsort(decile_N, kind="stable")]
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        if 0 < end < len(values):
            assert in_order[:end].max() <= in_order[end:].min()


def test_deciles_agree_with_the_sets_even_inside_ties():
    easiness_N = np.repeat([0.0, 1.0, 2.0], 50)
    decile_N = deciles(easiness_N, seed=3)
    np.testing.assert_array_equal(np.flatnonzero(decile_N == 0), easiest(easiness_N, 0.1, seed=3))
    np.testing.assert_array_equal(np.flatnonzero(decile_N == 9), hardest(easiness_N, 0.1, seed=3))


# ---- other scores


def slow_forgetting(course):
    """Events of one example in one trial; as many as there were moments where it was never right."""
    if not any(course):
        return len(course)
    return sum(bool(before and not after) for before, after in itertools.pairwise(course))


def test_forgetting_counts_as_a_slow_loop_does():
    correct_TMN = np.random.default_rng(0).integers(0, 2, (6, 2, 40)).astype(np.float32)
    correct_TMN[:, 0, 0] = 0
    for t, forgotten_MN in enumerate(trial_scores("forgetting", correct_TMN)):
        slow = [[slow_forgetting(correct_TMN[: t + 1, m, n].tolist()) for n in range(40)] for m in range(2)]
        np.testing.assert_array_equal(forgotten_MN, slow)
    assert forgotten_MN[0, 0] == 6


def test_area_under_the_margin_is_turned_and_grows_with_the_moments():
    margin_TMN = np.random.default_rng(0).normal(size=(4, 3, 20)).astype(np.float32)
    for t, area_MN in enumerate(trial_scores("aum", margin_TMN)):
        assert area_MN.dtype == np.float32
        np.testing.assert_allclose(area_MN, -margin_TMN[: t + 1].mean(axis=0), rtol=1e-5, atol=1e-6)


def test_one_moment_says_what_it_can():
    (area_MN,) = trial_scores("aum", np.array([[[2.0, -1.0]]]))
    (forgotten_MN,) = trial_scores("forgetting", np.array([[[1.0, 0.0]]]))
    assert area_MN.tolist() == [[-2, 1]]
    assert forgotten_MN.tolist() == [[0, 1]]


def test_every_score_says_that_lower_is_easier():
    assert list(SCORES) == ["easiness", "el2n", "aum", "forgetting", "heldout"]
    assert all(score.axis.endswith("lower = easier") for score in SCORES.values())
