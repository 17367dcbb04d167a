"""Datasets by the word of the option `dataset`: one function that opens a split of any of them, or a part of it."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from easiness.datasets import cifar10, hugging_face, own_function
from easiness.datasets.arrays import image_digests
from easiness.datasets.beton import MANIFEST
from easiness.datasets.class_folders import split_folders
from easiness.datasets.dataset import Dataset, limited
from easiness.datasets.image_files import printable
from easiness.datasets.image_folder import open_image_folder
from easiness.datasets.imagenet import open_imagenet
from easiness.datasets.packed import VERIFY
from easiness.datasets.planted import draw_planted
from easiness.datasets.splitting import one_side
from easiness.datasets.table import TABLE_SUFFIXES, open_table, read_table
from easiness.recipes.recipe import recipe_of

LOG = logging.getLogger("easiness")

SPLITS = ("train", "val")

# Data that are files of images, or a table of them.
IN_FILES = ("folder", "imagenet", "table")

# Words that open data by their place alone; the others name code, or a place of their own.
PLAIN = ("cifar10", "hf", "planted", *IN_FILES)

_LONGEST_NAME = 60

# Data in memory, or the training and the validation set.
InMemory = Dataset | tuple[Dataset, Dataset]


def open_dataset(
    dataset: str | None = None,
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
    dataset : str, optional
        ``planted`` (drawn), ``cifar10`` (its archives), ``folder`` (one folder per class), ``imagenet`` (such folders,
        or the .beton files that `prepare` makes from them), ``table`` (csv, tsv or parquet with path and label),
        ``torchvision:NAME``, ``hf:NAME_OR_PATH`` or ``package.module:function``; found out from `root` if not given.
    root : str or pathlib.Path, optional
        Path of the data; for ``cifar10`` and ``torchvision:NAME`` None means ``.easiness/data``, with a download if
        needed.
    split : str
        ``train`` or ``val``.
    limit : int, optional
        Size of a stratified subset of the split; all examples by default.
    seed : int
        Seed of everything random: the drawing of ``planted``, the splitting of data without a validation set, the
        subset.
    val_fraction : float
        Share of ``val`` where data without a validation set are split; 0 leaves them whole, as ``train``.
    skip_bad : bool
        Leave out unreadable files; `Dataset.skipped` names them.
    verify : str
        Check of files before they are used: ``quick`` or ``full``. Of .beton files tables and a sample, or all; of
        images those that are new or changed, or all, see `easiness.datasets.file_index`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        The data do not exist.
    ImportError
        The library that a dataset needs is not installed.
    ValueError
        An unknown name or split, a limit below one per class, altered or unusable data, an option that does nothing
        for these data.

    Examples
    --------
    >>> train = open_dataset("planted", limit=50)
    >>> train, train.images.shape
    (Dataset('planted', 'train', 50 images of 10 classes), (50, 64, 64, 3))
    """
    word = kind_of(root) if dataset is None else dataset
    recipe_of(word)  # refuses an unknown word
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
    if verify not in VERIFY:
        raise ValueError(f"verify is {verify!r}, and must be one of {', '.join(VERIFY)}")
    if verify == "full" and word not in IN_FILES:
        raise ValueError(f"verify is 'full', which is for files of images, and dataset={word} is not; leave verify out")
    root = None if root is None else Path(root).expanduser().absolute()
    refuse_place(word, root, skip_bad=skip_bad)
    anew = verify == "full"
    draw = {"seed": seed, "val_fraction": val_fraction}
    if word == "folder":
        opened = open_image_folder(root, split, **draw, skip_bad=skip_bad, anew=anew)
    elif word == "imagenet":
        opened = open_imagenet(root, split, **draw, skip_bad=skip_bad, verify=verify)
    elif is_one_tree(word, root):
        opened = one_side(_open_door(word, root, "train", skip_bad, anew, seed), split, **draw)
    else:
        opened = _open_door(word, root, split, skip_bad, anew, seed)
    return limited(replace(opened, kind=word, name=_called(opened.name)), limit, seed)


def open_in_memory(data: InMemory, split: str, *, limit: int | None, seed: int, val_fraction: float) -> Dataset:
    """Part of data in memory, as `open_dataset` of data elsewhere; a single one has no validation set."""
    if isinstance(data, tuple):
        opened = replace(data[SPLITS.index(split)], split=split)
    else:
        opened = one_side(data, split, seed=seed, val_fraction=val_fraction)
    return limited(opened, limit, seed)


def refuse_place(word: str, root: Path | None, *, skip_bad: bool) -> None:
    """Refuse a place, or files to skip, that the data of a word do not have, and a place that is missing."""
    door, _, name = word.partition(":")
    if root is None and word in (*IN_FILES, "hf"):
        what = "table" if word == "table" else "folder of images" if word != "hf" else "folder of a saved data set"
        raise ValueError(f"data is not given, and dataset={word} needs the {what}; give it with data=PATH")
    if word == "arrays":
        raise ValueError("dataset=arrays is in memory; give it as data=Dataset, from Python")
    idle = "and does nothing here: dataset="
    if root is not None and word == "planted":
        raise ValueError(f"data is {root}, {idle}planted is drawn; use dataset=folder or cifar10")
    if root is not None and name and door != "torchvision":
        raise ValueError(f"data is {root}, {idle}{word} says itself where its data are")
    if skip_bad and word in ("cifar10", "planted"):
        raise ValueError(f"skip_bad is True, {idle}{word} has no files to skip")


def kind_of(data: str | Path | InMemory | None) -> str:
    """Word of the option `dataset` that is taken for data which are given without one."""
    if data is None:
        return "planted"
    if isinstance(data, Dataset | tuple):
        return (data[0] if isinstance(data, tuple) else data).kind
    path = Path(data).expanduser()
    if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir():
        return "table"
    if path.is_file():
        if path.name.endswith((".tar.gz", ".tgz", ".tar")):
            return "cifar10"
        raise ValueError(
            f"data is {path}, and of files only a table ({', '.join(TABLE_SUFFIXES)}) and the archive of CIFAR-10 are "
            "read; give a table, a folder, or say what it is with dataset=…"
        )
    if (path / MANIFEST).exists() or any(path.glob("*.beton")):
        return "imagenet"
    if hugging_face.is_saved(path):
        return "hf"
    return "cifar10" if path.is_dir() and cifar10.find_batches(path) else "folder"


def is_one_tree(word: str, data: str | Path | InMemory | None) -> bool:
    """Whether data have no validation set; errors are as in `open_dataset`."""
    if isinstance(data, Dataset | tuple):
        return isinstance(data, Dataset)
    door, _, name = word.partition(":")
    if word in ("planted", "cifar10") or (word in PLAIN and data is None):
        return False
    path = None if data is None else Path(data).expanduser().absolute()
    if word in ("folder", "imagenet"):
        packed = word == "imagenet" and path.is_dir() and (any(path.glob("*.beton")) or (path / MANIFEST).exists())
        return not packed and not split_folders(path)
    if word == "table":
        return not read_table(path).has_val
    if door == "hf":
        return not hugging_face.has_val(name or path)
    if door == "torchvision":
        from easiness.datasets import torchvision_sets

        return not torchvision_sets.has_val(name)
    return not own_function.has_val(word)


def _open_door(word: str, root: Path | None, split: str, skip_bad: bool, anew: bool, seed: int) -> Dataset:
    """One split of data that come with their splits, or all of data that have none."""
    door, _, name = word.partition(":")
    if word == "table":
        return open_table(root, split, skip_bad=skip_bad, anew=anew)
    if door == "hf":
        return hugging_face.open_hugging_face(name or root, split, skip_bad=skip_bad)
    if door == "torchvision":
        # With torch, for which nobody waits who does not ask for it.
        from easiness.datasets import torchvision_sets

        return torchvision_sets.open_torchvision(name, root, split, skip_bad=skip_bad)
    if word == "cifar10":
        return _resident(word, split, *cifar10.read_cifar10(root, split), cifar10.CLASS_NAMES)
    if word == "planted":
        drawn = draw_planted(split, seed=seed)
        sources = np.array([f"planted/{split}#{row}" for row in range(len(drawn.labels))])
        dataset = _resident(word, split, drawn.images, drawn.labels, sources, drawn.class_names)
        return replace(dataset, groups=drawn.groups)
    return own_function.open_function(word, split, skip_bad=skip_bad)


def _resident(
    name: str, split: str, images: np.ndarray, labels: np.ndarray, sources: np.ndarray, class_names: tuple[str, ...]
) -> Dataset:
    return Dataset(name, split, images, labels, class_names, sources, np.arange(len(labels)), image_digests(images))


def _called(name: str) -> str:
    """Name of data for people: printable, and not too long for a list of runs."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in printable(name)) or "data"
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"
