"""Verdict of a matching: whether architectures share their sets beyond what luck and class mix give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from easiness.analysis.intervals import LEVEL, detectable, holm, p_above, student
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import SCOPES

# Weights of trials that begin on their own.
NONE = "none"

# Share of what could be shared beyond chance, below which it is said that nothing is.
LITTLE = 0.1

# Standard deviations between chance and a rate whose luck of the examples is found beyond it, with 80 % power.
_EXAMPLES = 2.8


@dataclass(frozen=True, eq=False)
class Judgement:
    """Judgement of some pairs at the last moment that all of them have, `epoch`, and at every moment.

    A rate is beyond chance if unrelated rankings with the same class mix share as much in at most `LEVEL` of cases (the
    luck of the examples), and the interval of the corrected rate lies above 0 (the luck of the trials). `last` holds
    the rows of the last moment, `reaching` those of any moment that are not beyond chance, `refuting` those of the last
    moment that share less than `LITTLE` of what could be shared beyond chance, by Holm's correction over them.
    """

    pairs: int
    epoch: int
    last: pd.DataFrame
    has_intervals: bool
    reaching: pd.DataFrame
    refuting: pd.DataFrame

    @property
    def beyond_at_last(self) -> bool:
        """Whether every pair is beyond chance at the last moment."""
        return bool(_beyond_chance(self.last).all())

    @property
    def beyond_always(self) -> bool:
        """Whether every pair is beyond chance at every moment."""
        return self.reaching.empty


def judge(rows: pd.DataFrame) -> Judgement:
    """Judge rows of `MatchingResults.pairs` together."""
    by_pair = rows.groupby(["a", "b"])
    epoch = int(by_pair["epoch"].max().min())
    last = rows[rows["epoch"] == epoch]
    has_intervals = not rows[["low", "high"]].isna().any(axis=None)
    below = [p_above(_little(row) - row.rate, *trial_error(row)) for row in last.itertuples()]
    return Judgement(
        by_pair.ngroups, epoch, last, has_intervals, rows[~_beyond_chance(rows)], last[holm(below) <= LEVEL]
    )


def trial_error(row: tuple) -> tuple[float, int]:
    """Standard error of a rate over trials, from its interval, and its degrees of freedom."""
    models = 1 if row.a == row.b else 2
    degrees = models * (min(row.trials_a, row.trials_b) - 1)
    # One end may be cut at 0 or 1.
    return (max(row.high - row.rate, row.rate - row.low) / student(degrees) if degrees else math.nan), degrees


def _little(row: tuple) -> float:
    return row.chance_given_classes + LITTLE * (row.ceiling - row.chance_given_classes)


def detectable_rate(row: tuple) -> float:
    """Rate of a pair that would have been found beyond chance in 80 % of cases, at most 1."""
    luck = math.hypot(detectable(*trial_error(row)), _EXAMPLES * row.chance_given_classes_sd)
    return min(1.0, row.chance_given_classes + luck)


def _beyond_chance(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["chance_p"] <= LEVEL) & (rows["corrected_low"] > 0)


def verdicts(pairs: pd.DataFrame) -> list[dict[str, object]]:
    """Verdict on each set and scope: numbers of the last moment that all pairs have, and a sentence.

    `beyond_chance` says whether every pair is, then and at all moments; it is None without intervals. `of_ceiling` is
    the rate over its ceiling: of what could be shared, so much is.
    """
    cut = [
        (scope, kind, pairs[(pairs["scope"] == scope) & (pairs["set"] == kind)]) for scope in SCOPES for kind in KINDS
    ]
    return [_verdict(judge(rows), kind, scope) for scope, kind, rows in cut if len(rows)]


def _verdict(judged: Judgement, kind: str, scope: str) -> dict[str, object]:
    last, known = judged.last.assign(of_ceiling=judged.last["rate"] / judged.last["ceiling"]), judged.has_intervals
    entry = {
        "set": kind,
        "scope": scope,
        "pairs": judged.pairs,
        "epoch": judged.epoch,
        **{f"{name}_{end}": float(getattr(last[name], end)())
           for name in ("rate", "chance_given_classes", "corrected", "of_ceiling") for end in ("min", "max")},
        "corrected_low_min": float(last["corrected_low"].min()) if known else None,
        "beyond_chance": {"last": judged.beyond_at_last, "all": judged.beyond_always} if known else None,
    }  # fmt: skip
    rate, mixed, possible = (_span(entry, name) for name in ("rate", "chance_given_classes", "of_ceiling"))
    shared = f"pairs share {rate} at moment {judged.epoch} ({mixed} by chance, given the class mix)"
    if not known:
        said = "no interval, since a side has one trial only"
    elif judged.beyond_at_last:
        always = "at every moment" if judged.beyond_always else "but not at all moments"
        said = f"of what could be shared, {possible} is; beyond chance in every pair, {always}"
    else:
        short = last[~_beyond_chance(last)]
        found = max(map(detectable_rate, short.itertuples()))
        said = (
            f"of what could be shared, {possible} is; in {len(short)} of {len(last)} pairs the luck of trials or "
            f"examples can give as much, and a rate of {found:.2f} would have been found (80 % power)"
        )
    where = "of all images" if scope == "global" else "of every class"
    entry["sentence"] = f"{kind} sets {where}: {shared}; {said}"
    return entry


def _span(entry: dict[str, object], name: str) -> str:
    low, high = f"{entry[f'{name}_min']:.2f}", f"{entry[f'{name}_max']:.2f}"
    return low if low == high else f"{low} to {high}"


def shared_starts(runs: Sequence[Mapping[str, object]]) -> list[str]:
    """Sentences about models whose trials share trained weights, or were recorded; `runs` are those of `MatchManifest`.

    Examples
    --------
    >>> shared_starts([{"model": "a", "weights": "none"}, {"model": "b", "weights": "w.pt"}])[0][:38]
    'All trials of b start from w.pt (a has'
    """
    started = {run["model"]: run.get("weights", NONE) for run in runs}
    alone = ", ".join(str(model) for model, weights in started.items() if weights == NONE)
    beside = f" ({alone} has beginnings of its own)" if alone else ""
    recorded = ", ".join(str(run["model"]) for run in runs if run.get("recorded"))
    return [
        *(
            f"All trials of {model} start from {weights}{beside}: they are not independent beginnings, and its ceiling "
            "counts only the noise after that start."
            for model, weights in started.items()
            if weights != NONE
        ),
        *[
            f"Trials of {recorded} were recorded: whether they share seeds with each other or with other trials is not "
            "known, and shared luck would count as agreement."
        ]
        * bool(recorded),
    ]
