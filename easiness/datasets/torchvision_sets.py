"""torchvision's classification sets, by ``torchvision:NAME``: those whose items are an image and the number of a class.

Their own arguments `train` or `split` say which part is meant; what they call `test` is val where they have no other.
"""

import difflib
import inspect
import logging
import pickle
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from easiness.architectures.torchvision_import import import_torchvision
from easiness.datasets.dataset import Dataset
from easiness.datasets.image_files import decoded, upright_rgb
from easiness.datasets.lazy import Item
from easiness.datasets.libraries import Items, open_items
from easiness.files import work_folder
from easiness.recipes.custom import first_line

LOG = logging.getLogger("easiness")

# Values of `split` that are tried, the first that a set has; for train the set's own default is the last.
_SPLITS = {"train": ("train", "trainval"), "val": ("val", "valid", "test")}


def open_torchvision(name: str, root: Path | None, split: str, *, skip_bad: bool) -> Dataset:
    """Open one split of a set; without a validation set, the whole, as `train`.

    `root` is torchvision's, and nothing is downloaded there; None stands for ``.easiness/data``, with a download if
    nothing is there. A FileNotFoundError if the files are missing, a ValueError for a set of another kind.
    """
    dataset = _construct(name, work_folder() / "data" if root is None else root, split, download=root is None)
    items = Items(_Reader(dataset), len(dataset), _class_names(dataset))
    return open_items(items, name, split, skip_bad=skip_bad)


def has_val(name: str) -> bool:
    """Whether a set comes in two parts, by the arguments that it takes."""
    return bool({"train", "split"} & inspect.signature(_find_class(name)).parameters.keys())


def _find_class(name: str) -> type:
    import_torchvision()
    from torchvision import datasets

    if name not in datasets.__all__ or not inspect.isclass(getattr(datasets, name)):
        near = difflib.get_close_matches(name, datasets.__all__, n=3, cutoff=0.4)
        raise ValueError(f"torchvision has no set {name!r}; did you mean {' or '.join(near) or 'another'}?")
    parameters = list(inspect.signature(getattr(datasets, name)).parameters.values())
    more = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    if more != ["root"]:
        raise ValueError(
            f"torchvision:{name} needs other arguments than root ({', '.join(more) or 'none'}); write a function that "
            "returns its images and labels, and say dataset=package.module:function"
        )
    return getattr(datasets, name)


def _construct(name: str, root: Path, split: str, *, download: bool) -> Sequence:
    make = _find_class(name)
    known = inspect.signature(make).parameters
    choices: list[dict[str, object]] = [{}]
    if "train" in known:
        choices = [{"train": split == "train"}]
    elif "split" in known:
        choices = [{"split": word} for word in _SPLITS[split]] + [{}] * (split == "train")
    # None of them is to be asked for files that are there: some would fetch a list from the net all the same.
    attempts = [False, True] if download and "download" in known else [False]
    call = f"torchvision.datasets.{name}({str(root)!r}, download=True)"
    get = f', or get it there with: python -c "import torchvision; {call}"'
    said = ""
    for fetch in attempts:
        more = {"download": fetch} if "download" in known else {}
        for choice in choices:
            try:
                dataset = make(root=str(root), **choice, **more)
            except ValueError as error:
                if "argument split" not in str(error):
                    raise ValueError(f"torchvision:{name} in {root}: {first_line(error)}") from error
                said = first_line(error)
            except Exception as error:  # RuntimeError, FileNotFoundError, URLError … where files are missing
                said = first_line(error)
                break
            else:
                said = ", ".join(f"{key}={value}" for key, value in choice.items())
                LOG.info("torchvision:%s: %s is %s", name, split, said or "all of it")
                return dataset
    raise FileNotFoundError(
        f"torchvision:{name} is not in {root} ({said}); give its folder with data=FOLDER{get * ('download' in known)}"
    )


def _class_names(dataset: Sequence) -> tuple[str, ...]:
    """Names of the classes, each once; none where the set has no names."""
    named = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    if not isinstance(named, Sequence) or isinstance(named, str):
        return ()
    names = [name if isinstance(name, str) else ", ".join(map(str, name)) for name in named]
    counts = Counter(names)
    return tuple(name if counts[name] == 1 else f"{name} ({k})" for k, name in enumerate(names))


class _Reader:
    """Items of a set, whose unpickling imports torchvision as this package does."""

    def __init__(self, dataset: Sequence) -> None:
        self._dataset = dataset

    def __call__(self, row: int) -> Item:
        item = self._dataset[row]
        image, label = item if isinstance(item, tuple) and len(item) == 2 else (None, None)
        with suppress(TypeError):
            label = int(label) if isinstance(label, np.integer) or getattr(label, "ndim", None) == 0 else label
        if not isinstance(image, Image.Image) or type(label) is not int:
            kinds = ", ".join(type(part).__name__ for part in item)
            raise ValueError(f"an item is ({kinds}), not an image and the number of a class")
        return Item(decoded(upright_rgb(image)), label)

    def __reduce__(self) -> tuple:
        return _unpickled, (pickle.dumps(self._dataset),)


def _unpickled(content: bytes) -> _Reader:
    import_torchvision()
    return _Reader(pickle.loads(content))
