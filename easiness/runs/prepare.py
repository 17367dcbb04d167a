"""A prepare run: a folder of images packed into train.beton and val.beton, which `dataset=imagenet` reads."""

import logging
from dataclasses import dataclass
from pathlib import Path

from easiness import tracking
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.kept import read_kept
from easiness.datasets.packing import Packed, PackOptions, pack
from easiness.runs.public import absolute, public

LOG = logging.getLogger("easiness")


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Packed training and validation set: `folder` holds train.beton, val.beton and their manifests."""

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
        Folder with `train/<class>` and `val/<class>`, or `val` flat with its list, or one tree `<class>` to be split.
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


@public
def prepare(
    options: PackOptions,
    images: SourceOptions,
    output: str | Path | None = None,
    workers: int | None = None,
    skip_bad: bool = False,
    keep: str | Path | None = None,
) -> PreparedData:
    """Pack images for `dataset=imagenet`: every one decoded, checked, turned to RGB, once.

    Parameters
    ----------
    options : PackOptions
        How images are stored.
    images : SourceOptions
        Images to pack.
    output : path
        Folder that receives train.beton and val.beton, each with a manifest (.json).
    workers : int, optional
        Threads that decode; one for each core if not given.
    skip_bad : bool
        Leave out files that cannot be read as images, instead of stopping.
    keep : path, optional
        List of the training examples to pack, .csv or .npy, as `ablate` writes it; the others are left out.

    Returns
    -------
    PreparedData
        Packed sets and their folder.
    """
    for name, value in (("source", images.source), ("output", output)):
        if value is None:
            raise ValueError(f"{name} is not given; name a folder with {name}=DIR")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, and must be at least 1")
    root, folder, labels, kept = map(absolute, (images.source, output, images.val_labels, keep))
    rules = {"seed": images.seed, "val_fraction": images.val_fraction, "val_labels": labels}
    files = {split: list_imagenet(root, split, **rules) for split in ("train", "val")}
    keep_ids = None if kept is None else read_kept(kept)
    packed = {}
    with tracking.tracked_run("prepare", f"prepare {root.name}") as run_id:
        tracking.log_settings(run_id, vars(options) | {"source": str(root), "output": str(folder)})
        for split, files_of in files.items():
            packed[split] = pack(
                root,
                split,
                files_of,
                folder / f"{split}.beton",
                options,
                workers=workers,
                skip_bad=skip_bad,
                keep=keep_ids if split == "train" else None,
            )
            _log_packed(run_id, split, packed[split])
    return PreparedData(run_id, folder, packed["train"], packed["val"])


def _log_packed(run_id: str, split: str, packed: Packed) -> None:
    manifest = packed.manifest
    for skipped in manifest.skipped:
        LOG.info("skipped    %s", skipped)
    LOG.info(packed.describe())
    numbers = {"images": manifest.examples, "bytes": manifest.size}
    if packed.seconds:
        numbers["images_per_second"] = manifest.examples / packed.seconds
    tracking.log_metrics(run_id, {f"{split}_{name}": value for name, value in numbers.items()})
    tracking.set_tags(run_id, {f"easiness.fingerprint_{split}": manifest.fingerprint})
