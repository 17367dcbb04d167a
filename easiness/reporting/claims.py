"""The paper's claims, each judged by a rule that is written down before the numbers are seen.

A claim *holds* or *does not hold* only where a 95 % interval or a test says so; without one, or where it says neither,
the verdict is *cannot tell*. The text of a verdict always carries the number behind it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from easiness.runs.match.verdict import judge

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"

ALPHA = 0.05  # one-sided level of the tests of diversity


@dataclass(frozen=True)
class Verdict:
    """A claim, where the paper makes it, `HOLDS`, `FAILS` or `UNKNOWN`, the number that says so, and the rule."""

    claim: str
    place: str
    verdict: str
    number: str
    rule: str


def shared_sets(pairs: pd.DataFrame | None, kind: str) -> Verdict:
    """Judge whether architectures share their easy (hard) sets beyond luck and class mix.

    `pairs` are those of `MatchingResults`: without a row for a single model, None without a match run.
    """
    rule = (
        "Holds where, for every pair of models, at every scored moment and for sets cut from all images as well as "
        "from every class, the 95 % interval of the corrected rate (0 = no more than luck and class mix give) lies "
        "above 0, and unrelated rankings with the same class mix would share as much in at most 2.5 % of cases. Does "
        "not hold where, at the last moment that all pairs have, some interval lies wholly at or below 0."
    )

    def verdict(outcome: str, number: str) -> Verdict:
        claim = f"{kind.capitalize()} examples are shared across architectures"
        return Verdict(claim, "Fig. 3", outcome, number, rule)

    if pairs is None:
        return verdict(UNKNOWN, "no match run; make one with -e match")
    rows = pairs[pairs["set"] == kind]
    if rows.empty:
        return verdict(UNKNOWN, "the match run compares no pair of models")
    judged = judge(rows)
    last = judged.last
    whole = last[last["scope"] == "global"]
    some = f"{judged.pairs} pairs share" if judged.pairs > 1 else "1 pair shares"
    shown = (
        f"at the last moment {some} {span(whole['rate'])} of the whole set (luck and class mix: "
        f"{span(whole['chance_given_classes'])}); corrected, over both ways to cut, {span(last['corrected'])}"
    )
    if not judged.has_intervals:
        return verdict(UNKNOWN, f"{shown}; no interval, since a model has one trial only")
    shown += f", 95 % intervals from {last['corrected_low'].min():.3f} to {last['corrected_high'].max():.3f}"
    if judged.beyond_always:
        return verdict(HOLDS, shown)
    if len(judged.refuting):
        worst = judged.refuting.loc[judged.refuting["corrected_high"].idxmin()]
        return verdict(FAILS, f"{shown}; {worst['a']} and {worst['b']} share no more than luck ({worst['scope']})")
    first = judged.reaching.iloc[0]
    return verdict(
        UNKNOWN,
        f"{shown}; luck can give what {first['a']} and {first['b']} share at moment {first['epoch']} "
        f"({first['scope']})",
    )


def changing_sets(moments: pd.DataFrame | None, kind: str) -> Verdict:
    """Judge whether a model's easy (hard) set at the beginning is another one than at the end (Table 1)."""
    rule = (
        "Holds where, for every model, the 95 % interval of the matching rate of its first and last set lies below "
        "0.5: less than half is the same. Does not hold where it lies above 0.5 for every model."
    )

    def verdict(outcome: str, number: str) -> Verdict:
        return Verdict(f"{kind.capitalize()} examples change during training", "Table 1", outcome, number, rule)

    if moments is None:
        return verdict(UNKNOWN, "no match run; make one with -e match")
    rows = moments[(moments["set"] == kind) & (moments["scope"] == "global")]
    rows = rows[rows["updates_a"] < rows["updates_b"]]
    if rows.empty:
        return verdict(UNKNOWN, "every model was scored at a single moment")
    shown = "first and last set share " + "; ".join(
        f"{row.rate:.3f}{interval(row.low, row.high)} in {row.a} (updates {row.updates_a} and {row.updates_b})"
        for row in rows.itertuples()
    )
    if rows[["low", "high"]].isna().to_numpy().any():
        return verdict(UNKNOWN, shown)
    if (rows["high"] < 0.5).all():
        return verdict(HOLDS, shown)
    return verdict(FAILS if (rows["low"] > 0.5).all() else UNKNOWN, shown)


def diverse_sets(order_tests: Mapping[str, Mapping[str, object]]) -> Verdict:
    """Judge whether hard examples of a class are more diverse than random ones, and these than easy ones (Fig. 2)."""
    rule = (
        "Holds where, for every model, both permutation tests (hard over random, random over easy) give p < "
        f"{ALPHA:g}. Does not hold where, for some model, a test shows the reverse (p > {1 - ALPHA:g})."
    )

    def verdict(outcome: str, number: str) -> Verdict:
        claim = "Easy examples look alike, hard ones are diverse"
        return Verdict(claim, "Fig. 2", outcome, number, rule)

    if not order_tests:
        return verdict(UNKNOWN, "no match run has measured the diversity of images")
    shown = "; ".join(
        f"under {model}, {test['class_name']}: variance {test['hard_minus_random']:+.0f} hard over random (p = "
        f"{test['p_hard']:.2g}), {test['random_minus_easy']:+.0f} random over easy (p = {test['p_easy']:.2g})"
        for model, test in sorted(order_tests.items())
    )
    p = [value for test in order_tests.values() for value in (test["p_hard"], test["p_easy"])]
    if max(p) < ALPHA:
        return verdict(HOLDS, shown)
    return verdict(FAILS if max(p) > 1 - ALPHA else UNKNOWN, shown)


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
    >>> interval(0.1, 0.25), interval(float("nan"), float("nan"))
    (' [0.100, 0.250]', ' (no interval)')
    """
    return " (no interval)" if math.isnan(low) or math.isnan(high) else f" [{low:.3f}, {high:.3f}]"
