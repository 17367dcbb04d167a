"""Contact sheets of examples, and the average image of each set."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from easiness.figures import style
from easiness.figures.text_fit import fit, text_width

MARGIN, GAP = 0.12, 0.1  # inches around the sheet and between cells
LARGEST_CELL = 2.4  # inches; a few images do not grow beyond it
HIGHEST = 65_000 / style.DPI  # inches; a png cannot be higher than 65,535 pixels
CAPTION_LINES = 3
LINE = style.SMALL * style.LINE / 72  # inches

Pictures = tuple[Sequence[np.ndarray], Sequence[str]]  # images and their captions


@style.house_style
def easiest_and_hardest(easy: Pictures, hard: Pictures, title: str) -> Figure:
    """Draw the easiest examples above and the hardest below; side by side where there are one or two of each.

    Images are (H, W, 3) uint8 of any sizes, in equal cells: lowest easiness first, and highest easiness first. Each has
    its caption of at most three lines under it. Small images keep their pixels, large ones are smoothed.
    """
    sides = [("easiest · lowest loss", style.EASY, *easy), ("hardest · highest loss", style.HARD, *hard)]
    return _draw_sides(sides, title)


@style.house_style
def harder_for_either(pictures_by_model: Mapping[str, Pictures], title: str) -> Figure:
    """Draw examples that are harder for one model above those that are harder for the other, the strongest first.

    Images are (H, W, 3) uint8; one of the two sides may be empty, and is left out.
    """
    named = zip(pictures_by_model.items(), (style.PURPLE, style.GREEN), strict=True)
    sides = [(f"harder for {model}", colour, *pictures) for (model, pictures), colour in named if len(pictures[0])]
    return _draw_sides(sides, title)


def _draw_sides(sides: Sequence[tuple[str, str, Sequence[np.ndarray], Sequence[str]]], title: str) -> Figure:
    """Draw a sheet for every side (name, colour, images, captions): one above the other, or beside where small."""
    for _, _, images, captions in sides:
        _check(images, captions)
    count = max((len(images) for _, _, images, _ in sides), default=0)
    if count == 0:
        raise ValueError("no image to draw on either side; give at least one")
    beside = count <= 2
    rows = math.ceil(count / 6)
    columns = count if beside else math.ceil(count / rows)
    width = (style.WIDTH - 2 * MARGIN - 2 * GAP) / 2 if beside else style.WIDTH - 2 * MARGIN
    sheets = [_Sheet(images, captions, columns=columns, width=width) for _, _, images, captions in sides]
    name_height = style.TYPE * style.LINE / 72 + 0.12
    heights = [name_height + sheet.height + MARGIN for sheet in sheets]
    axes, top = _paper(title, max(heights) if beside else sum(heights))
    left = MARGIN
    for (name, colour, _, _), sheet, height in zip(sides, sheets, heights, strict=True):
        name = fit(name, width, style.TYPE, lines=1, weight="bold")
        axes.plot([left, left + width], [top, top], color=colour, linewidth=2.5, solid_capstyle="butt")
        axes.text(left, top + 0.06, name, color=colour, fontsize=style.TYPE, fontweight="bold", va="top")
        sheet.draw(axes, left=left, top=top + name_height)
        left, top = (left + width + 2 * GAP, top) if beside else (left, top + height)
    return axes.figure


@style.house_style
def average_images(sets: Mapping[str, tuple[np.ndarray, float, float, float]], *, title: str = "") -> Figure:
    """Draw the average image of each set, and below them how diverse the sets are.

    `sets` holds, by name, the average, (H, W, 3) float64 in 0 … 255, whose contrast is kept, and the diversity with the
    low and high end of its interval: one less the mean correlation of two images; higher = more diverse, NaN = no
    interval.
    """
    if not sets:
        raise ValueError("no average to draw; give at least one set")
    for name, (average, *_) in sets.items():
        if average.ndim != 3 or average.shape[2] != 3 or average.size == 0:
            raise ValueError(f"the average of {name!r} has shape {average.shape}; give (height, width, 3)")
        if not (average.min() >= 0 and average.max() <= 255):
            raise ValueError(f"the average of {name!r} spans {average.min():g} to {average.max():g}; give 0 … 255")

    count, names = len(sets), list(sets)
    pictures = [np.round(average).astype(np.uint8) for average, *_ in sets.values()]
    diversities = [diversity for _, *diversity in sets.values()]
    captions = [_diversity_text(*diversity) for diversity in diversities]
    name_height = style.TYPE * style.LINE / 72
    sheet = _Sheet(pictures, captions, columns=max(count, 2), width=style.WIDTH - 2 * MARGIN)
    panel_height, below = 0.3 * count + 0.1, 0.8
    paper, top = _paper(title, name_height, sheet.height, 0.15, panel_height, below)
    colours = [style.colour_and_marker(name, index)[0] for index, name in enumerate(names)]
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        shown = fit(name, sheet.cell, style.TYPE, lines=1, weight="bold")
        x = MARGIN + index * (sheet.cell + GAP)
        paper.text(x, top, shown, color=colour, fontweight="bold", va="top")
    sheet.draw(paper, left=MARGIN, top=top + name_height + 0.04)

    name_texts = [fit(name, 1.2, style.SMALL, lines=1) for name in names]
    left = MARGIN + 0.1 + max(text_width(text, style.SMALL) for text in name_texts)
    width, height = style.WIDTH, paper.figure.get_figheight()
    panel = paper.figure.add_axes(
        (left / width, below / height, (width - MARGIN - 0.1 - left) / width, panel_height / height)
    )
    for row, ((value, low, high), colour) in enumerate(zip(diversities, colours, strict=True)):
        panel.plot([value], [row], "o", color=colour, markersize=7)
        if np.isfinite([low, high]).all():
            panel.hlines([row], [low], [high], color=colour, linewidth=2)
    panel.set_yticks(range(count), name_texts)
    panel.set_ylim(count - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
    panel.locator_params(axis="x", nbins=5)
    paper.figure.draw_without_rendering()  # makes the panel's ticks, in this style
    panel.set_xlabel("diversity (1 − mean correlation of two images)\nhigher = more diverse", loc="left")
    return paper.figure


def _diversity_text(value: float, low: float, high: float) -> str:
    interval = f"{low:.3f} to {high:.3f}" if np.isfinite([low, high]).all() else "no interval"
    return f"diversity {value:.3f}\n{interval}"


class _Sheet:
    """Cells of equal width; a row is as high as its longest caption asks for. All lengths are inches."""

    def __init__(self, images: Sequence[np.ndarray], captions: Sequence[str], *, columns: int, width: float) -> None:
        self.images, self.columns = images, columns
        self.cell = min((width - (columns - 1) * GAP) / columns, LARGEST_CELL)
        if self.cell < 0.15:
            raise ValueError(f"{columns} columns leave no room for an image; ask for 16 or fewer")
        # Landscape images alone need no square cells.
        self.picture_height = self.cell * min(1.0, max(image.shape[0] / image.shape[1] for image in images))
        self.captions = [fit(str(c), self.cell, style.SMALL, lines=CAPTION_LINES) for c in captions]
        self.row_heights = [
            self.picture_height + 0.07 + GAP + LINE * max(text.count("\n") + 1 if text else 0 for text in row)
            for row in (self.captions[i : i + columns] for i in range(0, len(captions), columns))
        ]
        self.height = sum(self.row_heights) - GAP

    def draw(self, axes: Axes, *, left: float, top: float) -> None:
        limits = axes.get_xlim(), axes.get_ylim()
        for index, (image, caption) in enumerate(zip(self.images, self.captions, strict=True)):
            row, column = divmod(index, self.columns)
            x = left + column * (self.cell + GAP)
            y = top + sum(self.row_heights[:row])
            scale = min(self.cell / image.shape[1], self.picture_height / image.shape[0])
            height, width = image.shape[0] * scale, image.shape[1] * scale
            # In the lower left corner of its cell, next to the caption.
            y0 = y + self.picture_height - height
            axes.imshow(image, extent=(x, x + width, y0 + height, y0), aspect="auto",
                        interpolation="nearest" if scale * style.DPI >= 1 else "antialiased")  # fmt: skip
            axes.text(x, y + self.picture_height + 0.05, caption, fontsize=style.SMALL, va="top", linespacing=1.15)
        axes.set(xlim=limits[0], ylim=limits[1])


def _paper(title: str, *heights: float) -> tuple[Axes, float]:
    """Axes with inches for coordinates, from the upper left corner of a new figure, and where its title ends."""
    heading = fit(title, style.WIDTH - 2 * MARGIN, style.TITLE, lines=3, weight="bold")
    top = MARGIN + ((heading.count("\n") + 1) * style.TITLE * style.LINE / 72 + 0.06 if heading else 0)
    height = sum(heights, top)
    if height > HIGHEST:
        raise ValueError(f"the sheet would be {height:.0f} inches high, a png holds {HIGHEST:.0f}; show fewer images")
    figure = Figure(figsize=(style.WIDTH, height), dpi=style.DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, style.WIDTH), ylim=(height, 0))
    axes.axis("off")
    axes.text(MARGIN, MARGIN, heading, fontsize=style.TITLE, fontweight="bold", va="top")
    return axes, top


def _check(images: Sequence[np.ndarray], captions: Sequence[str]) -> None:
    if len(images) == 0 or len(captions) != len(images):
        raise ValueError(f"{len(images)} images with {len(captions)} captions; give a caption for every image")
    for index, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"image {index} is {image.dtype} of shape {image.shape}; give uint8 of (height, width, 3)")
