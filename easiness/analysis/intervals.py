"""Tests of a mean over a handful of repetitions: Student's t, Holm's correction, and what would have been found."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2  # of a one-sided test: share of cases without an effect in which it may find one
POWER = 0.8  # share of cases in which an effect that "would have been found" is found


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, its interval at `CONFIDENCE` and its standard error.

    These are NaN where one pair says nothing of the spread.
    """

    mean: float
    low: float
    high: float
    error: float
    pairs: int

    @property
    def p_above(self) -> float:
        """One-sided p-value of the mean lying above 0."""
        return p_above(self.mean, self.error, self.pairs - 1)

    @property
    def p_below(self) -> float:
        """One-sided p-value of the mean lying below 0."""
        return p_above(-self.mean, self.error, self.pairs - 1)


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
        return Difference(mean, math.nan, math.nan, math.nan, 1)
    error = float(difference_S.std(ddof=1)) / math.sqrt(pairs)
    reach = student(pairs - 1) * error
    return Difference(mean, mean - reach, mean + reach, error, pairs)


@functools.cache
def student(degrees: float) -> float:
    """Standard errors from the middle of an interval at `CONFIDENCE` to its end."""
    return float(scipy.stats.t.isf(LEVEL, degrees))


def p_above(mean: float, error: float, degrees: float) -> float:
    """One-sided p-value, by Student's t, of a mean lying above 0; 1 where there is no error to compare it with.

    >>> round(p_above(3.182, 1.0, 3), 3), p_above(1.0, float("nan"), 0)
    (0.025, 1.0)
    """
    if math.isnan(error):
        return 1.0
    if error == 0:
        return float(mean <= 0)
    return float(scipy.special.stdtr(degrees, -mean / error))


def holm(p_H: ArrayLike) -> NDArray[np.float64]:
    """Holm's corrected p-values of H tests: at most `LEVEL` of cases have any false one below `LEVEL`.

    >>> holm([0.01, 0.04, 0.02])
    array([0.03, 0.04, 0.04])
    """
    p_H = np.asarray(p_H, dtype=np.float64)
    order_H = np.argsort(p_H)
    corrected_H = np.empty(len(p_H))
    corrected_H[order_H] = np.maximum.accumulate(np.arange(len(p_H), 0, -1) * p_H[order_H])
    return np.minimum(corrected_H, 1)


def detectable(error: float, degrees: float, tests: int = 1) -> float:
    """Smallest true mean that a one-sided t-test at `LEVEL` finds with `POWER`, from the mean's standard error.

    Of several `tests` corrected by Holm, it is what the first of them finds; infinite where there is no error.

    >>> round(detectable(1.0, 1000), 1), round(detectable(1.0, 2), 1)
    (2.8, 5.7)
    """
    return math.inf if math.isnan(error) else error * _detectable(degrees, tests)


@functools.cache
def _detectable(degrees: float, tests: int) -> float:
    """The same in standard errors."""
    bound = float(scipy.stats.t.isf(LEVEL / tests, degrees))

    def lack(mean: float) -> float:
        return POWER - float(scipy.stats.nct.sf(bound, degrees, mean))

    return scipy.optimize.brentq(lack, 0, 3 * bound + 10)
