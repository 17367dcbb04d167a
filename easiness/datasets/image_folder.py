"""Labelled images in one folder per class, checked and opened."""

import logging
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from easiness.datasets.class_folders import NAMED_AT_MOST, list_split, split_folders
from easiness.datasets.dataset import Dataset
from easiness.datasets.file_index import check_listed
from easiness.datasets.image_files import PLACEHOLDER, ImageFiles, check_files, digest_table, printable

LOG = logging.getLogger("easiness")

# A format is odd if no more than this share of the files has it.
RARE = 0.01


def open_image_folder(
    root: str | Path,
    split: str,
    *,
    seed: int = 0,
    val_fraction: float = 0.2,
    skip_bad: bool = False,
    anew: bool = False,
) -> Dataset:
    """Open one split of ``root/train/<class>`` and ``root/val/<class>``, or of the one tree ``root/<class>``.

    Classes and files are in the order of their names, sources are paths below `root` with forward slashes. Files
    anywhere below a class's folder belong to the class; hidden files and folders do not count, and links to folders are
    followed for the class folders only. ``training``, ``validation`` and other cases are train and val, too. One tree
    is split by `seed`, each class with the share `val_fraction` in ``val`` and at least one file on each side.
    `skip_bad` leaves out unreadable files, folders and links. Files that were decoded before, and are as they were
    then, are not read, unless `anew`.

    A ValueError for fewer than two classes, an empty class, unequal classes of train and val, bad files, or classes
    that seem to be one level deeper.
    """
    root = Path(root).expanduser()
    files_of = list_split(root, split, seed=seed, val_fraction=val_fraction)
    return open_tree(root, split, files_of, skip_bad=skip_bad, anew=anew)


def flat_listing(root: Path, files_of: dict[str, list[str]]) -> tuple[list[str], list[str], np.ndarray]:
    """Paths, sources and (N,) int64 labels of the files of all classes."""
    paths = [path for files in files_of.values() for path in files]
    labels = np.repeat(np.arange(len(files_of)), [len(files) for files in files_of.values()])
    return paths, [source_of(path, root) for path in paths], labels


def source_of(path: str, root: Path) -> str:
    """Path below `root`, with forward slashes; of a file elsewhere, the whole path."""
    inside = os.path.relpath(path, root)
    return (path if inside.startswith(os.pardir + os.sep) else inside).replace(os.sep, "/")


def refuse_empty_classes(labels: np.ndarray, class_names: tuple[str, ...], where: str) -> None:
    """Raise a ValueError if a class has no example left."""
    for name, count in zip(class_names, np.bincount(labels, minlength=len(class_names)), strict=True):
        if count == 0:
            raise ValueError(f"class {printable(name)} of {where} has no readable image; add some or remove it")


@dataclass(frozen=True, eq=False)
class FileList:
    """N image files of one split, in order."""

    paths: list[str]
    sources: list[str]
    labels: np.ndarray  # (N,) int64
    class_names: tuple[str, ...]
    columns: dict[str, np.ndarray] = field(default_factory=dict)  # more columns of `Dataset`, (N,) each
    root: Path | None = None  # folder under which the files are known again; None = never


def open_tree(root: Path, split: str, files_of: dict[str, list[str]], *, skip_bad: bool, anew: bool = False) -> Dataset:
    """Check and open the files of every class (name to paths, in the order of the labels) below `root`."""
    paths, sources, labels = flat_listing(root, files_of)
    columns = {}
    if not split_folders(root):
        columns["tree_keys"] = np.array([f"{k:09d} {source}" for k, source in zip(labels, sources, strict=True)])
    listing = FileList(paths, sources, labels, tuple(files_of), columns, root)
    return open_listed(listing, root.name, f"{root} ({split})", split, skip_bad=skip_bad, anew=anew)


def open_listed(listing: FileList, name: str, where: str, split: str, *, skip_bad: bool, anew: bool = False) -> Dataset:
    """Check and open listed files; `name` is that of the data, and `where` says in messages where they are.

    Known files are not read, unless `anew`.
    """
    if listing.root is None:
        checks = check_files(listing.paths)
    else:
        checks = check_listed(listing.root, listing.sources, listing.paths, anew=anew)
    bad = {i: check for i, check in enumerate(checks) if isinstance(check, str)}
    skipped = refuse_bad({listing.sources[i]: why for i, why in bad.items()}, len(checks), where, skip_bad=skip_bad)
    good = [i for i in range(len(checks)) if i not in bad]
    sources = [listing.sources[i] for i in good]
    name_odd_images({listing.sources[i]: (checks[i].format, checks[i].remark) for i in good}, where)
    refuse_empty_classes(listing.labels[good], listing.class_names, where)
    sizes = np.array([checks[i].size for i in good], np.int64)
    return Dataset(
        name,
        split,
        images=ImageFiles(tuple(listing.paths[i] for i in good), sizes, digest_table(checks[i].stored for i in good)),
        labels=listing.labels[good],
        class_names=listing.class_names,
        sources=np.array(sources),
        example_ids=np.arange(len(good)),
        digests=digest_table(checks[i].digest for i in good),
        skipped=skipped,
        **{column: values[good] for column, values in listing.columns.items()},
    )


def refuse_bad(bad: dict[str, str], count: int, where: str, *, skip_bad: bool) -> tuple[str, ...]:
    """Refuse bad files, reasons by source, of `count` in one line that names a few; or name those that are left out."""
    named = tuple(f"{printable(source)} ({why})" for source, why in bad.items())
    if named and not skip_bad:
        more = f" and {len(named) - NAMED_AT_MOST:,} more" * (len(named) > NAMED_AT_MOST)
        raise ValueError(
            f"{len(named):,} of {count:,} files in {where} are not readable images: "
            f"{', '.join(named[:NAMED_AT_MOST])}{more}; repair or remove them, or skip them with skip_bad=true"
        )
    return named


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
