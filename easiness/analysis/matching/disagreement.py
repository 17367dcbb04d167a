"""Examples that are easy for one architecture and hard for another, beyond the noise of trials."""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from easiness.analysis.scores import check_scores

PRIOR_FREEDOM = 4
PERMUTATIONS = 50


class Disagreement(NamedTuple):
    """Examples on which two architectures differ."""

    order_N: NDArray[np.int64]  # rows, strongest disagreement first
    z_N: NDArray[np.float64]  # difference in standard errors; positive = harder for `a` than for `b`
    difference_N: NDArray[np.float64]  # difference of mean relative ranks, in [-1, 1]; positive = harder for `a`
    limit: float  # |z| that counts as beyond noise, from `noise_limit`
    beyond: int  # examples that reach it
    by_luck: float  # mean number that reach it when trials are permuted between the two


def disagreement(a_MN: NDArray, b_MN: NDArray, seed: int = 0) -> Disagreement:
    """Order examples by how much two architectures disagree, in units of trial noise.

    Takes the losses of both at one moment, at least two trials each. Losses of different architectures have
    different scales, so each trial is turned into relative ranks (0 = its easiest example, 1 = its hardest). The
    difference of the two means is divided by its standard error over trials. With few trials the ranks of some
    examples agree by luck, and these would lead the list; each variance is therefore pulled towards the mean variance
    of its model, which counts as `PRIOR_FREEDOM` degrees of freedom beside the example's own M − 1 (Smyth, "Linear
    models and empirical Bayes methods for assessing differential expression", 2004, with the prior given instead of
    estimated).

    For what luck gives, trials are permuted between the models: each side gets trials of both, in proportion, so that
    what the models really differ in is on both sides. The prior stays theirs: examples on which they differ vary more
    than luck within mixed sides, and would hide the luck of the others. Where noise itself differs much between the
    models, example by example, luck gives more than this. The seed draws the permutations.

    >>> a_MN = np.array([[0.0, 1.0, 2.0, 9.0], [0.1, 1.0, 2.0, 8.0]])
    >>> b_MN = np.array([[9.0, 1.0, 2.0, 0.0], [8.0, 1.0, 2.0, 0.1]])
    >>> disagreement(a_MN, b_MN).difference_N
    array([-1.,  0.,  0.,  1.])
    """
    if a_MN.ndim != 2 or b_MN.ndim != 2 or a_MN.shape[1] != b_MN.shape[1]:
        raise ValueError(f"losses {a_MN.shape} and {b_MN.shape} are not (trials, examples) of the same examples")
    of_a, of_b, count = len(a_MN), len(b_MN), a_MN.shape[1]
    if min(of_a, of_b) < 2:
        raise ValueError(f"trial noise needs two trials on each side, got {of_a} and {of_b}")
    ranks_MN = np.stack([scipy.stats.rankdata(check_scores(losses_N)) for losses_N in (*a_MN, *b_MN)])
    ranks_MN = (ranks_MN - 1) / max(count - 1, 1)
    sides = _Sides(ranks_MN)
    is_a_M = np.arange(of_a + of_b) < of_a
    priors = tuple(float(sides.moments(mask_M)[1].mean()) for mask_M in (is_a_M, ~is_a_M))
    difference_N, z_N = sides.contrast(is_a_M, priors)
    limit = noise_limit(min(of_a, of_b), count)
    mixed, rng, reached = (sum(priors) / 2,) * 2, np.random.default_rng(seed), 0
    stay = min(max(round(of_a * of_a / (of_a + of_b)), 1), of_a - 1)
    for _ in range(PERMUTATIONS):
        first_M = np.concatenate([rng.permutation(of_a) < stay, rng.permutation(of_b) < of_a - stay])
        reached += int((np.abs(sides.contrast(first_M, mixed)[1]) >= limit).sum())
    beyond = int((np.abs(z_N) >= limit).sum())
    order_N = np.argsort(-np.abs(z_N), kind="stable")
    return Disagreement(order_N, z_N, difference_N, limit, beyond, reached / PERMUTATIONS)


def noise_limit(trials: int, count: int) -> float:
    """|z| that about one of `count` examples reaches by luck alone where ranks vary normally, and alike in both models.

    `trials` is the number of the side that has fewer. Student's t with the degrees of freedom of both variances, the
    prior's included.

    >>> round(noise_limit(4, 50_000), 1)
    6.3
    """
    return float(scipy.stats.t.isf(0.5 / count, 2 * (trials - 1 + PRIOR_FREEDOM)))


class _Sides:
    """Trials, as relative ranks (M, N), to be compared in two parts, one after another."""

    def __init__(self, ranks_MN: NDArray[np.float64]) -> None:
        self.ranks_MN, self.squares_MN = ranks_MN, ranks_MN * ranks_MN

    def moments(self, mask_M: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean relative rank and its variance over the trials of the mask."""
        weights_M, trials = mask_M / mask_M.sum(), int(mask_M.sum())
        mean_N = weights_M @ self.ranks_MN
        return mean_N, np.maximum(weights_M @ self.squares_MN - mean_N**2, 0) * trials / (trials - 1)

    def contrast(
        self, first_M: NDArray[np.bool_], priors: tuple[float, float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Difference of mean relative ranks, those of the mask less the others, and the same in standard errors."""
        means, squares_N = [], 0.0
        for mask_M, prior in zip((first_M, ~first_M), priors, strict=True):
            mean_N, variance_N = self.moments(mask_M)
            degrees = int(mask_M.sum()) - 1
            pulled_N = (degrees * variance_N + PRIOR_FREEDOM * prior) / (degrees + PRIOR_FREEDOM)
            squares_N = squares_N + pulled_N / (degrees + 1)
            means.append(mean_N)
        difference_N = means[0] - means[1]
        # Trials that agree to the last rank have no noise: any difference is then beyond it.
        unbounded_N = np.where(difference_N == 0, 0.0, np.copysign(np.inf, difference_N))
        return difference_N, np.divide(difference_N, np.sqrt(squares_N), out=unbounded_N, where=squares_N > 0)
