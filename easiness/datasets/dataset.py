"""The door to data: one `Dataset` for every source, with a fingerprint, subsets and limits.

Index i is example i, here and in every array computed later; `example_ids` remembers the row in the whole
data set through any number of subsets.
"""

import difflib
import hashlib
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from easiness.datasets.beton import BetonImages
from easiness.datasets.cifar10 import CLASS_NAMES, read_cifar10
from easiness.datasets.image_files import ImageFiles
from easiness.datasets.image_folder import ImageFolder, open_image_folder
from easiness.datasets.imagenet import open_imagenet
from easiness.datasets.planted import draw_planted

DATASETS = ("cifar10", "imagenet", "folder", "planted")
SPLITS = ("train", "val")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in a fixed order.

    Attributes
    ----------
    name, split
        ``cifar10``, ``imagenet``, ``folder`` or ``planted``; ``train`` or ``val``.
    images
        (N, H, W, 3) uint8 RGB, or a lazy sequence whose item i is (H_i, W_i, 3) uint8 RGB.
    labels
        (N,) int64, 0 to K - 1.
    class_names
        K names.
    sources
        (N,) str, where each example came from: ``data_batch_1.bin#17``, ``train/n01440764/x.JPEG``.
    example_ids
        (N,) int64, row in the unlimited data set.
    digests
        (N, 16) uint8, BLAKE2b-128 of each example's content: its pixels in an array, its stored bytes elsewhere.
    groups
        (N,) str, the known truth of ``planted`` (majority, minority, mislabelled); None elsewhere.
    skipped
        Bad files that were left out, each with the reason; the caller prints them.
    """

    name: str
    split: str
    images: np.ndarray | ImageFiles | BetonImages
    labels: np.ndarray
    class_names: tuple[str, ...]
    sources: np.ndarray
    example_ids: np.ndarray
    digests: np.ndarray
    groups: np.ndarray | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns = ("images", "labels", "sources", "example_ids", "digests", "groups")
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
        """SHA-256 (hex) over class names and, in order, the id, label and content of every example.

        Names and places of files are left out: a copy elsewhere is the same data.
        """
        return self.fingerprint_of(np.arange(len(self)))

    def fingerprint_of(self, rows: np.ndarray) -> str:
        """Fingerprint that `subset(rows)` has, without a copy of its images."""
        records = np.empty(len(rows), [("example_id", "<i8"), ("label", "<i8"), ("digest", "u1", 16)])
        for name, column in (("example_id", self.example_ids), ("label", self.labels), ("digest", self.digests)):
            records[name] = column[rows]
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        digest.update(records.tobytes())
        return digest.hexdigest()

    def subset(self, rows: Sequence[int] | np.ndarray) -> "Dataset":
        """Choose examples by row, in the order given; they keep their `example_ids`.

        Raises
        ------
        ValueError
            A row is no integer in 0 to N - 1, or is there twice.
        """
        rows = np.asarray(rows)
        if len(rows) == 0:
            rows = rows.astype(np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise ValueError(f"rows are {rows.dtype} of shape {rows.shape}; give the row numbers, not a mask")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise ValueError(f"rows from {rows.min()} to {rows.max()} are outside 0 to {len(self) - 1}")
        if len(np.unique(rows)) < len(rows):
            raise ValueError(f"{len(rows) - len(np.unique(rows)):,} rows are there twice; give each once")
        return replace(
            self,
            images=self.images[rows] if isinstance(self.images, np.ndarray) else self.images.take(rows),
            labels=self.labels[rows],
            sources=self.sources[rows],
            example_ids=self.example_ids[rows],
            digests=self.digests[rows],
            groups=None if self.groups is None else self.groups[rows],
        )


def open_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    split: str = "train",
    limit: int | None = None,
    seed: int = 0,
    val_fraction: float = 0.2,
    skip_bad: bool = False,
    verify: str = "quick",
) -> Dataset:
    """Open one split of a data set.

    Parameters
    ----------
    name
        ``planted`` is drawn, ``cifar10`` read from its archives, ``folder`` from one folder per class, ``imagenet``
        from what `prepare` made of such folders, or from the folders.
    root
        Where the data are; for ``cifar10`` None means ``.easiness/data``, with a download if need be.
    split
        ``train`` or ``val``.
    limit
        Size of a stratified subset of the split; None for all, as is any limit of at least N.
    seed
        Of whatever is random: the drawing of ``planted``, the splitting of one tree, the subset.
    val_fraction
        Share of ``val`` where one tree is split.
    skip_bad
        Leave out files that are no readable images; `Dataset.skipped` names them.
    verify
        How to check what `prepare` made: ``quick`` or ``full``, see `easiness.datasets.imagenet.verify_beton`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        The data are not there.
    ValueError
        An unknown name or split, a limit below one per class, data that are altered or unusable.

    Examples
    --------
    >>> train = open_dataset("planted", limit=50)
    >>> train.images.shape, np.bincount(train.labels).tolist()
    ((50, 64, 64, 3), [5, 5, 5, 5, 5, 5, 5, 5, 5, 5])
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(str(name), DATASETS)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"unknown dataset {name!r}; {hint}there are {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
    if name == "cifar10":
        dataset = _open_cifar10(root, split)
    elif name in ("folder", "imagenet"):
        if root is None:
            raise ValueError(f"dataset={name} needs the folder of images; give it with -P data=PATH")
        options = {"seed": seed, "val_fraction": val_fraction, "skip_bad": skip_bad}
        if name == "folder":
            found = open_image_folder(root, split, **options)
        else:
            found = open_imagenet(root, split, **options, verify=verify)
        dataset = dataset_of_folder(name, split, found)
    else:
        dataset = _open_planted(root, split, seed)
    if limit is None:
        return dataset
    rows = stratified_rows(dataset.labels, limit, seed=seed)
    return dataset if len(rows) == len(dataset) else dataset.subset(rows)


def stratified_rows(labels: np.ndarray, limit: int, *, seed: int) -> np.ndarray:
    """Draw rows at random so that every class keeps its share.

    Shares are rounded by largest remainder; a class whose share is below one example gets one.

    Parameters
    ----------
    labels
        (N,) integers.
    limit
        How many rows; all of them from N on.
    seed
        Of the draw.

    Returns
    -------
    numpy.ndarray
        (min(limit, N),) int64, ascending.

    Raises
    ------
    ValueError
        `limit` is no whole number, or less than the number of classes.

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
        raise ValueError(f"limit={limit!r} is no whole number") from None
    if limit < max(len(classes), 1):
        raise ValueError(f"limit={limit} is less than one example for each of {len(classes)} classes; raise it")
    if limit >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(labels == k))[:share]
        for k, share in zip(classes, _shares(counts_K, limit), strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _shares(counts_K: np.ndarray, limit: int) -> np.ndarray:
    """Apportion `limit` among classes by largest remainder, in whole numbers, at least one each."""
    shares_K = np.ones_like(counts_K)
    free = np.ones(len(counts_K), bool)
    # Lifting small classes to one leaves less for the others, which may bring another one below one.
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


def _open_cifar10(root: str | Path | None, split: str) -> Dataset:
    images, labels, sources = read_cifar10(root, split)
    return Dataset(
        "cifar10", split, images, labels, CLASS_NAMES, sources, np.arange(len(labels)), _pixel_digests(images)
    )


def dataset_of_folder(name: str, split: str, found: ImageFolder) -> Dataset:
    """Make a data set of images that were found in a folder."""
    return Dataset(
        name,
        split,
        found.images,
        found.labels,
        found.class_names,
        found.sources,
        np.arange(len(found.labels)),
        found.digests,
        skipped=found.skipped,
    )


def _open_planted(root: str | Path | None, split: str, seed: int) -> Dataset:
    if root is not None:
        raise ValueError(f"dataset=planted is drawn and reads nothing from {root}; say dataset=folder or cifar10")
    drawn = draw_planted(split, seed=seed)
    sources = np.array([f"planted/{split}#{i}" for i in range(len(drawn.labels))])
    return Dataset(
        "planted",
        split,
        drawn.images,
        drawn.labels,
        drawn.class_names,
        sources,
        np.arange(len(drawn.labels)),
        _pixel_digests(drawn.images),
        drawn.groups,
    )


def _pixel_digests(images: np.ndarray) -> np.ndarray:
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(-1, 16)
