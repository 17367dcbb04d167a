"""Sides of a comparison: sets as observed, under reweighted trials, and of halves of the trials."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.matching.ceilings import model_overlaps, step_up, trial_model
from easiness.analysis.matching.resampling import (
    KINDS,
    branch,
    count_shared,
    half_cuts,
    half_samples,
    packed_rows,
    packed_sets,
)
from easiness.analysis.scores import easiness
from easiness.analysis.sets import check_labels, class_members, easiest, hardest

Scope = Literal["global", "per_class"]
SCOPES: tuple[Scope, ...] = ("global", "per_class")
CUT = {"easy": easiest, "hard": hardest}

Seeds = tuple[NDArray[np.int64], np.random.SeedSequence]


@dataclass(frozen=True)
class ScoredModel:
    """One model's losses at every scored moment, or another score of which higher = harder."""

    name: str
    updates: tuple[int, ...]  # updates done at each of T moments
    losses: Sequence[NDArray]  # T arrays (M, N) in nats; the same M trials at every moment; may be memory-mapped

    def __post_init__(self) -> None:
        if len(self.updates) != len(self.losses) or not self.updates:
            raise ValueError(f"{self.name} has {len(self.updates)} moments but losses at {len(self.losses)}")
        shapes = sorted({losses_MN.shape for losses_MN in self.losses})
        if len(shapes) > 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
            raise ValueError(f"{self.name} needs (trials, examples) losses of one shape at all moments, got {shapes}")

    @property
    def trials(self) -> int:
        """Number of trials M."""
        return self.losses[0].shape[0]

    @property
    def examples(self) -> int:
        """Number of examples N."""
        return self.losses[0].shape[1]


@dataclass(frozen=True)
class MatchOptions:
    """How sets are cut and judged."""

    fraction: float = 0.1  # share of the examples in each set, in (0, 0.5]
    scopes: tuple[Scope, ...] = SCOPES  # cut from all examples, from every class, or both
    draws: int = 200  # reweightings of the trials behind each interval
    splits: int | None = None  # cuts into halves behind each ceiling, see `half_cuts`; 0: no ceilings
    seed: int = 0  # decides reweightings, cuts into halves and ties
    threads: int = 2  # changes the speed, never the result

    def __post_init__(self) -> None:
        unknown = set(self.scopes) - set(SCOPES)
        if unknown or not self.scopes:
            raise ValueError(f"scopes must be among {', '.join(SCOPES)}, got {self.scopes}")
        if self.draws < 2 or (self.splits is not None and self.splits < 0) or self.threads < 1:
            given = f"{self.draws}, {self.splits} and {self.threads}"
            raise ValueError(f"needs at least 2 draws, 0 splits and 1 thread, got {given}")


@dataclass(frozen=True)
class Frame:
    """Labels, groups and options that all comparisons of one call share."""

    labels_N: NDArray[np.int64]
    # For each scope, the rows of the groups that are cut apart; None where all examples are one group.
    members: dict[Scope, list[NDArray[np.int64]] | None]
    options: MatchOptions


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a model at one moment, or an outside score, in one scope."""

    name: str
    updates: int
    trials: int
    ranks_N: NDArray[np.float64]  # average ranks of the easiness
    rows: dict[str, NDArray[np.int64]]  # easy and hard set
    bits: dict[str, NDArray[np.uint8]]  # the same, packed
    # Packed sets under reweighted trials, (draws or 1, bytes); None where one trial leaves nothing to reweight.
    resampled: dict[str, NDArray[np.uint8]] | None
    ceiling: dict[str, float]  # expected overlap with as many fresh trials, from halves of the trials


def make_frame(models: Sequence[ScoredModel], labels_N: ArrayLike, options: MatchOptions) -> Frame:
    """Check that models and labels speak of the same examples, and group these by class."""
    labels_N = np.asarray(labels_N)
    counts = {model.name: model.examples for model in models} | {"labels": labels_N.size}
    if len(set(counts.values())) > 1 or labels_N.ndim != 1:
        raise ValueError(f"numbers of examples differ: {counts}; score and label the same data")
    labels_N = check_labels(labels_N)
    return Frame(labels_N, {"global": None, "per_class": class_members(labels_N)}, options)


class Average(NamedTuple):
    """One model at one moment, whatever the scope."""

    easiness_N: NDArray[np.float64]
    ranks_N: NDArray[np.float64]  # average ranks of the easiness
    overlaps: dict[str, tuple[NDArray, NDArray]] | None  # from `model_overlaps`; None where no ceiling is asked for


def averages(wanted: list[tuple[ScoredModel, int, Seeds]], options: MatchOptions) -> list[Average]:
    """Average the trials of each wanted model and moment; the seeds come from `resampling.trial_seed`.

    Losses that are not finite are refused by the names of model, moment and trial.
    """

    def average(item: tuple[ScoredModel, int, Seeds]) -> Average:
        model, moment, (order_M, source) = item
        try:
            easiness_N = easiness(model.losses[moment])
        except ValueError as error:
            raise ValueError(f"{model.name} after {model.updates[moment]} updates: {error}") from None
        overlaps = None
        if model.trials > 1 and options.splits != 0:
            trials = trial_model(model.losses[moment], branch(source, 4, moment), order_M)
            overlaps = model_overlaps(trials, options.fraction)
        return Average(easiness_N, scipy.stats.rankdata(easiness_N), overlaps)

    with ThreadPoolExecutor(options.threads) as pool:
        return list(pool.map(average, wanted))


def model_side(
    model: ScoredModel,
    moment: int,
    average: Average,
    scope: Scope,
    seeds: Seeds,
    frame: Frame,
) -> Side:
    """Cut one model's sets at one moment: as observed, under reweighted trials, and of halves of the trials.

    `average` comes from `averages`, `seeds` from `resampling.trial_seed`.
    """
    easiness_N, ranks_N, overlaps = average
    order_M, source = seeds
    path = (moment, SCOPES.index(scope))
    rows, bits = observed(easiness_N, scope, branch(source, 0, *path), frame)
    side = (model.name, model.updates[moment], model.trials, ranks_N, rows, bits)
    if model.trials < 2:
        return Side(*side, None, dict.fromkeys(KINDS, math.nan))
    # The same weights at every moment: a trial that is drawn is drawn with its whole course.
    samples_DM = half_samples(model.trials, frame.options.draws, branch(source, 1))
    cuts_2CM = half_cuts(model.trials, frame.options.splits, branch(source, 2)) if overlaps else []
    weights_WM, used = np.unique(np.concatenate([samples_DM, *cuts_2CM]), axis=0, return_inverse=True)
    packed = packed_sets(
        model.losses[moment],
        weights_WM,
        frame.options.fraction,
        branch(source, 3, *path),
        order_M=order_M,
        members=frame.members[scope],
        threads=frame.options.threads,
    )
    samples, cuts = np.split(used, [frame.options.draws])
    resampled = {kind: packed[kind][samples] for kind in KINDS}
    if overlaps is None:
        return Side(*side, resampled, dict.fromkeys(KINDS, math.nan))
    first, second = np.split(cuts, 2)
    halves = {
        kind: float(count_shared(packed[kind][first], packed[kind][second]).mean() / len(rows[kind])) for kind in KINDS
    }
    return Side(*side, resampled, step_up(halves, overlaps, frame.options.fraction))


def observed(
    easiness_N: NDArray, scope: Scope, source: np.random.SeedSequence, frame: Frame
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.uint8]]]:
    """Easy and hard set of the scores, as rows and as bits."""
    labels_N = None if scope == "global" else frame.labels_N
    ties = int(source.generate_state(1)[0])
    rows = {kind: CUT[kind](easiness_N, frame.options.fraction, seed=ties, labels_N=labels_N) for kind in KINDS}
    return rows, {kind: packed_rows(rows[kind], len(easiness_N), frame.members[scope]) for kind in KINDS}
