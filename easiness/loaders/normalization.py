"""Normalization of a batch, on its device."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from easiness.machine import usable_cores
from easiness.recipes.recipe import Recipe

# Grey levels of 0 to 255. An image of one colour becomes all zeros instead of amplified rounding errors.
STD_FLOOR = 1.0

# Mean and standard deviation of red, green and blue over ImageNet, in shares of white, as torchvision and many others
# have taken them.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WHITE = 255.0

# Images whose grey levels a thread counts at a time.
_CHUNK = 1024


def normalize_images(images_BCHW: torch.Tensor) -> torch.Tensor:
    """Each image minus its mean, divided by its standard deviation (over all pixels and colours).

    From grey levels of 0 to 255 to float32 of mean 0 and standard deviation 1, or less where the standard deviation
    was below `STD_FLOOR` grey levels.
    """
    images = images_BCHW.to(torch.float32, copy=True)
    variance, mean = torch.var_mean(images, dim=(1, 2, 3), correction=0, keepdim=True)
    return images.sub_(mean).div_(variance.sqrt().clamp_(min=STD_FLOOR))


def normalize_streamed(images_BCHW: torch.Tensor) -> torch.Tensor:
    """As `normalize_images` up to rounding, by plain sums: its recurrence takes longer than decoding a large image."""
    images = images_BCHW.to(torch.float32, copy=True)
    images.sub_(images.mean(dim=(1, 2, 3), keepdim=True))
    # In two steps: one running sum of all squares of an image would round away its fifth digit.
    norms_of_rows = torch.linalg.vector_norm(images, dim=(1, 3), keepdim=True)
    deviation = torch.linalg.vector_norm(norms_of_rows, dim=2, keepdim=True).div_(images[0].numel() ** 0.5)
    return images.div_(deviation.clamp_(min=STD_FLOOR))


def normalize_channels(images_BCHW: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Each colour minus a mean, divided by a standard deviation: grey levels, (1, 3, 1, 1) each."""
    return images_BCHW.to(torch.float32, copy=True).sub_(mean).div_(std)


def normalizer(
    recipe: Recipe, mean_C: np.ndarray, std_C: np.ndarray, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Function from grey levels to a network's input; the mean and standard deviation given are for `channel`."""
    if recipe.normalization == "image":
        return normalize_images if recipe.loader == "resident" else normalize_streamed
    if recipe.normalization == "imagenet":
        mean_C, std_C = WHITE * np.array(IMAGENET)
    elif recipe.normalization == "fixed":
        mean_C, std_C = np.array(recipe.colour_mean), np.array(recipe.colour_std)
    mean, std = (
        torch.as_tensor(np.asarray(values, dtype=np.float32), device=device).view(1, 3, 1, 1)
        for values in (mean_C, np.maximum(std_C, STD_FLOOR))
    )
    return partial(normalize_channels, mean=mean, std=std)


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (3,) float64 grey levels each, of every colour of (N, H, W, 3) uint8 images."""
    chunks = (images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK))
    with ThreadPoolExecutor(usable_cores()) as pool:
        return level_statistics(sum(pool.map(level_counts, chunks)))


def level_counts(images: np.ndarray) -> np.ndarray:
    """(3, 256) int64 number of times that each grey level occurs in each colour of (N, H, W, 3) uint8 images."""
    colours = torch.tensor(images).reshape(-1, 3).unbind(dim=1)
    # torch counts bytes as they are, and other threads go on meanwhile; numpy would copy them to eight bytes each.
    return np.stack([torch.bincount(values, minlength=256).numpy() for values in colours])


def level_statistics(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (3,) float64 each, of the grey levels that `level_counts` counted."""
    levels = np.arange(256.0)
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    return mean, np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
