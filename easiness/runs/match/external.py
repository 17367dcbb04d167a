"""Scores made elsewhere, one number for each example, from npz, csv, parquet or npy."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from easiness.datasets.columns import ID, Columns, read_columns

LOG = logging.getLogger("easiness")

SUFFIXES = (".npz", ".csv", ".parquet", ".npy")
POLARITIES = ("higher_is_harder", "higher_is_easier")

_LABELS = ("label", "labels")
# Columns that name an example by its file.
_FILES = ("file", "source")
# Name of the only column of an npy file.
_LONE = "score"


@dataclass(frozen=True)
class ExternalScores:
    """Column of scores: (N,) float64 in the order of a score run, with the name of the column and the polarity."""

    name: str
    values: np.ndarray
    higher_is_easier: bool
    sha256: str  # checksum of the file


def read_external_scores(
    path: Path,
    table: pd.DataFrame,
    *,
    column: str | None = None,
    polarity: str = "higher_is_harder",
    option: str = "against",
) -> ExternalScores:
    """Read one column of outside scores and bring it into the order of a score run.

    Rows are found by a column `example_id`, or by `file` or `source`, the name of an example in the table. Without
    them, row i is example i of the whole dataset, and the file needs labels that prove the order, class by class. Where
    the file has labels, they must be those of the run. An npy file has the scores alone: of the N examples in their
    order, or of the whole dataset.

    Parameters
    ----------
    path : pathlib.Path
        An npz, csv, parquet or npy file.
    table : pandas.DataFrame
        example_id, source and label of the N examples of the run.
    column : str, optional
        May be left out where there is only one column of numbers.
    polarity : str
        `higher_is_harder` (losses, EL2N, forgetting counts) or `higher_is_easier`.
    option : str
        Option that names the file, for messages; the column's is `<option>_column`.

    Raises
    ------
    ValueError
        For unreadable files, unknown names, missing examples, labels that differ, or scores that are not finite.
    FileNotFoundError
        If there is no such file.
    """
    if polarity not in POLARITIES:
        raise ValueError(f"{option}_polarity is {polarity!r}, and must be one of {', '.join(POLARITIES)}")
    columns = read_columns(path, SUFFIXES, option, text=_FILES, lone=_LONE)
    numbers = [
        name
        for name, values in columns.values.items()
        if values.dtype.kind in "fiu" and name not in (*_LABELS, *_FILES)
    ]
    if column is None and len(numbers) == 1:
        column = numbers[0]
    if column not in numbers:
        asked = "several columns" if column is None else f"no column {column!r} of numbers"
        raise ValueError(f"{path.name} has {asked}; choose with {option}_column= one of {', '.join(numbers) or 'none'}")
    scores = columns.values[column]
    rows_N = _rows_of(columns, len(scores), table)
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
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return ExternalScores(column, values_N, polarity == "higher_is_easier", checksum)


def _rows_of(columns: Columns, length: int, table: pd.DataFrame) -> np.ndarray:
    """Row of the file for each example of the run."""
    name, example_ids_N = columns.path.name, table["example_id"].to_numpy()
    if columns.ids is not None:
        return _found(name, ID, columns.ids, example_ids_N, length)
    for key in _FILES:
        if key in columns.values:
            return _found(name, key, columns.values[key].astype(str), table["source"].to_numpy().astype(str), length)
    if columns.path.suffix.lower() == ".npy":
        LOG.info("%s has no ids: its rows are taken for the examples in their order", name)
        if length == len(example_ids_N):
            return np.arange(length)
    elif not columns.values.keys() & set(_LABELS):
        raise ValueError(f"{name} has no column {ID} or file, and no labels that would prove its order; add one")
    if example_ids_N.max() >= length:
        raise ValueError(
            f"{name} has {length} rows, and the run has examples up to number {example_ids_N.max()}; give all "
            f"of the dataset, or a column {ID}"
        )
    return example_ids_N


def _found(name: str, key: str, given: Sequence, wanted_N: Sequence, length: int) -> np.ndarray:
    """Rows of a file at which a column holds the wanted entries."""
    if len(given) != length:
        raise ValueError(f"{name} has {len(given)} of {key} for {length} scores")
    index = pd.Index(given)
    if not index.is_unique:
        raise ValueError(f"{name} has {key} {index[index.duplicated()][0]!r} twice; give every example once")
    rows_N = index.get_indexer(wanted_N)
    missing = wanted_N[rows_N < 0]
    if len(missing):
        raise ValueError(f"{name} lacks {len(missing)} examples of the run, the first is {key} {missing[0]}")
    return rows_N


def _check_labels(path: Path, labels_N: np.ndarray, table: pd.DataFrame) -> None:
    apart = np.flatnonzero(labels_N != table["label"].to_numpy())
    if len(apart):
        row = apart[0]
        raise ValueError(
            f"{path.name} is in another order or of other data: {len(apart)} labels differ from the run's, first "
            f"{labels_N[row]} for example {table['example_id'].iloc[row]}, whose label is {table['label'].iloc[row]}"
        )
