"""Labelled images of any source: one `Dataset`, with a fingerprint, subsets and limits.

Index i is example i, here and in every array computed later; `example_ids` are the rows in the whole dataset, through
any number of subsets.
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
from easiness.datasets.image_files import DIGEST_SIZE, ImageFiles
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
    name, split : str
        ``cifar10``, ``imagenet``, ``folder`` or ``planted``; ``train`` or ``val``.
    images : numpy.ndarray or sequence
        (N, H, W, 3) uint8 RGB, or a lazy sequence whose item i is (H_i, W_i, 3) uint8 RGB.
    labels : numpy.ndarray
        (N,) int64, 0 to K - 1.
    class_names : tuple of str
        K names.
    sources : numpy.ndarray
        (N,) str, the origin of each example: ``data_batch_1.bin#17``, ``train/n01440764/x.JPEG``.
    example_ids : numpy.ndarray
        (N,) int64, row in the whole dataset.
    digests : numpy.ndarray
        (N, 16) uint8, BLAKE2b-128 of each example's content: the pixels of an array, the stored bytes of a file.
    groups : numpy.ndarray or None
        (N,) str, the known truth of ``planted``: majority, minority or mislabelled.
    skipped : tuple of str
        Bad files that were left out, each with the reason.
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
        """Examples of some rows, in the given order; they keep their `example_ids`.

        Raises
        ------
        ValueError
            If a row is not an integer from 0 to N - 1, or is given twice.
        """
        rows = np.asarray(rows)
        if len(rows) == 0:
            rows = rows.astype(np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise ValueError(f"rows are {rows.dtype} of shape {rows.shape}; give the row numbers, not a mask")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise ValueError(f"rows from {rows.min()} to {rows.max()} are outside 0 to {len(self) - 1}")
        if len(np.unique(rows)) < len(rows):
            raise ValueError(f"{len(rows) - len(np.unique(rows)):,} rows are given twice; give each once")
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
    """Open one split of a dataset.

    Parameters
    ----------
    name : str
        ``planted`` (drawn), ``cifar10`` (its archives), ``folder`` (one folder per class) or ``imagenet`` (such
        folders, or the .beton files that `prepare` makes from them).
    root : str or pathlib.Path, optional
        Path of the data; for ``cifar10`` None means ``.easiness/data``, with a download if needed.
    split : str
        ``train`` or ``val``.
    limit : int, optional
        Size of a stratified subset of the split; all examples by default.
    seed : int
        Seed of everything random: the drawing of ``planted``, the splitting of one tree, the subset.
    val_fraction : float
        Share of ``val`` where one tree is split.
    skip_bad : bool
        Leave out unreadable files; `Dataset.skipped` names them.
    verify : str
        Check of .beton files: ``quick`` or ``full``, see `easiness.datasets.imagenet.verify_beton`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        The data do not exist.
    ValueError
        An unknown name or split, a limit below one per class, altered or unusable data.

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
            folder = open_image_folder(root, split, **options)
        else:
            folder = open_imagenet(root, split, **options, verify=verify)
        dataset = dataset_of_folder(name, split, folder)
    else:
        dataset = _open_planted(root, split, seed)
    if limit is None:
        return dataset
    rows = stratified_rows(dataset.labels, limit, seed=seed)
    return dataset if len(rows) == len(dataset) else dataset.subset(rows)


def stratified_rows(labels: np.ndarray, limit: int, *, seed: int) -> np.ndarray:
    """Draw rows at random so that every class keeps its share: (min(limit, N),) int64, ascending.

    Shares are rounded by largest remainder; a class with a share below one example gets one.

    Raises
    ------
    ValueError
        If `limit` is not an integer, or less than the number of classes.

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


def _open_cifar10(root: str | Path | None, split: str) -> Dataset:
    images, labels, sources = read_cifar10(root, split)
    return Dataset(
        "cifar10", split, images, labels, CLASS_NAMES, sources, np.arange(len(labels)), _pixel_digests(images)
    )


def dataset_of_folder(name: str, split: str, folder: ImageFolder) -> Dataset:
    """Dataset of an opened image folder."""
    images, labels, class_names, sources, digests, skipped = folder
    ids = np.arange(len(labels))
    return Dataset(name, split, images, labels, class_names, sources, ids, digests, skipped=skipped)


def _open_planted(root: str | Path | None, split: str, seed: int) -> Dataset:
    if root is not None:
        raise ValueError(f"dataset=planted is drawn and reads nothing from {root}; use dataset=folder or cifar10")
    drawn = draw_planted(split, seed=seed)
    ids = np.arange(len(drawn.labels))
    sources = np.array([f"planted/{split}#{i}" for i in ids])
    digests = _pixel_digests(drawn.images)
    return Dataset("planted", split, drawn.images, drawn.labels, drawn.class_names, sources, ids, digests, drawn.groups)


def _pixel_digests(images: np.ndarray) -> np.ndarray:
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=DIGEST_SIZE).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_SIZE)
