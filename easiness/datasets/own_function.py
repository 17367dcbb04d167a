"""Data of a user's function, by ``package.module:function``."""

import inspect
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from easiness.datasets.arrays import numbered
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_folder import FileList, open_listed
from easiness.recipes.custom import caller_folder, first_line, import_function


def open_function(word: str, split: str, *, skip_bad: bool) -> Dataset:
    """Open one split of what a function returns; without a validation set, the whole, as `train`.

    The function takes `split`, ``train`` or ``val``; one that takes nothing has no validation set. It returns images
    and labels, and may add the names of the classes, as `Dataset.from_arrays` takes them; paths of files do for images.
    Or it returns a `Dataset`. A ValueError if it fails, or returns anything else.
    """
    function, name = import_function(word, "dataset"), word.partition(":")[2]
    arguments = {"split": split} if _takes_split(function) else {}
    try:
        returned = function(**arguments)
    except Exception as error:
        said = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ValueError(f"dataset {word!r}: {name}({said}) fails ({first_line(error)})") from error
    if isinstance(returned, Dataset):
        return replace(returned, split=split)
    if not isinstance(returned, tuple) or len(returned) not in (2, 3):
        kind = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
        raise ValueError(f"dataset {word!r}: {name} returns {kind}, and must return images, labels[, class names]")
    images, labels, class_names = (*returned, None)[:3]
    try:
        if not isinstance(images, np.ndarray) and len(images) and isinstance(images[0], str | os.PathLike):
            numbers, names = numbered(labels, class_names)
            paths = [str(caller_folder() / Path(path).expanduser()) for path in images]
            listing = FileList(paths, paths, numbers, names)
            return open_listed(listing, name, f"{word} ({split})", split, skip_bad=skip_bad)
        return replace(Dataset.from_arrays(images, labels, class_names, name=name), split=split)
    except ValueError as error:
        raise ValueError(f"dataset {word!r}: {error}") from error


def has_val(word: str) -> bool:
    """Whether a function has a validation set: whether it asks which split is meant."""
    return _takes_split(import_function(word, "dataset"))


def _takes_split(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return "split" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
