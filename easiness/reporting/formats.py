"""Tables for programs (csv), for readers of plain text (md) and for papers (tex)."""

import html
import re

import pandas as pd

from easiness.runs.pages import numeric_columns, shown

_TEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
})  # fmt: skip


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
    lines = ["| " + " | ".join(map(_markdown, row)) + " |" for row in _text(table)]
    rules = "|".join("--:" if numeric else "---" for numeric in numeric_columns(table))
    return "\n".join([_markdown(caption), "", lines[0], f"|{rules}|", *lines[1:], ""])


def _markdown(text: str) -> str:
    r"""Text that Markdown shows as it is: no html, no link, no picture, no end of a cell.

    >>> print(_markdown("<b>![a](b) c|d"))
    &lt;b&gt;!\[a\](b) c\|d
    """
    return re.sub(r"([\\`|\[\]])", r"\\\1", html.escape(text, quote=False))


def to_tex(table: pd.DataFrame, caption: str, label: str) -> str:
    """Table environment for LaTeX with the package booktabs."""
    head, *rows = [" & ".join(cell.translate(_TEX) for cell in row) + r" \\" for row in _text(table)]
    columns = "".join("r" if numeric else "l" for numeric in numeric_columns(table))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption.translate(_TEX)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _text(table: pd.DataFrame) -> list[list[str]]:
    """Cells as they are shown, the column names first."""
    rows = [list(table), *table.itertuples(index=False)]
    return [[shown(value).replace("\n", " ") for value in row] for row in rows]
