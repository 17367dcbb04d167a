"""Lists of kept examples: the ids that remain of a dataset, as csv for people and npy for programs."""

import csv
from pathlib import Path

import numpy as np

from easiness.datasets.dataset import Dataset

COLUMN = "example_id"


def write_kept(folder: Path, name: str, example_ids: np.ndarray) -> None:
    """Write `name`.csv, one id per line below the heading example_id, and `name`.npy, (n,) int64."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [COLUMN, *map(str, example_ids.tolist())]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    np.save(folder / f"{name}.npy", np.asarray(example_ids, np.int64))


def read_kept(path: Path) -> np.ndarray:
    """(n,) int64 example ids, from a csv file with a column example_id or an npy file of integers, in their order.

    A ValueError if it is not such a list, is empty, or has an id twice.
    """
    readers = {".npy": _read_npy, ".csv": _read_csv}
    if path.suffix not in readers:
        raise ValueError(f"{path} is not a list of kept examples; give a .csv or .npy file")
    ids = readers[path.suffix](path)
    if not len(ids):
        raise ValueError(f"{path} lists no example")
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{path} lists {int((counts > 1).sum())} ids twice, the first is {values[counts > 1][0]}")
    return ids


def kept_rows(dataset: Dataset, example_ids: np.ndarray, source: Path) -> np.ndarray:
    """Rows of a dataset with these ids, ascending; a ValueError that names `source` if an id is not in the dataset."""
    absent = np.setdiff1d(example_ids, dataset.example_ids)
    if len(absent):
        raise ValueError(
            f"{len(absent)} of {len(example_ids)} ids in {source} are not in this training set of {len(dataset)}, the "
            f"first is {absent[0]}; use the dataset, limit and seed that the list was made with"
        )
    return np.flatnonzero(np.isin(dataset.example_ids, example_ids))


def _read_npy(path: Path) -> np.ndarray:
    try:
        ids = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not an npy file of numbers ({error})") from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"{path} contains {ids.dtype} of shape {ids.shape}; give one integer per kept example")
    return ids.astype(np.int64)


def _read_csv(path: Path) -> np.ndarray:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error.reason})") from None
    rows = csv.DictReader(lines)
    if COLUMN not in (rows.fieldnames or ()):
        raise ValueError(f"{path} has no column {COLUMN}; its first line is {rows.fieldnames}")
    ids = []
    for row in rows:
        try:
            ids.append(int(row[COLUMN]))
        except (TypeError, ValueError):
            raise ValueError(f"{path}, line {rows.line_num}: {row[COLUMN]!r} is not an {COLUMN}") from None
    return np.array(ids, np.int64)
