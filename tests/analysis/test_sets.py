"""Sets, overlaps and chance against set arithmetic and permutations."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from easiness.analysis.scores import rank_correlation
from easiness.analysis.sets import (
    chance,
    chance_given_classes,
    corrected,
    easiest,
    hardest,
    overlap,
    set_size,
)

relaxed = settings(deadline=None)  # the machine may be busy
scores = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=60)
fractions = st.floats(0.01, 0.5)


@pytest.mark.parametrize(
    ("fraction", "count", "size"), [(0.1, 50_000, 5000), (0.1, 14, 1), (0.1, 16, 2), (0.1, 1, 1), (0.5, 4, 2)]
)
def test_set_size(fraction, count, size):
    assert set_size(fraction, count) == size


@pytest.mark.parametrize("fraction", [0, -0.1, 0.51, 1, math.nan])
def test_set_size_refuses_fractions_that_make_no_set(fraction):
    with pytest.raises(ValueError, match=f"got {fraction}"):
        set_size(fraction, 100)


def test_set_size_refuses_no_examples():
    with pytest.raises(ValueError, match="0 examples"):
        set_size(0.1, 0)


@relaxed
@given(scores, fractions, st.integers(0, 9))
def test_sets_hold_the_extremes(values, fraction, seed):
    size = set_size(fraction, len(values))
    easy, hard = easiest(values, fraction, seed=seed), hardest(values, fraction, seed=seed)
    for rows in (easy, hard):
        assert rows.dtype == np.int64
        assert len(rows) == size
        assert (np.diff(rows) > 0).all()
    assert sorted(values[n] for n in easy) == sorted(values)[:size]
    assert sorted(values[n] for n in hard) == sorted(values)[len(values) - size :]


@relaxed
@given(scores, fractions, st.integers(0, 9))
def test_easy_and_hard_never_share_a_tied_example(values, fraction, seed):
    size = set_size(fraction, len(values))
    assume(2 * size <= len(values))
    assert not set(easiest(values, fraction, seed=seed)) & set(hardest(values, fraction, seed=seed))


@relaxed
@given(scores, fractions, st.randoms())
def test_sets_within_classes_are_the_sets_of_the_classes(values, fraction, random):
    labels_N = np.array([random.choice([0, 2, 3]) for _ in values])
    values_N = np.array(values) + np.linspace(0, 0.1, len(values))  # no ties: these are drawn by row
    for cut in (easiest, hardest):
        expected = [
            rows[cut(values_N[rows], fraction)]
            for rows in (np.flatnonzero(labels_N == k) for k in range(4))
            if len(rows)
        ]
        np.testing.assert_array_equal(cut(values_N, fraction, labels_N=labels_N), np.sort(np.concatenate(expected)))


def test_ties_are_broken_evenly_and_reproducibly():
    values_N = np.zeros(20)
    counts_N = sum(np.bincount(easiest(values_N, 0.25, seed=seed), minlength=20) for seed in range(2000))
    # 2,000 draws of 5 in 20: 500 each, standard deviation 19.
    assert abs(counts_N - 500).max() < 5 * 19.4
    np.testing.assert_array_equal(easiest(values_N, 0.25, seed=7), easiest(values_N, 0.25, seed=7))


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="2 of 3 scores are not finite"):
        easiest([np.nan, 1, np.inf])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        easiest([1.0, 2.0], labels_N=[0])
    with pytest.raises(ValueError, match="class numbers from 0, got -1 to 0"):
        hardest([1.0, 2.0], labels_N=[0, -1])
    with pytest.raises(ValueError, match="class numbers, .* got float64"):
        hardest([1.0, 2.0], labels_N=[0.0, 1.0])


@relaxed
@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1))
def test_overlap_is_set_arithmetic(a, b):
    expected = len(a & b) / max(len(a), len(b))
    assert overlap(list(a), list(b)) == overlap(list(b), list(a), 31) == expected


def test_overlap_with_itself_and_with_a_disjoint_set():
    assert overlap([4, 1, 9], [1, 4, 9]) == overlap([4, 1, 9], [1, 4, 9], 10) == 1
    assert overlap([0, 1], [2, 3]) == overlap([0, 1], [2, 3], 4) == 0


@pytest.mark.parametrize("count", [None, 10])
def test_overlap_refuses_bad_sets(count):
    with pytest.raises(ValueError, match="lists 1 of 2 rows twice"):
        overlap([1, 1], [1, 2], count)
    with pytest.raises(ValueError, match="at least one row"):
        overlap(np.array([], int), [1], count)
    with pytest.raises(ValueError, match="at least one row"):
        overlap([0.5], [1], count)


@pytest.mark.parametrize("row", [-1, 10])
def test_overlap_refuses_rows_beyond_the_examples(row):
    with pytest.raises(ValueError, match="beyond the 10 examples"):
        overlap([row], [1], 10)


def exact_overlap(n_a, n_b, n):
    """Mean and standard deviation summed over the hypergeometric distribution itself."""
    ways = {k: math.comb(n_a, k) * math.comb(n - n_a, n_b - k) for k in range(min(n_a, n_b) + 1)}
    total = math.comb(n, n_b)
    mean = sum(k * w for k, w in ways.items()) / total
    return mean, math.sqrt(sum((k - mean) ** 2 * w for k, w in ways.items()) / total)


@pytest.mark.parametrize(("n_a", "n_b", "n"), [(5, 5, 50), (1, 1, 1), (3, 7, 12), (12, 12, 12), (1, 4, 5)])
def test_chance_is_the_hypergeometric_distribution(n_a, n_b, n):
    mean, sd = exact_overlap(n_a, n_b, n)
    luck = chance(n_a, n_b, n)
    assert luck.mean == pytest.approx(mean / max(n_a, n_b))
    assert luck.sd == pytest.approx(sd / max(n_a, n_b), abs=1e-12)


@pytest.mark.parametrize("sizes", [(0, 1, 5), (1, 6, 5)])
def test_chance_refuses_impossible_sets(sizes):
    with pytest.raises(ValueError, match="cannot be drawn from 5"):
        chance(*sizes)


def test_class_aware_chance_agrees_with_ten_thousand_permutations():
    rng = np.random.default_rng(0)
    labels_N = rng.choice(5, 300, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    by_class = 1.5 * np.array([0, 1, 2, 3, 4])[labels_N]
    a, b = easiest(rng.normal(size=300) + by_class, 0.1), easiest(rng.normal(size=300) + by_class, 0.15)
    in_a_N, in_b_N = np.isin(np.arange(300), a), np.isin(np.arange(300), b)
    shared_P = np.zeros(10_000)
    for label in range(5):
        rows = np.flatnonzero(labels_N == label)
        shuffled = rng.permuted(np.tile(in_b_N[rows], (10_000, 1)), axis=1)
        shared_P += (shuffled & in_a_N[rows]).sum(axis=1)
    rates_P = shared_P / max(len(a), len(b))
    luck = chance_given_classes(a, b, labels_N)
    assert luck.mean == pytest.approx(rates_P.mean(), abs=4 * rates_P.std() / 100)
    assert luck.sd == pytest.approx(rates_P.std(), rel=0.04)
    assert luck.mean > 1.3 * chance(len(a), len(b), 300).mean  # the class mix matters here


def test_class_aware_chance_of_one_class_is_plain_chance():
    assert chance_given_classes([0, 1, 2], [5, 6], np.zeros(9, int)) == pytest.approx(chance(3, 2, 9))


def test_class_aware_chance_of_sets_without_a_common_class_is_nil():
    assert chance_given_classes([0, 1], [2, 3], [0, 0, 4, 4]) == (0, 0)


def test_corrected_rate():
    assert corrected(1, 0.3) == 1
    assert corrected(0.3, 0.3) == 0
    assert corrected(0.1, 0.4) == pytest.approx(-0.5)
    assert math.isnan(corrected(1, 1))


def test_published_scores_agree_as_published(shared_data):
    with np.load(shared_data / "reference-scores" / "cifar10_train_reference_scores.npz") as scores:
        el2n_N, forgetting_N, labels_N = scores["el2n_epoch20"], scores["forgetting_epoch200"], scores["labels"]
    assert rank_correlation(el2n_N, forgetting_N) == pytest.approx(0.894, abs=5e-4)
    assert overlap(hardest(el2n_N), hardest(forgetting_N, seed=1), 50_000) == pytest.approx(0.64, abs=5e-3)
    assert overlap(easiest(el2n_N), easiest(forgetting_N, seed=1), 50_000) == pytest.approx(0.51, abs=5e-3)
    for cut in (easiest, hardest):
        np.testing.assert_array_equal(np.bincount(labels_N[cut(el2n_N, labels_N=labels_N)]), 500)
