"""Which loader serves a recipe, and its data made ready for any number of processes."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from easiness.datasets import Dataset
from easiness.datasets.beton import BetonImages
from easiness.loaders.ffcv import FFCVDecoder, why_no_ffcv
from easiness.loaders.files import PillowDecoder
from easiness.loaders.normalization import level_counts, level_statistics, normalize_streamed, normalizer
from easiness.loaders.protocol import Staged
from easiness.loaders.resident import GREATEST_BYTES, StagedResident, resident_bytes, restage_resident, stage_resident
from easiness.loaders.streaming import Columns, StreamingLoader
from easiness.recipes.recipe import Recipe


@dataclass(frozen=True)
class StagedStream:
    """A dataset whose images stay where they are, and are decoded as they are needed.

    Attributes
    ----------
    columns : Columns or pathlib.Path
        What is known of the examples, or the file that holds it.
    num_classes : int
        K.
    recipe : Recipe
        Loader, resolution, batch size, augmentation and normalization.
    mean_C, std_C : numpy.ndarray
        (3,) of the training set, grey levels of 0 to 255; used by normalization `channel`.
    rows : numpy.ndarray or None
        (N,) int64: which of the examples these are, ascending; None = all.
    """

    columns: Columns | Path
    num_classes: int
    recipe: Recipe
    mean_C: np.ndarray
    std_C: np.ndarray
    rows: np.ndarray | None = None

    def open(self, device: torch.device) -> StreamingLoader:
        """Open the decoder in this process."""
        columns = pickle.loads(self.columns.read_bytes()) if isinstance(self.columns, Path) else self.columns
        if self.rows is not None:
            images, labels, example_ids = columns
            columns = Columns(images.take(self.rows), labels[self.rows], example_ids[self.rows])
        decoder = FFCVDecoder if self.recipe.loader == "ffcv" else PillowDecoder
        normalize = normalize_streamed
        if self.recipe.normalization == "channel":
            normalize = normalizer("channel", self.mean_C, self.std_C)
        return StreamingLoader(columns, self.num_classes, self.recipe, decoder(columns.images), normalize, device)


def choose_loader(asked: str, recipe: Recipe, train: Dataset, val: Dataset) -> tuple[str, str]:
    """Settle `auto`, and refuse what cannot serve.

    Parameters
    ----------
    asked : str
        auto, resident, ffcv or torchvision.
    recipe : Recipe
        Its augmentation may need the original images.
    train, val : Dataset
        Where their images are decides the rest.

    Returns
    -------
    loader, reason : str
        A name that `Recipe.loader` allows, and why it was taken.

    Raises
    ------
    ValueError
        If the loader cannot serve these data.
    """
    in_arrays = any(isinstance(data.images, np.ndarray) for data in (train, val))
    packed = all(isinstance(data.images, BetonImages) for data in (train, val))
    if asked == "ffcv":
        why_not = why_no_ffcv() if packed else "the data are not packed; make .beton files with prepare, and use those"
        if why_not:
            raise ValueError(f"loader is 'ffcv', and {why_not}; or use loader=torchvision")
    if asked == "torchvision" and in_arrays:
        raise ValueError("loader is 'torchvision', which reads files, and these images are in memory; use resident")
    if asked != "auto":
        return asked, "asked for"
    crops = recipe.augmentation == "resized_crop_flip"
    needed = sum(resident_bytes(data.images, recipe.resolution) for data in (train, val))
    if in_arrays or not (crops or needed > GREATEST_BYTES):
        return "resident", f"{needed / 2**20:,.0f} MiB fit into memory"
    why = "crops are cut from the original images" if crops else f"{needed / 2**30:,.0f} GiB do not fit into memory"
    if not packed:
        return "torchvision", f"{why}, and the data are not packed (prepare makes them faster to read)"
    why_not = why_no_ffcv()
    return ("torchvision", f"{why}, and {why_not}") if why_not else ("ffcv", f"{why}, and the data are packed")


def stage(train: Dataset, val: Dataset, recipe: Recipe, folder: Path | None) -> tuple[Staged, Staged]:
    """Make a training and a validation set ready for the loader of a recipe.

    Parameters
    ----------
    train, val : Dataset
        With lazy images, unless the loader is `resident`.
    recipe : Recipe
        With its loader settled.
    folder : pathlib.Path or None
        Where to put what several processes read; None keeps it in memory, for one process.

    Returns
    -------
    Staged, Staged
        Training and validation set.
    """
    if recipe.loader == "resident":
        return stage_resident(train, val, recipe, folder)
    staged = []
    for name, dataset in (("train", train), ("val", val)):
        columns: Columns | Path = Columns(dataset.images, dataset.labels, dataset.example_ids)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.pickle").write_bytes(pickle.dumps(columns))
            columns = folder / f"{name}.pickle"
        staged.append(StagedStream(columns, dataset.num_classes, recipe, np.zeros(3), np.ones(3)))
    return _normalized(staged[0], staged[1])


def restage(train: Staged, val: Staged, recipe: Recipe, rows: np.ndarray | None = None) -> tuple[Staged, Staged]:
    """Take staged images for another recipe of the same loader and resolution, and some of the training examples.

    Images are shared, not copied; what comes is to the bit what `stage` makes of the subset.

    Parameters
    ----------
    train, val : Staged
        Both whole, from `stage`.
    recipe : Recipe
        Batch size, augmentation and normalization.
    rows : numpy.ndarray, optional
        Rows of the training set, ascending; all of them by default.

    Returns
    -------
    Staged, Staged
        Training and validation set.
    """
    if isinstance(train, StagedResident):
        return restage_resident(train, val, recipe, rows)
    if rows is None and recipe.normalization == train.recipe.normalization:
        return replace(train, recipe=recipe), replace(val, recipe=recipe)
    return _normalized(replace(train, recipe=recipe, rows=rows), replace(val, recipe=recipe))


def _normalized(train: StagedStream, val: StagedStream) -> tuple[StagedStream, StagedStream]:
    """With the statistics of what is trained on, for both sets, where the recipe asks for them."""
    if train.recipe.normalization != "channel":
        return train, val
    mean, std = _channel_statistics(train)
    return tuple(replace(staged, mean_C=mean, std_C=std) for staged in (train, val))


def _channel_statistics(train: StagedStream) -> tuple[np.ndarray, np.ndarray]:
    """As of the images that `resident` would hold: one pass over the whole training set."""
    # With mean 0 and deviation 1, what comes out are the grey levels themselves.
    grey_levels = replace(train, mean_C=np.zeros(3), std_C=np.ones(3))
    counts = np.zeros((3, 256), np.int64)
    for batch in grey_levels.open(torch.device("cpu")).score_batches():
        grey = batch.images.permute(0, 2, 3, 1).numpy().astype(np.uint8)
        counts += level_counts(grey)
    return level_statistics(counts)
