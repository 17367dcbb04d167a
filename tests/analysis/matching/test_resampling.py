"""Sets under reweighted trials: exact whatever the path, blind to the order of the trials."""

import numpy as np
import pytest

from easiness.analysis.matching import resampling
from easiness.analysis.matching.resampling import (
    KINDS,
    count_shared,
    half_cuts,
    half_samples,
    packed_rows,
    packed_sets,
    trial_seed,
)
from easiness.analysis.sets import set_size

SOURCE = np.random.SeedSequence(0)


def unpack(bits, count):
    return np.unpackbits(bits, axis=-1)[..., :count].astype(bool)


def whole_losses(trials, count, levels, seed=0):
    """Losses whose means over 1, 2 or 4 trials are exact in float32, so that ties are ties."""
    return np.random.default_rng(seed).integers(0, levels, (trials, count)).astype(np.float32)


def check_extremes(losses_MN, weights_DM, fraction, packed, rows):
    """Each set holds the right number of the right values, whichever of the tied it took."""
    size = set_size(fraction, len(rows))
    for kind, ends in (("easy", slice(0, size)), ("hard", slice(len(rows) - size, None))):
        for weights_M, mask_N in zip(weights_DM, packed[kind], strict=True):
            values_N = weights_M @ losses_MN[:, rows]
            np.testing.assert_array_equal(np.sort(values_N[mask_N]), np.sort(values_N)[ends])


@pytest.mark.parametrize("slack", [5.0, 0.0])
@pytest.mark.parametrize("levels", [3, 1 << 20])
@pytest.mark.parametrize("fraction", [0.0001, 0.1, 0.5])
def test_sampled_brackets_give_exact_sets(monkeypatch, slack, levels, fraction):
    monkeypatch.setattr(resampling, "SLACK", slack)  # at 0 the sample misjudges nearly every cut
    count = resampling.SAMPLE + resampling.COLUMNS + 13
    losses_MN = whole_losses(4, count, levels)
    weights_DM = np.concatenate([np.full((1, 4), 0.25, np.float32), *half_cuts(4, None, 0)])
    packed = packed_sets(losses_MN, weights_DM, fraction, SOURCE, order_M=np.arange(4))
    check_extremes(losses_MN, weights_DM, fraction, {k: unpack(packed[k], count) for k in KINDS}, np.arange(count))


def test_sets_within_classes():
    labels_N = np.random.default_rng(0).integers(0, 3, 500)
    members = [np.flatnonzero(labels_N == label) for label in range(3)]
    losses_MN = whole_losses(2, 500, 40)
    weights_DM = half_cuts(2, None, 0).reshape(-1, 2)
    packed = packed_sets(losses_MN, weights_DM, 0.2, SOURCE, order_M=np.arange(2), members=members)
    start = 0
    for rows in members:
        width = -(-len(rows) // 8)
        part = {k: unpack(packed[k][:, start : start + width], len(rows)) for k in KINDS}
        check_extremes(losses_MN, weights_DM, 0.2, part, rows)
        start += width


def test_threads_do_not_change_the_sets():
    losses_MN = whole_losses(4, 5000, 7)
    weights_DM = half_samples(4, 100, 0)
    one, two = (packed_sets(losses_MN, weights_DM, 0.1, SOURCE, order_M=np.arange(4), threads=t) for t in (1, 2))
    for kind in KINDS:
        np.testing.assert_array_equal(one[kind], two[kind])


def test_ties_are_drawn_anew_for_every_row():
    packed = packed_sets(np.zeros((2, 100)), half_samples(2, 2000, 0), 0.1, SOURCE, order_M=np.arange(2))
    counts_N = unpack(packed["easy"], 100).sum(axis=0)
    assert abs(counts_N - 200).max() < 5 * np.sqrt(2000 * 0.1 * 0.9)


def test_packed_rows_share_the_layout_of_packed_sets():
    labels_N = np.arange(30) % 3
    members = [np.flatnonzero(labels_N == label) for label in range(3)]
    losses_MN = np.arange(30.0)[None]
    for groups in (None, members):
        packed = packed_sets(losses_MN, np.ones((1, 1), np.float32), 0.2, SOURCE, order_M=np.arange(1), members=groups)
        np.testing.assert_array_equal(packed["easy"][0], packed_rows(np.arange(6), 30, groups))


def test_shared_members_are_counted_across_rows():
    rng = np.random.default_rng(0)
    a_DN, b_DN = rng.random((2, 5, 77)) < 0.3
    a_DB, b_DB = np.packbits(a_DN, axis=1), np.packbits(b_DN, axis=1)
    np.testing.assert_array_equal(count_shared(a_DB, b_DB), (a_DN & b_DN).sum(axis=1))
    np.testing.assert_array_equal(count_shared(a_DB[0], b_DB), (a_DN[0] & b_DN).sum(axis=1))


@pytest.mark.parametrize("trials", [2, 3, 5, 10, 11])
def test_means_of_halves_spread_like_means_of_fresh_trials(trials):
    rng = np.random.default_rng(0)
    losses_MN = rng.normal(size=(trials, 2000))
    weights_DM = half_samples(trials, 500, 1).astype(np.float64)
    np.testing.assert_allclose(weights_DM.sum(axis=1), 1, rtol=1e-6)
    assert weights_DM.min() == 0  # some trial is left out, and none counts less than that
    np.testing.assert_allclose(((weights_DM - 1 / trials) ** 2).sum(axis=1), 1 / trials, rtol=1e-5)
    spread_N = (weights_DM @ losses_MN - losses_MN.mean(axis=0)).var(axis=0)
    expected_N = losses_MN.var(axis=0, ddof=1) / trials
    assert spread_N.mean() == pytest.approx(expected_N.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("trials", "splits", "cuts"),
    [(2, None, 1), (3, None, 3), (4, None, 3), (5, None, 15), (10, None, 126), (20, None, 50),
     (4, 20, 3), (10, 20, 20), (20, 20, 20)],
)  # fmt: skip
def test_halves_are_disjoint_and_equal_and_all_cuts_are_made_unless_few_will_do(trials, splits, cuts):
    first_CM, second_CM = half_cuts(trials, splits, 0)
    assert not ((first_CM > 0) & (second_CM > 0)).any()
    for half_CM in (first_CM, second_CM):
        assert ((half_CM > 0).sum(axis=1) == trials // 2).all()
        np.testing.assert_allclose(half_CM.sum(axis=1), 1, rtol=1e-6)
    unordered = {frozenset([a.tobytes(), b.tobytes()]) for a, b in zip(first_CM, second_CM, strict=True)}
    assert len(unordered) == len(first_CM) == cuts


def test_one_trial_can_be_neither_reweighted_nor_halved():
    with pytest.raises(ValueError, match="cannot reweight 1 trial"):
        half_samples(1, 10, 0)
    with pytest.raises(ValueError, match="cannot halve 1 trial"):
        half_cuts(1, None, 0)


def test_seed_of_trials_knows_all_moments_but_no_order():
    early_MN, late_MN = whole_losses(2, 3 * 50, 99).reshape(2, 3, 50)
    early_MN[0] = early_MN[1]  # told apart only by the later moment
    order_M, source = trial_seed([early_MN, late_MN], 0)
    shuffle = [2, 0, 1]
    other_M, same = trial_seed([early_MN[shuffle], late_MN[shuffle]], 0)
    np.testing.assert_array_equal(late_MN[order_M], late_MN[shuffle][other_M])
    assert source.entropy == same.entropy
    assert trial_seed([early_MN], 0)[1].entropy != source.entropy
    assert trial_seed([early_MN, late_MN], 1)[1].entropy != source.entropy
