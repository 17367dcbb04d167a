"""Hugging Face's data sets, by ``hf:NAME_OR_PATH``: image and label are found by the features of their columns."""

import io
import logging
from pathlib import Path
from types import ModuleType

import numpy as np

from easiness.datasets.arrays import in_order
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import decode
from easiness.datasets.lazy import Item
from easiness.datasets.libraries import Items, open_items
from easiness.recipes.custom import caller_folder, first_line

LOG = logging.getLogger("easiness")

# Names of the splits, the first that is there.
_SPLITS = {"train": ("train", "training"), "val": ("validation", "valid", "val", "test")}

# Files by which `save_to_disk` is known: of one split, or of several.
_SAVED = ("state.json", "dataset_dict.json")


def is_saved(folder: Path) -> bool:
    """Whether a folder is a data set that `save_to_disk` wrote."""
    return any((folder / name).is_file() for name in _SAVED)


def open_hugging_face(place: str | Path, split: str, *, skip_bad: bool) -> Dataset:
    """Open one split of a saved data set, of a folder of parquet files or images, or of a name on the hub.

    Without a validation set, the whole, as `train`. An ImportError without the extra, a FileNotFoundError if it is not
    there, a ValueError without one column of images and one of classes.
    """
    splits = _load(place)
    rows = splits[_split_named(splits, split)]
    name = Path(str(place)).name or str(place)
    image, label = _columns(rows, name)
    names, number = _classes(splits, label)
    # Bytes or paths, decoded here: upright, on white, of safe formats alone, whatever the library does.
    rows = rows.cast_column(image, _library().Image(decode=False))
    columns = {"ids": np.array([str(value) for value in rows["id"]])} if "id" in rows.column_names else {}
    items = Items(_Reader(rows, (image, label), number), len(rows), names, columns)
    return open_items(items, name, split, skip_bad=skip_bad)


def has_val(place: str | Path) -> bool:
    """Whether a data set has a split for validation."""
    splits = _load(place)
    return any(name in splits for name in _SPLITS["val"])


def _library() -> ModuleType:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            f"dataset=hf:… needs the library datasets ({first_line(error)}): pip install 'easiness[datasets]'"
        ) from error
    if not LOG.isEnabledFor(logging.INFO):
        datasets.disable_progress_bars()
    return datasets


def _load(place: str | Path) -> dict:
    """Data set by split."""
    library = _library()
    folder = caller_folder() / Path(place).expanduser()
    try:
        if is_saved(folder):
            found = library.load_from_disk(str(folder))
        else:
            found = library.load_dataset(str(folder) if folder.is_dir() else str(place))
    except Exception as error:  # of the library, its files or the net
        local = "" if folder.is_dir() else f", and there is no folder {folder}"
        raise FileNotFoundError(f"hf:{place} cannot be opened ({first_line(error)}){local}") from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def _split_named(splits: dict, split: str) -> str:
    name = next((name for name in _SPLITS[split] if name in splits), None)
    if name is None:
        raise ValueError(f"it has the splits {', '.join(splits)}, and {split} must be {' or '.join(_SPLITS[split])}")
    if name != split:
        LOG.info("%s is the split %s", split, name)
    return name


def _columns(rows: object, name: str) -> tuple[str, str]:
    """Names of the column of images and of the column of classes."""
    library, features = _library(), rows.features
    images = [column for column, feature in features.items() if isinstance(feature, library.Image)]
    labels = [column for column, feature in features.items() if isinstance(feature, library.ClassLabel)]
    labels = labels or [column for column in ("label", "labels") if isinstance(features.get(column), library.Value)]
    if len(labels) > 1 and "label" in labels:
        labels = ["label"]
    if len(images) != 1 or len(labels) != 1:
        kinds = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in features.items())
        raise ValueError(
            f"{name} has columns {kinds}: {len(images)} of images and {len(labels)} of classes, and one of each is "
            "needed; write a function that returns images and labels, and say dataset=package.module:function"
        )
    return images[0], labels[0]


def _classes(splits: dict, label: str) -> tuple[tuple[str, ...], dict[object, int]]:
    """Names of the classes, and the number of each value of the column; the same for all splits."""
    feature = next(iter(splits.values())).features[label]
    if isinstance(feature, _library().ClassLabel):
        return tuple(feature.names), {k: k for k in range(feature.num_classes)}
    values = {value for rows in splits.values() if label in rows.features for value in rows.unique(label)} - {None}
    names = in_order(map(str, values))
    return names, {value: names.index(str(value)) for value in values}


class _Reader:
    """Items of a data set, which can be pickled."""

    def __init__(self, rows: object, columns: tuple[str, str], number: dict[object, int]) -> None:
        self._rows, self._columns, self._number = rows, columns, number

    def __call__(self, row: int) -> Item:
        item = self._rows[row]
        image, label = (item[column] for column in self._columns)
        if self._number.get(label) is None:
            raise ValueError(f"its label is {label!r}, which is not a class")
        if image is None:
            raise ValueError("it has no image")
        content = image["bytes"]
        return Item(decode(image["path"] if content is None else io.BytesIO(content)), self._number[label])
