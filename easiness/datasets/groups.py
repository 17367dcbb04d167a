"""Lists of groups: examples that belong together, such as the pictures of one patient or one video."""

import logging
from pathlib import Path

import numpy as np

from easiness.datasets.columns import ID, read_columns
from easiness.datasets.dataset import Dataset

LOG = logging.getLogger("easiness")

GROUPS_SUFFIXES = (".csv",)


def read_groups(path: Path, dataset: Dataset) -> np.ndarray:
    """(N,) int64 number of the group of every example, from a csv file with columns `group`, and `file` or example_id.

    `file` is the source of an example, as in the table of scores. An example that is not listed is a group of its own,
    with a warning. A ValueError for other columns, a file that is listed twice, or a list of other data.
    """
    columns = read_columns(path, GROUPS_SUFFIXES, "groups")
    if "group" not in columns.values or (columns.ids is None and "file" not in columns.values):
        names = [ID] * (columns.ids is not None) + list(columns.values)
        raise ValueError(f"{path} has columns {', '.join(names)}; it needs group, and file or {ID}")
    if columns.ids is None:
        keys, known = columns.values["file"].astype(str), dataset.sources.astype(str)
    else:
        keys, known = columns.ids, dataset.example_ids
    unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{path} has {unique[counts > 1][0]} twice; give every image once")
    if not len(unique):
        raise ValueError(f"{path} lists no image")
    place = np.minimum(np.searchsorted(unique, known), len(unique) - 1)
    listed = unique[place] == known
    if not listed.any():
        raise ValueError(f"{path} has none of the {len(dataset):,} images, of which the first is {known[0]}")
    if not listed.all():
        LOG.warning(
            "%s has no group of %s of %s images, the first is %s; each of these is a group of its own",
            path,
            f"{(~listed).sum():,}",
            f"{len(dataset):,}",
            known[np.argmin(listed)],
        )
    _, numbers = np.unique(columns.values["group"].astype(str), return_inverse=True)
    alone = numbers.max() + 1 + np.arange(len(dataset))
    return np.where(listed, numbers[first[place]], alone)
