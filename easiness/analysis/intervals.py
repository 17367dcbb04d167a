"""Paired differences of two arms over a handful of seeds, with Student's t interval."""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, and its interval at `CONFIDENCE`; NaN where one pair says nothing of the spread."""

    mean: float
    low: float
    high: float
    pairs: int


def paired_difference(a_S: ArrayLike, b_S: ArrayLike) -> Difference:
    """Mean over seeds of a - b, with Student's t interval; both arms in the same order of seeds.

    It holds the true mean of normal differences in 95 % of cases, however few the seeds. A bootstrap would not: of
    three seeds it never leaves the range that their differences span, which holds the mean in 75 %.

    >>> difference = paired_difference([0.72, 0.70, 0.74], [0.70, 0.69, 0.71])
    >>> round(difference.mean, 3), round(difference.low, 3), round(difference.high, 3)
    (0.02, -0.005, 0.045)
    """
    a_S, b_S = (np.asarray(values, dtype=np.float64) for values in (a_S, b_S))
    if a_S.ndim != 1 or a_S.shape != b_S.shape or not len(a_S):
        raise ValueError(f"arms of shape {a_S.shape} and {b_S.shape} cannot be paired; give one value for each seed")
    if not (np.isfinite(a_S).all() and np.isfinite(b_S).all()):
        raise ValueError(f"values must be finite, got {a_S.tolist()} and {b_S.tolist()}")
    difference_S = a_S - b_S
    mean, pairs = float(difference_S.mean()), len(difference_S)
    if pairs == 1:
        return Difference(mean, math.nan, math.nan, 1)
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, pairs - 1) * scipy.stats.sem(difference_S))
    return Difference(mean, mean - reach, mean + reach, pairs)
