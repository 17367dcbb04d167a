"""Trials needed: how many trials make easy and hard sets that as many fresh trials would find again.

The question is asked of the sets, not of a correlation, which the long tail of hard examples carries. The trials show
how much of a set is found again by single trials and by halves of them. Both numbers are read as an r in the model of
`ceilings`, which then says what other numbers of trials would find again.

Where noise is not the same for easy and for hard examples, r is not a constant: it moves with the number k of trials
behind a set. So logit r is extended as a straight line in 1/k through both, and the range goes from no further move
(r of the halves) to a line in 1/√k, which moves longer. Two or three trials have no halves but single
trials: how r moves cannot be told, nor what more trials would find again. Nothing is said of more than a hundred.

`easiness.benchmarks.trials_needed` measures how far the predictions come true.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import expit, logit

from easiness.analysis.matching.ceilings import (
    COMMON,
    NODES,
    REPEATS,
    TrialModel,
    extremes,
    overlap_with_fresh,
    read_off,
    trial_model,
)
from easiness.analysis.matching.resampling import KINDS, branch, count_shared, half_cuts, packed_sets, trial_seed
from easiness.analysis.matching.sides import Frame, MatchOptions, Scope, ScoredModel, make_frame

TARGETS = (0.8, 0.9)  # shares of a set that fresh trials find again
LEAST = 4  # trials whose halves are not single trials
CUTS = 20  # of the trials into halves, and as many pairs of single trials

# Numbers of trials at which the overlap with as many fresh ones is predicted.
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 29, 35, 42, 50, 60, 72, 85, 100)


@dataclass(frozen=True)
class Repeat:
    """Predicted overlap of one model's sets of so many trials with those of as many fresh ones, at one moment."""

    model: str
    updates: int
    epoch: int  # index of the scored moment from 1
    set: str  # "easy" or "hard"
    scope: Scope
    measured: int  # trials M behind the prediction
    # For each of `COUNTS`, ascending, with the range of the prediction; NaN where nothing can be told: with fewer than
    # four trials, or where single trials share no more than luck gives.
    overlap_G: NDArray[np.float64]
    low_G: NDArray[np.float64]
    high_G: NDArray[np.float64]


def predict_repeats(model: ScoredModel, labels_N: ArrayLike, options: MatchOptions) -> list[Repeat]:
    """Predict for every scored moment; rows come by epoch, scope and set."""
    frame = make_frame([model], labels_N, options)
    order_M, source = trial_seed(model.losses, options.seed)
    rows = []
    for moment, losses_MN in enumerate(model.losses):
        if model.trials >= LEAST:
            trials = trial_model(losses_MN, branch(source, 4, moment), order_M)
            fresh = fresh_overlaps(trials, options.fraction)
        for scope in options.scopes:
            curves = {kind: np.full((3, len(COUNTS)), math.nan) for kind in KINDS}
            if model.trials >= LEAST:
                found = found_again(losses_MN, scope, branch(source, 5, moment), order_M, frame)
                curves = {kind: _extend(*found[kind], model.trials // 2, fresh[kind]) for kind in KINDS}
            about = (model.name, model.updates[moment], moment + 1)
            rows += [Repeat(*about, kind, scope, model.trials, *curves[kind]) for kind in KINDS]
    return rows


def found_again(
    losses_MN: NDArray, scope: Scope, source: np.random.SeedSequence, order_M: NDArray[np.int64], frame: Frame
) -> dict[str, tuple[float, float]]:
    """Mean overlap of single trials, and of halves of the trials, easy and hard."""
    singles_2CM = half_cuts(len(losses_MN), CUTS, branch(source, 0), half=1)
    halves_2CM = half_cuts(len(losses_MN), CUTS, branch(source, 1))
    weights_WM, used = np.unique(np.concatenate([*singles_2CM, *halves_2CM]), axis=0, return_inverse=True)
    packed = packed_sets(
        losses_MN,
        weights_WM,
        frame.options.fraction,
        branch(source, 2),
        order_M=order_M,
        members=frame.members[scope],
        threads=frame.options.threads,
    )
    singles, halves = np.split(used, [2 * singles_2CM.shape[1]])

    def overlap(packed_WB: NDArray[np.uint8], rows: NDArray) -> float:
        first, second = np.split(packed_WB[rows], 2)
        return float(count_shared(first, second).mean() / count_shared(first[0], first[0])[0])

    return {kind: (overlap(packed[kind], singles), overlap(packed[kind], halves)) for kind in KINDS}


def fresh_overlaps(model: TrialModel, fraction: float) -> dict[str, NDArray[np.float64]]:
    """Overlap (R, len(COUNTS)) of so many trials with as many fresh ones, easy and hard, as r grows from 0 to 1."""
    rng = np.random.default_rng(branch(model.source, 3))
    ties_UR = rng.standard_normal((NODES, REPEATS), dtype=np.float32)
    # The distributions of the trials come in turns, in another order in every repeat.
    turns_RM = rng.permuted(np.tile(np.arange(model.trials), (REPEATS, 1)), axis=1)
    sums_RUR = np.zeros((len(COMMON), NODES, REPEATS), np.float32)
    points = {kind: [] for kind in KINDS}
    for m in range(COUNTS[-1]):
        fresh_UR = rng.standard_normal((NODES, REPEATS), dtype=np.float32)
        for r, sum_UR in zip(COMMON, sums_RUR, strict=True):
            sum_UR += model.draw(turns_RM[:, m % model.trials], r, fresh_UR)
        if m + 1 in COUNTS:
            for kind, chosen_RUR in zip(KINDS, extremes(sums_RUR, ties_UR, fraction), strict=True):
                points[kind].append(overlap_with_fresh(chosen_RUR, fraction))
    return {kind: _smooth(np.array(points[kind]).T, fraction) for kind in KINDS}


def _smooth(overlap_RG: NDArray[np.float64], fraction: float) -> NDArray[np.float64]:
    """Without the luck of the draws, ascending in r and in the number of trials, and with r = 0 and r = 1.

    A cubic in the logarithm of the number, for the logit of the overlap beyond chance.
    """
    beyond_RG = np.clip((overlap_RG - fraction) / (1 - fraction), 1e-3, 1 - 1e-3)
    log_G = np.log(COUNTS)
    fitted = [
        # The luck of a logit goes with 1 / (x (1 - x)).
        expit(np.polyval(np.polyfit(log_G, logit(beyond_G), 3, w=beyond_G * (1 - beyond_G)), log_G))
        for beyond_G in beyond_RG
    ]
    whole = np.concatenate([np.zeros((1, len(COUNTS))), fitted, np.ones((1, len(COUNTS)))])
    return fraction + (1 - fraction) * np.maximum.accumulate(np.maximum.accumulate(whole), axis=1)


def _extend(singles: float, halves: float, half: int, fresh_RG: NDArray[np.float64]) -> NDArray[np.float64]:
    """Overlap for `COUNTS`, and the lowest and highest of the three ways to extend r; NaN if single trials are luck."""
    if min(singles, halves) <= fresh_RG[0, 0]:
        return np.full((3, len(COUNTS)), math.nan)
    common_R, counts_G = np.array([0, *COMMON, 1]), np.array(COUNTS)
    at_half_R = np.array([overlap_of(half, fresh_G) for fresh_G in fresh_RG])
    single_r, half_r = (
        float(logit(np.clip(read_off(value, by_r, common_R), 1e-4, 1 - 1e-4)))
        for value, by_r in ((singles, fresh_RG[:, 0]), (halves, at_half_R))
    )
    straight_G, longer_G = (
        half_r + (half_r - single_r) * (half**-power - counts_G**-power) / (1 - half**-power) for power in (1.0, 0.5)
    )
    still_G = np.where(counts_G < half, straight_G, half_r)
    by_r = PchipInterpolator(common_R, fresh_RG)
    ways = [np.diagonal(by_r(expit(logit_G))) for logit_G in (straight_G, still_G, longer_G)]
    ways_3G = np.maximum.accumulate(ways, axis=1)
    return np.stack([ways_3G[0], ways_3G.min(axis=0), ways_3G.max(axis=0)])


def overlap_of(trials: int, overlap_G: ArrayLike) -> float:
    """Predicted overlap of so many trials with as many fresh ones; NaN beyond the last of `COUNTS`."""
    return float(np.interp(math.log(trials), np.log(COUNTS), overlap_G, right=math.nan))


def trials_needed(overlap_G: Sequence[float] | NDArray, target: float) -> float:
    """Smallest number of trials whose sets are found again to the share `target`; infinite if more than 100, or NaN.

    >>> trials_needed(np.linspace(0.5, 0.92, len(COUNTS)), 0.8)
    35.0
    """
    overlap_G = np.asarray(overlap_G, np.float64)
    if np.isnan(overlap_G).any():
        return math.nan
    at = int(np.searchsorted(overlap_G, target))
    if at == 0 or at == len(COUNTS):
        return 1.0 if at == 0 else math.inf
    share = (target - overlap_G[at - 1]) / (overlap_G[at] - overlap_G[at - 1])
    trials = COUNTS[at - 1] * (COUNTS[at] / COUNTS[at - 1]) ** share
    return float(math.ceil(trials - 1e-9))
