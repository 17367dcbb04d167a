"""Results in a notebook: a title, the head of the main table and the key numbers."""

import html
from collections.abc import Mapping, Sequence

import pandas as pd

# Rows of the main table.
_ROWS = 8


def result_html(title: str, numbers: Mapping[str, object], table: pd.DataFrame, points: Sequence[str] = ()) -> str:
    """Html that Jupyter shows for a result."""
    words = [f"{name} {format(value, '.4g' if isinstance(value, float) else '')}" for name, value in numbers.items()]
    rows = table.head(_ROWS).to_html(index=False, border=0, float_format="{:.4g}".format, na_rep="")
    paragraphs = [*[f"{len(table):,} rows in all"] * (len(table) > _ROWS), ", ".join(words), *points]
    return f"<h4>{html.escape(title)}</h4>" + rows + "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
