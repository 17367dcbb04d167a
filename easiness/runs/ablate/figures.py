"""Figures of an ablation, from its tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from easiness.figures import (
    AccuracyCurve,
    DifferenceCurve,
    Figure,
    accuracy_against_removed,
    paired_differences,
    removal_heatmap,
)


def ablation_figures(
    accuracy: pd.DataFrame, removed: pd.DataFrame, differences: pd.DataFrame, strategies: Sequence[str], title: str
) -> dict[str, Figure]:
    """Draw Fig. 4 against ratio, updates and seconds, differences to random, the worst class, and what was removed.

    Figures by name, from `easiness.runs.ablate.tables`; those of a table without rows are left out.
    """
    whole = accuracy[accuracy["ratio"] == 0]
    strategies = [strategy for strategy in strategies if (accuracy["strategy"] == strategy).any()]
    drawn = {}
    if strategies:
        unablated = float(whole["accuracy"].mean())
        for axis in ("ratio", "updates", "seconds"):
            name = "accuracy" if axis == "ratio" else f"accuracy_by_{axis}"
            curves = [accuracy_curve(accuracy, strategy, axis) for strategy in strategies]
            heading = f"What examples are worth: {title}"
            drawn[name] = accuracy_against_removed(curves, axis=axis, unablated=unablated, title=heading)
        curves = [accuracy_curve(accuracy, strategy, "ratio", "worst_class_accuracy") for strategy in strategies]
        worst = float(whole["worst_class_accuracy"].mean())
        what, heading = "accuracy of the worst class", f"The worst class: {title}"
        drawn["worst_class"] = accuracy_against_removed(curves, what=what, unablated=worst, title=heading)
    if len(differences):
        drawn["differences"] = paired_differences(
            difference_curves(differences), title=f"Compared with random: {title}"
        )
    if len(removed):
        deciles = removed[removed["grouping"] == "decile"]
        shares = deciles.pivot_table(index=["strategy", "ratio"], columns="group", values="share", aggfunc="mean")
        rows = [key for strategy in strategies for key in shares.index if key[0] == strategy]
        shares_RD = shares.loc[rows, [str(decile) for decile in range(1, 11)]].to_numpy()
        names = [f"{strategy} {100 * ratio:g} %" for strategy, ratio in rows]
        drawn["removed"] = removal_heatmap(shares_RD, names, title=f"What was really removed: {title}")
    return drawn


def accuracy_curve(accuracy: pd.DataFrame, strategy: str, axis: str, measure: str = "accuracy") -> AccuracyCurve:
    """One strategy's line: the mean over seeds of a measure, with the range of the seeds."""
    arms = accuracy[accuracy["strategy"] == strategy]
    seeds_PS = arms.pivot_table(index="ratio", columns="seed", values=measure).to_numpy()
    x_PS = arms.assign(x=arms[axis]).pivot_table(index="ratio", columns="seed", values="x").to_numpy()
    curve = AccuracyCurve(name=strategy, x=x_PS.mean(axis=1), accuracy=seeds_PS.mean(axis=1), seeds_PS=seeds_PS)
    if seeds_PS.shape[1] > 1:
        curve |= {"low": seeds_PS.min(axis=1), "high": seeds_PS.max(axis=1)}
    if axis == "seconds":
        curve["seeds_x_PS"] = x_PS
    return curve


def difference_curves(differences: pd.DataFrame) -> list[DifferenceCurve]:
    """One curve for each strategy, in the order of the table."""
    return [
        DifferenceCurve(
            name=strategy,
            **{name: np.asarray(group[name], np.float64) for name in ("ratio", "difference", "low", "high")},
        )
        for strategy, group in differences.groupby("strategy", sort=False)
    ]
