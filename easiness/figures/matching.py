"""Shares of the easy and hard sets that agree: between architectures, between moments, between trials."""

import math
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from easiness.figures import style
from easiness.figures.text_fit import fit, text_width

RATE = "matching rate · higher = more shared"
MOMENTS = 6  # lines in a figure of predictions
NUMBERED = 12  # a heat map with more rows than this carries no numbers in its cells


class MatchingCurve(TypedDict):
    """One pair of architectures over training; every array is (T,), every rate in [0, 1], NaN = unknown."""

    name: str
    epochs: style.Vector  # the moments, in epochs or in the unit that `x` of the figure names
    rate: style.Vector  # matching rate |A ∩ B| / max(|A|, |B|)
    low: NotRequired[style.Vector]  # ends of the rate's interval
    high: NotRequired[style.Vector]
    ceiling: NotRequired[style.Vector]  # highest rate that the noise of both sides allows
    class_chance: NotRequired[style.Vector]  # expected by chance of two sets with the same class mix as these


@style.house_style
def matching_curves(
    curves_by_set: Mapping[str, Sequence[MatchingCurve]],
    *,
    chance: tuple[float, float, float],
    x: str = "epoch",
    title: str = "",
) -> Figure:
    """Draw the matching rate of every pair of architectures over training, one panel per set.

    As Fig. 3 of Kishida & Nakayama, "Empirical Study of Easy and Hard Examples in CNN Training", 2019. `curves_by_set`
    is e.g. `{"easy": [...], "hard": [...]}`; a pair has the same colour in every panel. `chance` is mean, low and high
    of the rate of two random sets; NaN low and high draw no band. `x` names the moments' unit.
    """
    if not curves_by_set or not all(curves_by_set.values()):
        raise ValueError(f"no curve to draw in {dict(curves_by_set)!r}; give at least one pair for every set")
    names = list(dict.fromkeys(curve["name"] for curves in curves_by_set.values() for curve in curves))
    looks = {
        name: (style.CYCLE[i % len(style.CYCLE)], style.MARKERS[i % len(style.MARKERS)]) for i, name in enumerate(names)
    }
    figure, panels = style.stacked_panels([3.3] * len(curves_by_set), title=title, share_x=True, share_y=True)
    mean, low, high = chance
    top, drawn = max(mean, 0.1), set()
    for index, (axes, (set_name, curves)) in enumerate(zip(panels, curves_by_set.items(), strict=True)):
        if np.isfinite([low, high]).all():
            axes.axhspan(low, high, color=style.GREY, alpha=0.3, linewidth=0)
        axes.axhline(mean, color=style.GREY, linewidth=1.4)
        for curve in curves:
            lines = _draw_pair(axes, curve, *looks[curve["name"]])
            known = {key: line[np.isfinite(line)] for key, line in lines.items()}
            drawn |= {key for key, line in known.items() if line.size}
            top = max(top, *(line.max(initial=0) for line in known.values()))
        style.integer_ticks(axes.xaxis, np.concatenate([curve["epochs"] for curve in curves]))
        style.label_axes(axes, x="", y=f"({chr(97 + index)}) {set_name} sets: {RATE}")
    panels[-1].set_xlabel(x, loc="left")
    panels[0].set_ylim(0, 1.06 * top)

    handles = [style.legend_line(name, *looks[name]) for name in names]
    if "low" in drawn:
        handles.append(style.legend_interval("95 % interval"))
    if "ceiling" in drawn:
        handles.append(style.legend_line("ceiling of the pair", style.INK, dashes=style.DOTTED))
    if "class_chance" in drawn:
        handles.append(style.legend_line("chance, given the class mix", style.INK, dashes=style.DASHED))
    handles.append(style.legend_line("chance of random sets", style.GREY))
    style.legend_below(figure, handles)
    return figure


def _draw_pair(axes: Axes, curve: MatchingCurve, colour: str, marker: str) -> dict[str, np.ndarray]:
    """Draw one pair and return its lines by name."""
    epochs = style.as_vector(curve["epochs"], "epochs")
    lines = {
        key: style.as_vector(curve[key], f"{key} of {curve['name']!r}", like=epochs)
        for key in ("rate", "low", "high", "ceiling", "class_chance")
        if key in curve
    }
    style.draw_interval(axes, curve, epochs, colour, band=True)
    # A single moment makes no line: a flat mark shows its level.
    mark = "_" if epochs.size == 1 else ""
    for key, dashes in (("ceiling", style.DOTTED), ("class_chance", style.DASHED)):
        if key in lines:
            name = f"{curve['name']}: {key}"
            axes.plot(epochs, lines[key], color=colour, lw=1.3, dashes=dashes, marker=mark, ms=16, label=name)
    marker = marker if epochs.size <= style.FEW else ""
    axes.plot(epochs, lines["rate"], color=colour, marker=marker, label=curve["name"])
    return lines


class SharingLines(TypedDict):
    """What the sets of two architectures share at T moments, and what it is made of; all (T,) rates in [0, 1]."""

    epochs: style.Vector
    chance: style.Vector  # two random sets
    class_chance: style.Vector  # two random sets with the class mixes of these
    rate: style.Vector  # two architectures, each with its own seeds
    low: style.Vector  # ends of its interval
    high: style.Vector
    ceiling: style.Vector  # one architecture, other trials of its own
    common: NotRequired[style.Vector]  # two architectures with the same seeds: a control
    common_low: NotRequired[style.Vector]
    common_high: NotRequired[style.Vector]


# Lines of the figure from below: key, name, colour, marker and dashes.
_SHARING = (
    ("chance", "chance of random sets", style.GREY, "", None),
    ("class_chance", "chance, given the class mix", style.INK, "", style.DASHED),
    ("rate", "two architectures, own seeds", style.CYCLE[0], style.MARKERS[0], None),
    ("ceiling", "one architecture, other trials (ceiling)", style.INK, "", style.DOTTED),
    ("common", "two architectures, common seeds (control)", style.CYCLE[1], style.MARKERS[1], None),
)


@style.house_style
def sharing_lines(lines_by_set: Mapping[str, SharingLines], *, x: str = "epoch", title: str = "") -> Figure:
    """Draw what sharing is made of: luck, class mix, architecture-free difficulty, noise, and shared luck as a control.

    One panel per set, e.g. `{"easy": ..., "hard": ...}`; the control is left out where no set has it.
    """
    figure, panels = style.stacked_panels([3.3] * len(lines_by_set), title=title, share_x=True, share_y=True)
    drawn: set[str] = set()
    for index, (axes, (set_name, lines)) in enumerate(zip(panels, lines_by_set.items(), strict=True)):
        epochs = style.as_vector(lines["epochs"], "epochs")
        for key, name, colour, marker, dashes in _SHARING:
            if key not in lines:
                continue
            drawn.add(key)
            values = style.as_vector(lines[key], f"{key} of {set_name}", like=epochs)
            ends = {"rate": ("low", "high"), "common": ("common_low", "common_high")}.get(key)
            if ends and set(ends) <= lines.keys():
                curve = {"low": lines[ends[0]], "high": lines[ends[1]], "rate": values, "name": name}
                style.draw_interval(axes, curve, epochs, colour, band=True)
            marker = marker or ("_" if epochs.size == 1 else "")
            axes.plot(
                epochs,
                values,
                color=colour,
                marker=marker,
                lw=1.4,
                label=name,
                **({"dashes": dashes} if dashes else {}),
            )
        style.integer_ticks(axes.xaxis, epochs)
        style.label_axes(axes, x="", y=f"({chr(97 + index)}) {set_name} sets: {RATE}")
    panels[-1].set_xlabel(x, loc="left")
    panels[0].set_ylim(bottom=0)
    handles = [
        style.legend_line(name, colour, marker, dashes=dashes)
        for key, name, colour, marker, dashes in reversed(_SHARING)
        if key in drawn
    ]
    style.legend_below(figure, [*handles, style.legend_interval("95 % interval")])
    return figure


@style.house_style
def overlap_heatmap(matrix_TT: np.ndarray, updates_T: style.Vector, *, title: str = "") -> Figure:
    """Draw the (T, T) matching rates between one model's sets at any two of T moments; NaN cells stay empty."""
    updates_T = style.as_vector(updates_T, "updates_T")
    matrix_TT = np.asarray(matrix_TT, dtype=np.float64)
    if matrix_TT.shape != (updates_T.size, updates_T.size):
        raise ValueError(
            f"matrix_TT has shape {matrix_TT.shape} for {updates_T.size} moments; give a rate for each two"
        )
    names, axis = [f"{updates:g}" for updates in updates_T], "updates of training"
    return shares_heatmap(matrix_TT, row_names=names, column_names=names, x=axis, y=axis, key=RATE, title=title)


class RepeatCurve(TypedDict):
    """What the set of so many trials shares with that of as many fresh ones, at one moment; arrays are (G,)."""

    name: str  # of the moment
    measured: int  # trials behind the prediction
    trials: style.Vector
    overlap: style.Vector  # in [0, 1], NaN = cannot be told
    low: style.Vector  # range of the prediction
    high: style.Vector


@style.house_style
def repeat_curves(
    curves_by_set: Mapping[str, Sequence[RepeatCurve]], *, targets: Sequence[float], title: str = ""
) -> Figure:
    """Draw what the sets of so many trials share with those of as many fresh ones, one panel per set, a line a moment.

    Of more than `MOMENTS` moments, as many that are evenly spread, the last among them. Targets are levels.
    """
    figure, panels = style.stacked_panels([3.0] * len(curves_by_set), title=title, share_x=True, share_y=True)
    handles: dict[str, Line2D] = {}
    for index, (axes, (set_name, curves)) in enumerate(zip(panels, curves_by_set.items(), strict=True)):
        shown = [curves[at] for at in sorted({*np.linspace(len(curves) - 1, 0, MOMENTS).astype(int)})]
        for target in targets:
            axes.axhline(target, color=style.GREY, linewidth=1.4, dashes=style.DASHED)
        # From dark blue (first) to orange (last); a single moment is the last.
        colours = matplotlib.colormaps["plasma"](np.linspace(0.75, 0.0, len(shown)))[::-1]
        for colour, curve in zip(colours, shown, strict=True):
            trials = style.as_vector(curve["trials"], "trials")
            overlap = style.as_vector(curve["overlap"], f"overlap {curve['name']}", like=trials)
            style.draw_interval(axes, curve, trials, colour, band=True)
            axes.plot(trials, overlap, color=colour, label=curve["name"])
            handles[curve["name"]] = style.legend_line(curve["name"], colour)
        measured = shown[-1]["measured"]
        axes.axvline(measured, color=style.INK, linewidth=1.4, dashes=style.DOTTED)
        axes.set_xscale("log")
        style.label_axes(axes, x="", y=f"({chr(97 + index)}) {set_name} sets: share found again")
    panels[0].set_ylim(0, 1.02)
    panels[0].xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100]))
    panels[0].xaxis.set_minor_locator(NullLocator())
    panels[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.plain_number(value)))
    panels[-1].set_xlabel("number of trials, matched with as many fresh ones", loc="left")
    said = " and ".join(f"{target:g}" for target in targets)
    lines = (
        style.legend_line(f"{measured} trials, the measured ones", style.INK, dashes=style.DOTTED),
        style.legend_line(f"targets {said}", style.GREY, dashes=style.DASHED),
        Patch(color=style.GREY, alpha=0.3, label="range of the prediction"),
    )
    style.legend_below(figure, [*handles.values(), *lines])
    return figure


def shares_heatmap(
    shares: np.ndarray,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    x: str,
    y: str,
    key: str,
    title: str,
    percent: bool = False,
) -> Figure:
    """Draw a matrix of numbers in [0, 1], light to dark, with the numbers (or whole per cent) in the cells.

    Call it in `house_style`.
    """
    known = shares[np.isfinite(shares)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise ValueError(f"a share or rate of {known.min():g} to {known.max():g} leaves [0, 1]; give fractions")
    rows, columns = shares.shape
    names = [fit(str(name), 1.5, style.SMALL, lines=1) for name in row_names]
    cell = (style.WIDTH - 0.5 - max(text_width(name, style.SMALL) for name in names)) / columns
    numbered = columns <= NUMBERED
    row_height = min(max(cell, 0.24), 0.8) if numbered else cell
    if x != y:  # rows of another kind than the columns need no square cells
        row_height = min(row_height, 0.3)
    figure, [axes, bar_axes] = style.stacked_panels([row_height * rows, 0.13], title=title)
    style.add_height(figure, 1.5)  # for the labels of both axes
    image = axes.imshow(shares, cmap=style.SHARES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_facecolor("#DDDDDD")
    if numbered:
        for (row, column), share in np.ndenumerate(shares):
            text = "–" if not np.isfinite(share) else f"{100 * share:.0f}" if percent else f"{share:.2f}"
            ink = style.INK if share < 0.5 else style.PAPER
            written = axes.text(column, row, text, ha="center", va="center", fontsize=style.SMALL, color=ink)
            written.set_in_layout(False)  # always inside; a hundred of them would slow the layout down
    widest = max(text_width(str(name), style.SMALL) for name in column_names)
    step = math.ceil((widest + 0.08) / cell)
    axes.set_xticks(range(0, columns, step), list(column_names[::step]))
    step = math.ceil(0.17 / row_height)
    axes.set_yticks(range(0, rows, step), names[::step])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    style.label_axes(axes, x=x, y=y)
    bar = figure.colorbar(image, cax=bar_axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks(np.linspace(0, 1, 6))
    bar.set_label(fit(key, style.WIDTH - 0.7, style.TYPE, lines=2), loc="left")
    if percent:
        style.percent_ticks(bar.ax.xaxis)
    return figure
