"""Protocol of all loaders.

A dataset is *staged* once, by the process that owns the run, and *opened* by every process that trains. A staged
dataset can be pickled and contains no image twice.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch

from easiness.loaders.parts import WHOLE, Part
from easiness.recipes.randomness import TrialSeeds


def score_batch_size(device: torch.device) -> int:
    """Examples per scoring batch: so few that activations stay in the cache of a core, so many that a GPU is busy."""
    return 1024 if device.type == "cuda" else 128


class Batch(NamedTuple):
    """Input of a network."""

    images: torch.Tensor  # (B, 3, H, W) float32, normalized, channels_last, on the device
    labels: torch.Tensor  # (B,) int64, on the device
    rows: np.ndarray  # (B,) int64, rows of the images in the dataset
    total: int  # examples that all processes take with these; B where one process takes all


class Loader(Protocol):
    """Batches of one dataset on one device. The parts of a pass yield every example exactly once.

    Nothing is decoded, copied or normalized that is not in the part.
    """

    count: int

    def train_batches(self, epoch: int, seeds: TrialSeeds, part: Part = WHOLE) -> Iterator[Batch]:
        """Batches of one epoch in random order, augmented; of each, the slice of this part."""
        ...

    def score_batches(self, part: Part = WHOLE) -> Iterator[Batch]:
        """Batches in the dataset's order, without augmentation; of all, those of this part."""
        ...


class Staged(Protocol):
    """A dataset prepared for any number of processes; small when pickled, and its subsets share its images."""

    num_classes: int

    def open(self, device: torch.device) -> Loader:
        """Open it in this process."""
        ...
