"""The page of a report: one html file with its style, script and pictures inside, of at most 15 MB."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from easiness.reporting.blocks import Block, Chart, Gallery, Heading, Picture
from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN
from easiness.reporting.gallery import Section
from easiness.reporting.trajectories import scale_trajectories
from easiness.runs.pages import open_templates
from easiness.tracking.contract import VERSION

# Bytes of a page at most; the UI and a phone must open it.
LARGEST = 15_000_000
# Of these, for charts and for sheets of pictures that runs drew, as they are embedded; the gallery gets what is left.
_CHARTS, _PICTURES = 5_000_000, 6_000_000
# And for what is said where rows are left out.
_NOTES = 20_000
# Rows of a table that the page shows at most; fewer where very many tables would fill it.
_ROWS = (1_500, 100, 10, 0)

# A table of so few rows and so many columns has a line for each column.
_FEW, _WIDE = 4, 9

# Class and mark of each verdict.
_MARKS = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗"), UNKNOWN: ("unknown", "?")}


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


_TEMPLATES = open_templates("easiness.reporting")
_TEMPLATES.filters |= {
    "anchor": _anchor,
    "kind": lambda block: type(block).__name__.lower(),
    "scaled": scale_trajectories,
    "turns": lambda content: len(content) <= _FEW and len(content.columns) >= _WIDE,
}


def make_page(title: str, blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Parameters
    ----------
    title : str
    blocks : sequence of Block
    pictures : mapping of bytes
        Png of every chart and picture by name.

    Returns
    -------
    str
        Html of at most `LARGEST` bytes. What would make it larger is left out, and the page says where it is: rows of
        long tables, charts and pictures beyond their share, and rows of the gallery.
    """
    embedded = _embedded(blocks, pictures)
    bare = _fill_galleries(blocks, 0)
    for max_rows in _ROWS:
        room = LARGEST - _NOTES - len(_render(title, bare, embedded, max_rows).encode())
        if room >= 0:
            break
    return _render(title, _fill_galleries(blocks, room), embedded, max_rows)


def _render(title: str, blocks: Sequence[Block], embedded: Mapping[str, bytes], max_rows: int) -> str:
    groups = groupby(blocks, lambda block: isinstance(block, (Chart, Picture)))
    return _TEMPLATES.get_template("report.html").render(
        title=title,
        chapters=[block.text for block in blocks if isinstance(block, Heading) and block.level == 2],
        groups=[(are_figures, list(group)) for are_figures, group in groups],
        embedded=embedded,
        max_rows=max_rows,
        marks=_MARKS,
        version=VERSION,
    )


def _embedded(blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Charts and pictures that the page holds itself: the first of each, as far as their shares go."""
    embedded, left = {}, {Chart: _CHARTS, Picture: _PICTURES}
    for block in blocks:
        if isinstance(block, (Chart, Picture)):
            size = 4 * math.ceil(len(pictures[block.name]) / 3)  # in base64
            if size <= left[type(block)]:
                embedded[block.name] = pictures[block.name]
                left[type(block)] -= size
    return embedded


def _fill_galleries(blocks: Sequence[Block], room: int) -> list[Block]:
    """Blocks whose galleries keep as many rows as fit in `room` bytes; notes say how many are left out."""
    sections = sum(len(block.sections) for block in blocks if isinstance(block, Gallery))
    filled = []
    for block in blocks:
        if isinstance(block, Gallery):
            kept = []
            for section in block.sections:
                # What one section leaves of its share goes to the next.
                section, size = _fill_section(section, room // sections)
                kept.append(section)
                room, sections = room - size, sections - 1
            block = replace(block, sections=kept)
        filled.append(block)
    return filled


def _fill_section(section: Section, room: int) -> tuple[Section, int]:
    """Section with the rows that fit in `room` bytes, and how many bytes these are."""
    gallery_row = _TEMPLATES.get_template("gallery.html").module.gallery_row
    rows, size = [], 0
    for row in section.rows if room > 0 else ():
        length = len(gallery_row(row).encode())
        if size + length <= room:
            rows.append(row)
            size += length
    note = section.note
    if missing := len(section.rows) - len(rows):
        note += f" {missing} of {len(section.rows)} rows are left out, so that the page stays below 15 MB."
    return replace(section, rows=rows, note=note), size
