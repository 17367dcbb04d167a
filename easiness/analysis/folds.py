"""Folds: parts of the examples, each held out of some trials; and arrays of trials on both sides of the cut.

Trial m trains on all but fold m mod K, and measures every example. So K trials in turn are a *round*, in which every
example is held out once and trained on K − 1 times. Arrays are (M, N), M a multiple of K.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

# Examples that are averaged at a time.
_CHUNK = 4096


def bound_together(*keys: NDArray) -> NDArray[np.int64]:
    """Number of the unit of every example: those that share one of their (N,) keys, through any number of steps.

    >>> patients, contents = np.array([0, 0, 1, 2]), np.array([7, 8, 8, 9])
    >>> bound_together(patients, contents)
    array([0, 0, 0, 1])
    """
    count = len(keys[0])
    numbers = [np.unique(key, return_inverse=True)[1] for key in keys]
    ends = np.cumsum([count, *(number.max() + 1 for number in numbers)])
    columns = np.concatenate([number + start for number, start in zip(numbers, ends, strict=False)])
    edges = (np.ones(len(columns), bool), (np.tile(np.arange(count), len(keys)), columns))
    graph = scipy.sparse.coo_array(edges, shape=(ends[-1], ends[-1]))
    _, unit = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return unit[:count].astype(np.int64)


def make_folds(
    labels_N: NDArray, folds: int, seed: int, *, copies_N: NDArray, groups_N: NDArray | None = None
) -> NDArray[np.int64]:
    """Fold of every example, 0 to K - 1: stratified by label, with copies of one content and groups in one fold.

    Without groups, every fold has the same number of each class, give or take one, where copies count once; groups are
    spread so that this holds as nearly as they allow. `copies_N` and `groups_N` hold equal numbers for what belongs
    together. A ValueError if there are too few examples or groups.

    >>> make_folds(np.array([0, 0, 1, 1]), 2, seed=0, copies_N=np.arange(4))
    array([1, 0, 1, 0])
    """
    # They take a second to import, which callers without folds do not wait for.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    # scikit-learn takes 32 bits.
    bits = int(np.random.SeedSequence(seed).generate_state(1)[0])
    cut = {"n_splits": folds, "shuffle": True, "random_state": bits}
    if groups_N is None:
        # A content counts once, with one of its labels: bound as groups, a million contents would take hours.
        _, rows, unit_N = np.unique(copies_N, return_index=True, return_inverse=True)
        splitter, groups = StratifiedKFold(**cut), None
    else:
        rows = np.arange(len(labels_N))
        unit_N, groups = rows, bound_together(copies_N, groups_N)
        splitter = StratifiedGroupKFold(**cut)
    units = len(rows) if groups is None else groups.max() + 1
    if units < 2 * folds:
        kind = "examples" if groups is None else "groups"
        raise ValueError(f"folds is {folds}, and there are {units} {kind} that may be parted; use fewer folds")
    fold_of_unit = np.empty(len(rows), np.int64)
    with warnings.catch_warnings():
        # A class with fewer examples than folds is no mistake; the caller looks at what came out.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        try:
            for fold, (_, held_out) in enumerate(splitter.split(rows, labels_N[rows], groups)):
                fold_of_unit[held_out] = fold
        except ValueError as error:
            raise ValueError(f"folds is {folds}, which the data do not allow: {error}; use fewer folds") from None
    fold_N = fold_of_unit[unit_N]
    empty = np.flatnonzero(np.bincount(fold_N, minlength=folds) == 0)
    if len(empty):
        raise ValueError(f"folds is {folds}, and the groups fill only {folds - len(empty)}; use fewer folds")
    return fold_N


def in_sample(values_MN: NDArray, fold_N: NDArray, folds: int) -> NDArray:
    """Values of the trials that trained on an example: (M, N) to (M - M/K, N), each value of theirs once.

    A row is one trial, but for the fold that it left out: the last trial of the round fills the gaps of the others.
    """
    count = values_MN.shape[1]
    rounds_RKN = values_MN.reshape(-1, folds, count)
    filled_RKN = rounds_RKN[:, :-1].copy()
    for fold in range(folds - 1):
        rows = fold_N == fold
        filled_RKN[:, fold, rows] = rounds_RKN[:, -1, rows]
    return filled_RKN.reshape(-1, count)


def held_out(values_MN: NDArray, fold_N: NDArray, folds: int) -> NDArray:
    """Values of the trials that held an example out, one of each round: (M, N) to (M/K, N)."""
    count = values_MN.shape[1]
    return values_MN.reshape(-1, folds, count)[:, fold_N, np.arange(count)]


def mean_probabilities(rounds: Sequence[NDArray], classes: int) -> NDArray:
    """Mean of class probabilities over rounds, in their form: (N, K) float16, or the greatest of each example.

    The latter are (N, 5) of `label` and `share`, in descending order; what they leave out counts as zero.

    >>> mean_probabilities([np.float16([[0.5, 0.5]]), np.float16([[1, 0]])], 2)
    array([[0.75, 0.25]], dtype=float16)
    """
    mean = np.empty_like(rounds[0])
    for start in range(0, len(mean), _CHUNK):
        rows = slice(start, start + _CHUNK)
        total_nK = np.zeros((len(mean[rows]), classes), np.float32)
        for probabilities in rounds:
            total_nK += dense(probabilities[rows], classes)
        total_nK /= len(rounds)
        mean[rows] = greatest(total_nK, mean.shape[1]) if mean.dtype.names else total_nK
    return mean


def greatest(probabilities_NK: NDArray, count: int) -> NDArray:
    """(N, `count`) greatest probabilities of each example, in descending order, as `label` and `share`.

    >>> greatest(np.array([[0.25, 0.75, 0.0]]), 2).tolist()
    [[(1, 0.75), (0, 0.25)]]
    """
    labels = np.argsort(-probabilities_NK, axis=1, kind="stable")[:, :count]
    found = np.empty(labels.shape, [("label", "<i4"), ("share", "<f2")])
    found["label"], found["share"] = labels, np.take_along_axis(probabilities_NK, labels, axis=1)
    return found


def suggested(probabilities: NDArray) -> tuple[NDArray, NDArray]:
    """Label with the greatest probability of each example (the lowest of several), and that probability; (N,) each."""
    if probabilities.dtype.names:
        return probabilities["label"][:, 0].astype(np.int64), probabilities["share"][:, 0]
    labels_N = probabilities.argmax(axis=1)
    return labels_N, np.take_along_axis(probabilities, labels_N[:, None], axis=1)[:, 0]


def dense(probabilities: NDArray, classes: int) -> NDArray:
    """(N, K) class probabilities from either form of `mean_probabilities`."""
    if not probabilities.dtype.names:
        return probabilities
    full_NK = np.zeros((len(probabilities), classes), np.float32)
    np.put_along_axis(full_NK, probabilities["label"].astype(np.int64), probabilities["share"], axis=1)
    return full_NK
