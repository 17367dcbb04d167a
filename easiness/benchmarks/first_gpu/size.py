"""Size of the measurements, and the data and recipe of those on small images."""

from dataclasses import dataclass
from pathlib import Path

import torch

from easiness.benchmarks.scaling import noise
from easiness.datasets import Dataset, open_dataset
from easiness.recipes.recipe import Recipe, make_recipe


@dataclass(frozen=True)
class Size:
    """Device, data and size of all parts."""

    device: str
    data: Path | None = None  # archive of CIFAR-10; drawn pixels without it
    model: str = "wide_resnet_16_4"
    deep_model: str = "densenet_bc_100_12"
    photo_model: str = "resnet50"
    examples: int = 50_000
    checked: int = 556  # examples of comparisons: four batches of 128, and a smaller one
    trials: int = 10
    photo_resolution: int = 224
    photo_batch: int = 256
    photo_files: int = 512
    photos: int = 40 * 256  # of one pass
    repeats: int = 5

    @property
    def where(self) -> torch.device:
        """Device of the measurements."""
        return torch.device(self.device)


def small(device: str) -> Size:
    """All parts in the least size that passes through all of their code, for a CPU."""
    models = {"model": "wide_resnet_10_1", "deep_model": "densenet_bc_10_4", "photo_model": "resnet18"}
    photos = {"photo_resolution": 32, "photo_batch": 4, "photo_files": 4, "photos": 12}
    return Size(device, examples=150, checked=150, trials=2, repeats=1, **models, **photos)


def training_set(size: Size) -> Dataset:
    """CIFAR-10 where it is given, else drawn pixels."""
    if size.data is None:
        return noise(size.examples, 32, 10)
    return open_dataset("cifar10", size.data, split="train", limit=size.examples)


def validation_set(size: Size) -> Dataset:
    """As `training_set`, a fifth of its size."""
    if size.data is None:
        return noise(size.examples // 5, 32, 10, "val")
    return open_dataset("cifar10", size.data, split="val", limit=size.examples // 5)


def recipe_for(model: str, **chosen: object) -> Recipe:
    """Recipe of CIFAR-10 for one trial of an epoch, with some fields chosen."""
    return make_recipe("cifar10", model, **{"epochs": 1, "trials": 1} | chosen)
