"""Resident loader: small images as one uint8 tensor on the device, augmented by one gather per batch."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from easiness.datasets import Dataset
from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import ImageFiles
from easiness.loaders.normalization import channel_statistics, normalizer
from easiness.loaders.parts import WHOLE, Part
from easiness.loaders.protocol import Batch, score_batch_size
from easiness.machine import usable_cores
from easiness.recipes.randomness import TrialSeeds, epoch_order, shifts_and_flips
from easiness.recipes.recipe import Recipe

# Larger datasets belong in a file that is read batch by batch, not in memory.
GREATEST_BYTES = 8 * 2**30


@dataclass(frozen=True)
class StagedResident:
    """A dataset whose images are one array, in memory or in a file that all processes map."""

    images: np.ndarray | Path  # (F, H, W, 3) uint8, or a .npy file
    labels: np.ndarray  # (N,) int64
    example_ids: np.ndarray  # (N,) int64
    num_classes: int
    recipe: Recipe
    mean_C: np.ndarray  # (3,) grey levels of the training set, for normalization `channel`; std_C, too
    std_C: np.ndarray
    rows: np.ndarray | None = None  # (N,) the dataset's rows among the F images, ascending (None: all)

    def pixels(self) -> np.ndarray:
        """(F, H, W, 3) uint8; a file is mapped."""
        # Mode "c" (copy on write), because torch wants writable memory.
        return np.load(self.images, mmap_mode="c") if isinstance(self.images, Path) else self.images

    def open(self, device: torch.device) -> "ResidentLoader":
        """Map the images and move them to the device."""
        return ResidentLoader(self, device)


class ResidentLoader:
    """Loader of a staged dataset."""

    def __init__(self, staged: StagedResident, device: torch.device) -> None:
        self._images = torch.from_numpy(staged.pixels()).to(device)
        self._rows = None if staged.rows is None else torch.from_numpy(staged.rows).to(device)
        self._labels = torch.from_numpy(staged.labels).to(device)
        self._example_ids = staged.example_ids
        self._recipe = staged.recipe
        self._device = device
        self._normalize = normalizer(staged.recipe, staged.mean_C, staged.std_C, device)
        self.count = len(staged.labels)

    def train_batches(self, epoch: int, seeds: TrialSeeds, part: Part = WHOLE) -> Iterator[Batch]:
        """Batches of one epoch in random order, augmented; of each, the slice of this part."""
        order, slices = part.of_epoch(epoch_order(seeds.order, epoch, self.count), self._recipe.batch_size)
        height, width = self._images.shape[1:3]
        moves = np.zeros((3, len(order)), np.int64)
        if self._recipe.augmentation != "none":
            ids = self._example_ids[order]
            moves[:] = shifts_and_flips(seeds.augmentation, epoch, ids, self._recipe.shift)
        # Once for the epoch: a copy for each batch would make a GPU wait.
        rows, *moves = torch.from_numpy(np.stack([order, *moves])).to(self._device)
        ys, xs = shift_indices(*moves, (height, width), self._recipe.padding)
        for start, stop, total in slices:
            batch = slice(start, stop)
            image_rows = rows[batch] if self._rows is None else self._rows[rows[batch]]
            views = shifted_views(self._images, image_rows, ys[batch], xs[batch])
            yield self._batch(views, self._labels[rows[batch]], order[batch], total)

    def score_batches(self, part: Part = WHOLE) -> Iterator[Batch]:
        """Batches in the dataset's order, without augmentation; of all, those of this part."""
        for start, stop, total in part.of_pass(self.count, score_batch_size(self._device)):
            batch = slice(start, stop)
            images = self._images[batch if self._rows is None else self._rows[batch]]
            yield self._batch(images, self._labels[batch], np.arange(start, stop), total)

    def _batch(self, views_BHWC: torch.Tensor, labels: torch.Tensor, rows: np.ndarray, total: int) -> Batch:
        # The colours of a pixel are stored together, so this permuted view is channels_last.
        return Batch(self._normalize(views_BHWC.permute(0, 3, 1, 2)), labels, rows, total)


def stage_resident(
    train: Dataset, val: Dataset, recipe: Recipe, folder: Path | None
) -> tuple[StagedResident, StagedResident]:
    """Training and validation set, scaled and cropped to the recipe's resolution, for `ResidentLoader`.

    Several processes map the arrays in `folder`; None keeps them in memory, for one process. A ValueError if they do
    not fit in memory, or the recipe asks for crops of the original images. One dataset for both is staged once.
    """
    if recipe.augmentation == "resized_crop_flip":
        raise ValueError(
            "augmentation 'resized_crop_flip' needs the original images, and the resident loader keeps scaled ones; "
            "use shift_flip or none, or dataset=imagenet"
        )
    datasets = {"train": train} if val is train else {"train": train, "val": val}
    arrays = {name: fit_images(dataset.images, recipe.resolution) for name, dataset in datasets.items()}
    mean, std = channel_statistics(arrays["train"])
    staged = []
    for name, dataset in datasets.items():
        pixels = arrays[name]
        images: np.ndarray | Path = pixels
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            images = folder / f"{name}.npy"
            np.save(images, pixels)
        columns = images, dataset.labels, dataset.example_ids
        staged.append(StagedResident(*columns, dataset.num_classes, recipe, mean, std))
    return staged[0], staged[-1]


def restage_resident(
    train: StagedResident, val: StagedResident, recipe: Recipe, rows: np.ndarray | None
) -> tuple[StagedResident, StagedResident]:
    """Same staged images for another recipe and some training examples; see `easiness.loaders.restage`."""
    if rows is not None:
        mean, std = train.mean_C, train.std_C
        if recipe.normalization == "channel":  # of the examples trained on, for both sets
            mean, std = channel_statistics(train.pixels()[rows])
        labels, example_ids = train.labels[rows], train.example_ids[rows]
        train = replace(train, labels=labels, example_ids=example_ids, rows=rows, mean_C=mean, std_C=std)
        val = replace(val, mean_C=mean, std_C=std)
    return replace(train, recipe=recipe), replace(val, recipe=recipe)


def fit_images(images: np.ndarray | ImageFiles | BetonImages, resolution: int) -> np.ndarray:
    """Scale and crop N images of any size to (N, resolution, resolution, 3) uint8, see `fit_image`.

    Returns the input if it has that size already; raises a ValueError if the images do not fit in memory.
    """
    count = len(images)
    if isinstance(images, np.ndarray) and images.shape[1:3] == (resolution, resolution):
        return np.ascontiguousarray(images)
    needed = resident_bytes(images, resolution)
    if needed > GREATEST_BYTES:
        raise ValueError(
            f"{count} images at {resolution} pixels need {needed / 2**30:.1f} GiB of memory (at most "
            f"{GREATEST_BYTES / 2**30:.0f}); lower resolution or limit, or use dataset=imagenet"
        )
    fitted = np.empty((count, resolution, resolution, 3), np.uint8)

    def fit(row: int) -> None:
        fitted[row] = fit_image(images[row], resolution)

    with ThreadPoolExecutor(usable_cores()) as pool:  # Pillow decodes and scales without the interpreter's lock
        deque(pool.map(fit, range(count)), maxlen=0)  # raises the first error
    return fitted


def resident_bytes(images: Sequence, resolution: int) -> int:
    """Bytes of memory that images of this resolution need."""
    return len(images) * resolution * resolution * 3


def fit_image(image: np.ndarray, resolution: int) -> np.ndarray:
    """Scale an image's shorter side to `resolution`, and cut the centre square."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) / 2, (width - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.BILINEAR, box=box))


def shift_indices(
    down_B: torch.Tensor, right_B: torch.Tensor, flip_B: torch.Tensor, size: tuple[int, int], padding: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, H) rows and (B, W) columns of the pixels that make the shifted and flipped view; -1 where there is none.

    Pixels to shift down and right by, and whether to flip (0 or 1), are int64 on one device.
    """
    y_H, x_W = (torch.arange(side, device=down_B.device) for side in size)
    xs = torch.where(flip_B[:, None] > 0, x_W.flip(0), x_W)
    return _padded(y_H - down_B[:, None], size[0], padding), _padded(xs - right_B[:, None], size[1], padding)


def shifted_views(
    images_NHWC: torch.Tensor, rows_B: torch.Tensor, ys_BH: torch.Tensor, xs_BW: torch.Tensor
) -> torch.Tensor:
    """(B, H, W, 3) views of some images, from `shift_indices`; black where an index is -1."""
    views = images_NHWC[rows_B[:, None, None], ys_BH.clamp(min=0)[:, :, None], xs_BW.clamp(min=0)[:, None, :]]
    outside = (ys_BH < 0)[:, :, None] | (xs_BW < 0)[:, None, :]
    return views.masked_fill_(outside[..., None], 0)


def _padded(index: torch.Tensor, size: int, padding: str) -> torch.Tensor:
    """Indices outside [0, size): -1, or reflected back into it."""
    if padding == "zero":
        return torch.where((index < 0) | (index >= size), -1, index)
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)
