"""Calibration of the matching's numbers: coverage and width of intervals, false verdicts, bias of ceilings.

Losses are drawn from known truths, so that the right answers are known, and matched as real ones are. Run as
``python -m easiness.benchmarks.calibration``; it prints a page in markdown, with the error rates of the report's
verdicts from `easiness.benchmarks.verdict_rates` as its last section.
"""

import argparse
import datetime
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.intervals import LEVEL
from easiness.analysis.matching.comparing import Match, compare
from easiness.analysis.matching.pairs import match_pairs
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import Frame, MatchOptions, ScoredModel, Side, make_frame, observed
from easiness.analysis.sets import overlap
from easiness.benchmarks.verdict_rates import measure, section, settings

FRACTIONS = (0.05, 0.1, 0.2)
TRIALS = (2, 3, 4, 10)
EXAMPLES = (1000, 10_000)
SHAPES = ("Gaussian", "log-normal", "bimodal", "one trial × 5", "class swings")
CLASSES = 10
SHARED_LUCK = 0.42  # correlation of two models' residuals in trials of the same seed, as measured on CIFAR-10
SWING = 0.4  # standard deviations by which a trial moves a whole class
TRUTHS = 5  # draws of the truth, and of unrelated rankings, for each interval
CEILINGS = 5  # intervals for each ceiling, which takes longer

COVERAGE, WIDTH, FALSE = (0.92, 0.98), 1.3, LEVEL


@dataclass(frozen=True)
class World:
    """Two models of N examples: how their losses are distributed, and how many trials each has."""

    shape: str  # one of `SHAPES`
    shared: bool  # whether the trials of both models have their luck in common
    examples: int
    trials: int


@dataclass(frozen=True)
class Line:
    """What was measured in one world for one fraction and one set."""

    world: World
    fraction: float
    set: str
    coverage: float  # share of 95 % intervals that hold the mean rate of fresh trials
    width: float  # mean width over that of rate ± 1.96 sd, with the sd of fresh trials' rates
    false: float  # share of unrelated rankings whose overlap passes for more than chance
    bias: float  # mean ceiling less the mean overlap of M trials with M fresh ones
    draws: int

    def complaints(self) -> list[str]:
        """Limits that the line misses by more than the luck of the simulation (1.96 standard errors)."""

        def error(share: float, draws: int) -> float:
            return 1.96 * math.sqrt(share * (1 - share) / draws)

        low, high = COVERAGE
        wrong = {
            "coverage": self.coverage < low - error(low, self.draws) or self.coverage > high + error(high, self.draws),
            "width": self.width > WIDTH,
            "false verdicts": self.false > FALSE + error(FALSE, TRUTHS * self.draws),
        }
        return [name for name, is_wrong in wrong.items() if is_wrong]


class _Truth:
    """Mean difficulty of each example for two models, and trials drawn around it."""

    def __init__(self, world: World, rng: np.random.Generator, *, related: bool = True) -> None:
        self.world, self.rng = world, rng
        self.labels_N = rng.integers(0, CLASSES, world.examples)
        # Classes differ in difficulty, in both models alike: unrelated rankings are unrelated within classes.
        classes_N = 0.3 * rng.normal(size=CLASSES)[self.labels_N]
        common_N = rng.normal(size=world.examples)
        own_2N = rng.normal(size=(2, world.examples))
        self.mean_2N = classes_N + ((common_N + 0.7 * own_2N) / math.sqrt(1.49) if related else own_2N)

    def draw(self) -> list[NDArray[np.float32]]:
        """Losses (M, N) of both models in fresh trials."""
        world, rng = self.world, self.rng
        luck_2MN = rng.standard_normal((2, world.trials, world.examples), dtype=np.float32)
        if world.shared:
            luck_2MN *= math.sqrt(1 - SHARED_LUCK)
            luck_2MN += math.sqrt(SHARED_LUCK) * rng.standard_normal(luck_2MN.shape[1:], dtype=np.float32)
        score_2MN = (self.mean_2N[:, None] + luck_2MN) / math.sqrt(2)  # about standard normal
        if world.shape == "log-normal":
            score_2MN = np.exp(1.9 * score_2MN)
        elif world.shape == "bimodal":  # a tenth is wrong, with a loss above all that are right
            score_2MN = np.exp(0.5 * score_2MN - 3) + (score_2MN > 1.3) * (3 + 0.5 * score_2MN)
        elif world.shape == "one trial × 5":
            score_2MN = np.exp(0.7 * score_2MN)
            score_2MN[:, 0] *= 5
        elif world.shape == "class swings":
            swing_2MK = SWING * rng.normal(size=(2, world.trials, CLASSES)) / math.sqrt(2)
            score_2MN = score_2MN + swing_2MK[:, :, self.labels_N]
        return list(score_2MN.astype(np.float32))


def calibrate(world: World, draws: int, *, fractions: Sequence[float] = FRACTIONS, seed: int = 0) -> Iterator[Line]:
    """Measure one world by `draws` intervals, `TRUTHS` times as many rates, and fewer ceilings."""
    rng = np.random.default_rng([seed, SHAPES.index(world.shape), world.shared, world.examples, world.trials])
    truth = _Truth(world, rng)
    fresh = [[losses_MN.mean(axis=0) for losses_MN in truth.draw()] for _ in range(TRUTHS * draws)]
    runs = [truth.draw() for _ in range(draws)]
    unrelated = [_sets(_Truth(world, rng, related=False), fractions) for _ in range(TRUTHS * draws)]
    for fraction in fractions:
        options = MatchOptions(fraction, ("global",), splits=0, threads=1)
        rows = [_match(losses, truth, options) for losses in runs]
        stepped = [_match(losses, truth, replace(options, draws=2, splits=50)) for losses in runs[::CEILINGS]]
        frame = make_frame([], truth.labels_N, options)
        sets = [_cut(pair, seed, frame) for seed, pair in enumerate(fresh)]
        for kind in KINDS:
            rates = np.array([overlap(a[kind], b[kind]) for a, b in sets])
            own = [
                np.mean([overlap(one[side][kind], other[side][kind]) for one, other in pairwise(sets)])
                for side in range(2)
            ]
            intervals = [row[kind] for row in rows]
            width = np.mean([row.high - row.low for row in intervals])
            yield Line(
                world,
                fraction,
                kind,
                coverage=float(np.mean([row.low <= rates.mean() <= row.high for row in intervals])),
                width=float(width / (2 * 1.96 * rates.std(ddof=1))),
                false=float(np.mean([row[fraction, kind].chance_p <= LEVEL for row in unrelated])),
                bias=float(np.mean([row[kind].ceiling for row in stepped]) - math.sqrt(own[0] * own[1])),
                draws=draws,
            )


def _cut(pair: Sequence[NDArray], seed: int, frame: Frame) -> list[dict[str, NDArray[np.int64]]]:
    """Easy and hard set of both models."""
    return [observed(easiness_N, "global", np.random.SeedSequence(seed), frame)[0] for easiness_N in pair]


def _match(losses: Sequence[NDArray], truth: _Truth, options: MatchOptions) -> dict[str, Match]:
    models = [ScoredModel(name, (1,), [losses_MN]) for name, losses_MN in zip("ab", losses, strict=True)]
    return {row.set: row for row in match_pairs(models, truth.labels_N, options)}


def _sets(truth: _Truth, fractions: Sequence[float]) -> dict[tuple[float, str], Match]:
    """Matches, without intervals, of one drawing of both models."""
    easiness = [losses_MN.mean(axis=0) for losses_MN in truth.draw()]
    matches = {}
    for fraction in fractions:
        frame = make_frame([], truth.labels_N, MatchOptions(fraction))
        sides = [
            Side(name, 1, 1, easiness_N, *observed(easiness_N, "global", np.random.SeedSequence(0), frame), None,
                 dict.fromkeys(KINDS, math.nan))
            for name, easiness_N in zip("ab", easiness, strict=True)
        ]  # fmt: skip
        matches |= {(fraction, row.set): row for row in compare(*sides, 1, "global", 0, frame)}
    return matches


def worlds(*, fast: bool = False) -> list[World]:
    """All worlds; the fast ones have 1,000 examples and own seeds."""
    return [
        World(shape, shared, examples, trials)
        for shared, examples, trials, shape in product(
            (False,) if fast else (False, True), EXAMPLES[: 1 if fast else None], TRIALS, SHAPES
        )
    ]


_INTRODUCTION = f"""Limits: 95 % intervals cover in {100 * COVERAGE[0]:g} to {100 * COVERAGE[1]:g} % and are at most
{WIDTH} times as wide as rate ± 1.96 sd with the sd of fresh trials known; unrelated rankings pass for shared in at most
{100 * FALSE:g} %, even without the condition that the interval lies above chance. Bias is that of the ceiling, as
a rate. A line is outside if coverage or false verdicts miss their limits by more than 1.96 standard errors of the
simulation. It has {{draws}} intervals, {{rates}} rates, as many unrelated rankings, and a ceiling for every {CEILINGS}
intervals.

Two trials a side leave two degrees of freedom, hence t = 4.30 for 1.96: their intervals are always too wide. Shared
seeds: in trials of the same number, the residuals of both models correlate by {SHARED_LUCK}, while the trials of each
model are reweighted on their own."""


def page(lines: Sequence[Line], command: str) -> str:
    """Summary by number of trials, and all lines with the limits that they miss, in markdown."""
    parts = [
        "# Calibration of the matching",
        f"`{command}`, {datetime.date.today().isoformat()}.",
        _INTRODUCTION.format(draws=lines[0].draws, rates=TRUTHS * lines[0].draws),
        "## By number of trials",
        _rows(
            ["seeds", "N", "M", "coverage (range)", "width (most)", "false (most)", "bias (range)", "lines outside"],
            [_summary(key, lines) for key in dict.fromkeys(map(_group, lines))],
        ),
        "## All lines",
        _rows(
            ["losses", "seeds", "N", "M", "fraction", "set", "coverage", "width", "false", "bias", "outside"],
            [
                [line.world.shape, *_group(line), line.fraction, line.set, f"{line.coverage:.2f}", f"{line.width:.2f}",
                 f"{line.false:.3f}", f"{line.bias:+.3f}", ", ".join(line.complaints())] for line in lines
            ],
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _summary(key: tuple, lines: Sequence[Line]) -> list[object]:
    lines = [line for line in lines if _group(line) == key]
    columns = {name: np.array([getattr(line, name) for line in lines])
               for name in ("coverage", "width", "false", "bias")}  # fmt: skip
    coverage, width, false, bias = columns.values()
    outside = sum(bool(line.complaints()) for line in lines)
    return [
        *key,
        f"{coverage.mean():.3f} ({coverage.min():.2f} to {coverage.max():.2f})",
        f"{width.mean():.2f} ({width.max():.2f})",
        f"{false.mean():.3f} ({false.max():.3f})",
        f"{bias.mean():+.3f} ({bias.min():+.3f} to {bias.max():+.3f})",
        f"{outside} of {len(lines)}",
    ]


def _group(line: Line) -> tuple[str, int, int]:
    return "shared" if line.world.shared else "own", line.world.examples, line.world.trials


def _rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    table = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page, its section on verdicts, or both."""
    parser = argparse.ArgumentParser(prog="python -m easiness.benchmarks.calibration", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("matching", "verdicts"), help="both if not given")
    parser.add_argument("--draws", type=int, default=1000, help="intervals in each setting")
    parser.add_argument("--fast", action="store_true", help="1,000 examples and own seeds only")
    options = parser.parse_args(arguments)
    lines: list[Line] = []
    chosen = worlds(fast=options.fast) if options.part != "verdicts" else []
    for number, world in enumerate(chosen, 1):
        lines += calibrate(world, options.draws)
        print(f"{number} of {len(chosen)}: {world}", file=sys.stderr, flush=True)
    command = "python -m easiness.benchmarks.calibration"
    drawn = f"--draws {options.draws}{' --fast' if options.fast else ''}"
    if lines:
        print(page(lines, f"{command} matching {drawn}"))
    if options.part != "matching":
        rates = []
        for setting in settings():
            rates.append(measure(setting, options.draws))
            print(f"{setting.rule}: {setting.drawn}", file=sys.stderr, flush=True)
        print(section(rates, f"{command} verdicts --draws {options.draws}", datetime.date.today().isoformat()), end="")


if __name__ == "__main__":
    main()
