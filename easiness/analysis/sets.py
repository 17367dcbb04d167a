"""Sets of easy and hard examples, their overlap, and what overlap luck alone would give.

A set is a sorted array of row indices into the dataset's own order. Easiness: lower = easier.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.scores import tie_keys


class Chance(NamedTuple):
    """Overlap that two random sets reach: its mean and its standard deviation, both as rates in [0, 1]."""

    mean: float
    sd: float


def set_size(fraction: float, count: int) -> int:
    """Size of the set that `fraction` cuts from `count` examples: round(fraction × count), at least 1.

    Raises
    ------
    ValueError
        If there are no examples, or the fraction is outside (0, 0.5]: it would give an empty set, or easy and
        hard sets that must share examples.

    Examples
    --------
    >>> set_size(0.1, 50_000), set_size(0.1, 3)
    (5000, 1)
    """
    if not 0 < fraction <= 0.5:
        raise ValueError(f"fraction must be above 0 and at most 0.5, got {fraction}")
    if count < 1:
        raise ValueError(f"cannot cut a set from {count} examples")
    return max(1, round(fraction * count))


def easiest(
    easiness_N: ArrayLike, fraction: float = 0.1, *, seed: int = 0, labels_N: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Rows with the lowest easiness.

    Parameters
    ----------
    easiness_N : (N,) array
        Finite; lower = easier.
    fraction : float
        Share of the examples, in (0, 0.5]. See `set_size`.
    seed : int
        Breaks a tie at the cut at random. With one seed, easy and hard sets of the same scores share no tied
        example. Give *different models* different seeds, or shared ties are counted as agreement.
    labels_N : (N,) array of int, optional
        With labels, the fraction is taken from every class.

    Returns
    -------
    (n,) array of int64
        Sorted row indices.

    Raises
    ------
    ValueError
        For a fraction outside (0, 0.5], values that are not finite, or labels that do not fit.

    Examples
    --------
    >>> easiest([0.3, 0.1, 0.2, 0.9], 0.5)
    array([1, 2])
    >>> easiest([0.3, 0.1, 0.2, 0.9], 0.5, labels_N=[0, 0, 1, 1])
    array([1, 2])
    """
    return _cut(np.asarray(easiness_N), fraction, seed, labels_N, sign=1)


def hardest(
    easiness_N: ArrayLike, fraction: float = 0.1, *, seed: int = 0, labels_N: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Rows with the highest easiness. Everything else as in `easiest`.

    Examples
    --------
    >>> hardest([0.3, 0.1, 0.2, 0.9], 0.5)
    array([0, 3])
    """
    return _cut(np.asarray(easiness_N), fraction, seed, labels_N, sign=-1)


def overlap(a: ArrayLike, b: ArrayLike, count: int | None = None) -> float:
    """Measure what two sets share: the matching rate |A ∩ B| / max(|A|, |B|).

    Parameters
    ----------
    a, b : (n,) array of int
        Row indices, none twice.
    count : int, optional
        Number of examples N. With it, members are counted through a mask, which is faster for large sets.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If a set is empty, lists a row twice, or reaches beyond `count`.

    Examples
    --------
    >>> overlap([0, 1, 2, 3], [2, 3, 4])
    0.5
    """
    a, b = _check_set(a), _check_set(b)
    if count is None:
        if len(np.unique(a)) < len(a) or len(np.unique(b)) < len(b):
            raise ValueError("a set lists a row twice; pass every row once")
        shared = len(np.intersect1d(a, b, assume_unique=True))
    else:
        shared = int(np.count_nonzero(_mask(a, count) & _mask(b, count)))
    return shared / max(len(a), len(b))


def chance(n_a: int, n_b: int, n: int) -> Chance:
    """Overlap of two random sets of `n_a` and `n_b` out of `n` examples, exactly (hypergeometric).

    Raises
    ------
    ValueError
        If a set is empty or larger than `n`.

    Examples
    --------
    >>> chance(5000, 5000, 50_000).mean
    0.1
    """
    if not (1 <= n_a <= n and 1 <= n_b <= n):
        raise ValueError(f"sets of {n_a} and {n_b} cannot be drawn from {n} examples")
    mean, variance = _hypergeometric(np.array([n_a]), np.array([n_b]), np.array([n]))
    return _as_rate(mean, variance, max(n_a, n_b))


def chance_given_classes(a: ArrayLike, b: ArrayLike, labels_N: ArrayLike) -> Chance:
    """Overlap of two random sets that keep the class mix of `a` and of `b`, exactly.

    Two easy sets that hold the same classes overlap by more than a tenth even if nothing else is shared. The
    members of each class are drawn at random, independently of the other classes.

    Parameters
    ----------
    a, b : (n,) array of int
        Row indices, none twice.
    labels_N : (N,) array of int
        Class of every example, from 0.

    Returns
    -------
    Chance

    Raises
    ------
    ValueError
        If a set is empty, lists a row twice, or reaches beyond the labels.

    Examples
    --------
    >>> labels_N = np.array([0] * 10 + [1] * 10)
    >>> chance_given_classes([0, 1, 2], [3, 4, 5], labels_N).mean  # both from class 0: 3 of 10, not 3 of 20
    0.3
    """
    labels_N = _check_labels(labels_N)
    a_K, b_K = class_counts(a, labels_N), class_counts(b, labels_N)
    n_K = np.bincount(labels_N)
    present = n_K > 0
    mean, variance = _hypergeometric(a_K[present], b_K[present], n_K[present])
    return _as_rate(mean, variance, max(a_K.sum(), b_K.sum()))


def corrected(rate: float, chance: float) -> float:
    """Rate beyond chance, as a share of what chance leaves: 0 = luck alone, 1 = the same set.

    Parameters
    ----------
    rate, chance : float
        Rates in [0, 1].

    Returns
    -------
    float
        (rate − chance) / (1 − chance), negative below chance; NaN if chance alone gives the same set.

    Examples
    --------
    >>> round(corrected(0.28, 0.1), 3)
    0.2
    """
    return (rate - chance) / (1 - chance) if chance < 1 else math.nan


def class_counts(rows: ArrayLike, labels_N: ArrayLike) -> NDArray[np.int64]:
    """Members of each class in a set.

    Parameters
    ----------
    rows : (n,) array of int
        Row indices, none twice.
    labels_N : (N,) array of int
        Class of every example, from 0.

    Returns
    -------
    (K,) array of int64
        K = highest label + 1.

    Raises
    ------
    ValueError
        As `chance_given_classes`.

    Examples
    --------
    >>> class_counts([0, 3], [0, 1, 1, 2])
    array([1, 0, 1])
    """
    labels_N = _check_labels(labels_N)
    mask_N = _mask(_check_set(rows), len(labels_N))
    return np.bincount(labels_N[mask_N], minlength=int(labels_N.max()) + 1)


def _cut(easiness_N: NDArray, fraction: float, seed: int, labels_N: ArrayLike | None, sign: int) -> NDArray[np.int64]:
    """Rows whose ``sign × easiness`` is lowest, in all or in every class."""
    if easiness_N.ndim != 1:
        raise ValueError(f"easiness must be one number for each example, got shape {easiness_N.shape}")
    bad = easiness_N.size - int(np.isfinite(easiness_N).sum())
    if bad:
        raise ValueError(f"{bad} of {easiness_N.size} easiness values are not finite; drop or repair them first")
    if labels_N is None:
        rows = _lowest(easiness_N, set_size(fraction, len(easiness_N)), np.arange(len(easiness_N)), seed, sign)
        return np.sort(rows)
    labels_N = _check_labels(labels_N)
    if labels_N.shape != easiness_N.shape:
        raise ValueError(f"labels {labels_N.shape} and easiness {easiness_N.shape} must have the same shape")
    members_K = np.split(np.argsort(labels_N, kind="stable"), np.cumsum(np.bincount(labels_N))[:-1])
    return np.sort(
        np.concatenate(
            [
                _lowest(easiness_N, set_size(fraction, len(members)), members, seed, sign)
                for members in members_K
                if len(members)
            ]
        )
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


def _hypergeometric(a_K: NDArray, b_K: NDArray, n_K: NDArray) -> tuple[float, float]:
    """Mean and variance of the number of shared members, summed over independent groups."""
    a_K, b_K, n_K = (counts.astype(np.float64) for counts in (a_K, b_K, n_K))
    mean_K = a_K * b_K / n_K
    variance_K = mean_K * (n_K - a_K) * (n_K - b_K) / (n_K * np.maximum(n_K - 1, 1))
    return float(mean_K.sum()), float(variance_K.sum())


def _as_rate(mean: float, variance: float, larger: int) -> Chance:
    return Chance(mean / float(larger), math.sqrt(variance) / float(larger))


def _check_set(rows: ArrayLike) -> NDArray[np.int64]:
    rows = np.asarray(rows)
    if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
        raise ValueError(f"a set must list at least one row index, got {rows.dtype} of shape {rows.shape}")
    return rows


def _check_labels(labels_N: ArrayLike) -> NDArray[np.int64]:
    labels_N = np.asarray(labels_N)
    if labels_N.ndim != 1 or len(labels_N) == 0 or labels_N.dtype.kind not in "iu" or labels_N.min() < 0:
        raise ValueError(f"labels must be class numbers from 0, got {labels_N.dtype} of shape {labels_N.shape}")
    return labels_N.astype(np.int64, copy=False)


def _mask(rows: NDArray, count: int) -> NDArray[np.bool_]:
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(f"rows {rows.min()} to {rows.max()} reach beyond the {count} examples")
    mask_N = np.zeros(count, dtype=bool)
    mask_N[rows] = True
    if np.count_nonzero(mask_N) < len(rows):
        raise ValueError("a set lists a row twice; pass every row once")
    return mask_N
