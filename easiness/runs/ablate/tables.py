"""Results of an ablation as tables and sentences: accuracy of every arm, shares that it removed, their cost."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from easiness.analysis.intervals import paired_difference
from easiness.analysis.removal import removed_shares
from easiness.datasets import Dataset
from easiness.runs.ablate.arms import NOTHING, FinishedArm
from easiness.runs.ablate.plan import Plan
from easiness.runs.setup import TrainingSetup

KEYS = ("strategy", "ratio", "seed")


def ablation_tables(
    arms: Sequence[FinishedArm], setup: TrainingSetup, plan: Plan, easiness_SN: np.ndarray
) -> dict[str, pd.DataFrame]:
    """All tables of an ablation, by the name of their file."""
    train, val = setup.train, setup.val
    accuracy = accuracy_table(arms, val)
    class_names = np.asarray(val.class_names, object)[val.labels]
    tables = {
        "accuracy": accuracy,
        "class_accuracy": group_accuracy_table(arms, class_names, "class_name"),
        "removed": removed_table(arms, train, easiness_SN, setup.recipe.seed),
        "differences": differences_table(accuracy, plan.strategies),
        "costs": costs_table(accuracy, plan.strategies),
    }
    if val.groups is not None:
        tables["group_accuracy"] = group_accuracy_table(arms, val.groups, "group")
    return tables


def accuracy_table(finished: Sequence[FinishedArm], val: Dataset) -> pd.DataFrame:
    """One row per arm; accuracies are fractions, seconds those of training alone.

    Columns strategy, ratio, seed, accuracy (last epoch), best_accuracy (of all validated epochs), worst_class_accuracy,
    worst_class, images (kept), updates, seconds, run_id.
    """
    rows = []
    for done in finished:
        classes = mean_by_group(done.correct, np.asarray(val.class_names, object)[val.labels])
        worst = min(classes, key=classes.get)
        rows.append(
            {
                **_keys(done),
                "accuracy": done.epochs[-1]["val_accuracy"],
                "best_accuracy": max(epoch["val_accuracy"] for epoch in done.epochs if "val_accuracy" in epoch),
                "worst_class_accuracy": classes[worst],
                "worst_class": worst,
                "images": len(done.arm.kept),
                "updates": done.epochs[-1]["update"],
                "seconds": done.epochs[-1]["training_seconds"],
                "run_id": done.run_id,
            }
        )
    return pd.DataFrame(rows)


def group_accuracy_table(finished: Sequence[FinishedArm], names_N: np.ndarray, column: str) -> pd.DataFrame:
    """Accuracy on each group of validation examples: columns strategy, ratio, seed, `column`, accuracy."""
    return pd.DataFrame(
        [
            {**_keys(done), column: name, "accuracy": accuracy}
            for done in finished
            for name, accuracy in mean_by_group(done.correct, names_N).items()
        ]
    )


def mean_by_group(flags_N: np.ndarray, names_N: np.ndarray) -> dict[str, float]:
    """Share of examples with a flag (right answers, removed ones) by name of group, in the order of the names.

    Examples
    --------
    >>> mean_by_group(np.array([1, 0, 1]), np.array(["cat", "cat", "dog"]))
    {'cat': 0.5, 'dog': 1.0}
    """
    return {str(name): float(flags_N[names_N == name].mean(dtype=np.float64)) for name in np.unique(names_N)}


def removed_table(finished: Sequence[FinishedArm], train: Dataset, easiness_SN: np.ndarray, seed: int) -> pd.DataFrame:
    """Share that every arm removed of each difficulty decile, class and, where the truth is known, group.

    Deciles are those of the scores of the arm's seed. Columns strategy, ratio, seed, grouping (decile, class or group),
    group (decile 1 = easiest … 10 = hardest, or a name), share. `seed` breaks ties between deciles.
    """
    rows = []
    for done in finished:
        if done.arm.strategy == NOTHING:
            continue
        gone_N = np.ones(len(train), bool)
        gone_N[done.arm.kept] = False
        shares = removed_shares(
            easiness_SN[done.arm.seed], train.labels, np.flatnonzero(gone_N), num_classes=train.num_classes, seed=seed
        )
        groups = {
            "decile": {str(decile): share for decile, share in enumerate(shares.deciles, 1)},
            "class": dict(zip(train.class_names, shares.classes, strict=True)),
        }
        if train.groups is not None:
            groups["group"] = mean_by_group(gone_N, train.groups)
        rows += [
            {**_keys(done), "grouping": grouping, "group": name, "share": share}
            for grouping, members in groups.items()
            for name, share in members.items()
        ]
    return pd.DataFrame(rows)


def differences_table(accuracy: pd.DataFrame, strategies: Sequence[str]) -> pd.DataFrame:
    """Accuracy minus that of `random` at the same ratio and seed; above 0 = better than random.

    Columns strategy, ratio, difference (mean over seeds, a fraction), low, high (95 % interval by Student's t over
    seeds, paired; NaN for one seed), seeds. Empty where random was not among the strategies.
    """
    others = [strategy for strategy in strategies if strategy != "random"]
    return _against(accuracy, others, lambda ratio: ("random", ratio))


def costs_table(accuracy: pd.DataFrame, strategies: Sequence[str]) -> pd.DataFrame:
    """Accuracy minus that with nothing removed, at the same seed, below 0 = it costs; else as `differences_table`."""
    return _against(accuracy, strategies, lambda ratio: (NOTHING, 0.0))


def accuracy_curves(accuracy: pd.DataFrame) -> list[dict[str, float]]:
    """Metrics of an ablation: `accuracy_<strategy>`, a share, mean over seeds, with the percent removed as the step.

    `accuracy_full` is that with nothing removed.
    """
    means = accuracy.groupby(["ratio", "strategy"])["accuracy"].mean()
    return [
        {"epoch": round(100 * ratio), f"accuracy_{'full' if strategy == NOTHING else strategy}": float(mean)}
        for (ratio, strategy), mean in means.items()
    ]


def sentences(costs: pd.DataFrame) -> list[str]:
    """Say what each ratio costs, one line for each, the cheapest strategy first; ± is half of the 95 % interval."""
    lines = []
    for ratio, group in costs.groupby("ratio"):
        parts = []
        for row in group.sort_values("difference", ascending=False, kind="stable").itertuples():
            points = 100 * row.difference
            spread = "" if np.isnan(row.low) else f" ± {100 * (row.high - row.low) / 2:.1f}"
            verb = "costs" if round(points, 1) <= 0 else "gains"
            parts.append(f"{row.strategy} {verb} {abs(points):.1f}{spread}")
        parts[0] += " points"
        lines.append(f"removing {100 * ratio:g} %: {'; '.join(parts)}")
    return lines


def _against(
    accuracy: pd.DataFrame, strategies: Sequence[str], reference: Callable[[float], tuple[str, float]]
) -> pd.DataFrame:
    by_arm = {key: group.sort_values("seed")["accuracy"] for key, group in accuracy.groupby(["strategy", "ratio"])}
    rows = []
    for strategy in strategies:
        for ratio in sorted(ratio for name, ratio in by_arm if name == strategy):
            if reference(ratio) in by_arm:
                paired = paired_difference(by_arm[strategy, ratio], by_arm[reference(ratio)])
                rows.append((strategy, ratio, paired.mean, paired.low, paired.high, paired.pairs))
    return pd.DataFrame(rows, columns=["strategy", "ratio", "difference", "low", "high", "seeds"])


def _keys(done: FinishedArm) -> dict[str, object]:
    return {name: getattr(done.arm, name) for name in KEYS}
