"""Datasets by name: one function that opens a split of any of them, or a stratified subset of it."""

import difflib
import hashlib
from pathlib import Path

import numpy as np

from easiness.datasets import cifar10
from easiness.datasets.beton import MANIFEST
from easiness.datasets.class_folders import split_folders
from easiness.datasets.dataset import Dataset, limited
from easiness.datasets.image_files import DIGEST_SIZE
from easiness.datasets.image_folder import open_image_folder
from easiness.datasets.imagenet import open_imagenet, refuse_full_verify
from easiness.datasets.packed import VERIFY
from easiness.datasets.planted import draw_planted

DATASETS = ("cifar10", "imagenet", "folder", "planted")
SPLITS = ("train", "val")


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
        Share of ``val`` where one tree is split; 0 leaves it whole, as ``train``.
    skip_bad : bool
        Leave out unreadable files; `Dataset.skipped` names them.
    verify : str
        Check of .beton files: ``quick`` or ``full``, see `easiness.datasets.packed.verify_beton`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        The data do not exist.
    ValueError
        An unknown name or split, a limit below one per class, altered or unusable data, an option that does nothing
        for these data.

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
    if verify not in VERIFY:
        raise ValueError(f"verify is {verify!r}, and must be one of {', '.join(VERIFY)}")
    if name != "imagenet":
        refuse_full_verify(verify, f"dataset={name} is not")
    if skip_bad and name in ("cifar10", "planted"):
        raise ValueError(f"skip_bad leaves out unreadable files, and dataset={name} has no such; leave skip_bad out")
    if name in ("folder", "imagenet") and root is None:
        raise ValueError(f"dataset={name} needs the folder of images; give it with -P data=PATH")
    options = {"seed": seed, "val_fraction": val_fraction, "skip_bad": skip_bad}
    if name == "folder":
        dataset = open_image_folder(root, split, **options)
    elif name == "imagenet":
        dataset = open_imagenet(root, split, **options, verify=verify)
    elif name == "cifar10":
        dataset = _in_memory(name, split, *cifar10.read_cifar10(root, split), cifar10.CLASS_NAMES)
    elif root is not None:
        raise ValueError(f"dataset=planted is drawn and reads nothing from {root}; use dataset=folder or cifar10")
    else:
        drawn = draw_planted(split, seed=seed)
        sources = np.array([f"planted/{split}#{i}" for i in range(len(drawn.labels))])
        dataset = _in_memory(name, split, drawn.images, drawn.labels, sources, drawn.class_names, drawn.groups)
    return limited(dataset, limit, seed)


def is_one_tree(name: str, root: str | Path | None) -> bool:
    """Whether the data are one tree of class folders, without a validation set; errors are as in `open_dataset`."""
    if name not in ("folder", "imagenet") or root is None:
        return False
    root = Path(root).expanduser()
    packed = name == "imagenet" and root.is_dir() and (any(root.glob("*.beton")) or (root / MANIFEST).exists())
    return not packed and not split_folders(root)


def undivided(train: Dataset, val: Dataset) -> tuple[str, np.ndarray]:
    """Fingerprint of the one tree that was split into these two, and (N,) int64 rows of the training set in it."""
    names = ("labels", "sources", "digests")
    both = {name: np.concatenate([getattr(train, name), getattr(val, name)]) for name in names}
    order = np.lexsort((both["sources"], both["labels"]))
    columns = {name: column[order] for name, column in both.items()}
    ids, no_images = np.arange(len(order)), np.empty((len(order), 0))
    whole = Dataset(train.name, "train", no_images, class_names=train.class_names, example_ids=ids, **columns)
    rows = np.empty_like(order)
    rows[order] = ids
    return whole.fingerprint, rows[: len(train)]


def _in_memory(
    name: str,
    split: str,
    images: np.ndarray,
    labels: np.ndarray,
    sources: np.ndarray,
    class_names: tuple[str, ...],
    groups: np.ndarray | None = None,
) -> Dataset:
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=DIGEST_SIZE).digest() for image in images)
    digests_N = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_SIZE)
    return Dataset(name, split, images, labels, class_names, sources, np.arange(len(labels)), digests_N, groups)
