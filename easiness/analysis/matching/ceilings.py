"""Ceiling of a rate: what the sets of M trials share with those of M fresh trials of the same model.

M trials show only what half of them share with the other half, which is less: halves are noisier. The step from
halves to the whole is taken in a model of the trials. Every trial's losses are an increasing function of
√r · μ + √(1 − r) · e, with μ common to the trials of an example and e fresh in each, both normal; the function is the
trial's own distribution of losses. The one unknown, r, is chosen so that halves share in the model what they share.

For normal losses this is the formula of Spearman and Brown (1910), applied to the correlation that the overlap
implies. For skewed losses that formula promises too much, by up to 0.1: in a mean of few trials, the largest loss
decides. Quarters and halves cannot be extended to the whole either: two or three trials have no quarters.

`trials_needed` asks the same model about other numbers of trials.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, owens_t

from easiness.analysis.matching.resampling import KINDS, branch, half_cuts, weighted
from easiness.analysis.sets import set_size

NODES, REPEATS = 512, 24  # values of μ in the model, and fresh trials of each
CUTS = 4  # of the model's trials into halves
COMMON = (0.04, 0.14, 0.28, 0.45, 0.62, 0.77, 0.88, 0.96)  # r of the curve's points
SAMPLE, LEVELS = 1 << 13, 1 << 12  # examples that show a trial's distribution of losses, and steps of that distribution


@dataclass(frozen=True)
class TrialModel:
    """Model of one moment's trials, as far as it does not depend on r; the trials are in canonical order."""

    quantiles_MQ: NDArray[np.float32]  # losses of each trial by their normal score, from -end to end
    end: float
    source: np.random.SeedSequence

    @property
    def trials(self) -> int:
        """Number of trials M."""
        return len(self.quantiles_MQ)

    def draw(self, m: int | NDArray, r: float, fresh_UR: NDArray[np.float32]) -> NDArray[np.float32]:
        """Losses (nodes, repeats) of a trial with the distribution of trial m, or in each repeat of another one."""
        score_UR = math.sqrt(r) * _NODES_U1 + math.sqrt(1 - r) * fresh_UR
        level_UR = (score_UR.clip(-self.end, self.end) + self.end) * np.float32((LEVELS - 1) / (2 * self.end))
        return self.quantiles_MQ[m, (level_UR + 0.5).astype(np.int32)]


_NODES_U1 = ndtri((np.arange(NODES) + 0.5) / NODES).astype(np.float32)[:, None]


def trial_model(losses_MN: NDArray, source: np.random.SeedSequence, order_M: NDArray[np.int64]) -> TrialModel:
    """Read the distribution of every trial's losses, the trials in the order of `order_M`."""
    count = losses_MN.shape[1]
    rows = np.arange(count)
    if count > SAMPLE:
        rows = np.sort(np.random.default_rng(branch(source, 0)).choice(count, SAMPLE, replace=False))
    end = float(ndtri(1 - 0.5 / len(rows)))
    levels_Q = np.rint(ndtr(np.linspace(-end, end, LEVELS)) * (len(rows) - 1)).astype(int)
    quantiles_MQ = np.sort(np.asarray(losses_MN[:, rows], np.float32)[order_M], axis=1)[:, levels_Q]
    return TrialModel(quantiles_MQ, end, source)


def step_up(
    halves: dict[str, float], overlaps: dict[str, tuple[NDArray, NDArray]], fraction: float
) -> dict[str, float]:
    """Overlap of the sets of M trials with those of M fresh ones, easy and hard, from the overlap of halves.

    `halves` is the mean over all cuts, and stays as it is where it is no more than chance gives; `overlaps` is from
    `model_overlaps`.
    """
    return {
        kind: halves[kind] if halves[kind] <= fraction else read_off(halves[kind], *by_r)
        for kind, by_r in overlaps.items()
    }


def model_overlaps(model: TrialModel, fraction: float) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Overlap of halves and of wholes, ascending, easy and hard, as r grows from 0 to 1 in the model of the trials."""
    rng = np.random.default_rng(branch(model.source, 1))
    fresh_MUR = rng.standard_normal((model.trials, NODES, REPEATS), dtype=np.float32)
    ties_UR = rng.standard_normal((NODES, REPEATS), dtype=np.float32)
    cuts_2CM = half_cuts(model.trials, CUTS, branch(model.source, 2))
    weights_CM = np.concatenate([*cuts_2CM, np.full((1, model.trials), 1 / model.trials, np.float32)])
    points = {kind: [(fraction, fraction)] for kind in KINDS}
    for r in COMMON:
        losses_MX = np.stack([model.draw(m, r, fresh_MUR[m]).ravel() for m in range(model.trials)])
        mean_CUR = weighted(weights_CM, losses_MX).reshape(-1, NODES, REPEATS)
        for kind, chosen_CUR in zip(KINDS, extremes(mean_CUR, ties_UR, fraction), strict=True):
            first_CU, second_CU = np.split(chosen_CUR[:-1].mean(axis=-1), 2)
            halves = float((first_CU * second_CU).mean() / fraction)
            points[kind].append((halves, float(overlap_with_fresh(chosen_CUR[-1], fraction))))
    return {kind: tuple(np.maximum.accumulate(np.array([*points[kind], (1, 1)]).T, axis=1)) for kind in KINDS}


def read_off(value: float, ascending_R: NDArray, wanted_R: NDArray) -> float:
    """Value of a smooth curve through points where the one coordinate is known."""
    ascending_R, first = np.unique(ascending_R, return_index=True)
    return float(scipy.interpolate.PchipInterpolator(ascending_R, wanted_R[first])(value))


def overlap_with_fresh(chosen_UR: NDArray[np.bool_], fraction: float) -> NDArray[np.float64]:
    """Overlap of each set (…, nodes, repeats) with that of fresh trials, from every other repeat and the rest.

    It is the mean over the nodes of their share in the set, squared, each factor of its own draws.
    """
    one_U, other_U = (chosen_UR[..., part::2].sum(axis=-1, dtype=np.int16) for part in range(2))
    return (one_U * other_U).mean(axis=-1) / ((chosen_UR.shape[-1] // 2) ** 2 * fraction)


def extremes(
    values_CUR: NDArray, ties_UR: NDArray[np.float32], fraction: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the lowest and of the highest `fraction` of each of C; ties are broken at random, not by μ."""
    values_CX = (values_CUR + 1e-6 * (np.abs(values_CUR) + 1e-30) * ties_UR).reshape(len(values_CUR), -1)
    count = values_CX.shape[1]
    size = set_size(fraction, count)
    sorted_CX = np.partition(values_CX, (size - 1, count - size), axis=1)
    return tuple(
        mask_CX.reshape(values_CUR.shape)
        for mask_CX in (values_CX <= sorted_CX[:, size - 1, None], values_CX >= sorted_CX[:, count - size, None])
    )


def joint_ceiling(a: float, b: float, fraction: float) -> float:
    """Overlap of two sets of one ranking, from what each, made with its own noise, shares with a fresh one like it.

    The correlation of two normal scores that share so much is their reliability; two rankings of unlike noise correlate
    by the root of the product. The root of the product of the overlaps themselves would be too high, by up to 0.035.

    >>> round(joint_ceiling(0.42, 0.76, 0.1), 3), joint_ceiling(1.0, 1.0, 0.1)
    (0.538, 1.0)
    """
    if math.isnan(a) or math.isnan(b):
        return math.nan
    cut = float(ndtri(fraction))

    def share(correlation: float) -> float:
        aslant = math.sqrt((1 - correlation) / (1 + correlation))
        return 1 - 2 * float(owens_t(cut, aslant)) / fraction

    def correlation(overlap: float) -> float:
        if overlap <= fraction or overlap >= 1:
            return float(overlap >= 1)
        return scipy.optimize.brentq(lambda r: share(r) - overlap, 0, 1)

    return share(math.sqrt(correlation(a) * correlation(b)))
