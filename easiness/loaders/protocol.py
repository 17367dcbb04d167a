"""What every loader promises.

A dataset is *staged* once, by the process that owns the run, and *opened* by every process that trains: what is staged
can be pickled and holds no image twice.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch

from easiness.recipes.randomness import TrialSeeds


class Batch(NamedTuple):
    """What a network gets.

    Attributes
    ----------
    images : torch.Tensor
        (B, 3, H, W) float32, normalized, channels_last, on the device.
    labels : torch.Tensor
        (B,) int64, on the device.
    rows : numpy.ndarray
        (B,) int64: row of every image in the dataset, in the dataset's own order.
    """

    images: torch.Tensor
    labels: torch.Tensor
    rows: np.ndarray


class Loader(Protocol):
    """Batches of one dataset on one device. Each pass yields every example exactly once."""

    count: int
    num_classes: int

    def train_batches(self, epoch: int, seeds: TrialSeeds) -> Iterator[Batch]:
        """Batches of one epoch in its own order, augmented."""
        ...

    def score_batches(self) -> Iterator[Batch]:
        """Batches in the dataset's order, without augmentation."""
        ...


class Staged(Protocol):
    """A dataset made ready for any number of processes; small when pickled, and subsets of it share its images."""

    def open(self, device: torch.device) -> Loader:
        """Open it in this process."""
        ...
