"""Labelled images in one folder per class, checked and opened."""

import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np

from easiness.datasets.class_folders import NAMED_AT_MOST, list_split
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import DIGEST_SIZE, PLACEHOLDER, ImageFiles, check_files, printable

LOG = logging.getLogger("easiness")

# A format is odd if no more than this share of the files has it.
RARE = 0.01


def open_image_folder(
    root: str | Path, split: str, *, seed: int = 0, val_fraction: float = 0.2, skip_bad: bool = False
) -> Dataset:
    """Open one split of ``root/train/<class>`` and ``root/val/<class>``, or of the one tree ``root/<class>``.

    Classes and files are in the order of their names, sources are paths below `root` with forward slashes. Files
    anywhere below a class's folder belong to the class; hidden files and folders do not count, and links to folders are
    followed for the class folders only. ``training``, ``validation`` and other cases are train and val, too. One tree
    is split by `seed`, each class with the share `val_fraction` in ``val`` and at least one file on each side.
    `skip_bad` leaves out unreadable files, folders and links.

    A ValueError for fewer than two classes, an empty class, unequal classes of train and val, bad files, or classes
    that seem to be one level deeper.
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
    name_odd_images({sources[i]: (checks[i].format, checks[i].remark) for i in good}, f"{root} ({split})")
    refuse_empty_classes(labels[good], class_names, f"{root} ({split})")
    sizes = np.array([checks[i].size for i in good], np.int64)
    digests = np.frombuffer(b"".join(checks[i].digest for i in good), np.uint8).reshape(-1, DIGEST_SIZE)
    return Dataset(
        name,
        split,
        images=ImageFiles(tuple(paths[i] for i in good), sizes, digests),
        labels=labels[good],
        class_names=class_names,
        sources=np.array([sources[i] for i in good]),
        example_ids=np.arange(len(good)),
        digests=digests,
        skipped=tuple(bad),
    )


def name_odd_images(images: dict[str, tuple[str, str]], where: str) -> None:
    """Warn of images that may not be meant: placeholders, animations, one colour, a format that hardly any other has.

    `images` are format and remark (see `easiness.datasets.image_files.Decoded`) by source.
    """
    counts = Counter(kind for kind, _ in images.values())
    odd = []
    for source, (kind, remark) in images.items():
        if not remark and PLACEHOLDER.search(os.path.basename(source)):
            remark = "a placeholder by its name"
        if not remark and counts[kind] <= RARE * len(images):
            remark = f"one of {counts[kind]:,} {kind} among {len(images):,} images"
        if remark:
            odd.append(f"{printable(source)} ({remark})")
    if odd:
        more = f" and {len(odd) - NAMED_AT_MOST:,} more" * (len(odd) > NAMED_AT_MOST)
        LOG.warning(
            "%s: %s odd images are used like all others; look at them: %s%s",
            where,
            f"{len(odd):,}",
            ", ".join(odd[:NAMED_AT_MOST]),
            more,
        )
