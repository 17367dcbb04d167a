"""One look for every figure, and the one function that writes a file.

Sizes are chosen for the smallest reader: a figure is 5.2 inches wide, so on a phone of 390 CSS pixels the
smallest type (9 points) is still more than 9 pixels high. At 150 dots per inch a png is twice as wide.

Nothing here touches matplotlib's global state for longer than a call: no pyplot, no backend, no rcParams.
"""

import functools
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from easiness.figures.lettering import FONT, fit, text_width

WIDTH = 5.2  # inches
DPI = 150
TITLE = 12  # points
TYPE = 11
SMALL = 9
FEW = 20  # a line with more points carries neither markers nor whiskers
LINE = 1.35  # line height in units of the type's size

# Okabe & Ito, "Color Universal Design" (2008), without the yellow, which is lost on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
GREY, INK, PAPER = "#767676", "#222222", "#FFFFFF"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = "osD^vP"  # a number of markers that shares no divisor with the number of colours: 42 distinct pairs

DOTTED, DASHED = (1, 1.5), (4, 2)

# What has a meaning keeps its colour in all figures; the rest takes turns.
EASY, HARD = BLUE, VERMILLION
ROLES = {"easy": (EASY, "o"), "hard": (HARD, "s"), "random": (GREY, "D"), "stepwise": (GREEN, "^")}
OTHERS = ((PURPLE, "v"), (ORANGE, "P"), (SKY, "X"), (BLACK, "<"))

# Light to dark, so that it survives a grey printer; for shares and rates in [0, 1].
SHARES = LinearSegmentedColormap.from_list("shares", ["#F7FBFF", "#8CC4E8", BLUE, "#00263F"])

EASINESS = "easiness (mean cross-entropy, nats) · lower = easier"

STYLE = {
    "font.family": FONT,
    "font.size": TYPE,
    "text.parse_math": False,  # a class may be called "$1 or $2"
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.labelsize": TYPE,
    "axes.titlesize": TYPE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.borderpad": 0.1,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "svg.hashsalt": "easiness",
    "pdf.fonttype": 42,
}

Arguments = ParamSpec("Arguments")


def house_style(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw in the style of this house, whatever the user's matplotlibrc says, and leave no trace of it.

    The layout is computed once and then kept, so that saving twice, or in two formats, is the same picture.
    """

    @functools.wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with matplotlib.style.context(STYLE, after_reset=True):
            figure = draw(*args, **kwargs)
            if figure.get_layout_engine() is not None:  # a contact sheet has none and is slow to draw
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
        return figure

    return styled


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as png (150 dots per inch), svg or pdf; the same figure always gives the same bytes.

    Parameters
    ----------
    figure
        A figure made by this package.
    path
        Where to; the suffix chooses the format. The folder must exist. No half-drawn file is left behind.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the suffix is another one.
    FileNotFoundError
        If the folder does not exist.
    """
    path = Path(path)
    # Without these entries matplotlib writes the date and its own version.
    metadata = {
        ".png": {"Software": None},
        ".svg": {"Date": None, "Creator": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    if path.suffix not in metadata:
        raise ValueError(f"cannot save a figure as {path.name!r}: end the name in .png, .svg or .pdf")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot save {path.name!r}: there is no folder {str(path.parent)!r}; make it first")
    content = io.BytesIO()
    with matplotlib.style.context(STYLE, after_reset=True):
        figure.savefig(content, format=path.suffix[1:], dpi=DPI, metadata=metadata[path.suffix])
    path.write_bytes(content.getvalue())
    return path


# ---------------------------------------------------------------- figures and what stands around the axes


def stacked_panels(heights: Sequence[float], *, title: str, share_x: bool = False, share_y: bool = False) -> Figure:
    """Make a figure of full width with one axes per height (inches, with its labels), one above the other."""
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained")
    figure.subplots(len(heights), 1, height_ratios=list(heights), sharex=share_x, sharey=share_y)
    if title:
        text = fit(title, WIDTH - 0.2, TITLE, lines=3, weight="bold")
        grow(figure, (text.count("\n") + 1) * TITLE * LINE / 72)
        figure.suptitle(text, fontsize=TITLE, fontweight="bold", x=0.02, ha="left")
    return figure


def label(axes: Axes, *, x: str, y: str) -> None:
    """Name both axes; the vertical one's name lies flat above it, where a phone's reader can read it."""
    axes.set_xlabel(fit(x, WIDTH - 0.7, TYPE, lines=3), loc="left")
    # As a title, since the layout makes no room for a vertical axis' label that stands above its axes.
    axes.set_title(fit(y, WIDTH - 0.7, TYPE, lines=3), loc="left")


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put the legend under the axes, never over data, in as many columns as fit, and make room for it."""
    if not handles:
        return
    labels = [fit(str(handle.get_label()), WIDTH - 0.8, SMALL, lines=2) for handle in handles]
    widest = max(text_width(line, SMALL) for text in labels for line in text.split("\n"))
    columns = max(1, min(len(labels), int((WIDTH - 0.1) / (widest + 0.62))))
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, borderaxespad=0.8)
    rows = math.ceil(len(labels) / columns)
    grow(figure, rows * (1 + max(text.count("\n") for text in labels)) * SMALL * LINE / 72 + 0.1)


def grow(figure: Figure, inches: float) -> None:
    """Make a figure higher."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + inches)


# ---------------------------------------------------------------- ticks, colours, intervals


def plain_number(value: float) -> str:
    """Write a tick without mathematical markup.

    >>> [plain_number(value) for value in (1e-5, 0.01, 1.0, 20000.0)]
    ['10⁻⁵', '0.01', '1', '20000']
    """
    exponent = math.log10(value) if value > 0 else 0.0
    if exponent < -3 and abs(exponent - round(exponent)) < 1e-9:
        return "10" + str(round(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{value:.10g}"


def log_ticks(axis: Axis) -> None:
    """Label the powers of ten only, and at least two of whatever there is."""
    low, high = axis.get_view_interval()
    subs = (1.0,) if high / low > 30 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))


def whole_ticks(axis: Axis, places: np.ndarray | None = None) -> None:
    """Ticks at whole numbers, few enough for a phone; a single place is the only tick."""
    if places is not None and np.ptp(places) == 0:
        axis.set_ticks(places[:1])
    else:
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def percent_ticks(axis: Axis, places: np.ndarray | None = None) -> None:
    """Write fractions as per cent; at just these places, where they are not too close to be read."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g} %"))
    if places is not None:
        places = np.unique(np.round(places, 6))  # 0.1 + 0.2 is the same place as 0.3
        if places.size == 1 or np.diff(places).min() > 0.095 * np.ptp(places):
            axis.set_ticks(places)


def spans_decades(values: np.ndarray) -> bool:
    """Whether a logarithmic scale shows more: most values are positive and their bulk spans two decades."""
    positive = values[values > 0]
    if positive.size < 0.9 * values.size or positive.size == 0:
        return False
    low, high = np.quantile(positive, [0.02, 0.98])
    return bool(high > 100 * low)


def look_of(name: str, index: int) -> tuple[str, str]:
    """Colour and marker of a strategy or a set: fixed ones for the known names, otherwise by turns."""
    return ROLES.get(name, OTHERS[index % len(OTHERS)])


def decile_colours() -> Colormap:
    """Ten ordered colours, from dark blue (easiest) to orange (hardest), with rising lightness."""
    return ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0.0, 0.8, 10)), name="deciles")


def ink_on(share: float) -> str:
    """Colour of a number written on a cell of the map `SHARES`."""
    return INK if share < 0.5 else PAPER


def interval(axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, *, band: bool) -> None:
    """Draw intervals as whiskers, with a band behind them where asked for; NaN is drawn as none."""
    known = np.isfinite(low) & np.isfinite(high)
    if np.any(low[known] > high[known]):
        worst = int(np.flatnonzero(known & (low > high))[0])
        raise ValueError(f"interval {worst} is upside down: low {low[worst]:g} > high {high[worst]:g}; swap them")
    if band and known.sum() > 1:
        axes.fill_between(x, low, high, where=known, color=colour, alpha=0.14, linewidth=0)
    if not band or x.size <= FEW:
        axes.vlines(x[known], low[known], high[known], color=colour, linewidth=1.2, alpha=0.7)


def line_key(name: str, colour: str, marker: str = "", *, dashes: tuple[float, float] | None = None) -> Line2D:
    """Make a legend entry for a line; dashed ones are the thinner."""
    if dashes:
        return Line2D([], [], color=colour, marker=marker, linewidth=1.3, dashes=dashes, label=name)
    return Line2D([], [], color=colour, marker=marker, label=name)


def interval_key(name: str) -> Line2D:
    """Make a legend entry for what `interval` draws."""
    return Line2D([], [], color=INK, marker="|", markersize=10, markeredgewidth=1.2, linestyle="", label=name)


def as_line(values: object, name: str, like: np.ndarray | None = None) -> np.ndarray:
    """Read one line of numbers: one axis, not empty, of the same length as `like`.

    Raises
    ------
    ValueError
        Otherwise.
    """
    line = np.asarray(values, dtype=np.float64)
    if line.ndim != 1 or line.size == 0:
        raise ValueError(f"nothing to draw: {name} has shape {line.shape}; give one number per point")
    if like is not None and line.shape != like.shape:
        raise ValueError(f"{name} has {line.size} points where {like.size} are wanted; give one number per point")
    return line
