"""Easiness of every example, and how far it can be trusted.

Easiness is the mean cross-entropy over independent trials: **lower = easier**. Everything here takes the
losses of one moment of training, ``losses_MN``; callers loop over moments. Arrays may be memory-mapped: no
function makes a float64 copy of the whole.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 1 << 16
DECILES = 10
TARGET_RELIABILITY = 0.9


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
        Breaks ties at random; the same order of ties as `easiness.sets.easiest` with this seed.
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


@dataclass(frozen=True)
class ReliabilityCurve:
    """Reliability of easiness against the number of trials behind it.

    Attributes
    ----------
    trials : (M,) array of int64
        1 … M.
    reliability : (M,) array of float64
        Expected correlation with the easiness of as many fresh trials. NaN throughout if M = 1.
    trials_needed : float
        Trials that reach `TARGET_RELIABILITY` by the Spearman–Brown formula, beyond M if need be; infinite if
        trials do not agree at all, NaN if M = 1.
    """

    trials: NDArray[np.int64]
    reliability: NDArray[np.float64]
    trials_needed: float


def reliability(losses_MN: NDArray, seed: int = 0, splits: int = 200) -> float:
    """Split-half reliability of easiness: its correlation with a repetition of all M trials.

    The trials are cut at random into two halves, the halves' easiness correlated (Pearson, as the step-up
    formula speaks of variances) and stepped up to M trials by Spearman–Brown; averaged over `splits` cuts.
    With odd M one trial sits out each cut.

    Parameters
    ----------
    losses_MN : (M, N) array of float
        Losses of one moment. May be memory-mapped.
    seed : int
        Draws the cuts. The order of the trials does not matter.
    splits : int
        Number of cuts.

    Returns
    -------
    float
        At most 1; NaN if M = 1, which no cut can judge, or if a half is constant. Halves that do not agree at
        all (r <= 0) are not stepped up.

    Raises
    ------
    ValueError
        As `easiness`.

    Notes
    -----
    Spearman, Brown (both 1910): r_M = k r / (1 + (k - 1) r) for k times as many trials.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> losses_MN = rng.normal(size=1000) + rng.normal(size=(4, 1000))  # expect 4 / (4 + 1)
    >>> round(reliability(losses_MN), 2)
    0.8
    """
    covariance_MM = trial_covariance(losses_MN)
    return _split_half(covariance_MM, len(covariance_MM), np.random.default_rng(seed), splits)


def reliability_curve(losses_MN: NDArray, seed: int = 0, splits: int = 200) -> ReliabilityCurve:
    """Reliability of easiness for 1 … M trials, and the number of trials that reaches 0.9.

    For m trials: m of the M are drawn, cut into halves and treated as in `reliability`; for m = 1, the mean
    correlation of two trials.

    Parameters
    ----------
    losses_MN, seed, splits
        As in `reliability`.

    Returns
    -------
    ReliabilityCurve

    Raises
    ------
    ValueError
        As `easiness`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> curve = reliability_curve(rng.normal(size=1000) + rng.normal(size=(4, 1000)))
    >>> curve.reliability.round(1), round(curve.trials_needed)
    (array([0.5, 0.7, 0.7, 0.8]), 9)
    """
    covariance_MM = trial_covariance(losses_MN)
    trials = len(covariance_MM)
    rng = np.random.default_rng(seed)
    curve_M = np.array([_split_half(covariance_MM, m, rng, splits) for m in range(1, trials + 1)])
    whole = curve_M[-1]
    # Spearman–Brown solved for the number of trials.
    needed = trials * TARGET_RELIABILITY * (1 - whole) / (whole * (1 - TARGET_RELIABILITY)) if whole > 0 else math.inf
    return ReliabilityCurve(np.arange(1, trials + 1), curve_M, math.nan if math.isnan(whole) else needed)


def trial_covariance(losses_MN: NDArray) -> NDArray[np.float64]:
    """Covariance of the trials over the examples, the trials in canonical order.

    The correlation of any two averages of trials follows from it, so that hundreds of splits cost one pass.

    Parameters
    ----------
    losses_MN : (M, N) array of float
        May be memory-mapped.

    Returns
    -------
    (M, M) array of float64
        Squared nats.

    Raises
    ------
    ValueError
        As `easiness`.

    Examples
    --------
    >>> trial_covariance(np.array([[0.0, 2.0], [0.0, 2.0]]))
    array([[1., 1.],
           [1., 1.]])
    """
    losses_MN = _check_losses(losses_MN)
    mean_N = easiness(losses_MN)
    order_M = canonical_order(losses_MN)
    count = losses_MN.shape[1]
    # A rough offset keeps the sums of squares small; what it leaves is subtracted exactly at the end.
    offset = mean_N.mean()
    products_MM, sums_M = np.zeros((len(losses_MN),) * 2), np.zeros(len(losses_MN))
    for start in range(0, count, CHUNK):
        chunk_MC = losses_MN[:, start : start + CHUNK][order_M].astype(np.float64) - offset
        products_MM += chunk_MC @ chunk_MC.T
        sums_M += chunk_MC.sum(axis=1)
    return products_MM / count - np.outer(sums_M, sums_M) / count**2


def _split_half(covariance_MM: NDArray, trials: int, rng: np.random.Generator, splits: int) -> float:
    """Reliability of `trials` trials, averaged over random cuts into halves."""
    available = len(covariance_MM)
    half = max(1, trials // 2)
    if available < 2:
        return math.nan
    halves_SM = np.zeros((2, splits, available))
    order_SM = rng.permuted(np.tile(np.arange(available), (splits, 1)), axis=1)
    rows = np.arange(splits)[:, None]
    halves_SM[0, rows, order_SM[:, :half]] = 1 / half
    halves_SM[1, rows, order_SM[:, half : 2 * half]] = 1 / half
    first_SM, second_SM = halves_SM
    shared_S = np.einsum("sm,mn,sn->s", first_SM, covariance_MM, second_SM)
    own_S = np.einsum("sm,mn,sn->s", first_SM, covariance_MM, first_SM)
    other_S = np.einsum("sm,mn,sn->s", second_SM, covariance_MM, second_SM)
    if (own_S <= 0).any() or (other_S <= 0).any():
        return math.nan
    r = float((shared_S / np.sqrt(own_S * other_S)).mean())
    if r <= 0:
        return r  # halves that contradict each other: the formula has nothing to step up
    times = trials / half
    return times * r / (1 + (times - 1) * r)


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
