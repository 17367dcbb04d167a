import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easiness.analysis.folds import (
    bound_together,
    dense,
    greatest,
    held_out,
    in_sample,
    make_folds,
    mean_probabilities,
    suggested,
)

LABELS = st.lists(st.integers(0, 3), min_size=24, max_size=60).map(np.array)


@given(LABELS, st.integers(2, 5), st.integers(0, 9))
def test_folds_are_a_partition_and_stratified_within_one(labels_N, folds, seed):
    counts = np.bincount(labels_N)
    if counts.max() < folds:
        return
    fold_N = make_folds(labels_N, folds, seed, copies_N=np.arange(len(labels_N)))
    assert set(fold_N.tolist()) == set(range(folds))
    for label in np.unique(labels_N):
        of_class = np.bincount(fold_N[labels_N == label], minlength=folds)
        assert np.ptp(of_class) <= 1
    np.testing.assert_array_equal(fold_N, make_folds(labels_N, folds, seed, copies_N=np.arange(len(labels_N))))


@given(LABELS, st.data())
def test_copies_and_groups_are_never_split(labels_N, data):
    count = len(labels_N)
    copies_N, groups_N = (
        np.array(data.draw(st.lists(st.integers(0, most), min_size=count, max_size=count))) for most in (2 * count, 19)
    )
    for groups in (None, groups_N):
        try:
            fold_N = make_folds(labels_N, 2, 0, copies_N=copies_N, groups_N=groups)
        except ValueError as error:
            assert "use fewer folds" in str(error)
            continue
        assert set(fold_N.tolist()) == {0, 1}
        for keys in (copies_N, groups):
            if keys is not None:
                assert all(len(set(fold_N[keys == key].tolist())) == 1 for key in keys)


def test_the_seed_decides_and_a_rare_class_is_no_error():
    labels_N = np.array([0] * 20 + [1] * 20 + [2])
    first, second = (make_folds(labels_N, 5, seed, copies_N=np.arange(41)) for seed in (0, 1))
    assert (first != second).any()


def test_groups_are_spread_by_class():
    labels_N, groups_N = np.repeat([0, 1], 40), np.arange(80) // 4
    fold_N = make_folds(labels_N, 5, 0, copies_N=np.arange(80), groups_N=groups_N)
    for fold in range(5):
        assert np.bincount(labels_N[fold_N == fold]).tolist() == [8, 8]


@pytest.mark.parametrize(
    ("copies", "groups", "message"),
    [
        (np.arange(10) // 2, None, "folds is 3, and there are 5 examples that may be parted; use fewer folds"),
        (np.arange(10), np.arange(10) // 4, "folds is 3, and there are 3 groups that may be parted; use fewer folds"),
        (np.arange(10) * [1] * 10, np.zeros(10), "there are 1 groups that may be parted"),
    ],
)
def test_too_few_to_be_parted(copies, groups, message):
    with pytest.raises(ValueError, match=message):
        make_folds(np.zeros(10, np.int64), 3, 0, copies_N=copies, groups_N=groups)


def test_no_class_has_as_many_as_folds():
    with pytest.raises(ValueError, match="folds is 5, which the data do not allow: .*; use fewer folds"):
        make_folds(np.arange(20) // 2, 5, 0, copies_N=np.arange(20))


def test_chains_of_shared_keys_are_one_unit():
    unit = bound_together(np.array([0, 0, 1, 1, 2]), np.array([5, 6, 6, 7, 8]))
    assert len(set(unit[:4].tolist())) == 1
    assert unit[4] != unit[0]


@given(st.integers(2, 4), st.integers(1, 3), st.integers(0, 99))
def test_both_sides_of_the_cut_hold_every_value_once(folds, rounds, seed):
    rng = np.random.default_rng(seed)
    count = 13
    fold_N, values_MN = rng.integers(0, folds, count), rng.normal(size=(folds * rounds, count)).astype(np.float32)
    seen, unseen = in_sample(values_MN, fold_N, folds), held_out(values_MN, fold_N, folds)
    for n in range(count):  # slowly
        trained = [values_MN[m, n] for m in range(folds * rounds) if m % folds != fold_N[n]]
        left_out = [values_MN[m, n] for m in range(folds * rounds) if m % folds == fold_N[n]]
        assert sorted(seen[:, n]) == sorted(trained)
        assert list(unseen[:, n]) == left_out
    # A row is one trial, but for the fold that this one left out.
    for row, values_N in enumerate(seen):
        trial = row // (folds - 1) * folds + row % (folds - 1)
        own = fold_N != trial % folds
        np.testing.assert_array_equal(values_N[own], values_MN[trial, own])


def test_mean_probabilities_of_both_forms():
    rng = np.random.default_rng(0)
    rounds = [rng.dirichlet(np.ones(7), size=5000).astype(np.float16) for _ in range(3)]
    mean = mean_probabilities(rounds, 7)
    slow = np.mean([shares.astype(np.float64) for shares in rounds], axis=0)
    assert mean.dtype == np.float16
    np.testing.assert_allclose(mean, slow, atol=1e-3)
    np.testing.assert_allclose(mean.sum(axis=1, dtype=np.float32), 1, atol=1e-2)
    labels_N, shares_N = suggested(mean)
    np.testing.assert_array_equal(labels_N, mean.argmax(axis=1))
    np.testing.assert_array_equal(shares_N, mean.max(axis=1))
    few = mean_probabilities([greatest(shares, 5) for shares in rounds], 7)
    assert few.shape == (5000, 5)
    kept = [np.where(shares >= np.sort(shares, axis=1)[:, -5:-4], shares, 0).astype(np.float64) for shares in rounds]
    np.testing.assert_allclose(dense(few, 7).max(axis=1), np.mean(kept, axis=0).max(axis=1), atol=1e-3)
    np.testing.assert_array_equal(suggested(few)[0], few["label"][:, 0])
    assert (np.diff(few["share"].astype(np.float32), axis=1) <= 0).all()
