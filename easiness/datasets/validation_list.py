"""Flat validation folder of ImageNet, and the lists in circulation that give the class of each of its images."""

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from easiness.datasets.class_folders import require_folder, visible

# Lists beside the images or their folder, in the order of search.
LISTS = (
    "val.txt",
    "val_labels.txt",
    "LOC_val_solution.csv",
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
)

# Bytes; the longest in circulation has 10 million.
LARGEST_LIST = 2**26

PATIENCE_S = 120

_READ_DEVKIT = """
import json, sys
from scipy.io import loadmat
synsets = loadmat(sys.argv[1], squeeze_me=True)["synsets"]
leaves = [synset for synset in synsets if int(synset["num_children"]) == 0]
print(json.dumps([(int(synset["ILSVRC2012_ID"]), str(synset["WNID"])) for synset in leaves]))
"""


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
    lines = [line for line in _text(labels).splitlines() if line.strip()]
    if lines and lines[0].startswith("ImageId,"):
        rows = [(row.get("ImageId"), (row.get("PredictionString") or "").split()) for row in csv.DictReader(lines)]
        if not all(name and words for name, words in rows):
            raise ValueError(f"{labels} has a line without an ImageId or a class")
        by_stem = {Path(image).stem: image for image in images}
        return _once(labels, [(by_stem.get(name, name), words[0]) for name, words in rows])
    words = [line.split() for line in lines]
    if all(len(line) == 2 for line in words):
        named = _named({word for _, word in words}, class_names, labels)
        return _once(labels, [(Path(name).name, named[word]) for name, word in words])
    if not all(len(line) == 1 for line in words):
        raise ValueError(f"{labels} has lines of different kinds; all must be 'FILE CLASS', or all 'CLASS'")
    if len(words) != len(images):
        raise ValueError(f"{labels} has {len(words):,} lines for {len(images):,} images in the folder")
    if all(re.fullmatch(r"[0-9]{1,9}", word) for (word,) in words):
        wnids = _devkit_wnids(labels.parent / "meta.mat")
        unknown = [word for (word,) in words if int(word) not in wnids]
        if unknown:
            raise ValueError(f"{labels} names class {unknown[0]}, which meta.mat beside it does not have")
        return {image: wnids[int(word)] for image, (word,) in zip(images, words, strict=True)}
    return {image: word for image, (word,) in zip(images, words, strict=True)}


def _text(path: Path) -> str:
    """Text of a small file; a ValueError if it is not one."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give the list of classes of val with -P val_labels=FILE")
    if not path.is_file() or path.stat().st_size > LARGEST_LIST:  # a pipe would be waited for
        raise ValueError(f"{path} is not a list of classes: not a file, or larger than {LARGEST_LIST:,} bytes")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error.reason})") from None


def _once(labels: Path, pairs: list[tuple[str, str]]) -> dict[str, str]:
    counts = Counter(name for name, _ in pairs)
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    if count > 1:
        raise ValueError(f"{labels} lists {name} {count} times; give each image once")
    return dict(pairs)


def _named(words: set[str], class_names: tuple[str, ...], labels: Path) -> dict[str, str]:
    """Class name by word of a list: a class name, or its number from 0."""
    numbers = {word: int(word) for word in words if word not in class_names and re.fullmatch(r"[0-9]{1,9}", word)}
    if numbers and max(numbers.values()) >= len(class_names):
        raise ValueError(
            f"{labels} names class {max(numbers.values())}, and the {len(class_names)} classes have numbers from 0"
        )
    if numbers and min(numbers.values()) > 0:
        raise ValueError(
            f"{labels} names no class 0, and the first of the {len(class_names)} classes has that number; count from "
            "0, or give the names of the classes"
        )
    return {word: class_names[numbers[word]] if word in numbers else word for word in words}


def _devkit_wnids(path: Path) -> dict[int, str]:
    """ILSVRC2012_ID to wnid."""
    if not path.is_file():
        raise FileNotFoundError(
            f"the numbers in the devkit's list need {path}, which maps them to classes; copy it there"
        )
    if path.stat().st_size > LARGEST_LIST:
        raise ValueError(f"{path} is not the devkit's meta.mat: it is larger than {LARGEST_LIST:,} bytes")
    # In a process of its own: on damaged bytes scipy does not only raise almost anything, it also ends its process.
    words = [sys.executable, "-I", "-c", _READ_DEVKIT, str(path)]
    try:
        reader = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or "").strip().splitlines() or ["scipy cannot read it"]
        raise ValueError(f"{path} is not the devkit's meta.mat ({said[-1]})") from None
    return {int(number): wnid for number, wnid in json.loads(reader.stdout)}
