"""Wrong labels: how many of them rankings find, over the epochs of training."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from matplotlib.figure import Figure

from easiness.figures import style


class FoundCurve(TypedDict):
    """Share of the flipped labels that one ranking finds after each of E epochs."""

    name: str
    epochs: style.Vector
    found: style.Vector  # in [0, 1]
    low: style.Vector  # ends of the interval; NaN = unknown
    high: style.Vector


@style.house_style
def found_over_epochs(panels: Mapping[str, Sequence[FoundCurve]], *, title: str = "") -> Figure:
    """Draw what rankings find over the epochs of training, one panel per setting; higher = more found."""
    figure, axes_P = style.stacked_panels([2.6] * len(panels), title=title, share_x=True)
    names = list(dict.fromkeys(curve["name"] for curves in panels.values() for curve in curves))
    looks = {
        name: (style.CYCLE[i % len(style.CYCLE)], style.MARKERS[i % len(style.MARKERS)]) for i, name in enumerate(names)
    }
    for index, (axes, (setting, curves)) in enumerate(zip(axes_P, panels.items(), strict=True)):
        for curve in curves:
            x = style.as_vector(curve["epochs"], f"epochs of {curve['name']!r}")
            found = style.as_vector(curve["found"], f"found of {curve['name']!r}", like=x)
            colour, marker = looks[curve["name"]]
            style.draw_interval(axes, curve, x, colour, band=False)
            axes.plot(x, found, color=colour, marker=marker)
        axes.set_xscale("log")
        style.label_axes(axes, x="", y=f"({chr(97 + index)}) {setting}: share found")
    ticks = sorted({float(epoch) for curves in panels.values() for curve in curves for epoch in curve["epochs"]})
    axes_P[-1].set_xticks(ticks, [f"{epoch:g}" for epoch in ticks])
    axes_P[-1].set_xticks([], minor=True)
    axes_P[-1].set_xlabel("epoch", loc="left")
    handles = [style.legend_line(name, *look) for name, look in looks.items()]
    style.legend_below(figure, [*handles, style.legend_interval("95 % interval over seeds")])
    return figure
