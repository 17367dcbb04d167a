"""Ceiling of a rate: what the sets of M trials share with those of M fresh trials of the same model.

M trials show only what half of them share with the other half, which is less: halves are noisier. The step from
halves to the whole is taken in a model of the trials. Every trial's losses are an increasing function of
√r · μ + √(1 − r) · e, with μ common to the trials of an example and e fresh in each, both normal; the function is the
trial's own distribution of losses. The one unknown, r, is chosen so that halves share in the model what they share.

For normal losses this is the formula of Spearman and Brown (1910), applied to the correlation that the overlap
implies. For skewed losses that formula promises too much, by up to 0.1: in a mean of few trials, the largest loss
decides. Quarters and halves cannot be extended to the whole either: two or three trials have no quarters.
"""

import math

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from easiness.analysis.matching.resampling import KINDS, branch, half_cuts
from easiness.analysis.sets import set_size

NODES, REPEATS = 512, 24  # values of μ in the model, and fresh trials of each
CUTS = 4  # of the model's trials into halves
COMMON = (0.04, 0.14, 0.28, 0.45, 0.62, 0.77, 0.88, 0.96)  # r of the curve's points
SAMPLE, LEVELS = 1 << 13, 1 << 12  # examples that show a trial's distribution of losses, and steps of that distribution


def step_up(
    halves: dict[str, float],
    losses_MN: NDArray,
    fraction: float,
    source: np.random.SeedSequence,
    order_M: NDArray[np.int64],
) -> dict[str, float]:
    """Overlap of the sets of M trials with those of M fresh ones, easy and hard, from the overlap of halves.

    `halves` is the mean over all cuts, and stays as it is where it is no more than chance gives. The trials are taken
    in the order of `order_M`.
    """
    stepped = {}
    for kind, (halves_R, wholes_R) in model_overlaps(losses_MN, fraction, source, order_M).items():
        halves_R, first = np.unique(halves_R, return_index=True)
        whole = scipy.interpolate.PchipInterpolator(halves_R, wholes_R[first])(halves[kind])
        stepped[kind] = halves[kind] if halves[kind] <= fraction else float(whole)
    return stepped


def model_overlaps(
    losses_MN: NDArray, fraction: float, source: np.random.SeedSequence, order_M: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Overlap of halves and of wholes, ascending, easy and hard, as r grows from 0 to 1 in the model of the trials."""
    trials, count = losses_MN.shape
    rng = np.random.default_rng(branch(source, 0))
    rows = np.arange(count) if count <= SAMPLE else np.sort(rng.choice(count, SAMPLE, replace=False))
    # A trial's losses by their normal score, from -end to end.
    end = float(ndtri(1 - 0.5 / len(rows)))
    levels_Q = np.rint(ndtr(np.linspace(-end, end, LEVELS)) * (len(rows) - 1)).astype(int)
    quantiles_MQ = np.sort(np.asarray(losses_MN[:, rows], np.float32)[order_M], axis=1)[:, levels_Q]
    common_U1 = ndtri((np.arange(NODES) + 0.5) / NODES).astype(np.float32)[:, None]
    fresh_MUR = rng.standard_normal((trials, NODES, REPEATS), dtype=np.float32)
    ties_UR = rng.standard_normal((NODES, REPEATS), dtype=np.float32)
    cuts_2CM = half_cuts(trials, CUTS, branch(source, 1))
    first, second = cuts_2CM[:, rng.permutation(cuts_2CM.shape[1])[:CUTS]]
    weights_CM = np.concatenate([first, second, np.full((1, trials), 1 / trials, np.float32)])
    points = {kind: [(fraction, fraction)] for kind in KINDS}
    for r in COMMON:
        score_MUR = math.sqrt(r) * common_U1 + math.sqrt(1 - r) * fresh_MUR
        level_MUR = ((score_MUR.clip(-end, end) + end) * ((LEVELS - 1) / (2 * end)) + 0.5).astype(np.int32)
        losses_MUR = np.stack([quantiles_MQ[m][level_MUR[m]] for m in range(trials)])
        mean_CUR = np.tensordot(weights_CM, losses_MUR, axes=1)
        # Ties are broken at random, not by μ.
        mean_CUR += 1e-6 * (np.abs(mean_CUR) + 1e-30) * ties_UR
        for kind, chosen_CUR in zip(KINDS, _extremes(mean_CUR, set_size(fraction, NODES * REPEATS)), strict=True):
            first_CU, second_CU = np.split(chosen_CUR[:-1].mean(axis=-1), 2)
            one_U, other_U = (chosen_CUR[-1, :, part::2].mean(axis=-1) for part in range(2))
            points[kind].append(((first_CU * second_CU).mean() / fraction, (one_U * other_U).mean() / fraction))
    return {kind: tuple(np.maximum.accumulate(np.array([*points[kind], (1, 1)]).T, axis=1)) for kind in KINDS}


def _extremes(values_CUR: NDArray[np.float32], size: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the `size` lowest and of the `size` highest of each of C."""
    values_CX = values_CUR.reshape(len(values_CUR), -1)
    count = values_CX.shape[1]
    sorted_CX = np.partition(values_CX, (size - 1, count - size), axis=1)
    return tuple(
        mask_CX.reshape(values_CUR.shape)
        for mask_CX in (values_CX <= sorted_CX[:, size - 1, None], values_CX >= sorted_CX[:, count - size, None])
    )
