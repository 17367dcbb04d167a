"""Easiness of a score run: its histogram, its course over training, its sets by class."""

from collections.abc import Sequence
from itertools import cycle, islice

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from easiness.figures import style
from easiness.figures.text_fit import fit

SHOWN_PER_END = 15  # classes at either end, where there are too many to show all


@style.house_style
def easiness_histogram(
    easiness_N: np.ndarray,
    *,
    easy_cut: float | None,
    hard_cut: float | None,
    groups_N: Sequence[str] | np.ndarray | None = None,
    axis: str = style.EASINESS,
    title: str = "",
) -> Figure:
    """Histogram of easiness with the cuts of both sets; on a logarithmic scale where the values span decades.

    `easy_cut` and `hard_cut` are the highest easiness in the easy set and the lowest in the hard set, in nats; None for
    sets that were cut in every class, which have no common cut. `groups_N` names the known group of each example (as of
    a planted dataset); the largest group is drawn below. Another score takes the place of easiness where `axis` names
    it.
    """
    easiness_N = style.as_vector(easiness_N, "easiness_N")
    if not np.isfinite(easiness_N).all():
        count = (~np.isfinite(easiness_N)).sum()
        raise ValueError(f"{count} of {easiness_N.size} values of easiness_N are not finite; drop their trial")
    if easy_cut is not None and hard_cut is not None and not easy_cut <= hard_cut:
        raise ValueError(f"easy_cut {easy_cut:g} > hard_cut {hard_cut:g}; lower easiness is easier, so swap them")

    logarithmic = _spans_decades(easiness_N)
    drawn_N, x_label = easiness_N, axis
    bins = int(np.clip(np.sqrt(easiness_N.size), 10, 60))
    low, high = easiness_N.min(), easiness_N.max()
    if high - low <= 1e-6 * abs(high):  # all alike: one bar in the middle
        low, high = low - max(0.1 * abs(low), 0.5), high + max(0.1 * abs(high), 0.5)
    edges = np.linspace(low, high, bins + 1)
    if logarithmic:
        # A loss of exactly 0 (float32 allows it) has no place on such an axis: the first bar takes it in.
        floor = max(easiness_N[easiness_N > 0].min(), easiness_N.max() * 1e-6)
        drawn_N = np.maximum(easiness_N, floor)
        edges = np.geomspace(floor, easiness_N.max(), bins + 1)
        edges[0], edges[-1] = floor, easiness_N.max()
        below = int((easiness_N < floor).sum())
        if below:
            x_label += f"\n(first bar: and {below} below {floor:.2g})"

    figure, [axes] = style.stacked_panels([3.4], title=title)
    handles: list[Patch | Line2D] = []
    if groups_N is None:
        axes.hist(drawn_N, bins=edges, color=style.NEUTRAL)
    else:
        groups_N = np.asarray(groups_N)
        if groups_N.shape != easiness_N.shape:
            raise ValueError(f"groups_N has shape {groups_N.shape}, not {easiness_N.shape}; name every example")
        names, counts = np.unique(groups_N, return_counts=True)
        ordered = names[np.argsort(-counts, kind="stable")]
        colours = list(islice(cycle((style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.BLACK)), ordered.size))
        axes.hist([drawn_N[groups_N == name] for name in ordered], bins=edges, stacked=True, color=colours)
        handles += [Patch(color=colour, label=str(name)) for name, colour in zip(ordered, colours, strict=True)]
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        style.log_ticks(axes.xaxis)
    # A cut at 0 is off a logarithmic axis: it is drawn at the axis' end and named in full.
    for cut, colour, dash, name in (
        (easy_cut, style.EASY, (4, 1.5), "easy set: at or below"),
        (hard_cut, style.HARD, (1.5, 1.5), "hard set: at or above"),
    ):
        if cut is None:
            continue
        axes.axvline(max(cut, edges[0]) if logarithmic else cut, color=colour, linewidth=2, dashes=dash)
        handles.append(Line2D([], [], color=colour, linewidth=2, dashes=dash, label=f"{name} {cut:.3g}"))
    axes.grid(visible=False, axis="x")
    style.integer_ticks(axes.yaxis)
    style.label_axes(axes, x=x_label, y="number of examples")
    style.legend_below(figure, handles)
    return figure


def _spans_decades(values: np.ndarray) -> bool:
    """Whether most values are positive and their bulk spans two decades, so that a logarithmic scale shows more."""
    positive = values[values > 0]
    if positive.size < 0.9 * values.size or positive.size == 0:
        return False
    low, high = np.quantile(positive, [0.02, 0.98])
    return bool(high > 100 * low)


@style.house_style
def trajectory_by_decile(
    trajectory_TN: np.ndarray,
    decile_N: np.ndarray,
    updates_T: style.Vector,
    *,
    axis: str = style.EASINESS,
    title: str = "",
) -> Figure:
    """Mean easiness, or the score that `axis` names, of each difficulty decile after `updates_T`.

    Deciles are 0 = easiest to 9 = hardest; some may be empty.
    """
    trajectory_TN, decile_N = np.asarray(trajectory_TN), np.asarray(decile_N)
    updates_T = style.as_vector(updates_T, "updates_T")
    if trajectory_TN.shape != (updates_T.size, decile_N.size) or decile_N.size == 0:
        raise ValueError(
            f"trajectory_TN has shape {trajectory_TN.shape}, not {(updates_T.size, decile_N.size)}; "
            "give one row per moment and one column per example, at least one of each"
        )
    unknown = np.setdiff1d(decile_N, np.arange(10))
    if unknown.size:
        raise ValueError(f"decile {unknown[0]} is not one of 0 (easiest) to 9 (hardest); number the deciles from 0")

    figure, [axes] = style.stacked_panels([4.2], title=title)
    # From dark blue (easiest) to orange (hardest), with rising lightness.
    colours = ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0.0, 0.8, 10)), name="deciles")
    present = np.unique(decile_N)
    means = np.stack([trajectory_TN[:, decile_N == d].mean(axis=1, dtype=np.float64) for d in present])
    marker = "o" if updates_T.size <= style.FEW else ""
    for decile, mean_T in zip(present, means, strict=True):
        name = f"decile {decile + 1}"
        axes.plot(updates_T, mean_T, color=colours(int(decile)), marker=marker, label=name)
    if means.min() > 0 and means.max() > 20 * means.min():
        axes.set_yscale("log")
        style.log_ticks(axes.yaxis)
    style.integer_ticks(axes.xaxis, updates_T)
    style.label_axes(axes, x="updates of training", y=axis)
    key = figure.colorbar(
        ScalarMappable(BoundaryNorm(np.arange(11) + 0.5, 10), colours),
        ax=axes, location="bottom", ticks=np.arange(1, 11), aspect=32, drawedges=True,
    )  # fmt: skip
    key.ax.tick_params(length=0)
    key.set_label("difficulty decile · 1 = easiest, 10 = hardest", loc="left")
    return figure


@style.house_style
def class_counts(
    easy_counts_K: style.Vector,
    hard_counts_K: style.Vector,
    class_names: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """How many examples of each class the easy set (left) and the hard set (right) hold.

    Classes stand in the order of the difference, the easiest above. Of more than 30, the 15 at each end.
    """
    easy_K = style.as_vector(easy_counts_K, "easy_counts_K")
    hard_K = style.as_vector(hard_counts_K, "hard_counts_K", like=easy_K)
    if len(class_names) != easy_K.size:
        raise ValueError(f"{len(class_names)} class names for {easy_K.size} classes; name every class")

    ordered = np.argsort(hard_K - easy_K, kind="stable")
    hidden = max(0, ordered.size - 2 * SHOWN_PER_END)
    shown = ordered if not hidden else np.concatenate([ordered[:SHOWN_PER_END], ordered[-SHOWN_PER_END:]])
    # The gap where classes are left out is one row wide.
    rows = np.arange(shown.size) + (np.arange(shown.size) >= SHOWN_PER_END) * bool(hidden)

    figure, [axes] = style.stacked_panels([0.9 + 0.21 * (rows[-1] + 1)], title=title)
    axes.barh(rows, -easy_K[shown], color=style.EASY, height=0.72)
    axes.barh(rows, hard_K[shown], color=style.HARD, height=0.72)
    left, right = easy_K[shown].max(), hard_K[shown].max()
    room = 0.16 * max(left + right, 1)  # for the number beside the longest bar
    beside = {"textcoords": "offset points", "va": "center", "fontsize": style.SMALL}
    for row, k in zip(rows, shown, strict=True):
        axes.annotate(f"{easy_K[k]:g}", (-easy_K[k], row), (-3, 0), ha="right", **beside)
        axes.annotate(f"{hard_K[k]:g}", (hard_K[k], row), (3, 0), ha="left", **beside)
    if hidden:
        axes.text(0, SHOWN_PER_END, f"… {hidden} more {'class' if hidden == 1 else 'classes'} between …",
                  ha="center", va="center", fontsize=style.SMALL, color=style.GREY)  # fmt: skip
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks(rows, [fit(str(class_names[k]), 1.45, style.SMALL, lines=1) for k in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-left - room, right + room)
    axes.set_ylim(rows[-1] + 0.6, -0.6)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
    axes.set_title("◀ in the easy set", loc="left", color=style.EASY, fontweight="bold")
    axes.set_title("in the hard set ▶", loc="right", color=style.HARD, fontweight="bold")
    axes.set_xlabel("number of examples, by class", loc="left")
    return figure
