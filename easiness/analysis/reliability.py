"""Reliability of easiness: Cronbach's alpha over the trials, and how many trials reach a target.

Everything takes the losses of one moment, ``losses_MN`` (M trials, N examples), which may be memory-mapped.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.scores import easiness

TARGET_RELIABILITY = 0.9


@dataclass(frozen=True)
class ReliabilityCurve:
    """Reliability of easiness against the number of trials behind it; NaN throughout if M = 1."""

    trials: NDArray[np.int64]  # 1 … M
    reliability: NDArray[np.float64]  # (M,) expected correlation with the easiness of as many fresh trials
    trials_needed: float  # to reach `TARGET_RELIABILITY`, beyond M if need be; infinite if trials do not agree at all


def reliability(losses_MN: NDArray) -> float:
    """Reliability of easiness: its expected correlation with a repetition of all M trials, at most 1.

    Cronbach's alpha (1951) with the trials as items. It is the mean, over all cuts of the trials into two halves, of
    the halves' reliability stepped up to M trials, in closed form. Trials that do not agree at all (mean covariance of
    two trials at or below 0) give the reliability of one trial, which is then not stepped up. NaN if M = 1, or if
    the losses are constant.

    >>> rng = np.random.default_rng(0)
    >>> losses_MN = rng.normal(size=1000) + rng.normal(size=(4, 1000))  # expect 4 / (4 + 1)
    >>> round(reliability(losses_MN), 2)
    0.8
    """
    return _step_up(_one_trial(losses_MN), len(losses_MN))


def reliability_curve(losses_MN: NDArray) -> ReliabilityCurve:
    """Reliability of easiness for 1 … M trials, and the number of trials that reaches 0.9.

    >>> rng = np.random.default_rng(0)
    >>> curve = reliability_curve(rng.normal(size=1000) + rng.normal(size=(4, 1000)))
    >>> curve.reliability.round(1), round(curve.trials_needed)
    (array([0.5, 0.7, 0.7, 0.8]), 9)
    """
    r = _one_trial(losses_MN)
    trials = np.arange(1, len(losses_MN) + 1)
    # Spearman–Brown solved for the number of trials.
    needed = TARGET_RELIABILITY * (1 - r) / (r * (1 - TARGET_RELIABILITY)) if r > 0 else math.inf
    reliability_M = np.array([_step_up(r, m) for m in trials.tolist()])
    return ReliabilityCurve(trials, reliability_M, math.nan if math.isnan(r) else needed)


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


def _step_up(r: float, trials: int) -> float:
    """Reliability of the mean of `trials` trials by Spearman–Brown (1910), from the reliability of one."""
    return trials * r / (1 + (trials - 1) * r) if r > 0 else r
