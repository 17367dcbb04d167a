"""Tables for programs (csv), for people (md, html) and for papers (tex)."""

import html
import math
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip

_LONG = 44  # characters; a longer cell is broken into lines


def shown(value: object) -> str:
    """Write a cell for people: four digits of a number, a dash for what is unknown.

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
        return f"{value:.4g}"
    return str(value)


def to_csv(table: pd.DataFrame) -> str:
    """All digits; empty for what is unknown."""
    return table.to_csv(index=False, lineterminator="\n")


def to_markdown(table: pd.DataFrame, caption: str) -> str:
    r"""Table as Markdown.

    Examples
    --------
    >>> print(to_markdown(pd.DataFrame({"a": ["x|y"], "b": [0.5]}), "Both."), end="")
    Both.
    <BLANKLINE>
    | a | b |
    |---|--:|
    | x\|y | 0.5 |
    """

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |\n"

    rules = ["--:" if is_numeric(table[name]) else "---" for name in table]
    rows = "".join(line([shown(value) for value in row]) for row in table.itertuples(index=False))
    return f"{caption}\n\n{line([str(name) for name in table])}|{'|'.join(rules)}|\n{rows}"


def to_tex(table: pd.DataFrame, caption: str, label: str) -> str:
    """Table environment for LaTeX with the package booktabs."""

    def cell(text: str) -> str:
        return re.sub(r"[\\&%$#_{}~^]", lambda found: _TEX[found[0]], text).replace("–", "--")

    columns = "".join("r" if is_numeric(table[name]) else "l" for name in table)
    head = " & ".join(cell(str(name)) for name in table)
    rows = "\n".join(" & ".join(cell(shown(value)) for value in row) + r" \\" for row in table.itertuples(index=False))
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{cell(caption)}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head} \\\\\n\\midrule\n{rows}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def to_html(table: pd.DataFrame, caption: str, links: Mapping[str, str]) -> str:
    """Table of a page; numbers carry all their digits for sorting, and what is a key of `links` becomes one."""
    names = [str(name) for name in table]
    numeric = [is_numeric(table[name]) for name in table]
    head = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{html.escape(name)}</th>'
        for name, number in zip(names, numeric, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(_cell(value, number, links) for value, number in zip(row, numeric, strict=True)) + "</tr>\n"
        for row in table.itertuples(index=False)
    )
    return (
        f'<div class="wide"><table><caption><span>{html.escape(caption)}</span></caption>\n'
        f"<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody></table></div>"
    )


def _cell(value: object, number: bool, links: Mapping[str, str]) -> str:
    text = html.escape(shown(value))
    if isinstance(value, str) and value in links:
        return f'<td><a href="{html.escape(links[value])}">{text}</a></td>'
    if not number:
        return f"<td{' class=long' if len(text) > _LONG else ''}>{text}</td>"
    known = text != "–"
    return f'<td class=n data-v="{float(value)!r}">{text}</td>' if known else "<td class=n>–</td>"


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, and no truths."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
