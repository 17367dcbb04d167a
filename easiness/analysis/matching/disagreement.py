"""Examples that are easy for one architecture and hard for another, beyond the noise of trials."""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from easiness.analysis.scores import check_scores

PRIOR_FREEDOM = 4


class Disagreement(NamedTuple):
    """Examples on which two architectures differ."""

    order_N: NDArray[np.int64]  # rows, strongest disagreement first
    z_N: NDArray[np.float64]  # difference in standard errors; positive = harder for `a` than for `b`
    difference_N: NDArray[np.float64]  # difference of mean relative ranks, in [-1, 1]; positive = harder for `a`


def disagreement(a_MN: NDArray, b_MN: NDArray) -> Disagreement:
    """Order examples by how much two architectures disagree, in units of trial noise.

    Takes the losses of both at one moment, at least two trials each. Losses of different architectures have
    different scales, so each trial is turned into relative ranks (0 = its easiest example, 1 = its hardest). The
    difference of the two means is divided by its standard error over trials. With few trials the ranks of some
    examples agree by luck, and these would lead the list; each variance is therefore pulled towards the mean variance
    of its model, which counts as `PRIOR_FREEDOM` degrees of freedom beside the example's own M − 1 (Smyth, "Linear
    models and empirical Bayes methods for assessing differential expression", 2004, with the prior given instead of
    estimated).

    >>> a_MN = np.array([[0.0, 1.0, 2.0, 9.0], [0.1, 1.0, 2.0, 8.0]])
    >>> b_MN = np.array([[9.0, 1.0, 2.0, 0.0], [8.0, 1.0, 2.0, 0.1]])
    >>> disagreement(a_MN, b_MN).difference_N
    array([-1.,  0.,  0.,  1.])
    """
    if a_MN.ndim != 2 or b_MN.ndim != 2 or a_MN.shape[1] != b_MN.shape[1]:
        raise ValueError(f"losses {a_MN.shape} and {b_MN.shape} are not (trials, examples) of the same examples")
    if min(len(a_MN), len(b_MN)) < 2:
        raise ValueError(f"trial noise needs two trials on each side, got {len(a_MN)} and {len(b_MN)}")
    (mean_a_N, error_a_N), (mean_b_N, error_b_N) = _rank_moments(a_MN), _rank_moments(b_MN)
    difference_N = mean_a_N - mean_b_N
    error_N = np.sqrt(error_a_N + error_b_N)
    # Trials that agree to the last rank have no noise: any difference is then beyond it.
    unbounded_N = np.where(difference_N == 0, 0.0, np.copysign(np.inf, difference_N))
    z_N = np.divide(difference_N, error_N, out=unbounded_N, where=error_N > 0)
    return Disagreement(np.argsort(-np.abs(z_N), kind="stable"), z_N, difference_N)


def noise_limit(trials: int, count: int) -> float:
    """How far |z| reaches by the noise of trials alone: about one of `count` examples, or fewer, comes as far.

    `trials` is the number of the side that has fewer. Student's t with the degrees of freedom of both variances, the
    prior's included: in simulations of N = 20,000 without any disagreement, 0.0 (M = 2) to 0.8 (M = 10) examples
    came as far.

    >>> round(noise_limit(4, 50_000), 1)
    6.3
    """
    return float(scipy.stats.t.isf(0.5 / count, 2 * (trials - 1 + PRIOR_FREEDOM)))


def _rank_moments(losses_MN: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean relative rank of each example, and the squared standard error of that mean."""
    trials, count = losses_MN.shape
    total_N, squares_N = np.zeros(count), np.zeros(count)
    for losses_N in losses_MN:
        rank_N = (scipy.stats.rankdata(check_scores(losses_N)) - 1) / max(count - 1, 1)
        total_N += rank_N
        squares_N += rank_N * rank_N
    mean_N = total_N / trials
    variance_N = np.maximum(squares_N / trials - mean_N**2, 0) * trials / (trials - 1)
    degrees, prior = trials - 1, PRIOR_FREEDOM
    return mean_N, (degrees * variance_N + prior * variance_N.mean()) / (degrees + prior) / trials
