"""A prepare run: a folder of images packed into two .beton files, which `dataset=imagenet` reads."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.datasets.class_folders import split_folders
from easiness.datasets.decisions import DECISIONS_SUFFIXES, Decisions, Listing, decided_labels, read_decisions
from easiness.datasets.image_folder import flat_listing
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.kept import KEPT_SUFFIXES, read_kept
from easiness.datasets.packed import claimed
from easiness.datasets.packing import Chosen, Packed, PackOptions, pack
from easiness.datasets.table import TABLE_SUFFIXES, list_table, read_table
from easiness.runs.checks import at_least, existing, processors, unused
from easiness.runs.decisions import log_decisions
from easiness.runs.public import absolute, logged_run, public

LOG = logging.getLogger("easiness")


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Packed training and validation set: `folder` holds their .beton files and packed.json, which describes both."""

    run_id: str
    folder: Path
    train: Packed
    val: Packed

    def summary(self) -> str:
        """Command words that use the data."""
        return f"\nrun id     {self.run_id}\nuse it     -P dataset=imagenet -P data={self.folder}"


@dataclass(frozen=True)
class SourceOptions:
    """Images to pack, and their division into a training and a validation set.

    Attributes
    ----------
    source : path
        Folder with `train/<class>` and `val/<class>`, or `val` flat with its list, or one tree `<class>` to be split;
        or a table (csv, tsv or parquet) with path and label.
    val_labels : path, optional
        List of the classes of a flat validation folder; looked for beside it if not given.
    val_fraction : float
        Share of val where one tree is split.
    seed : int
        Seed of that split.
    """

    source: str | Path | None = None
    val_labels: str | Path | None = None
    val_fraction: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        existing("source", self.source)
        existing("val_labels", self.val_labels)
        at_least("seed", self.seed, 0)
        if not 0 < self.val_fraction < 1:
            raise ValueError(f"val_fraction is {self.val_fraction}, and must be above 0 and below 1")


@public
def prepare(
    options: PackOptions,
    images: SourceOptions,
    output: str | Path | None = None,
    workers: int | None = None,
    keep: str | Path | None = None,
    decisions: str | Path | None = None,
) -> PreparedData:
    """Pack images for `dataset=imagenet`: every one decoded, checked, turned to RGB, once.

    Parameters
    ----------
    options : PackOptions
        How images are stored.
    images : SourceOptions
        Images to pack.
    output : path
        Folder that receives a .beton for each split, and packed.json, which is written last and describes both.
    workers : int, optional
        Threads that decode, at most one for each core, which is the default.
    keep : path, optional
        List of the training examples to pack, .csv or .npy, as `ablate` writes it; the others are left out.
    decisions : path, optional
        decisions.csv of a review of these images: training images to leave out, and labels to replace. The files stay
        as they are.

    Returns
    -------
    PreparedData
        Packed sets and their folder.
    """
    for name, value in (("source", images.source), ("output", output)):
        if value is None:
            raise ValueError(f"{name} is not given; name a folder with {name}=DIR")
    processors("workers", workers)
    existing("keep", keep, KEPT_SUFFIXES)
    existing("decisions", decisions, DECISIONS_SUFFIXES)
    source, folder, kept = map(absolute, (images.source, output, keep))
    for name, path in (("source", source), ("output", folder)):
        if path.exists() and not path.is_dir() and (name == "output" or path.suffix.lower() not in TABLE_SUFFIXES):
            raise NotADirectoryError(f"{name} is {path}, and is not a folder")
    root = source.parent if source.is_file() else source
    files = {split: _listed(source, split, images) for split in ("train", "val")}
    review = None if decisions is None else read_decisions(absolute(decisions))
    chosen = Chosen(
        None if kept is None else read_kept(kept),
        None if review is None else _decided(review, root, files, numbered=not options.skip_bad),
    )
    with claimed(folder), logged_run("prepare", f"prepare {source.name}") as run_id:
        packed = pack(root, files, folder, options, workers=workers, chosen=chosen)
        if review is not None:
            log_decisions(run_id, review)
        for split, part in packed.items():
            _log_packed(run_id, split, part)
    return PreparedData(run_id, folder, packed["train"], packed["val"])


def _decided(review: Decisions, root: Path, files: Mapping[str, dict[str, list[str]]], *, numbered: bool) -> np.ndarray:
    """(N,) int64 labels of the listed training images; they are `numbered` where every file is an example."""
    _, sources, labels = flat_listing(root, files["train"])
    _, sources_val, _ = flat_listing(root, files["val"])
    # A review of another split has other ids, and is known by its files and given labels.
    by_file = review.files is not None and review.given is not None
    ids = np.arange(len(sources)) if numbered and not by_file else None
    return decided_labels(review, Listing(np.array(sources), labels, tuple(files["train"]), ids, sources_val))


def _listed(source: Path, split: str, images: SourceOptions) -> dict[str, list[str]]:
    """Class name to the paths of its images; a ValueError for options that do nothing for these."""
    rules = {"seed": images.seed, "val_fraction": images.val_fraction}
    labels = absolute(images.val_labels)
    if source.is_file():
        unused("val_labels", labels, "a table has the labels of its validation set")
        parts = ("a column split",) * read_table(source).has_val
        files_of = list_table(source, split, **rules)
    else:
        files_of = list_imagenet(source, split, **rules, val_labels=labels)
        parts = tuple(tree.name for tree in split_folders(source).values())
    for name, value in rules.items():
        if parts and value != getattr(SourceOptions, name):
            raise ValueError(f"{name} is {value}, and {source} has {' and '.join(parts)}; leave {name} out")
    return files_of


def _log_packed(run_id: str, split: str, packed: Packed) -> None:
    part = packed.part
    for skipped in part.skipped:
        LOG.info("skipped    %s", skipped)
    LOG.info(packed.describe())
    numbers = {"images": part.examples, "bytes": part.size}
    if packed.seconds:
        numbers["images_per_second"] = part.examples / packed.seconds
    tracking.log_metrics(run_id, {f"{split}_{name}": value for name, value in numbers.items()})
    tracking.set_tags(run_id, {f"easiness.fingerprint_{split}": part.fingerprint})
