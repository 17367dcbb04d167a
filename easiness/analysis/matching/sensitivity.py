"""Sensitivity of matching rates to the cut: the same pairs at other fractions, and by rank-biased overlap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.matching import rank_overlap
from easiness.analysis.matching.comparing import Match
from easiness.analysis.matching.pairs import match_pairs
from easiness.analysis.matching.resampling import branch, trial_seed
from easiness.analysis.matching.sides import SCOPES, MatchOptions, ScoredModel
from easiness.analysis.scores import easiness
from easiness.analysis.sets import corrected

FRACTIONS = (0.05, 0.1, 0.2)
CUTS = 12  # of the trials into halves behind each ceiling at another fraction

Measure = Literal["matching rate", "rank-biased overlap"]


@dataclass(frozen=True)
class Sensitivity:
    """What a pair of models shares at one moment, by one measure at one cut; the fields are those of `Match`."""

    a: str
    b: str
    updates_a: int
    updates_b: int
    epoch: int
    set: str  # "easy" or "hard"; of rank-biased overlap the end at which it begins
    scope: str
    measure: Measure
    fraction: float  # of the sets; of rank-biased overlap the first part of the ranking, which has 90 % of the weight
    rate: float
    chance_given_classes: float
    corrected: float
    ceiling: float | None  # None for rank-biased overlap


def match_at_fractions(
    models: Sequence[ScoredModel], labels_N: ArrayLike, options: MatchOptions, matches: Sequence[Match]
) -> list[Sensitivity]:
    """Match every pair at `FRACTIONS` and by rank-biased overlap; `matches` are those at the fraction of the options.

    Rows come by epoch, scope, pair, set, measure and fraction.
    """
    if len(models) < 2:
        return []
    rows = [_at_fraction(row, options.fraction) for row in matches]
    for fraction in FRACTIONS:
        if fraction != options.fraction:  # no intervals, and fewer cuts: the time is spent on the run's own fraction
            other = replace(options, fraction=fraction, draws=2, splits=CUTS)
            rows += [_at_fraction(row, fraction) for row in match_pairs(models, labels_N, other)]
    rows += _rank_biased(models, np.asarray(labels_N), options, matches)
    order = {name: number for number, name in enumerate(SCOPES)}
    return sorted(rows, key=lambda row: (row.epoch, order[row.scope], row.a, row.b, row.set, row.measure, row.fraction))


def _at_fraction(row: Match, fraction: float) -> Sensitivity:
    about = (row.a, row.b, row.updates_a, row.updates_b, row.epoch, row.set, row.scope)
    numbers = (row.rate, row.chance_given_classes, row.corrected, row.ceiling)
    return Sensitivity(*about, "matching rate", fraction, *numbers)


def _rank_biased(
    models: Sequence[ScoredModel], labels_N: NDArray[np.int64], options: MatchOptions, matches: Sequence[Match]
) -> list[Sensitivity]:
    by_name = {model.name: model for model in models}
    sources = {name: trial_seed(model.losses, options.seed)[1] for name, model in by_name.items()}
    rows = []
    for scope in options.scopes:
        depths = rank_overlap.make_depths(labels_N, per_class=scope == "per_class")
        for epoch in sorted({row.epoch for row in matches}):
            places = {}
            for name, model in by_name.items():
                if epoch <= len(model.updates):
                    # The ties of the sets: a matching rate is the share that is the same at one depth of these places.
                    ties = int(branch(sources[name], 0, epoch - 1, SCOPES.index(scope)).generate_state(1)[0])
                    easy_N = rank_overlap.places(easiness(model.losses[epoch - 1]), depths, ties)
                    places[name] = {"easy": easy_N, "hard": depths.flip_N[easy_N]}
            for a, b in combinations(sorted(places), 2):
                for end in ("easy", "hard"):
                    pair = (places[a][end], places[b][end], depths)
                    rate, chance = rank_overlap.rank_biased_overlap(*pair), rank_overlap.chance_given_classes(*pair)
                    about = (a, b, *(by_name[name].updates[epoch - 1] for name in (a, b)), epoch, end, scope)
                    numbers = (rate, chance, corrected(rate, chance), None)
                    rows.append(Sensitivity(*about, "rank-biased overlap", rank_overlap.TOP, *numbers))
    return rows
