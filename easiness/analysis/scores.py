"""Easiness of every example, and how far it can be trusted.

Easiness is the mean cross-entropy over independent trials: **lower = easier**. Everything here takes the
losses of one moment of training, ``losses_MN``; callers loop over moments. Arrays may be memory-mapped: no
function makes a float64 copy of the whole.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 1 << 16
DECILES = 10


def easiness(losses_MN: NDArray) -> NDArray[np.float64]:
    """Mean loss of every example over the trials. Lower = easier.

    Parameters
    ----------
    losses_MN : (M, N) array of float
        Loss in nats of N examples under M trials, at one moment. May be memory-mapped.

    Returns
    -------
    (N,) array of float64
        Nats. The last bit may depend on the order of the trials (see `canonical_order`).

    Raises
    ------
    ValueError
        If the array is not (M, N) with M and N at least 1, or if a loss is not finite: the message names the
        trial and the number of examples. A diverged trial is never averaged in.

    Examples
    --------
    >>> easiness(np.array([[0.0, 2.0], [1.0, 4.0]]))
    array([0.5, 3. ])
    """
    losses_MN = _check_losses(losses_MN)
    total_N = np.zeros(losses_MN.shape[1])
    with np.errstate(invalid="ignore"):  # inf − inf; the total tells
        for losses_N in losses_MN:
            total_N += losses_N
    # Sums of float32 in float64 cannot overflow, so a bad value anywhere leaves a bad total.
    if not np.isfinite(total_N).all():
        _refuse_diverged(losses_MN)
    return total_N / len(losses_MN)


def canonical_order(losses_MN: NDArray) -> NDArray[np.int64]:
    """Order of the trials that depends on what they hold, not on where they stand.

    Statistics that draw trials at random put them in this order first: the same trials, listed in any order,
    then give the same numbers to the last bit.

    Parameters
    ----------
    losses_MN : (M, N) array

    Returns
    -------
    (M,) array of int64
        ``losses_MN[canonical_order(losses_MN)]`` is the same for every permutation of the rows.

    Examples
    --------
    >>> losses_MN = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> shuffled_MN = losses_MN[[2, 0, 1]]
    >>> a, b = losses_MN[canonical_order(losses_MN)], shuffled_MN[canonical_order(shuffled_MN)]
    >>> np.array_equal(a, b)
    True
    """
    digests = trial_digests([losses_MN])
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def trial_digests(losses_TMN: Sequence[NDArray]) -> list[bytes]:
    """Digest of each trial's losses at all moments.

    Parameters
    ----------
    losses_TMN : T arrays (M, N)
        The same M trials at T moments.

    Returns
    -------
    list of M bytes

    Examples
    --------
    >>> one, other = trial_digests([np.array([[1.0, 2.0], [1.0, 3.0]])])
    >>> len(one), one == other
    (16, False)
    """
    digests = [hashlib.blake2b(digest_size=16) for _ in losses_TMN[0]]
    for losses_MN in losses_TMN:
        for digest, losses_N in zip(digests, losses_MN, strict=True):
            digest.update(np.ascontiguousarray(losses_N))
    return [digest.digest() for digest in digests]


def average_ranks(values_N: ArrayLike) -> NDArray[np.float64]:
    """Ranks 1 … N of the values; tied values share the mean of their ranks.

    Parameters
    ----------
    values_N : (N,) array
        Finite.

    Returns
    -------
    (N,) array of float64
        1 for the lowest value.

    Examples
    --------
    >>> average_ranks([30, 10, 10, 20])
    array([4. , 1.5, 1.5, 3. ])
    """
    values_N = _check_scores(values_N)
    order_N = np.argsort(values_N)
    sorted_N = values_N[order_N]
    starts = np.flatnonzero(np.concatenate(([True], sorted_N[1:] != sorted_N[:-1])))
    lengths = np.diff(starts, append=len(sorted_N))
    ranks_N = np.empty(len(values_N))
    ranks_N[order_N] = np.repeat(starts + (lengths + 1) / 2, lengths)
    return ranks_N


def rank_correlation(a_N: ArrayLike, b_N: ArrayLike) -> float:
    """Spearman's rank correlation of two scores of the same examples; ties get average ranks.

    Parameters
    ----------
    a_N, b_N : (N,) array
        Finite scores, same order of examples.

    Returns
    -------
    float
        In [-1, 1]; NaN where one side is constant, since it then ranks nothing.

    Raises
    ------
    ValueError
        For unequal lengths or values that are not finite.

    Examples
    --------
    >>> rank_correlation([0.1, 0.2, 0.9], [1, 2, 30])
    1.0
    >>> rank_correlation([0.1, 0.2, 0.9], [3, 2, 1])
    -1.0
    """
    return correlation(average_ranks(a_N), average_ranks(b_N))


def correlation(a_N: NDArray, b_N: NDArray) -> float:
    """Pearson's correlation; of average ranks it is Spearman's.

    Parameters
    ----------
    a_N, b_N : (N,) array of float

    Returns
    -------
    float
        In [-1, 1]; NaN where one side is constant.

    Raises
    ------
    ValueError
        For unequal lengths.

    Examples
    --------
    >>> correlation(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0]))
    1.0
    """
    if len(a_N) != len(b_N):
        raise ValueError(f"scores of {len(a_N)} and {len(b_N)} examples cannot be paired; score the same data")
    a_N, b_N = a_N - a_N.mean(), b_N - b_N.mean()
    scale = math.sqrt(float(a_N @ a_N) * float(b_N @ b_N))
    return max(-1.0, min(1.0, float(a_N @ b_N) / scale)) if scale > 0 else math.nan


def roc_auc(scores_N: ArrayLike, positive_N: ArrayLike) -> float:
    """Chance that a positive example scores higher than a negative one; a tie counts half.

    Parameters
    ----------
    scores_N : (N,) array
        Finite; higher = more likely positive. Easiness is such a score for *hard* positives.
    positive_N : (N,) array of bool

    Returns
    -------
    float
        In [0, 1]; 0.5 = no better than chance.

    Raises
    ------
    ValueError
        If the lengths differ, a score is not finite, or one of the two kinds is missing.

    Examples
    --------
    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    scores_N, positive_N = _check_scores(scores_N), np.asarray(positive_N, dtype=bool)
    if positive_N.shape != scores_N.shape:
        raise ValueError(f"scores {scores_N.shape} and positives {positive_N.shape} must have the same shape")
    positives = int(positive_N.sum())
    negatives = len(scores_N) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"needs examples of both kinds, got {positives} positive and {negatives} negative")
    wins = average_ranks(scores_N)[positive_N].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def deciles(easiness_N: ArrayLike, seed: int = 0, labels_N: ArrayLike | None = None) -> NDArray[np.int64]:
    """Difficulty decile of every example: 0 = easiest tenth … 9 = hardest tenth.

    Parameters
    ----------
    easiness_N : (N,) array
        Finite; lower = easier.
    seed : int
        Breaks ties at random; the same order of ties as `easiness.analysis.sets.easiest` with this seed.
    labels_N : (N,) array of int, optional
        With labels, deciles are formed within each class.

    Returns
    -------
    (N,) array of int64
        Sizes of deciles differ by at most 1 (within each class, with labels).

    Raises
    ------
    ValueError
        For values that are not finite, or labels of another length.

    Examples
    --------
    >>> deciles(np.linspace(1.0, 0.0, 10))
    array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    """
    easiness_N = _check_scores(easiness_N)
    groups_N = np.zeros(len(easiness_N), dtype=np.int64) if labels_N is None else np.asarray(labels_N)
    if groups_N.shape != easiness_N.shape:
        raise ValueError(f"labels {groups_N.shape} and easiness {easiness_N.shape} must have the same shape")
    order_N = np.lexsort((tie_keys(len(easiness_N), seed), easiness_N, groups_N))
    _, starts, sizes = np.unique(groups_N[order_N], return_index=True, return_counts=True)
    rank_N = np.arange(len(easiness_N)) - np.repeat(starts, sizes)
    decile_N = np.empty(len(easiness_N), dtype=np.int64)
    decile_N[order_N] = rank_N * DECILES // np.repeat(sizes, sizes)
    return decile_N


def tie_keys(count: int, seed: int) -> NDArray[np.float64]:
    """Random keys that put tied examples in order, one for each of `count` rows.

    One order for every cut: sets cut from the two ends of the same scores never share a tied example.

    Examples
    --------
    >>> tie_keys(3, seed=0).shape
    (3,)
    """
    return np.random.default_rng(seed).random(count)


def _check_losses(losses_MN: NDArray) -> NDArray:
    losses_MN = np.asanyarray(losses_MN)
    if losses_MN.ndim != 2 or 0 in losses_MN.shape:
        raise ValueError(f"losses must be (trials, examples), both at least 1, got shape {losses_MN.shape}")
    if losses_MN.dtype.kind not in "fiu":
        raise ValueError(f"losses must be real numbers, got dtype {losses_MN.dtype}")
    return losses_MN


def _refuse_diverged(losses_MN: NDArray) -> None:
    bad_M = np.array([losses_N.size - np.isfinite(losses_N).sum() for losses_N in losses_MN])
    trials = ", ".join(f"trial {m}: {bad_M[m]} of {losses_MN.shape[1]} examples" for m in np.flatnonzero(bad_M))
    raise ValueError(f"losses are not finite ({trials}); drop the diverged trial or run it again")


def _check_scores(values_N: ArrayLike) -> NDArray:
    values_N = np.asarray(values_N)
    if values_N.ndim != 1 or len(values_N) == 0:
        raise ValueError(f"scores must be one number for each example, got shape {values_N.shape}")
    bad = len(values_N) - int(np.isfinite(values_N).sum())
    if bad:
        raise ValueError(f"{bad} of {len(values_N)} scores are not finite; drop or repair them first")
    return values_N
