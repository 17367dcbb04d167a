"""Folders of images by class: which folders are classes, which are train and val, and which files belong to them."""

import logging
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image

from easiness.datasets.image_files import FORMATS, printable
from easiness.datasets.splitting import drawn_val

LOG = logging.getLogger("easiness")

NAMED_AT_MOST = 5

# Names of the folders of a pair, in any case.
NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation")}

_PART = re.compile(r"(?i)(.*[-_ ])?(train|training|val|valid|validation|dev|test|testing)([-_ ].*|\d*)")


def split_folders(root: Path) -> dict[str, Path]:
    """Folders of train and val by split; empty if `root` is one tree of class folders.

    A ValueError or FileNotFoundError if it is half of a pair, or several folders might be meant.
    """
    require_folder(root)
    names = sorted(entry.name for entry in visible(root))
    found = {split: [name for name in names if name.casefold() in known] for split, known in NAMES.items()}
    # A lone folder `train` with files may be a class of locomotives; one with folders is half of a pair.
    if not all(found.values()) and not any(subfolders(root / name) for names in found.values() for name in names):
        return {}
    for split, options in found.items():
        if not options:
            near = [name for name in names if _PART.fullmatch(name) and name.casefold() not in NAMES["train"]]
            raise FileNotFoundError(
                f"{root} has no folder {split}; add it{f' or rename {near[0]}' if near else ''}, or give one tree of "
                "class folders, to be split by seed"
            )
        if len(options) > 1:
            raise ValueError(f"{root} has {' and '.join(options)}, and one of them must be {split}; rename the other")
        require_folder(root / options[0])
    return {split: root / options[0] for split, options in found.items()}


def list_split(root: Path, split: str, *, seed: int, val_fraction: float) -> dict[str, list[str]]:
    """Class name to the sorted paths of its files; see `easiness.datasets.image_folder.open_image_folder`."""
    pair = split_folders(root)
    if not pair:
        return _split_by_seed(root, split, seed, val_fraction)
    train, val = (set(class_folders(tree)) for tree in pair.values())
    if train != val:
        raise ValueError(
            f"{pair['train'].name} and {pair['val'].name} of {root} need the same class folders; only in "
            f"{pair['train'].name}: {_some(train - val)}, only in {pair['val'].name}: {_some(val - train)}"
        )
    if split == "train":
        unused = set(subfolders(root)) - {tree.name for tree in pair.values()}
        LOG.info(
            "%s: train is %s/, val is %s/; %s classes: %s%s",
            root,
            *(tree.name for tree in pair.values()),
            f"{len(train):,}",
            _some(train),
            f"; not used: {_some(unused)}" if unused else "",
        )
    return files_by_class(pair[split])


def _split_by_seed(root: Path, split: str, seed: int, val_fraction: float) -> dict[str, list[str]]:
    files_of = files_by_class(root)
    names = tuple(files_of)
    labels = np.repeat(np.arange(len(names)), [len(files) for files in files_of.values()])
    in_val = drawn_val(labels, names, str(root), seed=seed, val_fraction=val_fraction)
    if not in_val.any():
        if split == "val":
            raise ValueError(f"val_fraction is 0, which leaves {root} without a val; open train alone")
        LOG.info("%s: one tree of %s classes, all of it train: %s", root, f"{len(names):,}", _some(set(names)))
        return files_of
    if split == "train":
        share = (
            f"{val_fraction:.0%} of each is val, by seed {seed}: {in_val.sum():,} images that are not trained on or "
            "scored"
        )
        LOG.info("%s: one tree of %s classes: %s; %s", root, f"{len(names):,}", _some(set(names)), share)
    taken = iter((in_val == (split == "val")).tolist())
    return {name: [path for path in files if next(taken)] for name, files in files_of.items()}


def files_by_class(tree: Path) -> dict[str, list[str]]:
    """Class name to sorted paths, for a tree of one folder per class.

    Folders that cannot be read, and links to folders, which are not followed, are among the paths.
    """
    files_of = {}
    for name in class_folders(tree):
        files, unread = [], []
        for folder, folders, names in os.walk(tree / name, onerror=unread.append):
            folders[:] = [inner for inner in folders if not inner.startswith(".")]
            links = [inner for inner in folders if os.path.islink(os.path.join(folder, inner))]
            files += [os.path.join(folder, file) for file in [*names, *links] if not file.startswith(".")]
        files += [error.filename for error in unread]
        if not files:
            raise ValueError(f"class {printable(name)} of {tree} is empty; add images or remove the folder")
        files_of[name] = sorted(files)
    return files_of


def class_folders(tree: Path) -> list[str]:
    """Sorted names of the class folders of a tree; a ValueError if they do not look like classes."""
    names = subfolders(tree)
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    files = [entry for entry in visible(tree) if not entry.is_dir()]
    stray = sorted(entry.name for entry in files if Path(entry.name).suffix.lower() in suffixes)
    if stray:
        raise ValueError(
            f"{tree} has images beside or instead of class folders ({len(stray):,}, such as "
            f"{printable(stray[0])}); put each into the folder of its class"
        )
    for entry in files:
        if entry.is_symlink() and not entry.is_file():
            raise ValueError(f"{tree / entry.name} is a link to nothing; repair or remove it")
    if len(names) < 2:
        folders = f"only the class folder {printable(names[0])}" if names else "no class folders"
        deeper = f", or give {tree / names[0]}" if names and len(subfolders(tree / names[0])) > 1 else ""
        raise ValueError(f"{tree} has {folders}; at least 2 classes are needed, one folder each{deeper}")
    _refuse_other_levels(tree, names)
    return names


def _refuse_other_levels(tree: Path, names: list[str]) -> None:
    """Raise a ValueError if the class folders look like parts of the data, or as if the classes were inside of them."""
    if all(_PART.fullmatch(name) for name in names):
        raise ValueError(
            f"the folders of {tree} look like parts, not classes ({_some(set(names))}); give a folder with train and "
            "val, or one of these"
        )
    nested = {name: inner for name in names if (inner := _folders_alone(tree / name))}
    if len(nested) == len(names) and any(len(inner) > 1 for inner in nested.values()):
        name, inner = max(nested.items(), key=lambda item: len(item[1]))
        raise ValueError(
            f"every class folder of {tree} holds folders alone ({printable(name)}: {_some(set(inner))}), as if the "
            f"classes were one level deeper; give a folder whose folders are the classes, such as {tree / name}, or "
            "put the images of each class into its folder"
        )
    for name, inner in nested.items():
        if len(inner) > 1:
            LOG.warning("%s holds folders alone (%s); all of it is one class", tree / name, _some(set(inner)))


def _folders_alone(folder: Path) -> list[str]:
    """Names of the folders in a folder without files, or in the only folder in it; none if there are files."""
    try:
        names = subfolders(folder)
        if not names or any(not entry.is_dir() for entry in visible(folder)):
            return []
    except OSError:  # named when it is listed
        return []
    return names if len(names) > 1 else _folders_alone(folder / names[0])


def subfolders(tree: Path) -> list[str]:
    """Sorted names of the folders in a folder that are not hidden; none if it is not a folder."""
    return sorted(entry.name for entry in visible(tree) if entry.is_dir()) if tree.is_dir() else []


def visible(tree: Path) -> list[os.DirEntry]:
    """Entries of a folder that are not hidden."""
    with os.scandir(tree) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def require_folder(path: Path) -> None:
    """Raise FileNotFoundError or NotADirectoryError if a path is not a folder."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give the folder of images with -P data=PATH")
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is a file; give a folder with one folder per class")


def _some(names: set[str]) -> str:
    shown = [printable(name) for name in sorted(names)[:NAMED_AT_MOST]]
    return ", ".join(shown) + f" and {len(names) - len(shown):,} more" * (len(names) > len(shown)) or "none"
