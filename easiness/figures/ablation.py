"""Accuracy after removing examples, and the share of each difficulty decile that was removed."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from easiness.figures import style
from easiness.figures.matching import shares_heatmap

X_LABELS = {
    "ratio": "ablation ratio (share of the training set removed)",
    "updates": "updates of training · fewer = cheaper",
    "seconds": "seconds of training · fewer = cheaper",
}


class AccuracyCurve(TypedDict):
    """One strategy at P points; accuracies are fractions, NaN = unknown."""

    name: str
    x: style.Vector  # (P,) ablation ratios, updates or seconds, in the order of the line
    accuracy: style.Vector  # (P,) mean over seeds
    low: NotRequired[style.Vector]  # (P,) spread over seeds
    high: NotRequired[style.Vector]
    seeds_PS: NotRequired[np.ndarray]  # (P, S) accuracy of each seed
    seeds_x_PS: NotRequired[np.ndarray]  # (P, S) x of each seed where seeds differ in it, as in seconds; `x` otherwise


class DifferenceCurve(TypedDict):
    """One strategy against `random` at P ratios; differences of accuracies as fractions, NaN = unknown."""

    name: str
    ratio: style.Vector
    difference: style.Vector  # (P,) mean over seeds of accuracy minus `random`'s at the same seed; above 0 = better
    low: NotRequired[style.Vector]  # (P,) ends of its 95 % interval
    high: NotRequired[style.Vector]


@style.house_style
def accuracy_against_removed(
    curves: Sequence[AccuracyCurve],
    *,
    axis: Literal["ratio", "updates", "seconds"] = "ratio",
    what: str = "accuracy",
    unablated: float | None = None,
    title: str = "",
) -> Figure:
    """Draw accuracy after removing examples, one line per strategy, its seeds as faint points.

    As Fig. 4 of Kishida & Nakayama, "Empirical Study of Easy and Hard Examples in CNN Training", 2019. `axis` is what
    `x` of the curves counts; `what` names the accuracy. `unablated`, with nothing removed, is a dotted line.
    """
    _require_curves(curves)
    if axis not in X_LABELS:
        raise ValueError(f"axis is {axis!r}; choose one of {', '.join(X_LABELS)}")
    figure, [axes] = style.stacked_panels([3.6], title=title)
    handles = []
    for index, curve in enumerate(curves):
        name = curve["name"]
        x = style.as_vector(curve["x"], "x")
        accuracy = style.as_vector(curve["accuracy"], f"accuracy of {name!r}", like=x)
        colour, marker = style.colour_and_marker(name, index)
        style.draw_interval(axes, curve, x, colour, band=True)
        if "seeds_PS" in curve:
            seeds_PS = np.asarray(curve["seeds_PS"], dtype=np.float64)
            if seeds_PS.ndim != 2 or len(seeds_PS) != x.size:
                raise ValueError(f"seeds_PS of {name!r} has shape {seeds_PS.shape}; give {x.size} rows")
            seeds_x_PS = np.broadcast_to(curve.get("seeds_x_PS", x[:, None]), seeds_PS.shape)
            axes.scatter(seeds_x_PS, seeds_PS, s=14, color=colour, alpha=0.35, linewidths=0)
        axes.plot(x, accuracy, color=colour, marker=marker, label=name)
        handles.append(style.legend_line(name, colour, marker))
    if unablated is not None:
        axes.axhline(unablated, color=style.INK, linewidth=1.3, dashes=style.DOTTED)
        handles.append(style.legend_line("nothing removed", style.INK, dashes=style.DOTTED))
    if any("seeds_PS" in curve for curve in curves):
        handles.append(Line2D([], [], color=style.INK, marker="o", ms=4, alpha=0.5, ls="", label="single seed"))
    if _has_intervals(curves):
        handles.append(style.legend_interval("spread over seeds"))
    all_x = np.concatenate([curve["x"] for curve in curves])
    if axis == "ratio":
        style.percent_ticks(axes.xaxis, all_x)
    else:
        style.integer_ticks(axes.xaxis, all_x)
    style.percent_ticks(axes.yaxis)
    style.label_axes(axes, x=X_LABELS[axis], y=f"{what} · higher = better")
    style.legend_below(figure, handles)
    return figure


@style.house_style
def paired_differences(curves: Sequence[DifferenceCurve], *, title: str = "") -> Figure:
    """Draw each strategy's accuracy minus that of `random` at the same ratio and seed, with 95 % intervals.

    Strategies stand a little beside each other at every ratio, so that no interval covers another.
    """
    _require_curves(curves)
    figure, [axes] = style.stacked_panels([3.4], title=title)
    axes.axhline(0, color=style.INK, linewidth=1)
    ratios = np.concatenate([style.as_vector(curve["ratio"], "ratio") for curve in curves])
    ratios = np.unique(np.round(ratios, 6))
    step = 0.1 * np.diff(ratios).min() if ratios.size > 1 else 0.01
    handles = []
    for index, curve in enumerate(curves):
        name = curve["name"]
        ratio = style.as_vector(curve["ratio"], "ratio")
        difference = style.as_vector(curve["difference"], f"difference of {name!r}", like=ratio)
        colour, marker = style.colour_and_marker(name, index)
        x = ratio + (index - (len(curves) - 1) / 2) * step
        style.draw_interval(axes, curve, x, colour, band=False)
        axes.plot(x, difference, color=colour, marker=marker, linewidth=1.2, label=name)
        handles.append(style.legend_line(name, colour, marker))
    style.percent_ticks(axes.xaxis, ratios)
    axes.yaxis.set_major_formatter(FuncFormatter(_percentage_points))
    handles.append(style.legend_line("random", style.INK))
    if _has_intervals(curves):
        handles.append(style.legend_interval("95 % interval"))
    y = "accuracy minus that of random (percentage points)\nabove 0 = better than random"
    style.label_axes(axes, x=X_LABELS["ratio"], y=y)
    style.legend_below(figure, handles)
    return figure


@style.house_style
def removal_heatmap(shares_RD: np.ndarray, row_names: Sequence[str], *, title: str = "") -> Figure:
    """Draw which share of each difficulty decile an arm removed: (R, 10) fractions, column 0 = easiest decile.

    `row_names` are R names such as "easy 30 %".
    """
    shares_RD = np.asarray(shares_RD, dtype=np.float64)
    if shares_RD.ndim != 2 or shares_RD.shape[1] != 10 or len(row_names) != len(shares_RD) or len(row_names) == 0:
        raise ValueError(
            f"shares_RD has shape {shares_RD.shape} for {len(row_names)} names; "
            "give ten deciles for every name, at least one"
        )
    return shares_heatmap(
        shares_RD, row_names=row_names, column_names=[str(decile) for decile in range(1, 11)],
        x="difficulty decile · 1 = easiest, 10 = hardest", y="removed of each decile (%)",
        key="share removed · darker = more removed", title=title, percent=True,
    )  # fmt: skip


def _percentage_points(fraction: float, _: int | None = None) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return "0" if abs(fraction) < 1e-12 else f"{round(100 * fraction, 6):+g}".replace("-", "−")


def _has_intervals(curves: Sequence[AccuracyCurve] | Sequence[DifferenceCurve]) -> bool:
    return any(np.isfinite(curve.get("low", np.nan)).any() for curve in curves)


def _require_curves(curves: Sequence[AccuracyCurve] | Sequence[DifferenceCurve]) -> None:
    if len(curves) == 0:
        raise ValueError("no curve to draw; give at least one strategy")
