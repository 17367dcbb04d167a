"""A page that the MLflow UI shows by itself: figures and tables in one html file."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1, h2, p, li { overflow-wrap: anywhere; }
img { background: #fff; height: auto; max-width: 100%; }
.pictures { align-items: start; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, var(--column)); }
.pictures { --column: minmax(min(100%, 30rem), 1fr); }
.wide { margin: 1rem 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8886; padding: .2rem .6rem; text-align: left; white-space: nowrap; }
"""


def heading(text: str) -> str:
    """Begin a section of a page."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Text of a page; `**so**` is strong.

    Examples
    --------
    >>> paragraph("**Lower** < higher")
    '<p><strong>Lower</strong> &lt; higher</p>'
    """
    pieces = html.escape(text).split("**")
    return "<p>" + "".join(f"<strong>{each}</strong>" if i % 2 else each for i, each in enumerate(pieces)) + "</p>"


def listing(items: Sequence[str]) -> str:
    """Points below each other."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def pictures(paths: Sequence[Path]) -> str:
    """Files of png, inside the page; side by side where there is room."""
    shown = []
    for path in paths:
        content = base64.b64encode(path.read_bytes()).decode()
        shown.append(f'<img alt="{html.escape(path.stem.replace("_", " "))}" src="data:image/png;base64,{content}">')
    return f'<div class="pictures">{"".join(shown)}</div>'


def rows(table: pd.DataFrame, number: str = ".4g") -> str:
    """A table, its fractions in the format `number`; on a narrow screen it scrolls by itself."""
    text = table.to_html(index=False, border=0, float_format=lambda value: format(value, number), na_rep="")
    return f'<div class="wide">{text}</div>'


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write a page.

    Parameters
    ----------
    path : pathlib.Path
        Of the html file.
    title : str
        Its heading.
    parts : sequence of str
        What the functions of this room make, in order.
    """
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<h1>{html.escape(title)}</h1>{''.join(parts)}</html>\n",
        encoding="utf-8",
    )
