"""How far easiness can be trusted: its split-half reliability, and how many trials it takes.

As in `easiness.scores`, everything takes the losses of one moment, ``losses_MN``, which may be memory-mapped.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.scores import CHUNK, canonical_order, easiness

TARGET_RELIABILITY = 0.9


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
    mean_N = easiness(losses_MN)
    losses_MN = np.asanyarray(losses_MN)
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
