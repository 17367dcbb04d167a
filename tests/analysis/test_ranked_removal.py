"""Offset and coverage: against the published algorithm, written slowly, and as sets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easiness.analysis.ranked_removal import STRATA, budgets, ranked_removal
from easiness.analysis.removal import draw_removed

scores = st.lists(st.sampled_from([-2.0, 0.0, 0.1, 0.5, 1.0, 3.0]) | st.floats(-5, 5), min_size=2, max_size=60)


def slow_coverage(scores_N, ratio, beta, sample):
    """Algorithm 1 of Zheng et al. 2023, line by line: what is kept; `sample` draws from a stratum."""
    n = len(scores_N)
    order = sorted(range(n), key=lambda i: scores_N[i])
    left = order[: n - math.floor(n * beta)]
    low, high = min(scores_N[i] for i in left), max(scores_N[i] for i in left)
    width = (high - low) / STRATA
    strata = [[] for _ in range(STRATA)]
    for i in left:
        for number in range(STRATA):
            if number == STRATA - 1 or scores_N[i] < low + (number + 1) * width:
                strata[number].append(i)
                break
    budget, kept = n - round(n * ratio), []
    while strata:
        smallest = min(strata, key=len)
        size = min(len(smallest), budget // len(strata))
        kept += sample(smallest, size)
        strata.remove(smallest)
        budget -= size
    return kept


@pytest.mark.parametrize("beta", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9])
def test_coverage_keeps_what_the_published_algorithm_keeps(ratio, beta):
    rng = np.random.default_rng(3)
    scores_N, keys_N = rng.gamma(0.7, size=997), rng.random(997)

    def sample(stratum, size):
        return sorted(stratum, key=lambda i: keys_N[i])[:size]

    removed = ranked_removal("coverage", scores_N, round(997 * ratio), beta, keys_N)
    kept = slow_coverage(scores_N.tolist(), ratio, beta, sample)
    assert sorted(kept) == np.setdiff1d(np.arange(997), removed).tolist()


def test_offset_keeps_the_window_below_the_hardest():
    scores_N = np.random.default_rng(0).permutation(100).astype(float)
    removed = ranked_removal("offset", scores_N, 60, 0.05, np.zeros(100))
    kept = np.setdiff1d(np.arange(100), removed)
    assert sorted(scores_N[kept]) == list(range(55, 95))


@given(scores, st.floats(0, 0.99), st.data(), st.sampled_from(["offset", "coverage"]))
def test_removals_are_sets_of_the_size_and_the_smaller_lies_in_the_larger(values, offset, data, strategy):
    scores_N, count = np.array(values), data.draw(st.integers(0, len(values) - 1))
    keys_N = np.random.default_rng(0).random(len(values))
    larger = ranked_removal(strategy, scores_N, count, offset, keys_N)
    assert len(np.unique(larger)) == len(larger) == count
    smaller = ranked_removal(strategy, scores_N, data.draw(st.integers(0, count)), offset, keys_N)
    assert set(smaller) <= set(larger)
    hardest = min(math.floor(round(offset * len(values), 9)), count)
    assert sorted(scores_N[larger])[::-1][:hardest] == sorted(values)[::-1][:hardest]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.data())
def test_budgets_are_as_even_as_sizes_allow(sizes, data):
    total = data.draw(st.integers(0, sum(sizes)))
    kept = budgets(np.array(sizes), total)
    assert kept.sum() == total
    assert (kept <= sizes).all()
    cut = kept[kept < sizes]
    if len(cut):  # those that lose some keep as many, and nobody more
        assert cut.max() - cut.min() <= 1
        assert kept.max() <= cut.min() + 1


@pytest.mark.parametrize("strategy", ["offset", "coverage"])
def test_balanced_takes_the_same_share_of_every_class(strategy):
    rng = np.random.default_rng(0)
    labels_N, scores_N = np.repeat([0, 1, 2], [60, 30, 10]), rng.random(100)
    scores_N[labels_N == 2] += 5  # all the hardest are of one class
    removed = draw_removed(scores_N, 50, strategy=strategy, seed=0, labels_N=labels_N, balanced=True, offset=0.1)
    assert np.bincount(labels_N[removed]).tolist() == [30, 15, 5]
    assert np.argmax(np.where(labels_N == 1, scores_N, -1)) in removed
    assert len(np.intersect1d(removed, draw_removed(scores_N, 50, strategy=strategy, seed=0, offset=0.1))) < 50


def test_a_seed_decides_between_equals():
    first, same, other = (draw_removed(np.zeros(50), 20, strategy="coverage", seed=seed) for seed in (0, 0, 1))
    assert (first == same).all()
    assert (first != other).any()
