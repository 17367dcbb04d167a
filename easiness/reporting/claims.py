"""The paper's claims on sets, judged by the rules of `easiness.reporting.rules`.

The text of a verdict always carries the number behind it; that of "cannot tell" also what would have been found, with
80 % power.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from easiness.analysis.intervals import LEVEL, detectable, holm, p_above, student
from easiness.reporting.rules import RULES, SAME
from easiness.runs.match.verdict import detectable_rate, judge, trial_error

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"

_NO_MATCH = "no match run; make one with -e match"
_STEPS = (("hard", "random"), ("random", "easy"))  # the first of each is claimed to be more diverse

# Power, which stands beside every "cannot tell".
FOUND = "{} would have been found (80 % power)"


@dataclass(frozen=True)
class Verdict:
    """A claim, where the paper makes it, `HOLDS`, `FAILS` or `UNKNOWN`, the number that says so, and its rule."""

    claim: str
    place: str
    verdict: str
    number: str
    rule: str
    rates: str


def verdict(rule: str, outcome: str, number: str, **words: str) -> Verdict:
    """Verdict by one of `RULES`; the words go into the claim's name."""
    named = RULES[rule]
    return Verdict(named.claim.format(**words), named.place, outcome, number, named.text, named.rates)


def shared_sets(pairs: pd.DataFrame | None, kind: str) -> Verdict:
    """Judge whether architectures share their easy (hard) sets beyond luck and class mix.

    `pairs` are those of `MatchingResults`: without a row for a single model, None without a match run.
    """

    def said(outcome: str, number: str) -> Verdict:
        return verdict("shared", outcome, number, Kind=kind.capitalize())

    if pairs is None:
        return said(UNKNOWN, _NO_MATCH)
    rows = pairs[pairs["set"] == kind]
    if rows.empty:
        return said(UNKNOWN, "the match run compares no pair of models")
    judged = judge(rows)
    last = judged.last
    whole = last[last["scope"] == "global"]
    some = f"{judged.pairs} pairs share" if judged.pairs > 1 else "1 pair shares"
    shown = (
        f"at the last moment {some} {span(whole['rate'])} of the whole set (luck and class mix: "
        f"{span(whole['chance_given_classes'])})"
    )
    if not judged.has_intervals:
        return said(UNKNOWN, f"{shown}; a model has one trial only, with which no rate would have been found beyond it")
    possible = last["rate"] / last["ceiling"]
    shown = f"of what could be shared, over both ways to cut, {span(possible)} is shared: {shown}; corrected, "
    shown += f"{span(last['corrected'])}, 95 % intervals from {last['corrected_low'].min():.3f} to "
    shown += f"{last['corrected_high'].max():.3f}"
    if judged.beyond_always:
        return said(HOLDS, shown)
    if len(judged.refuting):
        worst = judged.refuting.loc[judged.refuting["corrected_high"].idxmin()]
        whose = f"{worst['a']} and {worst['b']} share next to nothing beyond luck ({worst['scope']})"
        return said(FAILS, f"{shown}; {whose}")
    first = next(judged.reaching.itertuples())
    return said(
        UNKNOWN,
        f"{shown}; luck can give the {first.rate:.3f} that {first.a} and {first.b} share at moment {first.epoch} "
        f"({first.scope}); {FOUND.format(f'there {detectable_rate(first):.3f}')}",
    )


def changing_sets(
    moments: pd.DataFrame | None, kind: str, lengths: Mapping[str, Mapping[str, float | None]]
) -> Verdict:
    """Judge whether a model's easy (hard) set at the beginning is another one than at the end (Table 1).

    `lengths` are those of `MatchManifest`.
    """

    def said(outcome: str, number: str) -> Verdict:
        return verdict("changing", outcome, number, Kind=kind.capitalize(), length=_length(lengths))

    if moments is None:
        return said(UNKNOWN, _NO_MATCH)
    rows = moments[(moments["set"] == kind) & (moments["scope"] == "global")]
    rows = rows[rows["updates_a"] < rows["updates_b"]]
    if rows.empty:
        return said(UNKNOWN, "every model was scored at a single moment, so that no change would have been found")
    shown = "first and last set share " + "; ".join(
        f"{row.rate:.3f}{interval(row.low, row.high)} in {row.a} (updates {row.updates_a} and {row.updates_b})"
        + f", {row.rate / row.ceiling:.2f} of the {row.ceiling:.3f} that could stay" * math.isfinite(row.ceiling)
        for row in rows.itertuples()
    )
    if rows[["low", "high"]].isna().to_numpy().any():
        return said(UNKNOWN, f"{shown}; with one trial no change would have been found")
    tests = [(row, *trial_error(row)) for row in rows.itertuples()]
    # The ceiling is an estimate from the same number of trials.
    gone = [p_above(row.ceiling - row.rate, math.sqrt(2) * error, degrees) for row, error, degrees in tests]
    stays = [p_above(row.rate - SAME * row.ceiling, math.sqrt(2) * error, degrees) for row, error, degrees in tests]
    if max(gone) <= LEVEL:
        return said(HOLDS, shown)
    if min(holm(stays)) <= LEVEL:
        return said(FAILS, shown)
    needed = max(detectable(math.sqrt(2) * error, degrees) for _, error, degrees in tests)
    return said(UNKNOWN, f"{shown}; {FOUND.format(f'in every model, a rate {needed:.3f} below the ceiling')}")


def diverse_sets(diversity: pd.DataFrame | None) -> Verdict:
    """Judge whether hard examples of a class are more diverse than random ones, and these than easy ones (Fig. 2).

    `diversity` is that of a `Matching`.
    """
    if diversity is None:
        return verdict("diverse", UNKNOWN, "no match run has measured the diversity of images")
    if diversity.empty:
        return verdict("diverse", UNKNOWN, "no class has enough images for a set: score more of them")
    models = sorted(diversity["model"].unique())
    steps = {
        (model, *step): each
        for model in models
        for step, each in zip(_STEPS, _steps(diversity[diversity["model"] == model]), strict=True)
    }
    averages = {
        key: (float(mean_C.mean()), float(np.sqrt((error_C**2).sum()) / len(mean_C)), degrees)
        for key, (mean_C, error_C, degrees) in steps.items()
    }
    above = {key: _p_values(*step) for key, step in steps.items()}
    shows = holm(np.concatenate([np.maximum(*(above[model, *step] for step in _STEPS)) for model in models]))
    reverse = holm(np.concatenate([_p_values(-mean_C, *rest) for mean_C, *rest in steps.values()]))
    shown = "on average over classes, " + "; ".join(
        f"{more} sets are {mean:+.3f}{interval(mean - student(degrees) * error, mean + student(degrees) * error)} more "
        f"diverse than {less} ones under {model}"
        for (model, more, less), (mean, error, degrees) in averages.items()
    )
    shown += (
        f"; of single classes under single models, {(shows <= LEVEL).sum()} of {len(shows)} show both steps, and "
        f"{(reverse <= LEVEL).sum()} a step reversed"
    )
    if max(p_above(*average) for average in averages.values()) <= LEVEL < min(reverse):
        return verdict("diverse", HOLDS, shown)
    if min(holm([p_above(-mean, *rest) for mean, *rest in averages.values()])) <= LEVEL:
        return verdict("diverse", FAILS, shown)
    needed = max(detectable(error, degrees) for _, error, degrees in averages.values())
    return verdict("diverse", UNKNOWN, f"{shown}; {FOUND.format(f'steps of {needed:.3f}')}")


def _steps(rows: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """For both steps, the difference of diversity in each class, its standard error, and the degrees of freedom."""
    value_C, error_C = (
        {name: by_class[column].to_numpy() for name, by_class in rows.sort_values("class_name").groupby("set")}
        for column in ("diversity", "error")
    )
    degrees = int(rows["images"].min()) - 1
    return [(value_C[more] - value_C[less], np.hypot(error_C[more], error_C[less]), degrees) for more, less in _STEPS]


def _p_values(mean_C: np.ndarray, error_C: np.ndarray, degrees: int) -> np.ndarray:
    return np.array([p_above(mean, error, degrees) for mean, error in zip(mean_C, error_C, strict=True)])


def _length(lengths: Mapping[str, Mapping[str, float | None]]) -> str:
    """Part of the training that the scores are about."""
    known = {(entry["epochs"], entry["schedule_epochs"]) for entry in lengths.values()}
    if any(None in part for part in known):
        return "the part of training that was recorded"
    parts = sorted(known)
    if all(epochs == whole for epochs, whole in parts):
        return "training"
    return "the first " + " or ".join(f"{epochs:g} of {whole:g} epochs" for epochs, whole in parts)


def span(values: pd.Series | Sequence[float] | np.ndarray) -> str:
    """Lowest and highest of some numbers.

    Examples
    --------
    >>> span([0.25, 0.5]), span([0.25])
    ('0.250 to 0.500', '0.250')
    """
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"


def interval(low: float, high: float) -> str:
    """Write an interval in brackets, or that there is none.

    Examples
    --------
    >>> interval(0.1, 0.25), interval(-0.1, 0.1), interval(float("nan"), float("nan"))
    (' [0.100, 0.250]', ' [-0.100, 0.100]', ' (no interval)')
    """
    return " (no interval)" if math.isnan(low) or math.isnan(high) else f" [{low:.3f}, {high:.3f}]"
