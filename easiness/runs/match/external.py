"""Scores made elsewhere, one number for each example, from npz, csv or parquet."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SUFFIXES = (".npz", ".csv", ".parquet")
POLARITIES = ("higher_is_harder", "higher_is_easier")

# Columns that say which example a row is, not how hard it is.
_ID, _LABELS = "example_id", ("label", "labels")


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

    Rows are found by a column `example_id`; without one, row i is example i of the whole dataset. Where the file has
    labels, they must be those of the run.

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
    columns = _read_columns(path)
    numbers = [
        name
        for name, values in columns.items()
        if values.ndim == 1 and values.dtype.kind in "fiu" and name not in (_ID, *_LABELS)
    ]
    if column is None and len(numbers) == 1:
        column = numbers[0]
    if column not in numbers:
        asked = "several columns" if column is None else f"no column {column!r} of numbers"
        raise ValueError(f"{path.name} has {asked}; choose with against_column= one of {', '.join(numbers) or 'none'}")
    rows_N = _rows_of(path, columns, len(columns[column]), table["example_id"].to_numpy())
    for labels in (columns[name][rows_N] for name in _LABELS if name in columns):
        _check_labels(path, labels, table)
    values_N = columns[column][rows_N].astype(np.float64)
    bad = int((~np.isfinite(values_N)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {len(values_N)} values of {column} in {path.name} are not finite; repair them first"
        )
    return ExternalScores(column, values_N, polarity == "higher_is_easier")


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"outside scores are read from {', '.join(SUFFIXES)}, and this is {path.name}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; against= names the file of outside scores")
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return {name: arrays[name] for name in arrays.files}
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} cannot be read as {path.suffix[1:]}: {error}") from error
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _rows_of(path: Path, columns: dict[str, np.ndarray], length: int, example_ids_N: np.ndarray) -> np.ndarray:
    """Row of the file for each example of the run."""
    if _ID not in columns:
        if example_ids_N.max() >= length:
            raise ValueError(
                f"{path.name} has {length} rows, and the run has examples up to number {example_ids_N.max()}; give all "
                f"of the dataset, or a column {_ID}"
            )
        return example_ids_N
    index = pd.Index(columns[_ID])
    if not index.is_unique:
        raise ValueError(f"{path.name} has an {_ID} twice; give every example once")
    rows_N = index.get_indexer(example_ids_N)
    missing = example_ids_N[rows_N < 0]
    if len(missing):
        raise ValueError(f"{path.name} lacks {len(missing)} examples of the run, the first is {_ID} {missing[0]}")
    return rows_N


def _check_labels(path: Path, labels_N: np.ndarray, table: pd.DataFrame) -> None:
    apart = np.flatnonzero(labels_N != table["label"].to_numpy())
    if len(apart):
        row = apart[0]
        raise ValueError(
            f"{path.name} is in another order or of other data: {len(apart)} labels differ from the run's, first "
            f"{labels_N[row]} for example {table['example_id'].iloc[row]}, whose label is {table['label'].iloc[row]}"
        )
