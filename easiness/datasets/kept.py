"""Lists of kept examples: the ids that remain of a dataset, as csv for people and npy for programs."""

from pathlib import Path

import numpy as np

from easiness.datasets.columns import ID, read_columns
from easiness.datasets.dataset import Dataset

KEPT_SUFFIXES = (".csv", ".npy")


def write_kept(folder: Path, name: str, example_ids: np.ndarray) -> None:
    """Write `name`.csv, one id per line below the heading example_id, and `name`.npy, (n,) int64."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [ID, *map(str, example_ids.tolist())]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    np.save(folder / f"{name}.npy", np.asarray(example_ids, np.int64))


def read_kept(path: Path) -> np.ndarray:
    """(n,) int64 example ids, from a csv file with a column example_id or an npy file of integers, in their order.

    A ValueError if it is not such a list, is empty, or has an id twice.
    """
    columns = read_columns(path, KEPT_SUFFIXES, "keep")
    if columns.ids is None:
        raise ValueError(f"{path} has no column {ID}; it has {', '.join(columns.values)}")
    if not len(columns.ids):
        raise ValueError(f"{path} lists no example")
    return columns.ids


def kept_rows(dataset: Dataset, example_ids: np.ndarray, source: Path) -> np.ndarray:
    """Rows of a dataset with these ids, ascending; a ValueError that names `source` if an id is not in the dataset."""
    absent = np.setdiff1d(example_ids, dataset.example_ids)
    if len(absent):
        raise ValueError(
            f"{len(absent)} of {len(example_ids)} ids in {source} are not in this training set of {len(dataset)}, the "
            f"first is {absent[0]}; use the dataset, limit and seed that the list was made with"
        )
    return np.flatnonzero(np.isin(dataset.example_ids, example_ids))
