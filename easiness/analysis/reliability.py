"""Reliability of easiness: Cronbach's alpha over the trials.

A correlation, which the long tail of hard examples carries. How much of a set fresh trials would find again, and how
many trials that takes, is asked of the sets: `easiness.analysis.matching.trials_needed`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.scores import easiness


def reliability(losses_MN: NDArray) -> float:
    """Reliability of easiness: its expected correlation with a repetition of all M trials, at most 1.

    `losses_MN` are those of one moment, and may be memory-mapped. Cronbach's alpha (1951) with the trials as items. It
    is the mean, over all cuts of the trials into two halves, of the halves' reliability stepped up to M trials, in
    closed form. Trials that do not agree at all (mean covariance of two trials at or below 0) give the reliability of
    one trial, which is then not stepped up. NaN if M = 1, or if the losses are constant.

    >>> rng = np.random.default_rng(0)
    >>> losses_MN = rng.normal(size=1000) + rng.normal(size=(4, 1000))  # expect 4 / (4 + 1)
    >>> round(reliability(losses_MN), 2)
    0.8
    """
    r, trials = _one_trial(losses_MN), len(losses_MN)
    return trials * r / (1 + (trials - 1) * r) if r > 0 else r  # Spearman–Brown (1910)


def _one_trial(losses_MN: NDArray) -> float:
    """Reliability of a single trial: mean covariance of two trials over the mean variance of one."""
    easiness_N, trials = easiness(losses_MN), len(losses_MN)
    variances = math.fsum(map(_variance, losses_MN))
    if trials < 2 or variances == 0:
        return math.nan
    # The variance of the trials' sum is the sum of their variances and of all their covariances.
    covariances = trials**2 * _variance(easiness_N) - variances
    return min(1.0, covariances / ((trials - 1) * variances))


def _variance(values_N: NDArray) -> float:
    # Shifted by one of the values: that of a constant is then exactly 0, whatever the rounding of the mean.
    return float((np.asarray(values_N, np.float64) - values_N[0]).var())
