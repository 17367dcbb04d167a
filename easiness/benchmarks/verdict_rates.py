"""Error rates of the report's verdicts: drawn data with known answers, judged as a report judges real ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easiness.analysis.diversity import diversity
from easiness.analysis.matching.pairs import match_moments, match_pairs
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.reporting.ablation_claims import (
    hard_worth_more,
    many_easy_hurt,
    stepwise_beats_easy,
    stepwise_beats_random,
)
from easiness.reporting.claims import FAILS, HOLDS, Verdict, changing_sets, diverse_sets, shared_sets
from easiness.runs.match.tables import match_table

SHAPES = ("Gaussian", "log-normal", "bimodal")
EXAMPLES, TRIALS, CLASSES = 1000, 4, 10
MATCHED = 20  # draws of accuracies and pictures for each draw of losses, which takes longer

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
LUCK, POINT = 0.005, 0.01  # standard deviation of an arm's accuracy, and the effect

PICTURES, SIDE, PICTURED = 50, 6, 3  # images of a set, their side in pixels, classes
ALIKE, STEP = 0.3, 0.05  # correlation of two random images, and between sets

_ABLATION = {
    "hard": (hard_worth_more, {"hard": -POINT}),
    "many": (many_easy_hurt, {"easy": -POINT}),
    "stepwise_easy": (stepwise_beats_easy, {"stepwise": POINT}),
    "stepwise_random": (stepwise_beats_random, {"stepwise": POINT}),
}


@dataclass(frozen=True)
class Setting:
    """Data that a rule judges; `judge` draws them anew and judges them."""

    rule: str  # key of `easiness.reporting.rules.RULES`
    drawn: str
    is_there: bool  # whether the claim is true
    judge: Callable[[np.random.Generator], list[Verdict]]
    slow: bool = False


@dataclass(frozen=True)
class Rate:
    """Share of verdicts that a claim holds, and that it does not, in one setting."""

    setting: Setting
    verdicts: int
    holds: float
    fails: float


def settings() -> list[Setting]:
    """All settings, by rule."""
    nothing = partial(_shared, 0.0)
    lists = [
        *(Setting("shared", f"unrelated rankings, {shape}", False, partial(nothing, shape), True) for shape in SHAPES),
        Setting("shared", "true difficulties correlate by 0.5", True, partial(_shared, 0.5, "log-normal"), True),
        *(
            Setting("changing", f"unchanged, {shape}, noise 1.5 to 0.5", False, partial(_changing, 1.0, shape), True)
            for shape in SHAPES
        ),
        Setting("changing", "true difficulties correlate by 0.8", True, partial(_changing, 0.8, "log-normal"), True),
        Setting("diverse", "nothing differs", False, partial(_diverse, (0, 0), (1, 1, 1))),
        Setting("diverse", "contrast alone differs, by factors of 2", False, partial(_diverse, (0, 0), (0.5, 1, 2))),
        Setting("diverse", "easy alone differs", False, partial(_diverse, (STEP, 0), (1, 1, 1))),
        Setting("diverse", f"both steps of {STEP:g}", True, partial(_diverse, (STEP, STEP), (1, 1, 1))),
    ]
    for rule, (judge, worth) in _ABLATION.items():
        counts = (3, 5) if rule == "hard" else (5,)
        for seeds in counts:
            lists.append(Setting(rule, f"equal arms, {seeds} seeds", False, partial(_ablated, judge, {}, seeds)))
        if rule == "hard":
            both = {"hard": -3 * POINT, "easy": -3 * POINT}
            alone = "hard as easy, 3 points below random, 5 seeds"
            lists.append(Setting(rule, alone, False, partial(_ablated, judge, both, 5)))
        for seeds in counts:
            lists.append(Setting(rule, f"one point, {seeds} seeds", True, partial(_ablated, judge, worth, seeds)))
    return lists


def measure(setting: Setting, draws: int, seed: int = 0) -> Rate:
    """Judge `draws` drawings; of losses, one in `MATCHED` of them."""
    rng = np.random.default_rng([seed, *setting.drawn.encode(), *setting.rule.encode()])
    drawings = max(1, draws // MATCHED) if setting.slow else draws
    verdicts = [found.verdict for _ in range(drawings) for found in setting.judge(rng)]
    return Rate(setting, len(verdicts), verdicts.count(HOLDS) / len(verdicts), verdicts.count(FAILS) / len(verdicts))


def section(rates: Sequence[Rate], command: str, date: str) -> str:
    """Lines of all settings in markdown."""
    rows = [
        "| rule | drawn | claim is true | verdicts | holds | does not hold |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {rate.setting.rule} | {rate.setting.drawn} | {'yes' if rate.setting.is_there else 'no'} | "
            f"{rate.verdicts} | {rate.holds:.3f} | {rate.fails:.3f} |"
            for rate in rates
        ),
    ]
    return f"## Verdicts\n\n`{command}`, {date}.\n\n{_INTRODUCTION}\n\n" + "\n".join(rows) + "\n"


_INTRODUCTION = f"""Every line draws data with a known answer, and judges them by the functions that judge a report's.
Where the claim is not true, "holds" is the false verdict, and may be said in 2.5 % of cases; the verdict that is left
is "cannot tell". Losses: two models, or two moments, with {TRIALS} trials of {EXAMPLES:,} examples; {CLASSES} classes
that differ in difficulty; sets of a tenth; easy and hard sets are two verdicts. Noise is in standard deviations of the
true difficulty. Pictures: {PICTURED} classes, {PICTURES} images a set, of which two correlate by {ALIKE:g}. Accuracies:
ratios {", ".join(f"{100 * ratio:g}" for ratio in RATIOS)} %, {100 * LUCK:g} points of luck in each arm beside that of
its seed."""


def _losses(
    rng: np.random.Generator, correlation: float, shapes: tuple[str, str], noise: tuple[float, float]
) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    """Losses (M, N) of two models or moments whose true difficulties correlate, within classes; and labels."""
    labels_N = rng.integers(0, CLASSES, EXAMPLES)
    classes_N = 0.3 * rng.normal(size=CLASSES)[labels_N]
    one_N, other_N = rng.normal(size=(2, EXAMPLES))
    losses = []
    for mean_N, shape, spread in zip(
        (one_N, correlation * one_N + math.sqrt(1 - correlation**2) * other_N), shapes, noise, strict=True
    ):
        score_MN = classes_N + mean_N + spread * rng.normal(size=(TRIALS, EXAMPLES))
        score_MN /= math.hypot(1, spread)
        if shape == "log-normal":
            score_MN = np.exp(1.9 * score_MN)
        elif shape == "bimodal":  # a tenth is wrong, with a loss above all that are right
            score_MN = np.exp(0.5 * score_MN - 3) + (score_MN > 1.3) * (3 + 0.5 * score_MN)
        losses.append(score_MN.astype(np.float32))
    return losses, labels_N


def _shared(correlation: float, shape: str, rng: np.random.Generator) -> list[Verdict]:
    losses, labels_N = _losses(rng, correlation, (shape, shape), (1, 1))
    models = [ScoredModel(name, (1,), [losses_MN]) for name, losses_MN in zip("ab", losses, strict=True)]
    options = MatchOptions(splits=0, seed=int(rng.integers(1 << 31)), threads=1)
    pairs = match_table(match_pairs(models, labels_N, options))
    return [shared_sets(pairs, kind) for kind in KINDS]


def _changing(correlation: float, shape: str, rng: np.random.Generator) -> list[Verdict]:
    """First moments are noisy, and never right or wrong alone."""
    first = "Gaussian" if shape == "bimodal" else shape
    losses, labels_N = _losses(rng, correlation, (first, shape), (1.5, 0.5))
    options = MatchOptions(scopes=("global",), seed=int(rng.integers(1 << 31)), threads=1)
    moments = match_table(match_moments(ScoredModel("a", (1, 2), losses), labels_N, options))
    return [changing_sets(moments, kind, {"a": {"epochs": 300, "schedule_epochs": 300}}) for kind in KINDS]


def _diverse(
    steps: tuple[float, float], contrasts: tuple[float, float, float], rng: np.random.Generator
) -> list[Verdict]:
    likeness = {"easy": ALIKE + steps[0], "random": ALIKE, "hard": ALIKE - steps[1]}
    rows = []
    for number in range(PICTURED):
        same = rng.normal(size=(SIDE, SIDE, 3))
        for (name, alike), contrast in zip(likeness.items(), contrasts, strict=True):
            own = rng.normal(size=(PICTURES, SIDE, SIDE, 3))
            images = 128 + 20 * contrast * (math.sqrt(alike) * same + math.sqrt(1 - alike) * own)
            measured = diversity(np.clip(np.round(images), 0, 255).astype(np.uint8))
            row = {"class_name": number, "model": "a", "set": name, "images": PICTURES}
            rows.append(row | {"diversity": measured.diversity, "error": measured.error})
    return [diverse_sets(pd.DataFrame(rows))]


def _ablated(
    judge: Callable[[pd.DataFrame], Verdict], worth: dict[str, float], seeds: int, rng: np.random.Generator
) -> list[Verdict]:
    """One table of accuracies, in which a strategy is worth so much more at every ratio."""
    luck_S = rng.normal(0.9, 2 * LUCK, seeds)
    rows = [
        (strategy, ratio, seed, luck_S[seed] + worth.get(strategy, 0.0) + rng.normal(0, LUCK))
        for strategy, ratio, seed in product(("easy", "hard", "random", "stepwise"), RATIOS, range(seeds))
    ]
    return [judge(pd.DataFrame(rows, columns=["strategy", "ratio", "seed", "accuracy"]))]
