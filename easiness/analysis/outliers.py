"""Trials that stand apart: networks that blew up and stayed finite, or that never left their first guess.

A trial is compared with the others of its model by its rank correlation with the mean ranks of the others, within
classes: early networks favour some classes at random, which makes whole rankings of good trials correlate anywhere
from -0.6 to 0.6, while within classes they agree from the end of the first epoch on (0.24 or more in pairs, WRN 10-1
and DenseNet-BC on CIFAR-10). A network that is stuck at ln K tells no two examples of a class apart.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.sets import class_members

# A trial stands apart whose correlation is below _FLOOR and lies below the others' own, the median of them, by more
# than _GAP, _SPREADS of their robust standard deviations, and _ERRORS standard errors. Chosen by simulation, so that
# good trials are named in fewer than 1 of 1,000 runs (tests/analysis/test_outliers.py).
_FLOOR, _GAP, _SPREADS, _ERRORS = 0.25, 0.3, 3, 5
# Two trials that correlate less are both named.
_UNRELATED = 0.1
# A mean loss so many times the others' leaves little of them in the mean, whatever the ranks are.
_SCALE = 30


@dataclass(frozen=True)
class Outlier:
    """A trial that stands apart."""

    trial: int  # row of the losses
    correlation: float  # with the mean ranks of the other trials, within classes
    others: tuple[float, ...]  # of each other trial with those of the rest; empty for one of two trials
    scale: float  # its mean loss by the median of the other trials' mean losses

    def describe(self) -> str:
        """Say how it differs from the other trials."""
        scale = f"their mean is {self.scale:.3g} times that of the other"
        if not self.others:
            return f"its losses have rank correlation {self.correlation:.2f} with the other trial's, and {scale}"
        low, high = (f"{end(self.others):.2f}" for end in (min, max))
        span = low if low == high else f"{low} to {high}"
        return (
            f"its losses have rank correlation {self.correlation:.2f} with the other trials', which have {span} among "
            f"themselves, and {scale}s"
        )


def outliers(losses_MN: NDArray, labels_N: ArrayLike | None = None) -> list[Outlier]:
    """Trials that stand apart from the others of their model at one moment, in order; none of a single trial.

    Two causes: the correlation described above is far below those of the others among themselves, or the mean loss is
    far above theirs. Of two trials that do not correlate nobody can tell which is bad, and both are named. Losses are
    finite, in nats; without labels, ranks are of the whole set.

    >>> rng = np.random.default_rng(0)
    >>> losses_MN = np.exp(rng.normal(size=1000) + 0.5 * rng.normal(size=(4, 1000)))
    >>> outliers(losses_MN)
    []
    >>> losses_MN[2] = np.log(10)  # a network that gives all classes the same probability
    >>> [outlier.trial for outlier in outliers(losses_MN)]
    [2]
    """
    trials, count = np.shape(losses_MN)
    if trials < 2:
        return []
    products_MM = _rank_products(np.asanyarray(losses_MN), labels_N)
    mean_M = np.array([losses_N.mean(dtype=np.float64) for losses_N in losses_MN])
    found = []
    for m in range(trials):
        rest = [i for i in range(trials) if i != m]
        correlation = _correlation(products_MM, m, rest)
        # Among themselves: a bad trial would lower the correlations of the good ones, too.
        others = tuple(_correlation(products_MM, i, [j for j in rest if j != i]) for i in rest) if trials > 2 else ()
        apart = _is_apart(correlation, others, count) if others else correlation < _UNRELATED
        scale = float(mean_M[m] / np.median(mean_M[rest]))
        if apart or scale > _SCALE:
            found.append(Outlier(m, correlation, others, scale))
    return found


def _is_apart(correlation: float, others: tuple[float, ...], count: int) -> bool:
    spread = scipy.stats.median_abs_deviation(others, scale="normal")
    gap = np.median(others) - max(correlation, 0)
    return correlation < _FLOOR and gap > max(_GAP, _SPREADS * spread, _ERRORS / math.sqrt(count))


def _rank_products(losses_MN: NDArray, labels_N: ArrayLike | None) -> NDArray[np.float64]:
    """Inner products of the trials' ranks within classes, each class centred at 0 and of unit range."""
    trials, count = losses_MN.shape
    classes = [np.arange(count)] if labels_N is None else class_members(np.asarray(labels_N))
    products_MM = np.zeros((trials, trials))
    for rows in classes:
        ranks_Mn = (scipy.stats.rankdata(losses_MN[:, rows], axis=1) - (len(rows) + 1) / 2) / max(len(rows), 1)
        products_MM += ranks_Mn @ ranks_Mn.T
    return products_MM


def _correlation(products_MM: NDArray, trial: int, others: list[int]) -> float:
    """Correlation of a trial's ranks with the mean of others', from inner products; 0 where one side is constant."""
    squares = products_MM[trial, trial] * products_MM[np.ix_(others, others)].sum()
    return float(products_MM[trial, others].sum() / math.sqrt(squares)) if squares > 0 else 0.0
