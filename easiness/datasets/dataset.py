"""Labelled images of any source: one `Dataset`, with a fingerprint, subsets and limits.

Index i is example i, here and in every array computed later; `example_ids` are the rows in the whole dataset, through
any number of subsets.
"""

import hashlib
import json
import logging
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import DIGEST_SIZE, ImageFiles

# Of one item for each example, besides the images.
_COLUMNS = ("labels", "sources", "example_ids", "digests", "groups", "duplicates", "given_labels")

LOG = logging.getLogger("easiness")


@dataclass(frozen=True, eq=False)
class Dataset:
    """N labelled images of K classes in a fixed order."""

    name: str  # cifar10, imagenet, folder or planted
    split: str  # train or val
    # (N, H, W, 3) uint8 RGB, or a lazy sequence whose item i is (H_i, W_i, 3) uint8 RGB.
    images: np.ndarray | ImageFiles | BetonImages
    labels: np.ndarray  # (N,) int64, 0 to K - 1
    class_names: tuple[str, ...]
    sources: np.ndarray  # (N,) str, the origin of each example: data_batch_1.bin#17, train/n01440764/x.JPEG
    example_ids: np.ndarray  # (N,) int64, row in the whole dataset
    # (N, 16) uint8, BLAKE2b-128 of each example's content: the pixels of an array, the stored bytes of a file.
    digests: np.ndarray
    # (N,) str, the known truth of planted: majority, minority, mislabelled, or relabelled by a person.
    groups: np.ndarray | None = None
    duplicates: np.ndarray | None = None  # (N,) str, where the same content is, too; see `mark_duplicates`
    skipped: tuple[str, ...] = ()  # bad files that were left out, each with the reason
    given_labels: np.ndarray | None = None  # (N,) int64, labels before some were flipped on purpose; see `flip_labels`

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
    classes, counts_K = np.unique(labels, return_counts=True)
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
        rng.permutation(np.flatnonzero(labels == k))[:share]
        for k, share in zip(classes, _shares(counts_K, limit), strict=True)
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
