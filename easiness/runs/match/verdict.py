"""Verdict of a matching: whether architectures share their sets beyond what luck and class mix give."""

from dataclasses import dataclass

import pandas as pd

from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import SCOPES

CHANCE_LEVEL = 0.025  # of unrelated rankings that may be called shared


@dataclass(frozen=True, eq=False)
class Judgement:
    """Judgement of some pairs at the last moment that all of them have, `epoch`, and at every moment.

    A rate is beyond chance if unrelated rankings with the same class mix share as much in at most `CHANCE_LEVEL` of
    cases (the luck of the examples), and the interval of the corrected rate lies above 0 (the luck of the trials).
    `last` holds the rows of the last moment, `reaching` those of any moment that are not beyond chance, `refuting`
    those of the last moment whose interval lies wholly at or below it.
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
    has_intervals = not rows[["corrected_low", "corrected_high"]].isna().any(axis=None)
    reaching, refuting = rows[~_beyond_chance(rows)], last[last["corrected_high"] <= 0]
    return Judgement(by_pair.ngroups, epoch, last, has_intervals, reaching, refuting)


def _beyond_chance(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["chance_p"] <= CHANCE_LEVEL) & (rows["corrected_low"] > 0)


def verdicts(pairs: pd.DataFrame) -> list[dict[str, object]]:
    """Verdict on each set and scope: numbers of the last moment that all pairs have, and a sentence.

    `beyond_chance` says whether every pair is, then and at all moments; it is None without intervals.
    """
    cut = [
        (scope, kind, pairs[(pairs["scope"] == scope) & (pairs["set"] == kind)]) for scope in SCOPES for kind in KINDS
    ]
    return [_verdict(judge(rows), kind, scope) for scope, kind, rows in cut if len(rows)]


def _verdict(judged: Judgement, kind: str, scope: str) -> dict[str, object]:
    last, known = judged.last, judged.has_intervals
    entry = {
        "set": kind,
        "scope": scope,
        "pairs": judged.pairs,
        "epoch": judged.epoch,
        **{f"{name}_{end}": float(getattr(last[name], end)()) for name in ("rate", "chance_given_classes", "corrected")
           for end in ("min", "max")},
        "corrected_low_min": float(last["corrected_low"].min()) if known else None,
        "beyond_chance": {"last": judged.beyond_at_last, "all": judged.beyond_always} if known else None,
    }  # fmt: skip
    if not known:
        said = "no interval, since a side has one trial only"
    elif judged.beyond_at_last:
        always = "at every moment" if judged.beyond_always else "but not at all moments"
        said = f"intervals from {entry['corrected_low_min']:.2f} up: beyond chance in every pair, {always}"
    else:
        short = int((~_beyond_chance(last)).sum())
        said = f"in {short} of {len(last)} pairs the luck of trials or examples can give as much"
    where = "of all images" if scope == "global" else "of every class"
    rate, mixed, corrected = (_span(entry, name) for name in ("rate", "chance_given_classes", "corrected"))
    entry["sentence"] = (
        f"{kind} sets {where}: pairs share {rate} at moment {judged.epoch} ({mixed} by chance, given the class mix), "
        f"which is {corrected} corrected; {said}"
    )
    return entry


def _span(entry: dict[str, object], name: str) -> str:
    low, high = f"{entry[f'{name}_min']:.2f}", f"{entry[f'{name}_max']:.2f}"
    return low if low == high else f"{low} to {high}"
