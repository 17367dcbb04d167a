"""What examples are worth: accuracy after removing them, and what was really removed."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

import numpy as np
from matplotlib.axes import Axes
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
    """One strategy at P places; accuracies are fractions, NaN = unknown."""

    name: str
    x: Sequence[float] | np.ndarray
    """(P,) ablation ratios, updates or seconds, in the order of the line."""
    accuracy: Sequence[float] | np.ndarray
    """(P,) mean over seeds."""
    low: NotRequired[Sequence[float] | np.ndarray]
    high: NotRequired[Sequence[float] | np.ndarray]
    """(P,) spread over seeds."""
    seeds_PS: NotRequired[np.ndarray]
    """(P, S) accuracy of each seed."""
    seeds_x_PS: NotRequired[np.ndarray]
    """(P, S) place of each seed where it is its own, as with seconds; at `x` otherwise."""


class DifferenceCurve(TypedDict):
    """One strategy against `random` at P ratios; differences of accuracies as fractions, NaN = unknown."""

    name: str
    ratio: Sequence[float] | np.ndarray
    difference: Sequence[float] | np.ndarray
    """(P,) mean over seeds of accuracy minus `random`'s at the same seed; above 0 = better than random."""
    low: NotRequired[Sequence[float] | np.ndarray]
    high: NotRequired[Sequence[float] | np.ndarray]
    """(P,) ends of its 95 % interval."""


@style.house_style
def accuracy_against_removed(
    curves: Sequence[AccuracyCurve],
    *,
    axis: Literal["ratio", "updates", "seconds"] = "ratio",
    unablated: float | None = None,
    title: str = "",
) -> Figure:
    """Draw Fig. 4: accuracy after removing examples, one line per strategy, its seeds as faint points.

    Parameters
    ----------
    curves
        One per strategy.
    axis
        What `x` of the curves is.
    unablated
        Accuracy with nothing removed, as a fraction; drawn as a dotted line.
    title
        Of the figure.

    Raises
    ------
    ValueError
        If there is no curve, the axis is unknown, an array is not as long as `x`, or an interval is
        upside down.

    Notes
    -----
    Kishida & Nakayama, "Empirical Study of Easy and Hard Examples in CNN Training", 2019, Fig. 4.
    """
    return _accuracy_figure(curves, axis, unablated, "accuracy · higher = better", title)


@style.house_style
def worst_class(curves: Sequence[AccuracyCurve], *, unablated: float | None = None, title: str = "") -> Figure:
    """Draw the accuracy of the worst class against the ablation ratio, as `accuracy_against_removed` does.

    Parameters
    ----------
    curves
        One per strategy; `accuracy` is that of the class with the lowest.
    unablated
        The same with nothing removed, as a fraction.
    title
        Of the figure.

    Raises
    ------
    ValueError
        As `accuracy_against_removed`.
    """
    return _accuracy_figure(curves, "ratio", unablated, "accuracy of the worst class · higher = better", title)


@style.house_style
def paired_differences(curves: Sequence[DifferenceCurve], *, title: str = "") -> Figure:
    """Draw each strategy's accuracy minus that of `random` at the same ratio and seed, with 95 % intervals.

    Strategies stand a little beside each other at every ratio, so that no interval covers another.

    Parameters
    ----------
    curves
        One per strategy.
    title
        Of the figure.

    Raises
    ------
    ValueError
        If there is no curve, an array of another length than `ratio`, or an interval upside down.
    """
    _check_any(curves)
    figure = style.stacked_panels([3.4], title=title)
    (axes,) = figure.axes
    axes.axhline(0, color=style.INK, linewidth=1)
    ratios = np.concatenate([style.as_line(curve["ratio"], "ratio") for curve in curves])
    ratios = np.unique(np.round(ratios, 6))
    step = 0.1 * np.diff(ratios).min() if ratios.size > 1 else 0.01
    handles = []
    for index, curve in enumerate(curves):
        name = curve["name"]
        ratio = style.as_line(curve["ratio"], "ratio")
        difference = style.as_line(curve["difference"], f"difference of {name!r}", like=ratio)
        colour, marker = style.look_of(name, index)
        x = ratio + (index - (len(curves) - 1) / 2) * step
        _draw_interval(axes, curve, x, colour, band=False)
        axes.plot(x, difference, color=colour, marker=marker, linewidth=1.2, label=name)
        handles.append(style.line_key(name, colour, marker))
    style.percent_ticks(axes.xaxis, ratios)
    axes.yaxis.set_major_formatter(FuncFormatter(_points))
    handles.append(style.line_key("random", style.INK))
    if any(np.isfinite(curve.get("low", np.nan)).any() for curve in curves):
        handles.append(style.interval_key("95 % interval"))
    y = "accuracy minus that of random (percentage points)\nabove 0 = better than random"
    style.label(axes, x=X_LABELS["ratio"], y=y)
    style.legend_below(figure, handles)
    return figure


@style.house_style
def removal_heatmap(shares_RD: np.ndarray, row_names: Sequence[str], *, title: str = "") -> Figure:
    """Draw which share of each difficulty decile an arm really removed.

    Parameters
    ----------
    shares_RD
        (R, 10) share removed of every decile, as a fraction; column 0 is the easiest decile.
    row_names
        R names, such as "easy 30 %".
    title
        Of the figure.

    Raises
    ------
    ValueError
        If there is no row, there are not ten columns, names are missing, or a share leaves [0, 1].
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
        key="share removed · darker = more removed", decimals=0, title=title,
    )  # fmt: skip


def _accuracy_figure(
    curves: Sequence[AccuracyCurve], axis: str, unablated: float | None, y_label: str, title: str
) -> Figure:
    _check_any(curves)
    if axis not in X_LABELS:
        raise ValueError(f"axis is {axis!r}; choose one of {', '.join(X_LABELS)}")
    figure = style.stacked_panels([3.6], title=title)
    (axes,) = figure.axes
    handles = []
    for index, curve in enumerate(curves):
        name = curve["name"]
        x = style.as_line(curve["x"], "x")
        accuracy = style.as_line(curve["accuracy"], f"accuracy of {name!r}", like=x)
        colour, marker = style.look_of(name, index)
        _draw_interval(axes, curve, x, colour, band=True)
        if "seeds_PS" in curve:
            seeds_PS = np.asarray(curve["seeds_PS"], dtype=np.float64)
            if seeds_PS.ndim != 2 or len(seeds_PS) != x.size:
                raise ValueError(f"seeds_PS of {name!r} has shape {seeds_PS.shape}; give {x.size} rows")
            places = np.broadcast_to(curve.get("seeds_x_PS", x[:, None]), seeds_PS.shape)
            axes.scatter(places, seeds_PS, s=14, color=colour, alpha=0.35, linewidths=0)
        axes.plot(x, accuracy, color=colour, marker=marker, label=name)
        handles.append(style.line_key(name, colour, marker))
    if unablated is not None:
        axes.axhline(unablated, color=style.INK, linewidth=1.3, dashes=style.DOTTED)
        handles.append(style.line_key("nothing removed", style.INK, dashes=style.DOTTED))
    if any("seeds_PS" in curve for curve in curves):
        handles.append(Line2D([], [], color=style.INK, marker="o", ms=4, alpha=0.5, ls="", label="single seed"))
    if any(np.isfinite(curve.get("low", np.nan)).any() for curve in curves):
        handles.append(style.interval_key("spread over seeds"))
    places = np.concatenate([curve["x"] for curve in curves])
    if axis == "ratio":
        style.percent_ticks(axes.xaxis, places)
    else:
        style.whole_ticks(axes.xaxis, places)
    style.percent_ticks(axes.yaxis)
    style.label(axes, x=X_LABELS[axis], y=y_label)
    style.legend_below(figure, handles)
    return figure


def _points(fraction: float, _: int | None = None) -> str:
    """Write a difference of fractions in percentage points, with its sign."""
    return "0" if abs(fraction) < 1e-12 else f"{round(100 * fraction, 6):+g}".replace("-", "−")


def _draw_interval(
    axes: Axes, curve: AccuracyCurve | DifferenceCurve, x: np.ndarray, colour: str, *, band: bool
) -> None:
    if "low" in curve and "high" in curve:
        low = style.as_line(curve["low"], f"low of {curve['name']!r}", like=x)
        high = style.as_line(curve["high"], f"high of {curve['name']!r}", like=x)
        style.interval(axes, x, low, high, colour, band=band)


def _check_any(curves: Sequence[AccuracyCurve] | Sequence[DifferenceCurve]) -> None:
    if len(curves) == 0:
        raise ValueError("no curve to draw; give at least one strategy")
