"""The paper's claims on what examples are worth, judged from the accuracies of an ablation.

Every number is a difference of accuracies at the same seed, in percentage points, with Student's 95 % interval
over seeds of `easiness.analysis.intervals`.
"""

import math
from collections.abc import Sequence

import pandas as pd

from easiness.analysis.intervals import Difference, paired_difference
from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN, Verdict

# Two strategies, the first held against the second.
Pair = tuple[str, str]

# From this share on, very many examples are removed.
MANY = 0.5
# The ratio for which the paper prints a number, and the number, in points.
PAPERS_RATIO, PAPERS_POINTS = 0.3, 1.1
# One step of stepwise: up to it, stepwise is easy.
STEP = 0.1

_OVER_SEEDS = (
    "Accuracies are paired by seed and averaged over the ratios that both strategies were run at. Holds where the 95 % "
    "interval over seeds lies above 0, does not hold where it lies below."
)


def hard_worth_more(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether removing hard examples costs more than removing easy ones (Fig. 4)."""
    claim = "Hard examples contribute more to generalization than easy ones"
    return _better(claim, "Fig. 4a", accuracy, ("easy", "hard"), "removing easy ones instead of hard ones leaves")


def many_easy_hurt(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether removing very many easy examples is worse than removing as many at random (Fig. 4)."""
    claim, place, pair = "Removing very many easy examples hurts", "Fig. 4a", ("easy", "random")
    rule = (
        f"Looks at the greatest ratio that both easy and random were run at, which must be {MANY:.0%} or more. Holds "
        "where the 95 % interval over seeds of easy minus random lies below 0, does not hold where it lies above."
    )
    ratios = [ratio for ratio in _common_ratios(accuracy, pair) if ratio >= MANY]
    if not ratios:
        return Verdict(claim, place, UNKNOWN, _missing(accuracy, pair, f" of {MANY:.0%} or more"), rule)
    difference = _difference(accuracy, pair, ratios[-1:])
    number = f"with {_ratios(ratios[-1:])} removed, easy instead of random leaves {_points(difference)}"
    opposite = {HOLDS: FAILS, FAILS: HOLDS, UNKNOWN: UNKNOWN}
    return Verdict(claim, place, opposite[_judge(difference)], number, rule)


def stepwise_beats_easy(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether removing easy examples step by step is better than all at once (Fig. 4)."""
    claim, pair = "Stepwise beats removing easy examples in one shot", ("stepwise", "easy")
    return _better(claim, "Fig. 4a", accuracy, pair, "stepwise instead of easy leaves", above=STEP)


def stepwise_beats_random(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether stepwise is better than random (Fig. 4), at the paper's ratio where it was run."""
    claim, place, pair = "Stepwise beats random", "Fig. 4", ("stepwise", "random")
    common = _common_ratios(accuracy, pair)
    if PAPERS_RATIO not in common:
        return _better(claim, place, accuracy, pair, "stepwise instead of random leaves")
    difference, overall = (_difference(accuracy, pair, ratios) for ratios in ([PAPERS_RATIO], common))
    number = (
        f"with {_ratios([PAPERS_RATIO])} removed, stepwise instead of random leaves {_points(difference)}; the paper "
        f"prints about {PAPERS_POINTS:+g} points for ResNet-50 on ImageNet; over the ratios {_ratios(common)}, "
        f"{_points(overall)}"
    )
    rule = (
        f"Looks at the paper's ratio, {PAPERS_RATIO:.0%}. Holds where the 95 % interval over seeds of stepwise minus "
        "random lies above 0, does not hold where it lies below."
    )
    return Verdict(claim, place, _judge(difference), number, rule)


def _better(
    claim: str, place: str, accuracy: pd.DataFrame | None, pair: Pair, words: str, *, above: float = 0.0
) -> Verdict:
    ratios = [ratio for ratio in _common_ratios(accuracy, pair) if ratio > above]
    if not ratios:
        return Verdict(claim, place, UNKNOWN, _missing(accuracy, pair, f" above {above:.0%}"), _OVER_SEEDS)
    difference = _difference(accuracy, pair, ratios)
    alone = [_judge(_difference(accuracy, pair, [ratio])) for ratio in ratios]
    number = (
        f"over the ratios {_ratios(ratios)}, {words} {_points(difference)}; taken alone, {alone.count(HOLDS)} of "
        f"them lie above 0 and {alone.count(FAILS)} below"
    )
    return Verdict(claim, place, _judge(difference), number, _OVER_SEEDS)


def _common_ratios(accuracy: pd.DataFrame | None, pair: Pair) -> list[float]:
    if accuracy is None:
        return []
    a, b = (set(accuracy.loc[accuracy["strategy"] == strategy, "ratio"].round(6)) for strategy in pair)
    return sorted(a & b)


def _missing(accuracy: pd.DataFrame | None, pair: Pair, which: str) -> str:
    if accuracy is None:
        return "no ablate run; make one with -e ablate"
    return f"{pair[0]} and {pair[1]} were not both run at a ratio{which}"


def _difference(accuracy: pd.DataFrame, pair: Pair, ratios: Sequence[float]) -> Difference:
    """Accuracy of the first minus that of the second at each seed, averaged over ratios."""
    rows = accuracy[accuracy["ratio"].round(6).isin(ratios)]
    means = rows.pivot_table(index="seed", columns="strategy", values="accuracy")[list(pair)].dropna()
    return paired_difference(*(means[strategy] for strategy in pair))


def _judge(difference: Difference) -> str:
    if difference.low > 0:
        return HOLDS
    return FAILS if difference.high < 0 else UNKNOWN


def _points(difference: Difference) -> str:
    mean = f"{100 * difference.mean:+.2f} points of accuracy"
    if math.isnan(difference.low):
        return f"{mean} (one seed, so no interval)"
    return f"{mean} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}] over {difference.pairs} seeds"


def _ratios(ratios: Sequence[float]) -> str:
    return ", ".join(f"{100 * ratio:g}" for ratio in ratios) + " %"
