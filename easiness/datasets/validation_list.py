"""Flat validation folder of ImageNet, and the lists in circulation that give the class of each of its images."""

import csv
import re
from pathlib import Path

from easiness.datasets.image_folder import require_folder, visible

# Lists beside the images or their folder, in the order of search.
LISTS = (
    "val.txt",
    "val_labels.txt",
    "LOC_val_solution.csv",
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
)


def is_flat(folder: Path) -> bool:
    """Whether a folder contains files and no class folders."""
    entries = visible(folder) if folder.is_dir() else []
    return bool(entries) and not any(entry.is_dir() for entry in entries)


def list_flat(folder: Path, class_names: tuple[str, ...], labels: Path | None = None) -> dict[str, list[str]]:
    """Class name to sorted paths of the images in one flat folder.

    A list has one line per image: ``FILE WNID`` or ``FILE NUMBER`` (from 0, in the order of the class names); Kaggle's
    ``LOC_val_solution.csv``; or, in the order of the file names, only a wnid or an ``ILSVRC2012_ID`` (from 1), which
    the ``meta.mat`` beside the devkit's list maps to a wnid. Without `labels`, a list is searched beside the images and
    beside their folder.
    """
    require_folder(folder)
    images = sorted(entry.name for entry in visible(folder) if entry.name not in LISTS)
    labels = labels or _find_list(folder)
    class_of = _read_list(labels, images, class_names)
    missing, strange = sorted(set(images) - class_of.keys()), sorted(class_of.keys() - set(images))
    if missing or strange:
        raise ValueError(
            f"{labels} and {folder} have different images: {len(missing):,} are only in the folder"
            f"{f' (such as {missing[0]})' if missing else ''}, {len(strange):,} only in the list"
            f"{f' (such as {strange[0]})' if strange else ''}"
        )
    files_of: dict[str, list[str]] = {name: [] for name in class_names}
    for image in images:
        if class_of[image] not in files_of:
            raise ValueError(f"{labels} gives {image} the class {class_of[image]}, which is not in the training set")
        files_of[class_of[image]].append(str(folder / image))
    return files_of


def _find_list(folder: Path) -> Path:
    paths = [path for parent in (folder, folder.parent) for name in LISTS if (path := parent / name).is_file()]
    if paths:
        return paths[0]
    raise FileNotFoundError(
        f"{folder} has no class folders, so it needs a list of classes: put {LISTS[0]} (lines of 'FILE WNID') or the "
        "devkit's ILSVRC2012_validation_ground_truth.txt beside it, or give a list with -P val_labels=FILE"
    )


def _read_list(labels: Path, images: list[str], class_names: tuple[str, ...]) -> dict[str, str]:
    """Class name by file name."""
    lines = [line for line in labels.read_text().splitlines() if line.strip()]
    if lines and lines[0].startswith("ImageId,"):
        rows = list(csv.DictReader(lines))
        by_stem = {Path(image).stem: image for image in images}
        return {by_stem.get(row["ImageId"], row["ImageId"]): row["PredictionString"].split()[0] for row in rows}
    words = [line.split() for line in lines]
    if all(len(line) == 2 for line in words):
        return {Path(name).name: _named(word, class_names, labels) for name, word in words}
    if not all(len(line) == 1 for line in words):
        raise ValueError(f"{labels} has lines of different kinds; all must be 'FILE CLASS', or all 'CLASS'")
    if len(words) != len(images):
        raise ValueError(f"{labels} has {len(words):,} lines for {len(images):,} images in the folder")
    if all(re.fullmatch(r"\d+", word) for (word,) in words):
        wnids = _devkit_wnids(labels.parent / "meta.mat")
        unknown = [word for (word,) in words if int(word) not in wnids]
        if unknown:
            raise ValueError(f"{labels} names class {unknown[0]}, which meta.mat beside it does not have")
        return {image: wnids[int(word)] for image, (word,) in zip(images, words, strict=True)}
    return {image: word for image, (word,) in zip(images, words, strict=True)}


def _named(word: str, class_names: tuple[str, ...], labels: Path) -> str:
    if word in class_names or not word.isdigit():
        return word
    if int(word) >= len(class_names):
        raise ValueError(f"{labels} names class {word}, and the {len(class_names)} classes have numbers from 0")
    return class_names[int(word)]


def _devkit_wnids(path: Path) -> dict[int, str]:
    """ILSVRC2012_ID to wnid."""
    if not path.is_file():
        raise FileNotFoundError(
            f"the numbers in the devkit's list need {path}, which maps them to classes; copy it there"
        )
    from scipy.io import loadmat

    synsets = loadmat(path, squeeze_me=True)["synsets"]
    return {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets if int(synset["num_children"]) == 0}
