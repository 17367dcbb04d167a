"""Lists of kept examples: what is left of a dataset, as csv for people and npy for programs."""

import csv
from pathlib import Path

import numpy as np

from easiness.datasets.dataset import Dataset

COLUMN = "example_id"


def write_kept(folder: Path, name: str, example_ids: np.ndarray) -> None:
    """Write `name`.csv, one id a line below the heading example_id, and `name`.npy, (n,) int64."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [COLUMN, *map(str, example_ids.tolist())]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    np.save(folder / f"{name}.npy", np.asarray(example_ids, np.int64))


def read_kept(path: Path) -> np.ndarray:
    """Read example ids from a csv file with a column example_id, or a npy file of whole numbers.

    Parameters
    ----------
    path : pathlib.Path
        Its ending says which; other columns of a csv are left alone.

    Returns
    -------
    numpy.ndarray
        (n,) int64, in the order of the file.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If it is no such list, or an id is there twice.
    """
    if path.suffix == ".npy":
        ids = _read_npy(path)
    elif path.suffix == ".csv":
        ids = _read_csv(path)
    else:
        raise ValueError(f"{path} is no list of kept examples; give a .csv or a .npy file")
    if not len(ids):
        raise ValueError(f"{path} keeps no example")
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{path} lists {int((counts > 1).sum())} ids twice, the first is {values[counts > 1][0]}")
    return ids


def kept_rows(dataset: Dataset, example_ids: np.ndarray, source: Path) -> np.ndarray:
    """Rows of a dataset that hold these ids, ascending.

    Raises
    ------
    ValueError
        If an id is not in the dataset.
    """
    absent = np.setdiff1d(example_ids, dataset.example_ids)
    if len(absent):
        raise ValueError(
            f"{source} keeps {len(absent)} of {len(example_ids)} ids that this training set of {len(dataset)} does not "
            f"hold, the first is {absent[0]}; take the dataset, limit and seed that it was made with"
        )
    return np.flatnonzero(np.isin(dataset.example_ids, example_ids))


def _read_npy(path: Path) -> np.ndarray:
    try:
        ids = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no npy file of numbers ({error})") from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"{path} holds {ids.dtype} of shape {ids.shape}; give one whole number for each kept example")
    return ids.astype(np.int64)


def _read_csv(path: Path) -> np.ndarray:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text ({error.reason})") from None
    rows = csv.DictReader(lines)
    if COLUMN not in (rows.fieldnames or ()):
        raise ValueError(f"{path} has no column {COLUMN}; its first line is {rows.fieldnames}")
    ids = []
    for row in rows:
        try:
            ids.append(int(row[COLUMN]))
        except (TypeError, ValueError):
            raise ValueError(f"{path}, line {rows.line_num}: {row[COLUMN]!r} is no {COLUMN}") from None
    return np.array(ids, np.int64)
