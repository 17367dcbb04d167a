"""ImageNet and similar datasets: two .beton files made by `prepare`, or folders of images."""

from pathlib import Path

from easiness.datasets.beton import MANIFEST
from easiness.datasets.class_folders import files_by_class, list_split, require_folder, split_folders
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_folder import open_tree
from easiness.datasets.packed import open_packed
from easiness.datasets.validation_list import is_flat, list_flat


def open_imagenet(
    root: str | Path, split: str, *, seed: int, val_fraction: float, skip_bad: bool, verify: str
) -> Dataset:
    """Open one split of the data that `prepare` packed into a folder, or of the folders of images in it."""
    root = Path(root).expanduser()
    require_folder(root)
    if (root / MANIFEST).exists():
        return open_packed(root, split, verify)
    betons = sorted(path.name for path in root.glob("*.beton"))
    if betons:
        raise ValueError(f"{root} has {betons[0]} and no {MANIFEST}, so packing was interrupted; run prepare again")
    files_of = list_imagenet(root, split, seed=seed, val_fraction=val_fraction)
    return open_tree(root, split, files_of, skip_bad=skip_bad, anew=verify == "full")


def list_imagenet(
    root: Path, split: str, *, seed: int, val_fraction: float, val_labels: Path | None = None
) -> dict[str, list[str]]:
    """Class name to sorted paths, as `list_split`; also for a flat validation folder with a list of classes."""
    pair = split_folders(root)
    if not (pair and is_flat(pair["val"])):
        if val_labels is not None:
            raise ValueError(f"val_labels is for a flat folder val, and {root} has none; leave val_labels out")
        return list_split(root, split, seed=seed, val_fraction=val_fraction)
    files_of = files_by_class(pair["train"])
    return files_of if split == "train" else list_flat(pair["val"], tuple(files_of), val_labels)
