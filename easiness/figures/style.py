"""Style that all figures share, and the one function that writes a file.

Sizes are chosen for the smallest reader: a figure is 5.2 inches wide, so on a phone of 390 CSS pixels the
smallest type (9 points) is still more than 9 pixels high. At 150 dots per inch a png is twice as wide.

Nothing here touches matplotlib's global state for longer than a call: no pyplot, no backend, no rcParams.
"""

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from easiness.figures.text_fit import FONT, fit, text_width

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
GREY, NEUTRAL, INK, PAPER = "#767676", "#A9A9A9", "#222222", "#FFFFFF"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = "osD^vP"  # a number of markers that shares no divisor with the number of colours: 42 distinct pairs

DOTTED, DASHED = (1, 1.5), (4, 2)

# Sets and strategies keep their colours in all figures; other names take turns.
EASY, HARD = BLUE, VERMILLION
ROLES = {"easy": (EASY, "o"), "hard": (HARD, "s"), "random": (GREY, "D"), "stepwise": (GREEN, "^")}
ROLES |= {"offset": (PURPLE, "v"), "coverage": (ORANGE, "P")}
OTHERS = ((PURPLE, "v"), (ORANGE, "P"), (SKY, "X"), (BLACK, "<"))

# Light to dark, so that it survives a grey printer; for shares and rates in [0, 1].
SHARES = LinearSegmentedColormap.from_list("shares", ["#F7FBFF", "#8CC4E8", BLUE, "#00263F"])

EASINESS = "easiness (mean cross-entropy, nats) · lower = easier"

STYLE = {
    "font.family": FONT,
    "font.size": TYPE,
    "text.parse_math": False,  # a class may be called "$1 or $2"
    **dict.fromkeys(["text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"], INK),
    **dict.fromkeys(["axes.edgecolor", "xtick.color", "ytick.color"], GREY),
    **dict.fromkeys(["figure.facecolor", "axes.facecolor", "savefig.facecolor"], PAPER),
    **dict.fromkeys(["axes.labelsize", "axes.titlesize"], TYPE),
    **dict.fromkeys(["xtick.labelsize", "ytick.labelsize", "legend.fontsize"], SMALL),
    **dict.fromkeys(["axes.spines.top", "axes.spines.right", "legend.frameon"], False),
    **dict.fromkeys(["axes.grid", "axes.axisbelow"], True),
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.borderpad": 0.1,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    **dict.fromkeys(["figure.constrained_layout.h_pad", "figure.constrained_layout.w_pad"], 0.06),
    "svg.hashsalt": "easiness",
    "pdf.fonttype": 42,
}

Arguments = ParamSpec("Arguments")
Vector = Sequence[float] | np.ndarray


def house_style(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw in `STYLE`, whatever the user's matplotlibrc says, and leave the global settings as they were.

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
    """Write a figure as png (150 dots per inch), svg or pdf, by the suffix, into a folder that exists.

    The same figure always gives the same bytes. No half-drawn file is left behind.
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


def stacked_panels(
    heights: Sequence[float], *, title: str, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a figure of full width with one axes per height (inches, with its labels), one above the other."""
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained")
    figure.subplots(len(heights), 1, height_ratios=list(heights), sharex=share_x, sharey=share_y)
    if title:
        text = fit(title, WIDTH - 0.2, TITLE, lines=3, weight="bold")
        add_height(figure, (text.count("\n") + 1) * TITLE * LINE / 72)
        figure.suptitle(text, fontsize=TITLE, fontweight="bold", x=0.02, ha="left")
    return figure, figure.axes


def label_axes(axes: Axes, *, x: str, y: str) -> None:
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
    add_height(figure, rows * (1 + max(text.count("\n") for text in labels)) * SMALL * LINE / 72 + 0.1)


def add_height(figure: Figure, inches: float) -> None:
    """Make a figure higher."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + inches)


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
    """Label the powers of ten only; on a short axis 2 and 5 times these, too, so that it has at least two labels."""
    low, high = axis.get_view_interval()
    subs = (1.0,) if high / low > 30 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))


def integer_ticks(axis: Axis, values: np.ndarray | None = None) -> None:
    """Ticks at whole numbers, few enough for a phone; a single value is the only tick."""
    if values is not None and np.ptp(values) == 0:
        axis.set_ticks(values[:1])
    else:
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def percent_ticks(axis: Axis, values: np.ndarray | None = None) -> None:
    """Write fractions as per cent; with `values`, at just these where they are not too close to be read."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g} %"))
    if values is not None:
        values = np.unique(np.round(values, 6))  # 0.1 + 0.2 is the same tick as 0.3
        if values.size == 1 or np.diff(values).min() > 0.095 * np.ptp(values):
            axis.set_ticks(values)


def colour_and_marker(name: str, index: int) -> tuple[str, str]:
    """Colour and marker of a strategy or a set: fixed for the known names, otherwise by index."""
    return ROLES.get(name, OTHERS[index % len(OTHERS)])


def draw_interval(axes: Axes, curve: Mapping, x: np.ndarray, colour: str, *, band: bool) -> None:
    """Draw `low` to `high` of a curve as whiskers, and a band behind them where asked for; none where NaN or absent."""
    if "low" not in curve or "high" not in curve:
        return
    low, high = (as_vector(curve[end], f"{end} of {curve['name']!r}", like=x) for end in ("low", "high"))
    known = np.isfinite(low) & np.isfinite(high)
    if np.any(low[known] > high[known]):
        worst = int(np.flatnonzero(known & (low > high))[0])
        raise ValueError(f"interval {worst} is upside down: low {low[worst]:g} > high {high[worst]:g}; swap them")
    if band and known.sum() > 1:
        axes.fill_between(x, low, high, where=known, color=colour, alpha=0.14, linewidth=0)
    if not band or x.size <= FEW:
        axes.vlines(x[known], low[known], high[known], color=colour, linewidth=1.2, alpha=0.7)


def legend_line(name: str, colour: str, marker: str = "", *, dashes: tuple[float, float] | None = None) -> Line2D:
    """Legend entry for a line; dashed ones are thinner."""
    thin = {"linewidth": 1.3, "dashes": dashes} if dashes else {}
    return Line2D([], [], color=colour, marker=marker, label=name, **thin)


def legend_interval(name: str) -> Line2D:
    """Legend entry for what `draw_interval` draws."""
    return Line2D([], [], color=INK, marker="|", markersize=10, markeredgewidth=1.2, linestyle="", label=name)


def as_vector(values: object, name: str, like: np.ndarray | None = None) -> np.ndarray:
    """Check that values are (P,) numbers, not empty and as many as in `like`; as float64."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"nothing to draw: {name} has shape {vector.shape}; give one number per point")
    if like is not None and vector.shape != like.shape:
        raise ValueError(f"{name} has {vector.size} points where {like.size} are wanted; give one number per point")
    return vector
