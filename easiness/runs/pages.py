"""Preview pages for the MLflow UI, one html file each, and results in a notebook."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from easiness.commandline import printable

# Rows of the main table in a notebook.
_NOTEBOOK_ROWS = 8


def shown(value: object, number: str = ".4g") -> str:
    """Write a cell for people: fractions in the format `number`, a dash for an unknown value.

    Examples
    --------
    >>> [shown(value) for value in (0.123456, 12345, 1234567.8, float("nan"), None, "cat", True)]
    ['0.1235', '12345', '1.235e+06', '–', '–', 'cat', 'yes']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return format(value, number)
    return printable(str(value))


def numeric_columns(table: pd.DataFrame) -> list[bool]:
    """Whether each column is numeric and not boolean."""
    is_numeric, is_bool = pd.api.types.is_numeric_dtype, pd.api.types.is_bool_dtype
    return [is_numeric(kind) and not is_bool(kind) for kind in table.dtypes]


def data_address(content: bytes) -> str:
    """Address that holds a png or jpeg itself."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def open_templates(*packages: str) -> Environment:
    """Open the templates of packages, and those of this one, which they may include. Text is escaped in all of them."""
    loader = ChoiceLoader([PackageLoader(package) for package in (*packages, "easiness.runs")])
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"shown": shown, "numeric_columns": numeric_columns, "data_address": data_address}
    return templates


_TEMPLATES = open_templates()
_PARTS = _TEMPLATES.get_template("parts.html").module


def heading(text: str) -> str:
    """Begin a section."""
    return _PARTS.heading(text)


def paragraph(text: str) -> str:
    """Text in which `**this**` is strong.

    Examples
    --------
    >>> str(paragraph("**Lower** < higher")).strip()
    '<p><strong>Lower</strong> &lt; higher</p>'
    """
    return _PARTS.paragraph(text)


def listing(items: Sequence[str]) -> str:
    """Bulleted list."""
    return _PARTS.listing(items)


def pictures(paths: Sequence[Path]) -> str:
    """Png files, side by side where there is room."""
    return _PARTS.pictures([(path.stem.replace("_", " "), path.read_bytes()) for path in paths])


def rows(table: pd.DataFrame, number: str = ".4g") -> str:
    """Table with its fractions in the format `number`."""
    return _PARTS.table(table, number=number)


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write an html file of what the functions above return, in order."""
    path.write_text(render("page.html", title=title, parts=parts), encoding="utf-8")


def render(template: str, **content: object) -> str:
    """Html of a template."""
    return _TEMPLATES.get_template(template).render(content)


def result_html(title: str, numbers: Mapping[str, object], table: pd.DataFrame, points: Sequence[str] = ()) -> str:
    """Html that Jupyter shows for a result: a title, the head of the main table and the key numbers."""
    pairs = [f"{name} {format(value, '.4g' if isinstance(value, float) else '')}" for name, value in numbers.items()]
    head = table.head(_NOTEBOOK_ROWS).to_html(index=False, border=0, float_format="{:.4g}".format, na_rep="")
    paragraphs = [*[f"{len(table):,} rows in all"] * (len(table) > _NOTEBOOK_ROWS), ", ".join(pairs), *points]
    return f"<h4>{html.escape(title)}</h4>" + head + "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
