"""Tables of ours as csv: no spreadsheet takes a cell for a formula, and what is read is what was written."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

# Spreadsheets run what begins so, but for numbers; an apostrophe before it says that it is text.
_FORMULA = re.compile(r"'*(?![+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$)[=+\-@\t\r]")

# Columns of words in the tables of all runs; a class may be called 3.
_WORDS = ("a", "b", "model", "strategy", "grouping", "group", "class_name", "worst_class", "source", "run_id")


def to_csv(table: pd.DataFrame) -> str:
    """Csv with all digits, empty for what is unknown; a text like `=1+1` gets an apostrophe before it.

    Examples
    --------
    >>> print(to_csv(pd.DataFrame({"class_name": ["=1+1", "-3"], "z": [-0.5, 1.0]})), end="")
    class_name,z
    '=1+1,-0.5
    -3,1.0
    """
    quoted = _of_texts(table, lambda text: f"'{text}" if _FORMULA.match(text) else text)
    return quoted.to_csv(index=False, lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read a csv of ours: only an empty cell is unknown, since a class may be called null."""
    table = pd.read_csv(path, dtype=dict.fromkeys(_WORDS, str), keep_default_na=False, na_values=[""])
    return _of_texts(table, lambda text: text[1:] if text[0] == "'" and _FORMULA.match(text) else text)


def _of_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Table with its texts changed, those of its head, too."""

    def changed(value: object) -> object:
        return change(value) if isinstance(value, str) and value else value

    changed_columns = {
        name: column if pd.api.types.is_numeric_dtype(column) else column.map(changed) for name, column in table.items()
    }
    return pd.DataFrame(changed_columns, index=table.index).rename(columns=changed)
