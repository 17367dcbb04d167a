"""Example sets of other libraries: their items checked, and put into a `Dataset` of ours."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from easiness.datasets.dataset import Dataset
from easiness.datasets.image_folder import name_odd_images, refuse_bad
from easiness.datasets.lazy import Item, check_items

LOG = logging.getLogger("easiness")


@dataclass(frozen=True, eq=False)
class Items:
    """N items of another library."""

    read: Callable[[int], Item]  # item of a row; can be pickled
    count: int  # N
    class_names: tuple[str, ...]  # none: the numbers that the labels are
    columns: dict[str, np.ndarray] = field(default_factory=dict)  # more columns of `Dataset`, (N,) each


def open_items(items: Items, name: str, split: str, *, skip_bad: bool) -> Dataset:
    """Dataset of another library's items, all of which are decoded once."""
    checked = check_items(items.read, items.count)
    sources = np.array([f"{name}/{split}#{row}" for row in range(items.count)])
    where, bad = f"{name} ({split})", {str(sources[row]): why for row, why in checked.bad.items()}
    skipped = refuse_bad(bad, items.count, where, skip_bad=skip_bad)
    name_odd_images({str(sources[row]): odd for row, odd in checked.odd.items()}, where)
    labels = checked.labels
    names = items.class_names or tuple(map(str, range(labels.max(initial=1) + 1)))
    empty = len(names) - len(np.unique(labels))
    if empty:
        LOG.warning("%s has no image of %s of its %s classes", where, f"{empty:,}", f"{len(names):,}")
    return Dataset(
        name,
        split,
        images=checked.images,
        labels=labels,
        class_names=names,
        sources=sources[checked.good],
        example_ids=np.arange(len(checked.good)),
        digests=checked.digests,
        skipped=skipped,
        **{column: values[checked.good] for column, values in items.columns.items()},
    )
