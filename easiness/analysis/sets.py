"""Sets of easy and hard examples, their overlap, and the overlap that chance alone gives.

A set is a sorted array of row indices into the dataset's own order. Easiness: lower = easier.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.scores import check_scores, tie_keys


class Chance(NamedTuple):
    """Overlap that two random sets reach: its mean and its standard deviation, both as rates in [0, 1]."""

    mean: float
    sd: float


def set_size(fraction: float, count: int) -> int:
    """Size of the set that `fraction` cuts from `count` examples: round(fraction × count), at least 1.

    >>> set_size(0.1, 50_000), set_size(0.1, 3)
    (5000, 1)
    """
    # Above 0.5, easy and hard sets would have to share examples.
    if not 0 < fraction <= 0.5:
        raise ValueError(f"fraction must be above 0 and at most 0.5, got {fraction}")
    if count < 1:
        raise ValueError(f"cannot cut a set from {count} examples")
    return max(1, round(fraction * count))


def easiest(
    easiness_N: ArrayLike, fraction: float = 0.1, *, seed: int = 0, labels_N: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Rows with the lowest easiness (finite; lower = easier), ascending.

    The fraction, in (0, 0.5], is taken from all examples, or with labels from every class; see `set_size`. The seed
    breaks a tie at the cut at random. With one seed, easy and hard sets of the same scores share no tied example. Give
    *different models* different seeds, or shared ties are counted as agreement.

    >>> easiest([0.3, 0.1, 0.2, 0.9], 0.5)
    array([1, 2])
    """
    return _cut(easiness_N, fraction, seed, labels_N, sign=1)


def hardest(
    easiness_N: ArrayLike, fraction: float = 0.1, *, seed: int = 0, labels_N: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Rows with the highest easiness. Everything else as in `easiest`.

    >>> hardest([0.3, 0.1, 0.2, 0.9], 0.5)
    array([0, 3])
    """
    return _cut(easiness_N, fraction, seed, labels_N, sign=-1)


def overlap(a: ArrayLike, b: ArrayLike, count: int | None = None) -> float:
    """Matching rate of two sets of rows: |A ∩ B| / max(|A|, |B|), in [0, 1].

    With the number of examples `count`, rows beyond it are refused.

    >>> overlap([0, 1, 2, 3], [2, 3, 4])
    0.5
    """
    a, b = _check_set(a), _check_set(b)
    count = int(max(a.max(), b.max())) + 1 if count is None else count
    return int(np.count_nonzero(row_mask(a, count) & row_mask(b, count))) / max(len(a), len(b))


def chance(n_a: int, n_b: int, n: int) -> Chance:
    """Overlap of two random sets of `n_a` and `n_b` out of `n` examples, exactly (hypergeometric).

    >>> chance(5000, 5000, 50_000).mean
    0.1
    """
    if not (1 <= n_a <= n and 1 <= n_b <= n):
        raise ValueError(f"sets of {n_a} and {n_b} cannot be drawn from {n} examples")
    return _hypergeometric(np.array([n_a]), np.array([n_b]), np.array([n]))


def chance_given_classes(a: ArrayLike, b: ArrayLike, labels_N: ArrayLike) -> Chance:
    """Overlap of two random sets that keep the class mix of `a` and of `b`, exactly.

    Two easy sets that hold the same classes overlap by more than a tenth even if nothing else is shared. The
    members of each class are drawn at random, independently of the other classes.

    >>> labels_N = np.array([0] * 10 + [1] * 10)
    >>> chance_given_classes([0, 1, 2], [3, 4, 5], labels_N).mean  # both from class 0: 3 of 10, not 3 of 20
    0.3
    """
    labels_N = check_labels(labels_N)
    n_K = np.bincount(labels_N)
    a_K, b_K = (np.bincount(labels_N[row_mask(rows, len(labels_N))], minlength=len(n_K)) for rows in (a, b))
    present = n_K > 0
    return _hypergeometric(a_K[present], b_K[present], n_K[present])


def corrected(rate: float, chance: float) -> float:
    """Rate beyond chance, as a share of what chance leaves: 0 = chance alone, 1 = the same set, negative below chance.

    NaN if chance alone gives the same set.

    >>> round(corrected(0.28, 0.1), 3)
    0.2
    """
    return (rate - chance) / (1 - chance) if chance < 1 else math.nan


def row_mask(rows: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Mask of a set among `count` examples; refuses rows beyond them and rows listed twice."""
    rows = _check_set(rows)
    # Negative rows would index without complaint and mean something else.
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(f"rows {rows.min()} to {rows.max()} reach beyond the {count} examples")
    mask_N = np.zeros(count, dtype=bool)
    mask_N[rows] = True
    unique = np.count_nonzero(mask_N)
    if unique < len(rows):
        raise ValueError(f"a set lists {len(rows) - unique} of {len(rows)} rows twice; list every row once")
    return mask_N


def check_labels(labels_N: ArrayLike, num_classes: int | None = None) -> NDArray[np.int64]:
    """Return labels as integers; refuse what is not one class number for each example."""
    labels_N = np.asarray(labels_N)
    if labels_N.ndim != 1 or not labels_N.size or labels_N.dtype.kind not in "iu":
        raise ValueError(f"labels must be class numbers, one for each example, got {labels_N.dtype} {labels_N.shape}")
    low, high = int(labels_N.min()), int(labels_N.max())
    if low < 0 or (num_classes is not None and high >= num_classes):
        last = "" if num_classes is None else f" to {num_classes - 1}"
        raise ValueError(f"labels must be class numbers from 0{last}, got {low} to {high}")
    return labels_N.astype(np.int64, copy=False)


def class_members(labels_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each class that has any, ascending.

    >>> class_members(np.array([3, 0, 3]))
    [array([1]), array([0, 2])]
    """
    by_class = np.split(np.argsort(labels_N, kind="stable"), np.cumsum(np.bincount(labels_N))[:-1])
    return [rows for rows in by_class if len(rows)]


def _cut(easiness_N: ArrayLike, fraction: float, seed: int, labels_N: ArrayLike | None, sign: int) -> NDArray[np.int64]:
    """Rows whose ``sign × easiness`` is lowest, in all or in every class."""
    easiness_N = check_scores(easiness_N)
    if labels_N is None:
        groups = [np.arange(len(easiness_N))]
    else:
        labels_N = check_labels(labels_N)
        if labels_N.shape != easiness_N.shape:
            raise ValueError(f"labels {labels_N.shape} and easiness {easiness_N.shape} must have the same shape")
        groups = class_members(labels_N)
    return np.sort(
        np.concatenate([_lowest(easiness_N, set_size(fraction, len(rows)), rows, seed, sign) for rows in groups])
    )


def _lowest(easiness_N: NDArray, size: int, members: NDArray, seed: int, sign: int) -> NDArray[np.int64]:
    """`size` of the rows `members` with the lowest ``sign × easiness``, ties at the cut in random order."""
    values = easiness_N[members]
    at = size - 1 if sign > 0 else len(values) - size
    cut = np.partition(values, at)[at]
    inside = members[values < cut] if sign > 0 else members[values > cut]
    tied = members[values == cut]
    wanted = size - len(inside)
    if wanted < len(tied):
        keys = sign * tie_keys(len(easiness_N), seed)[tied]
        tied = tied[np.argpartition(keys, wanted - 1)[:wanted]]
    return np.concatenate([inside, tied])


def _hypergeometric(a_K: NDArray, b_K: NDArray, n_K: NDArray) -> Chance:
    """Overlap of two sets whose members are drawn at random and independently from each of K groups."""
    larger = float(max(a_K.sum(), b_K.sum()))
    a_K, b_K, n_K = (counts.astype(np.float64) for counts in (a_K, b_K, n_K))
    mean_K = a_K * b_K / n_K
    variance_K = mean_K * (n_K - a_K) * (n_K - b_K) / (n_K * np.maximum(n_K - 1, 1))
    return Chance(float(mean_K.sum()) / larger, math.sqrt(float(variance_K.sum())) / larger)


def _check_set(rows: ArrayLike) -> NDArray[np.int64]:
    rows = np.asarray(rows)
    if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
        raise ValueError(f"a set must list at least one row index, got {rows.dtype} of shape {rows.shape}")
    return rows
