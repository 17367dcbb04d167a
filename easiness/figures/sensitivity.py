"""Sensitivity of what is shared to the cut: every pair at several fractions, and by rank-biased overlap."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from matplotlib.figure import Figure

from easiness.figures import style


class CutPoints(TypedDict):
    """One pair of architectures at one moment, at each of C cuts; rates are corrected: 0 = luck, 1 = the same set."""

    name: str
    rate: style.Vector
    ceiling: style.Vector  # what noise would leave of perfect agreement; NaN = unknown


@style.house_style
def sensitivity_points(
    points_by_set: Mapping[str, Sequence[CutPoints]], cuts: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw what pairs share at several cuts, one panel per set, with the room that noise leaves above each point."""
    figure, panels = style.stacked_panels([3.0] * len(points_by_set), title=title, share_x=True, share_y=True)
    names = list(dict.fromkeys(pair["name"] for pairs in points_by_set.values() for pair in pairs))
    looks = {
        name: (style.CYCLE[i % len(style.CYCLE)], style.MARKERS[i % len(style.MARKERS)]) for i, name in enumerate(names)
    }
    at = np.arange(len(cuts), dtype=np.float64)
    apart = min(0.2, 0.75 / max(len(names), 1))
    for index, (axes, (set_name, pairs)) in enumerate(zip(panels, points_by_set.items(), strict=True)):
        axes.axhline(0, color=style.GREY, linewidth=1.4)
        for pair in pairs:
            rate = style.as_vector(pair["rate"], f"rate of {pair['name']!r}", like=at)
            ceiling = style.as_vector(pair["ceiling"], f"ceiling of {pair['name']!r}", like=at)
            colour, marker = looks[pair["name"]]
            x = at + apart * (names.index(pair["name"]) - (len(names) - 1) / 2)
            known = np.isfinite(ceiling)
            axes.vlines(x[known], rate[known], ceiling[known], color=colour, linewidth=1.2, alpha=0.5)
            axes.plot(x, ceiling, color=colour, linestyle="", marker="_", markersize=9, markeredgewidth=1.8)
            axes.plot(x, rate, color=colour, linestyle="", marker=marker, markersize=6, label=pair["name"])
        axes.grid(visible=False, axis="x")
        axes.set_xticks(at, list(cuts))
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.55, len(cuts) - 0.45)
        style.label_axes(axes, x="", y=f"({chr(97 + index)}) {set_name} sets: corrected rate · 0 = luck, 1 = same set")
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(min(low, -0.02), max(high, 0.1))
    panels[-1].set_xlabel("share of the examples in each set, or no cut at all", loc="left")
    handles = [style.legend_line(name, colour, marker) for name, (colour, marker) in looks.items()]
    for handle in handles:
        handle.set_linestyle("")
    ceiling = style.legend_line("ceiling: what noise would leave", style.INK, "_")
    ceiling.set(linestyle="", markersize=9, markeredgewidth=1.8)
    style.legend_below(figure, [*handles, ceiling, style.legend_line("luck and class mix", style.GREY)])
    return figure
