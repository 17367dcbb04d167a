"""Scores made elsewhere, one number for each example, from npz, csv or parquet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from easiness.datasets.columns import ID, Columns, read_columns

SUFFIXES = (".npz", ".csv", ".parquet")
POLARITIES = ("higher_is_harder", "higher_is_easier")

_LABELS = ("label", "labels")


@dataclass(frozen=True)
class ExternalScores:
    """Column of scores: (N,) float64 in the order of a score run, with the name of the column and the polarity."""

    name: str
    values: np.ndarray
    higher_is_easier: bool


def read_external_scores(
    path: Path, table: pd.DataFrame, *, column: str | None = None, polarity: str = "higher_is_harder"
) -> ExternalScores:
    """Read one column of outside scores and bring it into the order of a score run.

    Rows are found by a column `example_id`. Without one, row i is example i of the whole dataset, and the file needs
    labels that prove the order, class by class. Where the file has labels, they must be those of the run.

    Parameters
    ----------
    path : pathlib.Path
        An npz, csv or parquet file.
    table : pandas.DataFrame
        example_id and label of the N examples of the run.
    column : str, optional
        May be left out where there is only one column of numbers.
    polarity : str
        `higher_is_harder` (losses, EL2N, forgetting counts) or `higher_is_easier`.

    Raises
    ------
    ValueError
        For unreadable files, unknown names, missing examples, labels that differ, or scores that are not finite.
    FileNotFoundError
        If there is no such file.
    """
    if polarity not in POLARITIES:
        raise ValueError(f"against_polarity is {polarity!r}, and must be one of {', '.join(POLARITIES)}")
    columns = read_columns(path, SUFFIXES, "against")
    numbers = [name for name, values in columns.values.items() if values.dtype.kind in "fiu" and name not in _LABELS]
    if column is None and len(numbers) == 1:
        column = numbers[0]
    if column not in numbers:
        asked = "several columns" if column is None else f"no column {column!r} of numbers"
        raise ValueError(f"{path.name} has {asked}; choose with against_column= one of {', '.join(numbers) or 'none'}")
    scores = columns.values[column]
    rows_N = _rows_of(columns, len(scores), table["example_id"].to_numpy())
    for name in set(_LABELS) & columns.values.keys():
        labels = columns.integers(name)
        if len(labels) != len(scores):
            raise ValueError(f"{path.name} has {len(labels)} of {name}, and {len(scores)} of {column}")
        _check_labels(path, labels[rows_N], table)
    values_N = scores[rows_N].astype(np.float64)
    bad = int((~np.isfinite(values_N)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {len(values_N)} values of {column} in {path.name} are not finite; repair them first"
        )
    return ExternalScores(column, values_N, polarity == "higher_is_easier")


def _rows_of(columns: Columns, length: int, example_ids_N: np.ndarray) -> np.ndarray:
    """Row of the file for each example of the run."""
    name = columns.path.name
    if columns.ids is None:
        if not columns.values.keys() & set(_LABELS):
            raise ValueError(f"{name} has no column {ID}, and no labels that would prove its order; add one of them")
        if example_ids_N.max() >= length:
            raise ValueError(
                f"{name} has {length} rows, and the run has examples up to number {example_ids_N.max()}; give all "
                f"of the dataset, or a column {ID}"
            )
        return example_ids_N
    if len(columns.ids) != length:
        raise ValueError(f"{name} has {len(columns.ids)} ids for {length} scores")
    rows_N = pd.Index(columns.ids).get_indexer(example_ids_N)
    missing = example_ids_N[rows_N < 0]
    if len(missing):
        raise ValueError(f"{name} lacks {len(missing)} examples of the run, the first is {ID} {missing[0]}")
    return rows_N


def _check_labels(path: Path, labels_N: np.ndarray, table: pd.DataFrame) -> None:
    apart = np.flatnonzero(labels_N != table["label"].to_numpy())
    if len(apart):
        row = apart[0]
        raise ValueError(
            f"{path.name} is in another order or of other data: {len(apart)} labels differ from the run's, first "
            f"{labels_N[row]} for example {table['example_id'].iloc[row]}, whose label is {table['label'].iloc[row]}"
        )
