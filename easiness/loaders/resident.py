"""Small images as one uint8 tensor on the device; augmentation is one gather on a batch."""

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
from easiness.loaders.protocol import Batch
from easiness.recipes.randomness import TrialSeeds, epoch_order, shifts_and_flips
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import batch_bounds

# Above this the images belong into a file that is read as it goes, not into memory.
GREATEST_BYTES = 8 * 2**30

# Examples per scoring batch: activations of a batch this small stay in the cache of one core.
SCORE_BATCH = 128


@dataclass(frozen=True)
class StagedResident:
    """A dataset whose images are one array, in memory or in a file that all processes map.

    Attributes
    ----------
    images : numpy.ndarray or pathlib.Path
        (F, H, W, 3) uint8, or the .npy file that holds them.
    labels, example_ids : numpy.ndarray
        (N,) int64.
    num_classes : int
        K.
    recipe : Recipe
        Batch size, augmentation and normalization.
    mean_C, std_C : numpy.ndarray
        (3,) of the training set, grey levels of 0 to 255; used by normalization `channel`.
    rows : numpy.ndarray or None
        (N,) int64: which of the F images these are, ascending; None = all.
    """

    images: np.ndarray | Path
    labels: np.ndarray
    example_ids: np.ndarray
    num_classes: int
    recipe: Recipe
    mean_C: np.ndarray
    std_C: np.ndarray
    rows: np.ndarray | None = None

    def pixels(self) -> np.ndarray:
        """(F, H, W, 3) uint8, mapped where they are in a file."""
        # Mode "c" maps the file for reading; torch wants memory that it could write to.
        return np.load(self.images, mmap_mode="c") if isinstance(self.images, Path) else self.images

    def open(self, device: torch.device) -> "ResidentLoader":
        """Map the images and move them to the device."""
        return ResidentLoader(self, device)


class ResidentLoader:
    """Batches of a staged dataset; see `easiness.loaders.Loader`."""

    def __init__(self, staged: StagedResident, device: torch.device) -> None:
        self._images = torch.from_numpy(staged.pixels()).to(device)
        self._places = None if staged.rows is None else torch.from_numpy(staged.rows).to(device)
        self._labels = torch.from_numpy(staged.labels).to(device)
        self._example_ids = staged.example_ids
        self._recipe = staged.recipe
        self._device = device
        self._normalize = normalizer(staged.recipe.normalization, staged.mean_C, staged.std_C)
        self.count = len(staged.labels)
        self.num_classes = staged.num_classes

    def train_batches(self, epoch: int, seeds: TrialSeeds) -> Iterator[Batch]:
        """Batches of one epoch in its own order, augmented."""
        order = epoch_order(seeds.order, epoch, self.count)
        height, width = self._images.shape[1:3]
        down, right, flip = self._draws(epoch, seeds, self._example_ids[order])
        ys, xs = shift_indices(down, right, flip, height=height, width=width)
        rows, ys, xs = (index.to(self._device) for index in (torch.from_numpy(order), ys, xs))
        for start, stop in batch_bounds(self.count, self._recipe.batch_size):
            part = slice(start, stop)
            places = rows[part] if self._places is None else self._places[rows[part]]
            views = self._images[places[:, None, None], ys[part, :, None], xs[part, None, :]]
            yield self._batch(views, self._labels[rows[part]], order[part])

    def score_batches(self) -> Iterator[Batch]:
        """Batches in the dataset's order, without augmentation."""
        for start in range(0, self.count, SCORE_BATCH):
            part = slice(start, min(start + SCORE_BATCH, self.count))
            images = self._images[part if self._places is None else self._places[part]]
            yield self._batch(images, self._labels[part], np.arange(part.start, part.stop))

    def _draws(
        self, epoch: int, seeds: TrialSeeds, example_ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._recipe.augmentation == "none":
            zeros = np.zeros(len(example_ids), np.int64)
            return zeros, zeros, zeros.astype(bool)
        return shifts_and_flips(seeds.augmentation, epoch, example_ids, self._recipe.shift)

    def _batch(self, views_BHWC: torch.Tensor, labels: torch.Tensor, rows: np.ndarray) -> Batch:
        # Pixels are stored with their colours together, so this permuted view is channels_last already.
        return Batch(self._normalize(views_BHWC.permute(0, 3, 1, 2)), labels, rows)


def stage_resident(
    train: Dataset, val: Dataset, recipe: Recipe, folder: Path | None
) -> tuple[StagedResident, StagedResident]:
    """Make a training and a validation set ready for `ResidentLoader`.

    Parameters
    ----------
    train, val : Dataset
        Images of any size; those that differ from the recipe's resolution are scaled and cut.
    recipe : Recipe
        Resolution, batch size, augmentation and normalization.
    folder : pathlib.Path or None
        Where to put the arrays that several processes map; None keeps them in memory, for one process.

    Returns
    -------
    StagedResident, StagedResident
        Training and validation set.

    Raises
    ------
    ValueError
        If the images do not fit into memory, or the recipe asks for crops of the original images.
    """
    if recipe.augmentation == "resized_crop_flip":
        raise ValueError(
            "augmentation 'resized_crop_flip' crops the original images, and the resident loader holds scaled ones; "
            "use shift_flip or none, or dataset=imagenet"
        )
    arrays = [fit_images(dataset.images, recipe.resolution) for dataset in (train, val)]
    mean, std = channel_statistics(arrays[0])
    staged = []
    for name, dataset, pixels in zip(("train", "val"), (train, val), arrays, strict=True):
        images: np.ndarray | Path = pixels
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            images = folder / f"{name}.npy"
            np.save(images, pixels)
        staged.append(
            StagedResident(images, dataset.labels, dataset.example_ids, dataset.num_classes, recipe, mean, std)
        )
    return staged[0], staged[1]


def restage_resident(
    train: StagedResident, val: StagedResident, recipe: Recipe, rows: np.ndarray | None
) -> tuple[StagedResident, StagedResident]:
    """Take staged images for another recipe of the same resolution, and some of the training examples.

    Images are shared, not copied; see `easiness.loaders.restage`.
    """
    if rows is not None:
        mean, std = train.mean_C, train.std_C
        if recipe.normalization == "channel":  # of what is trained on, for both sets
            mean, std = channel_statistics(train.pixels()[rows])
        labels, example_ids = train.labels[rows], train.example_ids[rows]
        train = replace(train, labels=labels, example_ids=example_ids, rows=rows, mean_C=mean, std_C=std)
        val = replace(val, mean_C=mean, std_C=std)
    return replace(train, recipe=recipe), replace(val, recipe=recipe)


def fit_images(images: np.ndarray | ImageFiles | BetonImages, resolution: int) -> np.ndarray:
    """Scale the shorter side of every image to `resolution` and cut the centre square.

    Parameters
    ----------
    images : numpy.ndarray, ImageFiles or BetonImages
        N images, each (H, W, 3) uint8.
    resolution : int
        Side of the square in pixels.

    Returns
    -------
    numpy.ndarray
        (N, resolution, resolution, 3) uint8; the input itself where it has that size already.
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

    with ThreadPoolExecutor() as pool:  # Pillow decodes and scales outside the interpreter's lock
        for _ in pool.map(fit, range(count)):
            pass
    return fitted


def resident_bytes(images: Sequence, resolution: int) -> int:
    """Memory that images of this resolution need."""
    return len(images) * resolution * resolution * 3


def fit_image(image: np.ndarray, resolution: int) -> np.ndarray:
    """Scale one (H, W, 3) image so that its shorter side is `resolution`, and cut the centre square."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) / 2, (width - side) / 2
    box = (left, top, left + side, top + side)
    size = (resolution, resolution)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=box))


def shift_indices(
    down: np.ndarray, right: np.ndarray, flip: np.ndarray, *, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, H) rows and (B, W) columns of every image that its shifted and mirrored view is made of."""
    ys = _reflected(torch.arange(height) - torch.from_numpy(down)[:, None], height)
    xs = torch.where(torch.from_numpy(flip)[:, None], torch.arange(width).flip(0), torch.arange(width))
    return ys, _reflected(xs - torch.from_numpy(right)[:, None], width)


def _reflected(index: torch.Tensor, size: int) -> torch.Tensor:
    """Mirror an index that left [0, size) back into it: a shifted image shows its own border's reflection."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)
