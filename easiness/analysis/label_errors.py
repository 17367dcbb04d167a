"""Wrong labels: how well a suspicion finds those that were flipped on purpose, and how many of the others are wrong.

A *suspicion* is one number for each example, higher = more likely wrong: held-out loss, or easiness. *Flips* are labels
that were made wrong at random, so that they are known; the *rest* are given labels, of which an unknown share is wrong.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.folds import dense
from easiness.analysis.intervals import LEVEL
from easiness.analysis.scores import check_scores, tie_keys

# Fewer known wrong labels say nothing of the shape of their suspicion.
LEAST_FLIPS = 20

# Shares of the flips above the cuts of the upper bound.
_CUTS = np.arange(1, 10) / 10

# Stretches of the ranking with an equal share of the flips, at most.
_BINS = 20

# Powers that the rest is a mixture of: the first is wrong labels. For the lower limit right labels may be as common
# among the most suspicious as flips nearly are, and more.
_POWERS = (1, 2, 3, 5, 9, 20, 60, 1000)
_WIDER = (1, 0.5, 1.5, *_POWERS[1:])

_RESAMPLINGS = 400

_REWEIGHTINGS = 3

# Below a mean by so little counts as equal to it, as with cleanlab.
_ROUNDING = 1e-6

# Examples whose probabilities are in memory as float64.
_CHUNK = 16_384


@dataclass(frozen=True)
class WrongLabels:
    """Estimate of the share of the rest whose label is wrong, with a 95 % interval; NaN where it cannot be told."""

    share: float
    low: float
    high: float


def found_among(suspicion_N: ArrayLike, flipped_N: ArrayLike, count: int, seed: int = 0) -> tuple[float, float]:
    """Precision and recall of the `count` most suspicious: share of them that are flips, share of the flips in them.

    Wrong labels that were there before count against the precision, which is therefore a lower bound. The seed breaks
    ties.

    >>> found_among([0.9, 0.1, 0.8, 0.7], [True, False, False, True], 2)
    (0.5, 0.5)
    """
    suspicion_N, flipped_N = _checked(suspicion_N, flipped_N)
    if not 0 < count <= len(suspicion_N):
        raise ValueError(f"the {count} most suspicious of {len(suspicion_N)} examples; give 1 or more, not above all")
    order = np.lexsort((tie_keys(len(suspicion_N), seed), -suspicion_N))
    found = int(flipped_N[order[:count]].sum())
    return found / count, found / int(flipped_N.sum())


def confidently_other(probabilities: NDArray, labels_N: NDArray, classes: int) -> NDArray[np.bool_]:
    """Whether held-out networks are confident of another class than the given label, (N,) bool.

    Confident of class k is a probability of at least the mean one of the images that are labelled k; of several, the
    most probable counts. The off-diagonal of the confident joint of Northcutt, Jiang & Chuang, "Confident Learning"
    (2021). `probabilities` are in either form of `easiness.analysis.folds.mean_probabilities`.

    >>> confidently_other(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]]), np.array([0, 0, 1, 1]), 2)
    array([False,  True, False, False])
    """
    own_N, other_N = np.empty(len(labels_N)), np.empty(len(labels_N), bool)
    parts = [slice(start, start + _CHUNK) for start in range(0, len(labels_N), _CHUNK)]
    for rows in parts:
        own_N[rows] = np.take_along_axis(dense(probabilities[rows], classes), labels_N[rows, None], axis=1)[:, 0]
    counts_K = np.bincount(labels_N, minlength=classes)
    # Of a class that nothing is labelled, nothing is confident.
    least_K = np.where(counts_K > 0, np.bincount(labels_N, own_N, classes) / np.maximum(counts_K, 1), np.inf)
    for rows in parts:
        values_nK = dense(probabilities[rows], classes).astype(np.float64)
        confident_nK = np.where(values_nK >= least_K - _ROUNDING, values_nK, -1.0)
        other_N[rows] = (confident_nK.max(axis=1) >= 0) & (confident_nK.argmax(axis=1) != labels_N[rows])
    return other_N


def wrong_labels(suspicion_N: ArrayLike, flipped_N: ArrayLike, seed: int = 0) -> WrongLabels:
    """Estimate how many of the given labels are wrong, with the flips as known wrong ones.

    Walk down the ranking, and let q be the share of the flips that was passed. If wrong labels are found as easily as
    flips, a share π of wrong ones among the rest contributes π q to the share of the rest that was passed. Right labels
    contribute the more the further down: a mixture of powers q² to q¹⁰⁰⁰, fitted with π by nonnegative least squares
    over stretches of equal shares of the flips. `share` is π.

    `high` is the smallest of the upper limits, at nine cuts, of (share of the rest above the cut) / (share of the flips
    above it): it holds whatever the right labels look like, as long as wrong labels are found as easily as flips. `low`
    is the lower quantile of π over resamplings of flips and rest, with powers from ½ on, so that right labels may be as
    suspicious as flips, too; from fewer than some thousand examples it is 0, and scores cannot tell that any label is
    wrong. `share` takes pictures that are hard and rightly labelled for wrong ones where they are as suspicious as
    flips. Wrong labels that are harder to find than flips (of two classes that people confuse) are missed by all three,
    and then `high` is no limit. NaN for fewer than `LEAST_FLIPS` flips. How often the interval holds the truth is
    measured by `python -m easiness.benchmarks.label_errors`; see docs/label-errors.md.

    Sources: Blanchard, Lee & Scott, "Semi-Supervised Novelty Detection" (2010), for the ratio; Elkan & Noto, "Learning
    Classifiers from Only Positive and Unlabeled Data" (2008), for the assumption.
    """
    suspicion_N, flipped_N = _checked(suspicion_N, flipped_N)
    flips, rest = np.sort(suspicion_N[flipped_N]), np.sort(suspicion_N[~flipped_N])
    if len(flips) < LEAST_FLIPS:
        return WrongLabels(math.nan, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    lows = []
    for _ in range(_RESAMPLINGS):
        resampled = np.sort(flips[rng.integers(0, len(flips), len(flips))])
        lows.append(_fitted(resampled, rest, _WIDER, rng))
    high = _upper_limit(flips, rest)
    share = min(_fitted(flips, rest, _POWERS), high)
    return WrongLabels(share, min(float(np.quantile(lows, LEVEL)), share), high)


def _checked(suspicion_N: ArrayLike, flipped_N: ArrayLike) -> tuple[NDArray, NDArray[np.bool_]]:
    suspicion_N, flipped_N = check_scores(suspicion_N), np.asarray(flipped_N, dtype=bool)
    if flipped_N.shape != suspicion_N.shape:
        raise ValueError(f"suspicion {suspicion_N.shape} and flips {flipped_N.shape} must have the same shape")
    if not 0 < flipped_N.sum() < len(flipped_N):
        raise ValueError(f"{flipped_N.sum()} of {len(flipped_N)} labels are flipped; some must be, and not all")
    return suspicion_N, flipped_N


def _above(values: NDArray, cuts: NDArray) -> NDArray[np.float64]:
    """Number of ascending values above each cut; one that is equal to it counts half."""
    return len(values) - (np.searchsorted(values, cuts, "left") + np.searchsorted(values, cuts, "right")) / 2


def _fitted(flips: NDArray, rest: NDArray, powers: tuple[float, ...], rng: np.random.Generator | None = None) -> float:
    """Share of the first of `powers` in the rest; with `rng`, in the rest resampled."""
    bins = min(_BINS, len(flips) // 5)
    cuts = flips[(len(flips) * np.arange(bins - 1, 0, -1) / bins).astype(int)]
    passed_of_flips = np.concatenate([[0], _above(flips, cuts) / len(flips), [1]])
    counts = np.diff(np.concatenate([[0], _above(rest, cuts), [len(rest)]]))
    if rng is not None:
        counts = rng.multinomial(len(rest), counts / len(rest))
    expected = len(rest) * np.diff(passed_of_flips[:, None] ** np.array(powers), axis=0)
    # Variance of a count: Poisson's, and that of a stretch whose ends are flips. By what is fitted, not by what is
    # counted, since small counts would weigh more than large ones.
    fitted = np.full(bins, len(rest) / bins)
    for _ in range(_REWEIGHTINGS):
        weights = 1 / np.sqrt(fitted + fitted**2 * bins / len(flips))
        parts, _ = scipy.optimize.nnls(expected * weights[:, None], counts * weights, maxiter=1_000)
        fitted = np.maximum(expected @ parts, 1)
    return float(min(parts[0], 1))


def _upper_limit(flips: NDArray, rest: NDArray) -> float:
    cuts = flips[(len(flips) * (1 - _CUTS)).astype(int)]
    above_of_flips, above_of_rest = _above(flips, cuts), _above(rest, cuts) + 0.5
    ratios = above_of_rest / len(rest) / (above_of_flips / len(flips))
    errors = np.sqrt(1 / above_of_rest + 1 / above_of_flips - 1 / len(flips))  # of their logarithms
    reach = scipy.stats.norm.isf(LEVEL / len(_CUTS))
    return float(min(np.min(ratios * np.exp(reach * errors)), 1))
