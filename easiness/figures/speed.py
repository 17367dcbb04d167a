"""Measured speed: bars beside each other, and time and memory against a size."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from easiness.figures import style
from easiness.figures.text_fit import fit


@style.house_style
def speed_bars(values: Mapping[str, Sequence[float]], *, unit: str, title: str = "") -> Figure:
    """Draw each median as a bar from zero, with a dot for every single measurement; the first bar stands out.

    `unit` names what is measured, and which end is better.
    """
    if not values:
        raise ValueError("nothing to draw: values is empty; give the measurements of at least one bar")
    lines = {name: style.as_vector(line, name) for name, line in values.items()}
    figure, [axes] = style.stacked_panels([0.7 + 0.5 * len(lines)], title=title)
    heights = -np.arange(len(lines))
    medians = [float(np.median(line)) for line in lines.values()]
    axes.barh(heights, medians, height=0.6, color=[style.BLUE, *[style.NEUTRAL] * (len(lines) - 1)])
    for height, line in zip(heights, lines.values(), strict=True):
        axes.plot(line, np.full(line.size, height), "o", color=style.INK, markersize=3, alpha=0.6)
    labels = [f"{name}: {median:.3g}" for name, median in zip(lines, medians, strict=True)]
    axes.set_yticks(heights, [fit(label, 1.9, style.SMALL, lines=2) for label in labels])
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0)
    style.label_axes(axes, x=unit, y="")
    return figure


@style.house_style
def scaling_curves(
    sizes: Sequence[float],
    seconds: Sequence[float],
    gib: Sequence[float],
    *,
    time_exponent: float,
    memory_exponent: float,
    x: str,
    title: str = "",
) -> Figure:
    """Draw time and memory against a size, on logarithmic scales where a power law is a straight line.

    The fitted exponents are written above the panels: 1 = linear, 0 = constant. `x` names what grows.
    """
    sizes = style.as_vector(sizes, "sizes")
    figure, axes_pair = style.stacked_panels([2.2, 2.2], title=title, share_x=True)
    panels = ((seconds, "seconds", time_exponent, style.BLUE), (gib, "GiB of memory", memory_exponent, style.GREEN))
    for axes, (values, name, exponent, colour) in zip(axes_pair, panels, strict=True):
        values = style.as_vector(values, name, like=sizes)
        if not (values > 0).all() or not (sizes > 0).all():
            raise ValueError(f"{name} go down to {values.min():g}, sizes to {sizes.min():g}; both must be above 0")
        axes.plot(sizes, values, "o-", color=colour)
        axes.set_xscale("log")
        axes.set_yscale("log")
        # Room for at least a doubling, so that noise on a constant does not look like growth.
        middle = float(np.sqrt(values.min() * values.max()))
        axes.set_ylim(min(values.min(), middle / 2) / 1.1, max(values.max(), middle * 2) * 1.1)
        style.log_ticks(axes.yaxis)
        slope = f", exponent {exponent:.2f}" if np.isfinite(exponent) else ""
        style.label_axes(axes, x=x if axes is axes_pair[-1] else "", y=f"{name}{slope}")
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        axes.minorticks_off()
    return figure
