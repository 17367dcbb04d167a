"""The paper's claims on what examples are worth, judged ratio by ratio from the accuracies of an ablation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from easiness.analysis.intervals import LEVEL, Difference, detectable, holm, paired_difference
from easiness.reporting.claims import FAILS, FOUND, HOLDS, UNKNOWN, Verdict, verdict
from easiness.reporting.rules import MANY, MODERATE, STEP

# Two strategies, the first of which is claimed to leave more accuracy.
Pair = tuple[str, str]

# The ratio for which the paper prints a number, and the number, in points.
PAPERS_RATIO, PAPERS_POINTS = 0.3, 1.1


@dataclass(frozen=True)
class _Ratio:
    """Test of one ratio: one difference for each pair of strategies, in the claimed direction."""

    ratio: float
    differences: dict[Pair, Difference]

    @property
    def p(self) -> float:
        """That every pair is as claimed."""
        return max(difference.p_above for difference in self.differences.values())

    @property
    def p_reverse(self) -> float:
        """That some pair is reversed."""
        return min(1.0, len(self.differences) * min(each.p_below for each in self.differences.values()))


def hard_worth_more(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether removing hard examples costs more than removing random ones and easy ones (Fig. 4)."""
    return _judge("hard", accuracy, [("random", "hard"), ("easy", "hard")], highest=MODERATE)


def many_easy_hurt(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether removing very many easy examples is worse than removing as many at random (Fig. 4)."""
    return _judge("many", accuracy, [("random", "easy")], lowest=MANY)


def stepwise_beats_easy(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether removing easy examples step by step is better than all at once (Fig. 4)."""
    return _judge("stepwise_easy", accuracy, [("stepwise", "easy")], lowest=math.nextafter(STEP, 1))


def stepwise_beats_random(accuracy: pd.DataFrame | None) -> Verdict:
    """Judge whether stepwise is better than random (Fig. 4)."""
    found = _judge("stepwise_random", accuracy, [("stepwise", "random")])
    paper = f"; the paper prints about {PAPERS_POINTS:+g} points at {100 * PAPERS_RATIO:g} % for ResNet-50 on ImageNet"
    return found if accuracy is None else Verdict(**vars(found) | {"number": found.number + paper})


def _judge(
    rule: str, accuracy: pd.DataFrame | None, pairs: Sequence[Pair], *, lowest: float = 0.0, highest: float = 1.0
) -> Verdict:
    if accuracy is None:
        return verdict(rule, UNKNOWN, "no ablate run; make one with -e ablate")
    arms: dict[tuple[str, float], dict[int, float]] = {}
    for row in accuracy.itertuples():
        arms.setdefault((row.strategy, round(row.ratio, 6)), {})[row.seed] = row.accuracy
    tests = _tests(arms, pairs, lowest, highest)
    if not tests:
        names = " and ".join(dict.fromkeys(strategy for pair in pairs for strategy in pair))
        span = f" from {100 * lowest:.3g} % to {100 * highest:g} %"
        return verdict(rule, UNKNOWN, f"{names} were not all run at a ratio{span if lowest or highest < 1 else ''}")
    shows = _ratios(tests, holm([test.p for test in tests]))
    reversed_ = _ratios(tests, holm([test.p_reverse for test in tests]))
    number = "; ".join(
        f"{first} instead of {second} leaves, by percent removed, {_points(tests, (first, second))}"
        for first, second in pairs
    )
    number = f"points of accuracy over {_seeds(tests)}: {number}"
    if shows and not reversed_:
        return verdict(rule, HOLDS, f"it shows at {shows}; {number}")
    if reversed_ and not shows:
        return verdict(rule, FAILS, f"the reverse shows at {reversed_}; {number}")
    mixed = f"it shows at {shows}, and the reverse at {reversed_}" if shows else "no ratio shows it, nor the reverse"
    return verdict(rule, UNKNOWN, f"{mixed}; {number}; {_power(tests)}")


def _tests(
    arms: Mapping[tuple[str, float], Mapping[int, float]], pairs: Sequence[Pair], lowest: float, highest: float
) -> list[_Ratio]:
    """Tests of the ratios that all strategies of the pairs were run at, ascending."""
    tests = []
    for ratio in sorted({ratio for _, ratio in arms if lowest <= ratio <= highest}):
        differences = {}
        for pair in pairs:
            first, second = (arms.get((strategy, ratio), {}) for strategy in pair)
            if seeds := sorted(first.keys() & second.keys()):
                differences[pair] = paired_difference([first[s] for s in seeds], [second[s] for s in seeds])
        if len(differences) == len(pairs):
            tests.append(_Ratio(ratio, differences))
    return tests


def _power(tests: Sequence[_Ratio]) -> str:
    """Difference that would have been found at a ratio."""
    needed = [
        max(detectable(each.error, each.pairs - 1, len(tests)) for each in test.differences.values()) for test in tests
    ]
    finite = [value for value in needed if math.isfinite(value)]
    if not finite:
        return "one seed, with which no difference would have been found"
    low, high = f"{100 * min(finite):.2f}", f"{100 * max(finite):.2f}"
    return FOUND.format(f"differences of {low if low == high else f'{low} to {high}'} points")


def _points(tests: Sequence[_Ratio], pair: Pair) -> str:
    """Differences of one pair with their intervals, in points."""
    return ", ".join(
        f"{100 * test.ratio:g} %: {100 * each.mean:+.2f}"
        + ("" if math.isnan(each.low) else f" [{100 * each.low:+.2f}, {100 * each.high:+.2f}]")
        for test in tests
        for each in [test.differences[pair]]
    )


def _seeds(tests: Sequence[_Ratio]) -> str:
    counts = {each.pairs for test in tests for each in test.differences.values()}
    low, high = min(counts), max(counts)
    return f"{low if low == high else f'{low} to {high}'} seed{'s' * (high > 1)}"


def _ratios(tests: Sequence[_Ratio], p: Sequence[float]) -> str:
    """Ratios whose corrected p-value says so; nothing where none does."""
    shown = [f"{100 * test.ratio:g}" for test, value in zip(tests, p, strict=True) if value <= LEVEL]
    return f"{', '.join(shown)} %" if shown else ""
