"""Tables for programs (csv), for readers of plain text (md) and for papers (tex)."""

import pandas as pd

from easiness.runs.pages import numeric_columns, shown

_TEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
})  # fmt: skip


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
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) + " |" for row in _text(table)
    ]
    rules = "|".join("--:" if numeric else "---" for numeric in numeric_columns(table))
    return "\n".join([caption, "", lines[0], f"|{rules}|", *lines[1:], ""])


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
    return [[str(name) for name in table], *([shown(value) for value in row] for row in table.itertuples(index=False))]
