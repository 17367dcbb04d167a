"""Choice of the loader for a recipe, and staging of its data for any number of processes."""

import pickle
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from easiness.datasets import Dataset
from easiness.datasets.beton import BetonImages
from easiness.datasets.prefetch import map_ahead
from easiness.loaders.ffcv import FFCVDecoder, why_no_ffcv
from easiness.loaders.files import PillowDecoder
from easiness.loaders.normalization import level_counts, level_statistics, normalizer
from easiness.loaders.protocol import Staged
from easiness.loaders.resident import GREATEST_BYTES, StagedResident, resident_bytes, restage_resident, stage_resident
from easiness.loaders.streaming import Columns, StreamingLoader
from easiness.machine import usable_cores
from easiness.recipes.recipe import Recipe


@dataclass(frozen=True)
class StagedStream:
    """A dataset whose images stay in their files, and are decoded when needed."""

    columns: Columns | Path  # of the examples, or a file with them
    num_classes: int
    recipe: Recipe
    mean_C: np.ndarray  # (3,) grey levels of the training set, for normalization `channel`; std_C, too
    std_C: np.ndarray
    rows: np.ndarray | None = None  # (N,) the dataset's rows among the examples, ascending (None: all)

    def open(self, device: torch.device) -> StreamingLoader:
        """Open the decoder in this process."""
        columns = pickle.loads(self.columns.read_bytes()) if isinstance(self.columns, Path) else self.columns
        if self.rows is not None:
            images, labels, example_ids = columns
            columns = Columns(images.take(self.rows), labels[self.rows], example_ids[self.rows])
        decoder = FFCVDecoder if self.recipe.loader == "ffcv" else PillowDecoder
        normalize = normalizer(self.recipe, self.mean_C, self.std_C, device)
        return StreamingLoader(columns, self.recipe, decoder(columns.images), normalize, device)


def choose_loader(asked: str, recipe: Recipe, train: Dataset, val: Dataset) -> tuple[str, str]:
    """Loader (resident, ffcv or torchvision) for a recipe and its data, and the reason for it.

    `asked` is one of them, or `auto`; a ValueError if it cannot read these data.
    """
    in_arrays = any(isinstance(data.images, np.ndarray) for data in (train, val))
    packed = all(isinstance(data.images, BetonImages) for data in (train, val))
    if asked == "ffcv":
        why_not = why_no_ffcv() if packed else "the data are not packed; make .beton files with prepare, and use them"
        if why_not:
            raise ValueError(f"loader is 'ffcv', and {why_not}; or use loader=torchvision")
    if asked == "torchvision" and in_arrays:
        raise ValueError("loader is 'torchvision', which reads files, and these images are in memory; use resident")
    if asked != "auto":
        return asked, "asked for"
    crops = recipe.augmentation == "resized_crop_flip"
    sets = [train] if val is train else [train, val]
    needed = sum(resident_bytes(data.images, recipe.resolution) for data in sets)
    if in_arrays or not (crops or needed > GREATEST_BYTES):
        return "resident", f"{needed / 2**20:,.0f} MiB fit in memory"
    why = "crops are cut from the original images" if crops else f"{needed / 2**30:,.0f} GiB do not fit in memory"
    if not packed:
        return "torchvision", f"{why}, and the data are not packed (prepare makes them faster to read)"
    why_not = why_no_ffcv()
    return ("torchvision", f"{why}, and {why_not}") if why_not else ("ffcv", f"{why}, and the data are packed")


def stage(train: Dataset, val: Dataset, recipe: Recipe, folder: Path | None) -> tuple[Staged, Staged]:
    """Prepare a training and a validation set for the loader of a recipe; one dataset for both is prepared once.

    Several processes read `folder`; None keeps the data in memory, for one process.
    """
    if recipe.loader == "resident":
        return stage_resident(train, val, recipe, folder)
    staged = []
    for name, dataset in ({"train": train} if val is train else {"train": train, "val": val}).items():
        columns: Columns | Path = Columns(dataset.images, dataset.labels, dataset.example_ids)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.pickle").write_bytes(pickle.dumps(columns))
            columns = folder / f"{name}.pickle"
        staged.append(StagedStream(columns, dataset.num_classes, recipe, np.zeros(3), np.ones(3)))
    return _normalized(staged[0], staged[-1])


def restage(train: Staged, val: Staged, recipe: Recipe, rows: np.ndarray | None = None) -> tuple[Staged, Staged]:
    """Same staged images for another recipe of the same loader and resolution, and some of the training examples.

    Images are shared, not copied; the batches are bit for bit those of `stage` for the subset. `train` and `val` are
    whole, from `stage`; `rows` of the training set are ascending, all by default.
    """
    if isinstance(train, StagedResident):
        return restage_resident(train, val, recipe, rows)
    if rows is None and recipe.normalization == train.recipe.normalization:
        return replace(train, recipe=recipe), replace(val, recipe=recipe)
    return _normalized(replace(train, recipe=recipe, rows=rows), replace(val, recipe=recipe))


def part_of(whole: Staged, rows: np.ndarray) -> Staged:
    """Some examples of a whole staged dataset, ascending, with the colour statistics of the whole.

    So all networks see an example alike, whatever part of the data they are trained on.
    """
    if isinstance(whole, StagedResident):
        return replace(whole, labels=whole.labels[rows], example_ids=whole.example_ids[rows], rows=rows)
    return replace(whole, rows=rows)


def _normalized(train: StagedStream, val: StagedStream) -> tuple[StagedStream, StagedStream]:
    """Both sets with the colour statistics of the training set, if the recipe asks for them."""
    if train.recipe.normalization != "channel":
        return train, val
    # With mean 0 and standard deviation 1, the batches are the grey levels. Nothing trains yet: all cores decode.
    recipe = replace(train.recipe, threads=usable_cores())
    grey_levels = replace(train, recipe=recipe, mean_C=np.zeros(3), std_C=np.ones(3)).open(torch.device("cpu"))
    counting = map_ahead(
        grey_levels.score_batches(),
        lambda batch: level_counts(batch.images.permute(0, 2, 3, 1).numpy().astype(np.uint8)),
        workers=recipe.threads,
        ahead=recipe.threads,
        describe=lambda batch: f"counting the grey levels of {len(batch.rows)} images",
    )
    with closing(counting):
        counts = sum(counting)
    mean, std = level_statistics(counts)
    return tuple(replace(staged, mean_C=mean, std_C=std) for staged in (train, val))
