"""Trials needed: how far predictions from few trials come true with many.

Losses are drawn from known truths in ways that the model behind the predictions knows, and in ways that it does not.
Run as ``python -m easiness.benchmarks.trials_needed``; it prints a page in markdown.
"""

import argparse
import datetime
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import CUT, MatchOptions, ScoredModel
from easiness.analysis.matching.trials_needed import COUNTS, overlap_of, predict_repeats, trials_needed
from easiness.analysis.sets import overlap

EXAMPLES = (1000, 10_000)
MEASURED = (4, 10)  # trials behind a prediction
ASKED = (10, 29, 100)  # trials that are predicted
TARGET = 0.8
CLASSES = 10
TRUTHS = 6  # courses of 100 fresh trials; any two of them are matched


@dataclass(frozen=True)
class World:
    """One model of N examples, and how its trials scatter."""

    name: str
    examples: int

    def draw(self, trials: int, mean_N: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
        """Losses (trials, N) around the mean difficulty of each example."""
        noise_MN = rng.standard_normal((trials, len(mean_N)), dtype=np.float32)
        score_MN = (mean_N + noise_MN) / math.sqrt(2)
        if self.name == "log-normal":
            score_MN = np.exp(1.9 * score_MN)
        elif self.name == "right or wrong":  # a tenth is wrong, with a loss above all that are right
            score_MN = np.exp(0.5 * score_MN - 3) + (score_MN > 1.3) * (3 + 0.5 * score_MN)
        elif self.name == "class swings":
            labels_N = np.arange(len(mean_N)) % CLASSES
            score_MN = score_MN + 0.3 * rng.normal(size=(trials, CLASSES))[:, labels_N]
        elif self.name == "heavy tails":
            score_MN = mean_N + rng.standard_t(3, size=noise_MN.shape) / 1.7
        elif self.name == "noisier the harder":
            score_MN = np.logaddexp(0, 2 * (mean_N + np.exp(0.4 * mean_N) * noise_MN))
        elif self.name == "rare spikes":  # a log-normal part of its own on every loss
            score_MN = np.exp(mean_N) + np.exp(1.2 * noise_MN + 0.5 * mean_N)
        elif self.name == "rare mistakes":  # each example is wrong in a share of trials of its own
            wrong_MN = rng.random(noise_MN.shape) < 1 / (1 + np.exp(4 - 1.5 * mean_N))
            score_MN = np.exp(0.3 * (mean_N + noise_MN) - 3) + wrong_MN * (2 + 0.3 * noise_MN)
        return score_MN.astype(np.float32)


NAMES = (
    "normal",
    "log-normal",
    "right or wrong",
    "class swings",
    "heavy tails",
    "noisier the harder",
    "rare spikes",
    "rare mistakes",
)


@dataclass(frozen=True)
class Line:
    """Predictions from so many trials in one world, of one set."""

    world: World
    measured: int
    set: str
    # For each of `ASKED`: true overlap, mean error of the prediction and its sd, mean distance of the truth from the
    # range (0 inside).
    truth: list[float]
    error: list[float]
    sd: list[float]
    outside: list[float]
    needed: float  # trials that reach `TARGET`; infinite = more than 100
    ratio: float  # geometric mean of predicted over true number; NaN where one of them is more than 100


def measure(world: World, draws: int, seed: int = 0) -> Iterator[Line]:
    """Predict `draws` times from fresh trials, and compare with what many trials share."""
    rng = np.random.default_rng([seed, NAMES.index(world.name), world.examples])
    mean_N = rng.normal(size=world.examples)
    truth = _truth(world, mean_N, rng)
    labels_N, options = np.zeros(world.examples, int), MatchOptions(scopes=("global",), threads=1)
    for measured in MEASURED:
        rows = [
            row
            for number in range(draws)
            for row in predict_repeats(
                ScoredModel(f"{number}", (1,), [world.draw(measured, mean_N, rng)]), labels_N, options
            )
        ]
        for kind in KINDS:
            of_set = [row for row in rows if row.set == kind]
            true_A = np.array([truth[kind][COUNTS.index(asked)] for asked in ASKED])
            predicted, low, high = (
                np.array([[overlap_of(asked, getattr(row, name)) for asked in ASKED] for row in of_set])
                for name in ("overlap_G", "low_G", "high_G")
            )
            needed = trials_needed(truth[kind], TARGET)
            told = np.array([trials_needed(row.overlap_G, TARGET) for row in of_set])
            known = math.isfinite(needed) and np.isfinite(told).all()
            yield Line(
                world,
                measured,
                kind,
                truth=true_A.tolist(),
                error=(predicted - true_A).mean(axis=0).tolist(),
                sd=predicted.std(axis=0).tolist(),
                outside=np.maximum(0, np.maximum(low - true_A, true_A - high)).mean(axis=0).tolist(),
                needed=needed,
                ratio=float(np.exp(np.log(told / needed).mean())) if known else math.nan,
            )


def _truth(world: World, mean_N: NDArray, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Overlap of so many trials with as many fresh ones, for `COUNTS`."""
    sums = np.zeros((TRUTHS, world.examples))
    shared = {kind: [] for kind in KINDS}
    for done in range(1, COUNTS[-1] + 1):
        sums += world.draw(TRUTHS, mean_N, rng)
        if done in COUNTS:
            for kind in KINDS:
                sets = [CUT[kind](sum_N) for sum_N in sums]
                shared[kind].append(np.mean([overlap(a, b) for a, b in combinations(sets, 2)]))
    return {kind: np.maximum.accumulate(shared[kind]) for kind in KINDS}


_INTRODUCTION = """How much of the easiest and the hardest tenth of M trials would M fresh trials find again? Predicted
from 4 and from 10 trials for {asked} trials, and compared with as many trials drawn afresh, {draws} predictions each.
Error is predicted less true overlap, ± its standard deviation from one prediction to another; *out* is how far the
truth lies from the range that stands beside the prediction, on average (0 = inside). *Needed* is the number of trials
that finds {target:g} of the set again, and *ratio* the predicted number over it.

Normal, log-normal and right-or-wrong losses follow the model behind the predictions; in the others noise is of another
shape, shared by a class, or not the same for easy and for hard examples. With two or three trials nothing is said:
their halves are single trials, which do not show whether noise is the same at both ends."""


def page(lines: Sequence[Line], command: str, draws: int) -> str:
    """All lines, in markdown."""
    asked = f"{', '.join(map(str, ASKED[:-1]))} and {ASKED[-1]}"
    columns = ["trials", "N", "M", "set", *(f"error at {asked}" for asked in ASKED), "out", "needed", "ratio"]
    rows = [
        [
            line.world.name,
            line.world.examples,
            line.measured,
            line.set,
            *(f"{error:+.3f} ± {sd:.3f}" for error, sd in zip(line.error, line.sd, strict=True)),
            f"{max(line.outside):.3f}",
            f"{line.needed:.0f}" if math.isfinite(line.needed) else f"> {COUNTS[-1]}",
            "–" if math.isnan(line.ratio) else f"{line.ratio:.2f}",
        ]
        for line in lines
    ]
    table = "\n".join(f"| {' | '.join(map(str, row))} |" for row in [columns, ["---"] * len(columns), *rows])
    parts = [
        "# Trials needed",
        f"`{command}`, {datetime.date.today().isoformat()}.",
        _INTRODUCTION.format(asked=asked, draws=draws, target=TARGET),
        "## In short",
        _summary(lines),
        "## All lines",
        table,
    ]
    return "\n\n".join(parts) + "\n"


def _summary(lines: Sequence[Line]) -> str:
    said = []
    for measured in MEASURED:
        for examples in EXAMPLES:
            some = [line for line in lines if (line.measured, line.world.examples) == (measured, examples)]
            if some:
                off = max(some, key=lambda line: max(map(abs, line.error)))
                size = np.sqrt(
                    np.mean(np.square([line.error for line in some]) + np.square([line.sd for line in some]))
                )
                ratios = [line.ratio for line in some if math.isfinite(line.ratio)] or [math.nan]
                said.append(
                    f"- From {measured} trials of {examples:,} examples: root mean square error {size:.3f}; largest "
                    f"mean error {max(map(abs, off.error)):.3f} ({off.world.name}, {off.set}); predicted over true "
                    f"number needed {min(ratios):.2f} to {max(ratios):.2f}."
                )
    return "\n".join(said)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(prog="python -m easiness.benchmarks.trials_needed", description=__doc__)
    parser.add_argument("--draws", type=int, default=50, help="predictions in each setting")
    parser.add_argument("--fast", action="store_true", help="1,000 examples only")
    options = parser.parse_args(arguments)
    worlds = [World(name, examples) for examples in EXAMPLES[: 1 if options.fast else None] for name in NAMES]
    lines: list[Line] = []
    for number, world in enumerate(worlds, 1):
        lines += measure(world, options.draws)
        print(f"{number} of {len(worlds)}: {world}", file=sys.stderr, flush=True)
    command = f"python -m easiness.benchmarks.trials_needed --draws {options.draws}{' --fast' if options.fast else ''}"
    print(page(lines, command, options.draws), end="")


if __name__ == "__main__":
    main()
