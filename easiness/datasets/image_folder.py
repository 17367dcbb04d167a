"""Labelled images in one folder per class: classes, files and the split into train and val."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import DIGEST_SIZE, FORMATS, ImageFiles, check_files, printable

NAMED_AT_MOST = 5


def open_image_folder(
    root: str | Path, split: str, *, seed: int = 0, val_fraction: float = 0.2, skip_bad: bool = False
) -> Dataset:
    """Open one split of ``root/train/<class>`` and ``root/val/<class>``, or of the one tree ``root/<class>``.

    Classes and files are in the order of their names, sources are paths below `root` with forward slashes. Files
    anywhere below a class's folder belong to the class; hidden files and folders do not count, and links to folders are
    followed for the class folders only. One tree is split by `seed`, each class with the share `val_fraction` in
    ``val`` and at least one file on each side. `skip_bad` leaves out unreadable files.

    A ValueError for fewer than two classes, an empty class, unequal classes of train and val, or bad files.
    """
    root = Path(root).expanduser()
    files_of = list_split(root, split, seed=seed, val_fraction=val_fraction)
    return open_listed("folder", root, split, files_of, skip_bad=skip_bad)


def flat_listing(root: Path, files_of: dict[str, list[str]]) -> tuple[list[str], list[str], np.ndarray]:
    """Paths, sources below `root` and (N,) int64 labels of the files of all classes."""
    paths = [path for files in files_of.values() for path in files]
    sources = [os.path.relpath(path, root).replace(os.sep, "/") for path in paths]
    return paths, sources, np.repeat(np.arange(len(files_of)), [len(files) for files in files_of.values()])


def refuse_empty_classes(labels: np.ndarray, class_names: tuple[str, ...], where: str) -> None:
    """Raise a ValueError if a class has no example left."""
    for name, count in zip(class_names, np.bincount(labels, minlength=len(class_names)), strict=True):
        if count == 0:
            raise ValueError(f"class {printable(name)} of {where} has no readable image; add some or remove it")


def open_listed(name: str, root: Path, split: str, files_of: dict[str, list[str]], *, skip_bad: bool) -> Dataset:
    """Check and open the files of every class (name to paths, in the order of the labels) below `root`."""
    class_names = tuple(files_of)
    paths, sources, labels = flat_listing(root, files_of)
    checks = check_files(paths)
    bad = [f"{printable(sources[i])} ({check})" for i, check in enumerate(checks) if isinstance(check, str)]
    if bad and not skip_bad:
        more = f" and {len(bad) - NAMED_AT_MOST:,} more" * (len(bad) > NAMED_AT_MOST)
        raise ValueError(
            f"{len(bad):,} of {len(paths):,} files in {root} ({split}) are not readable images: "
            f"{', '.join(bad[:NAMED_AT_MOST])}{more}; repair or remove them, or skip them with skip_bad=true"
        )
    good = [i for i, check in enumerate(checks) if not isinstance(check, str)]
    refuse_empty_classes(labels[good], class_names, f"{root} ({split})")
    return Dataset(
        name,
        split,
        images=ImageFiles(tuple(paths[i] for i in good), np.array([checks[i].size for i in good], np.int64)),
        labels=labels[good],
        class_names=class_names,
        sources=np.array([sources[i] for i in good]),
        example_ids=np.arange(len(good)),
        digests=np.frombuffer(b"".join(checks[i].digest for i in good), np.uint8).reshape(-1, DIGEST_SIZE),
        skipped=tuple(bad),
    )


def list_split(root: Path, split: str, *, seed: int, val_fraction: float) -> dict[str, list[str]]:
    """Class name to the sorted paths of its files; see `open_image_folder`."""
    require_folder(root)
    trees = {name: root / name for name in ("train", "val")}
    # A lone folder `train` with files may be a class of locomotives; one with folders is half of a pair.
    if not all(tree.exists() for tree in trees.values()) and not any(map(_folders, trees.values())):
        return _split_by_seed(root, split, seed, val_fraction)
    for tree in trees.values():
        if not tree.exists():
            raise FileNotFoundError(
                f"{root} has no folder {tree.name}; add it, or give one tree of class folders, to be split by seed"
            )
        require_folder(tree)
    train, val = (set(_class_folders(tree)) for tree in trees.values())
    if train != val:
        raise ValueError(
            f"train and val of {root} need the same class folders; only in train: "
            f"{_some(train - val)}, only in val: {_some(val - train)}"
        )
    return files_by_class(trees[split])


def _some(names: set[str]) -> str:
    shown = [printable(name) for name in sorted(names)[:NAMED_AT_MOST]]
    return ", ".join(shown) + f" and {len(names) - len(shown):,} more" * (len(names) > len(shown)) or "none"


def _split_by_seed(root: Path, split: str, seed: int, val_fraction: float) -> dict[str, list[str]]:
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}, and must be between 0 and 1")
    rng = np.random.default_rng(seed)
    chosen = {}
    for name, files in files_by_class(root).items():
        if len(files) == 1:
            raise ValueError(f"class {name} of {root} has 1 file, and train and val need one each; add some")
        val_count = min(max(round(val_fraction * len(files)), 1), len(files) - 1)
        val = set(rng.permutation(len(files))[:val_count].tolist())
        chosen[name] = [path for i, path in enumerate(files) if (i in val) == (split == "val")]
    return chosen


def files_by_class(tree: Path) -> dict[str, list[str]]:
    """Class name to sorted paths, for a tree of one folder per class."""
    files_of = {}
    for name in _class_folders(tree):
        files = []
        for folder, folders, names in os.walk(tree / name):
            folders[:] = [inner for inner in folders if not inner.startswith(".")]
            files += [os.path.join(folder, file) for file in names if not file.startswith(".")]
        if not files:
            raise ValueError(f"class {printable(name)} of {tree} is empty; add images or remove the folder")
        files_of[name] = sorted(files)
    return files_of


def _class_folders(tree: Path) -> list[str]:
    names = _folders(tree)
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    files = (entry.name for entry in visible(tree) if entry.is_file())
    stray = sorted(name for name in files if Path(name).suffix.lower() in suffixes)
    if stray:
        raise ValueError(
            f"{tree} has images beside or instead of class folders ({len(stray):,}, such as "
            f"{printable(stray[0])}); put each into the folder of its class"
        )
    if len(names) < 2:
        folders = f"only the class folder {printable(names[0])}" if names else "no class folders"
        raise ValueError(f"{tree} has {folders}; at least 2 classes are needed, one folder each")
    return names


def _folders(tree: Path) -> list[str]:
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
