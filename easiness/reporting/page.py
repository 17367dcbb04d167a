"""The page itself: one file, with its look, its script and its pictures inside."""

import base64
import html
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from easiness.reporting.blocks import Block, Chart, Gallery, Heading, Picture, Table, Text, Verdicts
from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN, Verdict
from easiness.reporting.formats import to_html
from easiness.reporting.gallery import Item, Section
from easiness.reporting.script import SCRIPT
from easiness.reporting.stylesheet import STYLESHEET
from easiness.reporting.trajectories import draw_trajectory
from easiness.tracking.contract import VERSION

# Bytes of a page at most; the UI and a phone must open it.
LARGEST = 15_000_000
# Of these, for charts and for sheets of pictures that runs drew, as they are embedded; the gallery gets what is left.
_CHARTS, _PICTURES = 5_000_000, 6_000_000
# And for what is said where rows are left out.
_NOTES = 20_000
# Rows of a table that the page shows at most; fewer where very many tables would fill it.
_ROWS = (1_500, 100, 10, 0)

_MARKS = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗"), UNKNOWN: ("unknown", "?")}

_INTRODUCTION = (
    "Train a network several times and take the cross-entropy of every training example, averaged over the "
    "trials: that is "
    "the example's **easiness**, in nats. **Lower = easier.** The easy (hard) set is the share of examples "
    "with the lowest "
    "(highest) easiness. This page follows Kishida and Nakayama, “Empirical Study of Easy and Hard Examples in CNN "
    "Training” (2019); where the paper prints a number, it stands beside ours."
)


def make_page(title: str, blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Parameters
    ----------
    title : str
    blocks : sequence of Block
    pictures : mapping of bytes
        Png of every chart and picture, by name.

    Returns
    -------
    str
        Html of at most `LARGEST` bytes: what would make it larger is left out, and the page says where it is. Of long
        tables the head stays; charts and sheets of pictures beyond their share, and the gallery's last rows, go.
    """
    shelves = sum(isinstance(block, Gallery) for block in blocks)
    for rows in _ROWS:
        room = LARGEST - _NOTES - len(_page(title, blocks, pictures, rows, 0).encode())
        if room >= 0:
            break
    return _page(title, blocks, pictures, rows, room // max(shelves, 1))


def _page(title: str, blocks: Sequence[Block], pictures: Mapping[str, bytes], rows: int, room: int) -> str:
    chapters = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<li><a href="#{_anchor(each.text)}">{html.escape(each.text)}</a></li>' for each in chapters)
    parts = "\n".join(_parts(blocks, pictures, _embedded(blocks, pictures), rows, room))
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title>\n'
        f"<style>{STYLESHEET}</style></head>\n<body>\n"
        f"<header><h1>{html.escape(title)}</h1>{paragraph(_INTRODUCTION)}</header>\n"
        f'<nav aria-label="Chapters"><ul>{links}</ul></nav>\n<main>\n{parts}\n</main>\n'
        f"<footer><p>Made by easiness {VERSION} from the runs above. manifest.json beside this page lists "
        "every input with "
        "its SHA-256; figures/ and tables/ hold all that is shown, for papers and programs.</p></footer>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def paragraph(text: str) -> str:
    """Text of a page; `**so**` is strong.

    Examples
    --------
    >>> paragraph("**Lower** < higher")
    '<p><strong>Lower</strong> &lt; higher</p>'
    """
    pieces = html.escape(text).split("**")
    return "<p>" + "".join(f"<strong>{each}</strong>" if i % 2 else each for i, each in enumerate(pieces)) + "</p>"


def _embedded(blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> set[str]:
    """Names of the charts and pictures that the page holds itself: the first of each, as far as their shares go."""
    names, left = set(), {Chart: _CHARTS, Picture: _PICTURES}
    for block in blocks:
        if isinstance(block, (Chart, Picture)):
            size = 4 * math.ceil(len(pictures[block.name]) / 3)  # in base64
            if size <= left[type(block)]:
                names.add(block.name)
                left[type(block)] -= size
    return names


def _parts(
    blocks: Sequence[Block], pictures: Mapping[str, bytes], embedded: Collection[str], rows: int, room: int
) -> Iterator[str]:
    for drawn, group in groupby(blocks, lambda block: isinstance(block, (Chart, Picture))):
        if drawn:
            shown = (
                _figure(block, pictures[block.name]) if block.name in embedded else _beside(block) for block in group
            )
            yield f'<div class="charts">{"".join(shown)}</div>'
        else:
            yield from (_part(block, rows, room) for block in group)


def _part(block: Block, rows: int, room: int) -> str:
    match block:
        case Heading(text, level):
            name = f' id="{_anchor(text)}"' if level == 2 else ""
            return f"<h{level}{name}>{html.escape(text)}</h{level}>"
        case Text(text):
            return paragraph(text)
        case Verdicts(verdicts):
            return f'<ul class="verdicts">{"".join(map(_verdict, verdicts))}</ul>'
        case Table():
            table = to_html(block.content.head(rows), block.caption, block.links)
            if len(block.content) > rows:
                where = html.escape(f"tables/{block.name}.csv")
                table += (
                    f"<p>The first {rows:,} of {len(block.content):,} rows are shown, so that the page stays below "
                    f'15 MB. Beside this page, with all of them: <a href="{where}">{where}</a></p>'
                )
            if block.folded:
                head = html.escape(f"{block.caption} ({len(block.content)} rows)")
                return f'<details class="fold"><summary>{head}</summary>{table}</details>'
            return table
        case Gallery(shelves):
            return _gallery(shelves, room)
    raise TypeError(f"a page has no place for {type(block).__name__}")


def _figure(block: Chart | Picture, content: bytes) -> str:
    return (
        f'<figure id="{html.escape(block.name)}"><img alt="{html.escape(block.alt)}" src="{_address(content)}">'
        f"<figcaption>{html.escape(block.caption)}</figcaption></figure>"
    )


def _beside(block: Chart | Picture) -> str:
    """Say where a figure is that would make the page too large."""
    where = html.escape(f"figures/{block.name}.png")
    return f'<p>{html.escape(block.caption)} Beside this page: <a href="{where}">{where}</a></p>'


def _verdict(verdict: Verdict) -> str:
    name, mark = _MARKS[verdict.verdict]
    return (
        f'<li class="{name}"><strong>{html.escape(verdict.claim)}</strong> <span class="judged"><span class="badge">'
        f'{mark} {verdict.verdict}</span> <span class="place">{html.escape(verdict.place)}</span></span>'
        f"<p>{html.escape(verdict.number[:1].upper() + verdict.number[1:])}.</p>"
        f'<details class="rule"><summary>the rule</summary>{html.escape(verdict.rule)}</details></li>'
    )


def _gallery(shelves: Sequence[Section], room: int) -> str:
    parts = []
    for index, shelf in enumerate(shelves):
        rows, left_out = [], 0
        # What one shelf leaves of its share goes to the next.
        share = room // (len(shelves) - index)
        for row in shelf.rows:
            text = (
                f'<div class="row"><h4>{html.escape(row.name)}</h4>'
                f'<div class="items">{"".join(map(_item, row.items))}</div></div>'
            )
            size = len(text.encode())
            if size > share:
                left_out += 1
                continue
            share, room = share - size, room - size
            rows.append(text)
        note = shelf.note
        if left_out:
            note += f" {left_out} of {len(shelf.rows)} rows are left out, so that the page stays below 15 MB."
        is_open = " open" if index == 0 else ""
        parts.append(
            f'<details class="fold"{is_open}><summary>{html.escape(shelf.title)}</summary>{paragraph(note)}'
            f"{''.join(rows)}</details>"
        )
    return f'<div class="gallery">{"".join(parts)}</div>'


def _item(item: Item) -> str:
    what = html.escape(f"{item.class_name}, example {item.example_id}")
    if item.picture is None:
        picture = '<span class="none">no picture</span>'
    else:
        small = ' class="small"' if _is_png(item.picture) else ""
        picture = f'<img{small} alt="{what}" src="{_address(item.picture)}">'
    lines = "".join(f"<br>{html.escape(line)}" for line in item.lines)
    return (
        f'<details class="item"><summary>{picture}<b>{html.escape(item.class_name)}</b> '
        f"#{item.example_id}{lines}</summary>"
        f'<div class="course">{draw_trajectory(item.metric_curves)}</div></details>'
    )


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG")


def _address(content: bytes) -> str:
    kind = "png" if _is_png(content) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
