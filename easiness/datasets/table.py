"""Tables of images: a csv, tsv or parquet file with the path and the label of every image."""

import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easiness.datasets.arrays import numbered
from easiness.datasets.class_folders import NAMED_AT_MOST, NAMES
from easiness.datasets.columns import read_text
from easiness.datasets.dataset import Dataset, rows_of_classes
from easiness.datasets.image_files import printable
from easiness.datasets.image_folder import FileList, open_listed, source_of
from easiness.datasets.splitting import drawn_val

LOG = logging.getLogger("easiness")

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")

# Columns by the names that they may have; the first two must be there.
_NAMES = {"path": ("path", "file"), "label": ("label",), "split": ("split",), "group": ("group",), "id": ("id",)}

# Names of tables that say nothing of their data: these are called by their folder.
_GENERAL = ("annotations", "data", "dataset", "images", "index", "labels", "metadata", "table", "train")


@dataclass(frozen=True, eq=False)
class Table:
    """N rows, each column (N,) str."""

    path: Path
    paths: list[str]  # where the images are
    labels: np.ndarray
    splits: np.ndarray | None  # train, val or a word that is neither; None without that column
    groups: np.ndarray | None
    ids: np.ndarray | None

    @property
    def name(self) -> str:
        """What people call the data."""
        return self.path.parent.name if self.path.stem.casefold() in _GENERAL else self.path.stem

    @property
    def has_val(self) -> bool:
        """Whether some rows are the validation set."""
        return self.splits is not None and "val" in self.splits


def read_table(path: Path) -> Table:
    """Read the table of a data set; nothing in it is executed.

    A ValueError for a file that is not one, or a row without path, label, split or id, or with one that another row
    has, too; the message has the row, counted from 1 below the heading.
    """
    known = [name for names in _NAMES.values() for name in names]
    found, names = read_text(path, TABLE_SUFFIXES, "data", known)
    columns = {}
    for column, words in _NAMES.items():
        there = [word for word in words if word in found]
        if len(there) > 1:
            raise ValueError(f"{path} has columns {' and '.join(there)}; leave one of them out")
        columns[column] = found[there[0]] if there else None
    if columns["path"] is None or columns["label"] is None:
        raise ValueError(f"{path} has columns {printable(', '.join(names))[:200]}; it needs path and label")
    if not len(columns["path"]):
        raise ValueError(f"{path} lists no image")
    columns = {name: values and [value.strip() for value in values] for name, values in columns.items()}
    for name in ("path", "label", "split", "id"):
        empty = [row for row, value in enumerate(columns[name] or ()) if not value]
        if empty:
            raise ValueError(f"{path}, row {empty[0] + 1}: {name} is empty{_more(len(empty))}; fill or remove it")
    paths = [_resolved(path.parent, text) for text in columns["path"]]
    for name, values in (("path", list(map(os.path.normpath, paths))), ("id", columns["id"] or ())):
        _refuse_twice(path, name, values, columns["label"])
    splits = columns["split"] and np.array(_splits(path, columns["split"]))
    groups, ids = (values and np.array(values) for values in (columns["group"], columns["id"]))
    return Table(path, paths, np.array(columns["label"]), splits, groups, ids)


def open_table(path: Path, split: str, *, skip_bad: bool, anew: bool = False) -> Dataset:
    """Open one split of a table; without a validation set, the whole, as `train`."""
    table = read_table(path)
    labels, class_names = _classes(table)
    rows = np.arange(len(labels)) if table.splits is None else np.flatnonzero(table.splits == split)
    paths = [table.paths[row] for row in rows]
    if not skip_bad:
        _refuse_missing(path, paths)
    columns = {"ids": table.ids, "fold_groups": table.groups}
    listing = FileList(
        paths,
        [source_of(found, path.parent) for found in paths],
        labels[rows],
        class_names,
        {name: values[rows] for name, values in columns.items() if values is not None},
        path.parent,
    )
    where = f"{path} ({split})" if table.has_val else str(path)
    return open_listed(listing, table.name, where, split, skip_bad=skip_bad, anew=anew)


def list_table(path: Path, split: str, *, seed: int, val_fraction: float) -> dict[str, list[str]]:
    """Class name to paths, in the order of the rows; without a validation set, a share of every class is val."""
    table = read_table(path)
    labels, class_names = _classes(table)
    taken = table.splits == split
    if not table.has_val:
        used = np.flatnonzero(labels >= 0)
        in_val = drawn_val(labels[used], class_names, str(path), seed=seed, val_fraction=val_fraction)
        taken = np.zeros(len(labels), bool)
        taken[used] = in_val == (split == "val")
    paths = np.array(table.paths, object)
    _refuse_missing(path, paths[taken].tolist())
    rows_of = rows_of_classes(np.where(taken, labels, -1), len(class_names))
    return {name: paths[rows].tolist() for name, rows in zip(class_names, rows_of, strict=True)}


def _classes(table: Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) int64 labels of all rows, -1 where they are not used, and the names of the classes of the others."""
    used = np.ones(len(table.labels), bool) if table.splits is None else np.isin(table.splits, ("train", "val"))
    labels = np.full(len(used), -1)
    try:
        labels[used], class_names = numbered(table.labels[used], None)
    except ValueError as error:
        raise ValueError(f"{table.path}: {error}") from None
    return labels, class_names


def _more(count: int) -> str:
    return f", and in {count - 1:,} more rows" * (count > 1)


def _resolved(folder: Path, text: str) -> str:
    """Path of an image: below the table's folder, below the home folder after ~/, or absolute."""
    found = str(folder / (os.path.expanduser(text) if text.startswith("~/") else text))
    if "\\" in text and os.sep == "/" and not os.path.exists(found):  # written on Windows
        return str(folder / text.replace("\\", "/"))
    return found


def _refuse_twice(path: Path, name: str, values: list[str], labels: list[str]) -> None:
    for value, count in Counter(values).most_common(1):
        if count > 1:
            rows = [row for row, other in enumerate(values) if other == value]
            said = " and ".join(f"row {row + 1} ({printable(labels[row])})" for row in rows[:2])
            raise ValueError(f"{path} has {name} {printable(value)} twice, in {said}; give every image once")


def _splits(path: Path, words: list[str]) -> list[str]:
    """Splits of all rows: train or val, as folders may be called, or a word of neither, whose rows are not used."""
    known = {word: split for split, names in NAMES.items() for word in names}
    splits = [known.get(word.casefold(), word) for word in words]
    counts = Counter(splits)
    others = ", ".join(f"{printable(word)} ({count:,} rows)" for word, count in counts.items() if word not in NAMES)
    if "train" not in counts or (others and "val" not in counts):
        missing = "train" if "train" not in counts else "val"
        raise ValueError(f"{path}: no row has split {missing}, and there are {', '.join(map(printable, counts))}")
    if others:
        LOG.warning("%s: not used, since split is neither train nor val: %s", path, others)
    return splits


def _refuse_missing(path: Path, paths: list[str]) -> None:
    missing = [found for found in paths if not os.path.lexists(found)]
    if missing:
        shown = ", ".join(printable(found) for found in missing[:NAMED_AT_MOST])
        more = f" and {len(missing) - NAMED_AT_MOST:,} more" * (len(missing) > NAMED_AT_MOST)
        raise FileNotFoundError(
            f"{len(missing):,} of {len(paths):,} files that {path} lists are not there: {shown}{more}; paths are "
            f"relative to {path.parent}; correct the table, or leave them out with skip_bad=true"
        )
