"""Flips found by suspicion, and the estimate of wrong labels: against slow code, and where the truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from easiness.analysis import label_errors
from easiness.analysis.label_errors import LEAST_FLIPS, confidently_other, found_among, wrong_labels


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=2, max_size=40), st.data())
def test_what_is_found_is_counted(pairs, data):
    suspicion, flipped = zip(*pairs, strict=True)
    if not 0 < sum(flipped) < len(flipped):
        return
    # No ties: a suspicion of its own for every example, in the same order.
    suspicion = [value + place / 100 for place, value in enumerate(suspicion)]
    count = data.draw(st.integers(1, len(pairs)))
    first = sorted(range(len(pairs)), key=lambda row: -suspicion[row])[:count]
    hits = sum(flipped[row] for row in first)
    assert found_among(suspicion, flipped, count) == (hits / count, hits / sum(flipped))


def test_ties_are_broken_by_the_seed():
    flipped = np.arange(100) < 50
    found = {found_among(np.zeros(100), flipped, 20, seed)[0] for seed in range(5)}
    assert len(found) > 1
    assert found_among(np.zeros(100), flipped, 20, 3) == found_among(np.zeros(100), flipped, 20, 3)


def slow_upper_limit(flips, rest):
    """Least upper limit over nine cuts, each by Bonferroni at 2.5 % in all, from counts made one by one."""
    from statistics import NormalDist

    reach, limits = NormalDist().inv_cdf(1 - 0.025 / 9), []
    ordered = sorted(flips)
    for tenth in range(1, 10):
        cut = ordered[int(len(flips) * (1 - tenth / 10))]
        of_flips, of_rest = (sum((x > cut) + (x == cut) / 2 for x in values) for values in (flips, rest))
        of_rest += 0.5
        ratio = of_rest / len(rest) * len(flips) / of_flips
        limits.append(ratio * math.exp(reach * math.sqrt(1 / of_rest + 1 / of_flips - 1 / len(flips))))
    return min(*limits, 1)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(label_errors, "_RESAMPLINGS", 50)


@pytest.mark.parametrize("ties", [False, True])
def test_the_upper_limit_is_that_of_slow_code(quick, ties):
    rng = np.random.default_rng(0)
    flips, rest = rng.normal(2, 1, 60), np.concatenate([rng.normal(2, 1, 40), rng.normal(0, 1, 700)])
    suspicion_N, flipped_N = np.concatenate([rest, flips]), np.arange(800) >= 740
    if ties:
        suspicion_N = suspicion_N.round(1)
    found = wrong_labels(suspicion_N, flipped_N)
    assert found.high == pytest.approx(
        slow_upper_limit(suspicion_N[flipped_N].tolist(), suspicion_N[~flipped_N].tolist())
    )
    assert 0 <= found.low <= found.share <= found.high


@pytest.mark.parametrize("power", [3, 9, 60])
@pytest.mark.parametrize("wrong", [0.0, 0.05, 0.3])
def test_a_ranking_without_luck_gives_the_share_of_wrong_labels(quick, wrong, power):
    """Rest laid out by hand: of a share q of the flips, wrong · q + (1 - wrong) · q ** power of the rest are passed."""
    grid_q = np.linspace(0, 1, 100_001)
    passed_q = wrong * grid_q + (1 - wrong) * grid_q**power
    rest_q = np.interp((np.arange(20_000) + 0.5) / 20_000, passed_q, grid_q)
    flips_q = (np.arange(1000) + 0.5) / 1000
    found = wrong_labels(-np.concatenate([flips_q, rest_q]), np.arange(21_000) < 1000)
    assert found.share == pytest.approx(wrong, abs=0.005)


@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.3])
def test_a_clear_mixture_is_told(quick, wrong):
    """Right labels are below all flips but for a few, so that the share of wrong ones can be read off."""
    rng = np.random.default_rng(1)
    count = int(wrong * 20_000)
    suspicion_N = np.concatenate([rng.normal(6, 1, 1000 + count), rng.normal(0, 1, 20_000 - count)])
    found = wrong_labels(suspicion_N, np.arange(len(suspicion_N)) < 1000)
    assert found.share == pytest.approx(wrong, abs=0.02)
    assert found.low <= wrong <= found.high <= wrong + 0.05


def test_only_the_order_matters(quick):
    rng = np.random.default_rng(2)
    suspicion_N, flipped_N = rng.normal(size=500), np.arange(500) < 40
    suspicion_N[:60] += 2
    assert wrong_labels(suspicion_N, flipped_N) == wrong_labels(np.exp(suspicion_N), flipped_N)


def test_scores_that_find_nothing_tell_nothing(quick):
    found = wrong_labels(np.random.default_rng(0).random(2_000), np.arange(2_000) < 100)
    assert found.high > 0.8


def test_few_flips_tell_nothing():
    found = wrong_labels(np.arange(100.0), np.arange(100) < LEAST_FLIPS - 1)
    assert all(map(math.isnan, (found.share, found.low, found.high)))


@pytest.mark.parametrize(
    ("suspicion", "flipped", "message"),
    [
        ([1.0, 2.0], [True, True], "2 of 2 labels are flipped; some must be, and not all"),
        ([1.0, 2.0], [True], "must have the same shape"),
        ([1.0, np.nan], [True, False], "1 of 2 scores are not finite"),
    ],
)
def test_what_is_no_suspicion_of_flips_is_refused(suspicion, flipped, message):
    for call in (wrong_labels, lambda *given: found_among(*given, 1)):
        with pytest.raises(ValueError, match=message):
            call(suspicion, flipped)


@given(
    npst.arrays(np.float64, st.tuples(st.integers(20, 60), st.integers(2, 5)), elements=st.floats(0.01, 1)),
    st.integers(0, 2**31),
)
def test_doubted_labels_are_those_of_the_papers_formula(raw_NK, seed):
    probabilities_NK = raw_NK / raw_NK.sum(axis=1, keepdims=True)
    classes = raw_NK.shape[1]
    labels_N = np.random.default_rng(seed).integers(0, classes, len(raw_NK))
    labels_N[:classes] = np.arange(classes)
    means = [np.mean([p[k] for p, y in zip(probabilities_NK, labels_N, strict=True) if y == k]) for k in range(classes)]
    expected = []
    for p, y in zip(probabilities_NK, labels_N, strict=True):
        confident = [k for k in range(classes) if p[k] >= means[k] - 1e-6]
        expected.append(bool(confident) and max(confident, key=lambda k: p[k]) != y)
    assert confidently_other(probabilities_NK, labels_N, classes).tolist() == expected


def test_cleanlab_doubts_nearly_the_same_labels():
    """Where several classes are confident, it takes the most probable of all, and the paper that of the confident."""
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is not installed")
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, 10, 2_000)
    probabilities_NK = rng.dirichlet(np.full(10, 0.3), 2_000)
    probabilities_NK[np.arange(2_000), labels_N] += rng.random(2_000)
    probabilities_NK /= probabilities_NK.sum(axis=1, keepdims=True)
    options = {"calibrate": False, "return_indices_of_off_diagonals": True}
    _, theirs = count.compute_confident_joint(labels_N, probabilities_NK, **options)
    ours = np.flatnonzero(confidently_other(probabilities_NK, labels_N, 10))
    assert len(ours) > 100
    assert len(set(ours) & set(theirs)) / len(set(ours) | set(theirs)) > 0.95


def test_a_class_that_nothing_is_labelled_is_doubted_by_nothing():
    probabilities_NK = np.array([[0.2, 0.1, 0.7], [0.1, 0.2, 0.7]])
    assert confidently_other(probabilities_NK, np.array([0, 1]), 3).tolist() == [False, False]
