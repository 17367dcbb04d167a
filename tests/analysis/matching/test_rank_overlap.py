"""Rank-biased overlap against a slow version from its definition, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.analysis.matching.rank_overlap import (
    WEIGHT,
    chance_given_classes,
    make_depths,
    persistence,
    places,
    rank_biased_overlap,
)

RANKINGS = st.integers(0, 10**6), st.integers(1, 60)


def draw(seed, count, *, classes=4):
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, classes, count)
    # Few levels, so that there are ties.
    return labels_N, rng.integers(0, max(2, count // 2), (2, count)).astype(float)


def slow_overlap(a, b, p):
    """Equation 32 of Webber, Moffat & Zobel (2010) for two lists of the same examples, one set at a time."""
    shared = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, len(a) + 1)]
    return shared[-1] * p ** len(a) + (1 - p) / p * sum(share * p**d for d, share in enumerate(shared, 1))


def ends(easiness_N, depths, ties):
    easy_N = places(easiness_N, depths, ties)
    return {"easy": easy_N, "hard": depths.flip_N[easy_N]}


@settings(max_examples=40)
@given(*RANKINGS, st.booleans())
def test_agrees_with_the_definition_list_by_list(seed, count, per_class):
    labels_N, scores_2N = draw(seed, count)
    depths = make_depths(labels_N, per_class=per_class)
    a, b = (ends(scores_N, depths, ties) for ties, scores_N in enumerate(scores_2N))
    for end in ("easy", "hard"):
        slow = 0
        for group in np.unique(depths.group_N):
            rows = np.flatnonzero(depths.group_N == group)
            lists = [rows[np.argsort(side[end][rows])].tolist() for side in (a, b)]
            slow += len(rows) / count * slow_overlap(*lists, persistence(max(1, round(0.1 * len(rows)))))
        assert rank_biased_overlap(a[end], b[end], depths) == pytest.approx(slow, abs=1e-9)


@settings(max_examples=40)
@given(*RANKINGS, st.booleans())
def test_is_symmetric_one_for_itself_and_never_less_than_the_weight_beyond(seed, count, per_class):
    labels_N, scores_2N = draw(seed, count)
    depths = make_depths(labels_N, per_class=per_class)
    a, b = (ends(scores_N, depths, ties) for ties, scores_N in enumerate(scores_2N))
    for end in ("easy", "hard"):
        overlap = rank_biased_overlap(a[end], b[end], depths)
        assert overlap == rank_biased_overlap(b[end], a[end], depths)
        assert rank_biased_overlap(a[end], a[end], depths) == pytest.approx(1)
        assert depths.beyond - 1e-12 <= overlap <= 1 + 1e-12


@pytest.mark.parametrize("per_class", [False, True])
def test_opposed_rankings_share_next_to_nothing(per_class):
    scores_N = np.random.default_rng(0).normal(size=2000)
    depths = make_depths(np.arange(2000) % 4, per_class=per_class)
    one, other = (ends(sign * scores_N, depths, 0) for sign in (1, -1))
    for end in ("easy", "hard"):
        assert rank_biased_overlap(one[end], other[end], depths) < 0.01


def test_an_end_that_is_shared_is_seen_at_that_end_alone():
    rng = np.random.default_rng(0)
    one_N = np.arange(5000.0)
    other_N = np.concatenate([one_N[:2500], 2500 + rng.permutation(2500)])
    depths = make_depths(np.zeros(5000, int), per_class=False)
    one, other = (ends(scores_N, depths, 0) for scores_N in (one_N, other_N))
    assert rank_biased_overlap(one["easy"], other["easy"], depths) > 0.99
    assert rank_biased_overlap(one["hard"], other["hard"], depths) < 0.2


@pytest.mark.parametrize("per_class", [False, True])
def test_chance_is_the_mean_over_rankings_with_the_same_classes_at_every_place(per_class):
    rng = np.random.default_rng(1)
    labels_N = rng.integers(0, 3, 60)
    depths = make_depths(labels_N, per_class=per_class)
    a, b = (ends(labels_N + rng.normal(size=60), depths, 0) for _ in "ab")
    for end in ("easy", "hard"):
        drawn = []
        for _ in range(3000):
            shuffled_N = b[end].copy()
            for label in range(3):
                shuffled_N[labels_N == label] = rng.permutation(b[end][labels_N == label])
            drawn.append(rank_biased_overlap(a[end], shuffled_N, depths))
        error = np.std(drawn) / np.sqrt(len(drawn))
        assert chance_given_classes(a[end], b[end], depths) == pytest.approx(np.mean(drawn), abs=5 * error)


def test_ties_fall_as_they_do_in_sets_and_are_not_shared():
    depths = make_depths(np.zeros(4000, int), per_class=False)
    flat = [places(np.zeros(4000), depths, ties) for ties in (0, 0, 1)]
    assert rank_biased_overlap(*flat[:2], depths) == pytest.approx(1)
    chance = chance_given_classes(flat[0], flat[2], depths)
    assert rank_biased_overlap(flat[0], flat[2], depths) == pytest.approx(chance, abs=0.03)


@pytest.mark.parametrize("depth", [1, 7, 100])
def test_nine_tenths_of_the_weight_are_on_the_first_tenth(depth):
    p, depths = persistence(depth), np.arange(1, 400 * depth)
    weights = (1 - p) * p ** (depths - 1.0)
    worth = np.cumsum((weights / depths)[::-1])[::-1]  # of an example at each depth: it is in all sets from there on
    assert worth[:depth].sum() == pytest.approx(WEIGHT, abs=1e-6)
