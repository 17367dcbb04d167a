"""Easiness of every example, with the ranks, correlations, areas and deciles that are made of such scores.

Easiness is the mean cross-entropy over independent trials: **lower = easier**. It is computed from the losses of one
moment of training, ``losses_MN`` (M trials, N examples); callers loop over moments. Arrays may be memory-mapped: no
function makes a float64 copy of the whole.
"""

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

DECILES = 10


def easiness(losses_MN: NDArray) -> NDArray[np.float64]:
    """Mean loss of every example over the trials, in nats. Lower = easier.

    The last bit may depend on the order of the trials. Losses that are not finite raise a ValueError that names
    trial and number of examples: a diverged trial is never averaged in.

    >>> easiness(np.array([[0.0, 2.0], [1.0, 4.0]]))
    array([0.5, 3. ])
    """
    losses_MN = np.asanyarray(losses_MN)
    if losses_MN.ndim != 2 or 0 in losses_MN.shape:
        raise ValueError(f"losses must be (trials, examples), both at least 1, got shape {losses_MN.shape}")
    if losses_MN.dtype.kind not in "fiu":
        raise ValueError(f"losses must be real numbers, got dtype {losses_MN.dtype}")
    total_N = np.zeros(losses_MN.shape[1])
    with np.errstate(invalid="ignore"):  # inf − inf; the total tells
        for losses_N in losses_MN:
            total_N += losses_N
    # Sums of float32 in float64 cannot overflow, so a bad value anywhere leaves a bad total.
    if not np.isfinite(total_N).all():
        bad_M = np.array([losses_N.size - np.isfinite(losses_N).sum() for losses_N in losses_MN])
        trials = ", ".join(f"trial {m}: {bad_M[m]} of {losses_MN.shape[1]} examples" for m in np.flatnonzero(bad_M))
        raise ValueError(f"losses are not finite ({trials}); drop the diverged trial or run it again")
    return total_N / len(losses_MN)


def rank_correlation(a_N: ArrayLike, b_N: ArrayLike) -> float:
    """Spearman's rank correlation of two finite scores of the same examples, in [-1, 1].

    Ties get average ranks. NaN where one side is constant, since it then ranks nothing.

    >>> rank_correlation([0.1, 0.2, 0.9], [3, 2, 1])
    -1.0
    """
    a_N, b_N = check_scores(a_N), check_scores(b_N)
    if len(a_N) != len(b_N):
        raise ValueError(f"scores of {len(a_N)} and {len(b_N)} examples cannot be paired; score the same data")
    if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:
        return math.nan
    return float(scipy.stats.spearmanr(a_N, b_N).statistic)


def roc_auc(scores_N: ArrayLike, positive_N: ArrayLike) -> float:
    """Chance that a positive example scores higher than a negative one, in [0, 1]; a tie counts half.

    Higher scores = more likely positive: easiness is such a score for *hard* positives.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    from sklearn.metrics import roc_auc_score  # takes a second, which callers without positives do not wait for

    scores_N, positive_N = check_scores(scores_N), np.asarray(positive_N, dtype=bool)
    if positive_N.shape != scores_N.shape:
        raise ValueError(f"scores {scores_N.shape} and positives {positive_N.shape} must have the same shape")
    positives = int(positive_N.sum())
    if not 0 < positives < len(scores_N):
        raise ValueError(f"needs examples of both kinds, got {positives} positive of {len(scores_N)} in all")
    return float(roc_auc_score(positive_N, scores_N))


def deciles(easiness_N: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """Difficulty decile of every example: 0 = easiest tenth … 9 = hardest tenth, sizes differing by at most 1.

    The seed breaks ties, in the same order as `easiness.analysis.sets.easiest`.

    >>> deciles(np.linspace(1.0, 0.0, 10))
    array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    """
    easiness_N = check_scores(easiness_N)
    count = len(easiness_N)
    decile_N = np.empty(count, dtype=np.int64)
    decile_N[np.lexsort((tie_keys(count, seed), easiness_N))] = np.arange(count) * DECILES // count
    return decile_N


def tie_keys(count: int, seed: int) -> NDArray[np.float64]:
    """Random keys that order tied examples, one for each of `count` rows."""
    # One order for every cut: sets cut from the two ends of the same scores never share a tied example.
    return np.random.default_rng(seed).random(count)


def check_scores(values_N: ArrayLike) -> NDArray:
    """Return scores as an array; refuse what is not one finite number for each example."""
    values_N = np.asarray(values_N)
    if values_N.ndim != 1 or len(values_N) == 0:
        raise ValueError(f"scores must be one number for each example, got shape {values_N.shape}")
    bad = len(values_N) - int(np.isfinite(values_N).sum())
    if bad:
        raise ValueError(f"{bad} of {len(values_N)} scores are not finite; drop or repair them first")
    return values_N
