"""Labelled images of any source: one `Dataset`, with a fingerprint, subsets and limits.

Index i is example i, here and in every array computed later; `example_ids` are the rows in the whole dataset, through
any number of subsets.
"""

import hashlib
import itertools
import json
import logging
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from easiness.datasets.arrays import ImageList, checked_images, image_digests, numbered
from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import DIGEST_SIZE, ImageFiles
from easiness.datasets.lazy import LazyImages

# Of one item for each example, besides the images.
_COLUMNS = ("labels", "sources", "example_ids", "digests", "groups", "duplicates", "given_labels")
_COLUMNS += ("ids", "fold_groups", "tree_keys")

LOG = logging.getLogger("easiness")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """N labelled images of K classes in a fixed order."""

    name: str  # what people call it: a folder's name, CIFAR100, …; decides nothing
    split: str  # train or val
    # (N, H, W, 3) uint8 RGB, or a lazy sequence whose item i is (H_i, W_i, 3) uint8 RGB.
    images: np.ndarray | ImageList | ImageFiles | BetonImages | LazyImages
    labels: np.ndarray  # (N,) int64, 0 to K - 1
    class_names: tuple[str, ...]
    sources: np.ndarray  # (N,) str, the origin of each example: data_batch_1.bin#17, train/n01440764/x.JPEG
    example_ids: np.ndarray  # (N,) int64, row in the whole dataset
    digests: np.ndarray  # (N, 16) uint8, `pixel_digest` of each example
    # (N,) str, the known truth of planted: majority, minority, mislabelled, or relabelled by a person.
    groups: np.ndarray | None = None
    duplicates: np.ndarray | None = None  # (N,) str, where the same content is, too; see `mark_duplicates`
    skipped: tuple[str, ...] = ()  # bad files that were left out, each with the reason
    given_labels: np.ndarray | None = None  # (N,) int64, labels before some were flipped on purpose; see `flip_labels`
    kind: str = "arrays"  # word of the option `dataset` that opens it
    ids: np.ndarray | None = None  # (N,) str, names that the data give their examples, besides their sources
    fold_groups: np.ndarray | None = None  # (N,) str, equal for examples that stay in one fold
    # (N,) str, order of the examples in the data that were split into train and val; None if these came apart.
    tree_keys: np.ndarray | None = None

    def __post_init__(self) -> None:
        columns = ("images", *_COLUMNS)
        lengths = {name: len(getattr(self, name)) for name in columns if getattr(self, name) is not None}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns of {self.name} differ in length: {lengths}")
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= self.num_classes))
        if len(outside):
            raise ValueError(
                f"{len(outside):,} labels of {self.name} are out of range, the first is "
                f"{self.labels[outside[0]]} at {self.sources[outside[0]]}; "
                f"{self.num_classes} classes have labels 0 to {self.num_classes - 1}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.split!r}, {len(self):,} images of {self.num_classes} classes)"

    @classmethod
    def from_arrays(
        cls,
        images: object,
        labels: Sequence[object] | np.ndarray,
        class_names: Sequence[str] | None = None,
        *,
        ids: Sequence[object] | None = None,
        groups: Sequence[object] | None = None,
        name: str = "arrays",
    ) -> Self:
        """Dataset of images and labels in memory, for ``data=`` of `easiness.score` and its like.

        Parameters
        ----------
        images : numpy.ndarray or sequence
            uint8, (N, height, width, 3) with red, green and blue last, or (N, height, width) of grey levels; images of
            different sizes as a sequence of arrays or of Pillow's images.
        labels : sequence
            N numbers of classes, 0 to K - 1, or names.
        class_names : sequence of str, optional
            K names; without them the classes are all labels, in the order of numbers or of text.
        ids : sequence, optional
            N different names of the examples, a column of the table of scores; their numbers if not given.
        groups : sequence, optional
            N values, equal for examples that must stay in one fold.
        name : str
            What people call the data.

        Raises
        ------
        ValueError
            Other shapes, types or lengths, a label without a class, an id that is given twice.

        Examples
        --------
        >>> Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8), ["cat", "dog", "cat", "dog"], name="pets")
        Dataset('pets', 'train', 4 images of 2 classes)
        """
        pictures = checked_images(images)
        numbers, names = numbered(labels, class_names)
        rows = np.arange(len(numbers))
        ids, groups = (None if column is None else np.array([str(item) for item in column]) for column in (ids, groups))
        if ids is not None and len(set(ids.tolist())) < len(ids):
            twice = next(item for item, count in Counter(ids.tolist()).items() if count > 1)
            raise ValueError(f"id {twice!r} is given twice; give every example one of its own")
        sources = np.array([f"{name}#{row}" for row in rows])
        return cls(
            name,
            "train",
            pictures,
            numbers,
            names,
            sources,
            rows,
            image_digests(pictures),
            ids=ids,
            fold_groups=groups,
        )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the class names and of every example's id, label and content, in order.

        Names and paths of files are left out: a copy elsewhere is the same data.
        """
        return self.fingerprint_of(np.arange(len(self)))

    def fingerprint_of(self, rows: np.ndarray) -> str:
        """Fingerprint of `subset(rows)`, without a copy of its images."""
        records = np.empty(len(rows), [("example_id", "<i8"), ("label", "<i8"), ("digest", "u1", DIGEST_SIZE)])
        for name, column in (("example_id", self.example_ids), ("label", self.labels), ("digest", self.digests)):
            records[name] = column[rows]
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        digest.update(records.tobytes())
        return digest.hexdigest()

    def subset(self, rows: Sequence[int] | np.ndarray) -> "Dataset":
        """Examples of some rows, in the given order, each once; they keep their `example_ids`."""
        rows = np.asarray(rows) if len(rows) else np.empty(0, np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise ValueError(f"rows are {rows.dtype} of shape {rows.shape}; give the row numbers, not a mask")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise ValueError(f"rows from {rows.min()} to {rows.max()} are outside 0 to {len(self) - 1}")
        if len(np.unique(rows)) < len(rows):
            raise ValueError(f"{len(rows) - len(np.unique(rows)):,} rows are given twice; give each once")
        columns = {name: getattr(self, name) for name in _COLUMNS}
        taken = {name: column[rows] for name, column in columns.items() if column is not None}
        images = self.images[rows] if isinstance(self.images, np.ndarray) else self.images.take(rows)
        return replace(self, images=images, **taken)


def limited(dataset: Dataset, limit: int | None, seed: int) -> Dataset:
    """Stratified subset of so many examples, drawn by a seed; all of them where `limit` is None or large enough."""
    if limit is None:
        return dataset
    rows = stratified_rows(dataset.labels, limit, seed=seed)
    if len(rows) == len(dataset):
        return dataset
    kept, count = f"{len(rows):,}", f"{len(dataset):,}"
    LOG.info("%s: a limit keeps %s of %s %s images", dataset.name, kept, count, dataset.split)
    return dataset.subset(rows)


def digest_keys(digests: np.ndarray) -> np.ndarray:
    """First half of (N, 16) uint8 digests, as numbers that are quick to compare.

    In ImageNet two contents have the same one with a probability of 4e-8.
    """
    return np.ascontiguousarray(digests[:, : DIGEST_SIZE // 2]).view(np.uint64).ravel()


def rows_of_classes(labels_N: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Rows of every class from 0 to K - 1, ascending; other labels are in none.

    >>> rows_of_classes(np.array([2, -1, 0, 2]), 3)
    [array([2]), array([], dtype=int64), array([0, 3])]
    """
    order = np.argsort(labels_N, kind="stable")
    bounds = np.searchsorted(labels_N[order], np.arange(num_classes + 1))
    return [order[start:stop] for start, stop in itertools.pairwise(bounds)]


def stratified_rows(labels: np.ndarray, limit: int, *, seed: int) -> np.ndarray:
    """Draw rows at random so that every class keeps its share: (min(limit, N),) int64, ascending.

    Shares are rounded by largest remainder; a class with a share below one example gets one. A ValueError if `limit` is
    not an integer, or less than the number of classes.

    Examples
    --------
    >>> labels = np.array([0] * 90 + [1] * 10)
    >>> np.bincount(labels[stratified_rows(labels, 20, seed=0)])
    array([18,  2])
    """
    classes, number_N, counts_K = np.unique(labels, return_inverse=True, return_counts=True)
    try:
        limit = operator.index(limit)
    except TypeError:
        raise ValueError(f"limit is {limit!r}, and must be a whole number") from None
    if limit < max(len(classes), 1):
        raise ValueError(f"limit is {limit}, and must be at least {max(len(classes), 1)}, one example per class")
    if limit >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(rows)[:share]
        for rows, share in zip(rows_of_classes(number_N, len(classes)), _shares(counts_K, limit), strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _shares(counts_K: np.ndarray, limit: int) -> np.ndarray:
    """Number of examples of each class: `limit` apportioned by largest remainder, at least one each."""
    shares_K = np.ones_like(counts_K)
    free = np.ones(len(counts_K), bool)
    # Raising small classes to one leaves less for the others, which may bring another class below one.
    while True:
        left, total = limit - np.count_nonzero(~free), counts_K[free].sum()
        small = free & (counts_K * left < total)
        if not small.any():
            break
        free &= ~small
    shares_K[free] = counts_K[free] * left // total
    remainders = np.where(free, counts_K * left % total, 0)
    shares_K[np.argsort(-remainders, kind="stable")[: limit - shares_K.sum()]] += 1
    return shares_K
