"""Figures of an ablation, from its tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from easiness.figures import (
    AccuracyCurve,
    DifferenceCurve,
    accuracy_against_removed,
    paired_differences,
    removal_heatmap,
    save,
    worst_class,
)


def write_figures(
    folder: Path,
    accuracy: pd.DataFrame,
    removed: pd.DataFrame,
    differences: pd.DataFrame,
    strategies: Sequence[str],
    title: str,
) -> None:
    """Write Fig. 4 against ratio, updates and seconds, differences to random, the worst class, and what was removed.

    Parameters
    ----------
    folder : pathlib.Path
        Made if need be.
    accuracy, removed, differences : pandas.DataFrame
        From `easiness.ablation_tables`.
    strategies : sequence of str
        In the order of the legend.
    title : str
        What it is about: the model and the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = accuracy[accuracy["ratio"] == 0]
    unablated = float(whole["accuracy"].mean())
    for axis in ("ratio", "updates", "seconds"):
        name = "accuracy" if axis == "ratio" else f"accuracy_by_{axis}"
        curves = [accuracy_curve(accuracy, strategy, axis) for strategy in strategies]
        save(
            accuracy_against_removed(curves, axis=axis, unablated=unablated, title=f"What examples are worth: {title}"),
            folder / f"{name}.png",
        )
    curves = [accuracy_curve(accuracy, strategy, "ratio", "worst_class_accuracy") for strategy in strategies]
    worst = float(whole["worst_class_accuracy"].mean())
    save(worst_class(curves, unablated=worst, title=f"The worst class: {title}"), folder / "worst_class.png")
    if len(differences):
        figure = paired_differences(difference_curves(differences), title=f"Compared with random: {title}")
        save(figure, folder / "differences.png")
    deciles = removed[removed["grouping"] == "decile"]
    shares = deciles.pivot_table(index=["strategy", "ratio"], columns="group", values="share", aggfunc="mean")
    rows = [key for strategy in strategies for key in shares.index if key[0] == strategy]
    shares_RD = shares.loc[rows, [str(decile) for decile in range(1, 11)]].to_numpy()
    names = [f"{strategy} {100 * ratio:g} %" for strategy, ratio in rows]
    save(removal_heatmap(shares_RD, names, title=f"What was really removed: {title}"), folder / "removed.png")


def accuracy_curve(accuracy: pd.DataFrame, strategy: str, axis: str, measure: str = "accuracy") -> AccuracyCurve:
    """One strategy's line: the mean over seeds of a measure, with the range of the seeds."""
    own = accuracy[accuracy["strategy"] == strategy]
    seeds_PS = own.pivot_table(index="ratio", columns="seed", values=measure).to_numpy()
    x_PS = own.assign(x=own[axis]).pivot_table(index="ratio", columns="seed", values="x").to_numpy()
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
