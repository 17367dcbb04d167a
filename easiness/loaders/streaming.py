"""Streaming loader: images decoded when they are needed, by any decoder."""

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch

from easiness.datasets.beton import BetonImages
from easiness.datasets.image_files import ImageFiles
from easiness.datasets.prefetch import map_ahead
from easiness.loaders.parts import WHOLE, Part, Slice
from easiness.loaders.protocol import Batch, score_batch_size
from easiness.loaders.resident import shift_indices, shifted_views
from easiness.machine import usable_cores
from easiness.recipes.randomness import TrialSeeds, crop_boxes, epoch_order, flips, shifts_and_flips
from easiness.recipes.recipe import Recipe

# Images that a worker decodes at a time.
CHUNK = 16
# Batches decoded ahead of the one in use.
BATCHES_AHEAD = 3


class Columns(NamedTuple):
    """Columns of N examples."""

    images: ImageFiles | BetonImages
    labels: np.ndarray  # (N,) int64
    example_ids: np.ndarray  # (N,) int64


class Chunk(NamedTuple):
    """Part of a batch, for one worker."""

    rows: np.ndarray  # (B,) int64, the examples
    boxes: np.ndarray  # (B, 4) int64, top, left, height, width of each crop in pixels
    flip: np.ndarray  # (B,) bool, whether the view is mirrored left to right
    views: np.ndarray  # (B, R, R, 3) uint8, to be filled
    at: np.ndarray  # (1,) int64, index of the image in work, for messages


class Decoder(Protocol):
    """Decoder of views, called by several threads at once."""

    def decode(self, chunk: Chunk) -> None:
        """Decode, crop, scale and flip the images of a chunk into its views."""
        ...


def centre_boxes(sizes: np.ndarray) -> np.ndarray:
    """(N, 4) int64 top, left, height, width of the largest centred square, on which networks are scored.

    `sizes` are (N, 2), height and width in pixels.

    Examples
    --------
    >>> centre_boxes(np.array([[4, 9], [7, 7]]))
    array([[0, 2, 4, 4],
           [0, 0, 7, 7]])
    """
    side = sizes.min(axis=1)
    top, left = ((sizes - side[:, None]) // 2).T
    return np.stack([top, left, side, side], axis=1)


class StreamingLoader:
    """Loader of a dataset that is never in memory as a whole; `normalize` maps grey levels to a network's input."""

    def __init__(
        self,
        columns: Columns,
        recipe: Recipe,
        decoder: Decoder,
        normalize: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
    ) -> None:
        self._columns, self._recipe, self._decoder = columns, recipe, decoder
        self._normalize, self._device = normalize, device
        self._labels = torch.from_numpy(columns.labels).to(device)
        # On a CPU the trial's threads compute, too; with a GPU all cores are free to decode.
        self._workers = recipe.threads if device.type == "cpu" else usable_cores()
        self.count = len(columns.labels)

    def train_batches(self, epoch: int, seeds: TrialSeeds, part: Part = WHOLE) -> Iterator[Batch]:
        """Batches of one epoch in random order, augmented; of each, the slice of this part."""
        order, slices = part.of_epoch(epoch_order(seeds.order, epoch, self.count), self._recipe.batch_size)
        ids, sizes = self._columns.example_ids[order], self._columns.images.sizes[order]
        boxes, flip = centre_boxes(sizes), np.zeros(len(order), bool)
        moves = None
        if self._recipe.augmentation == "resized_crop_flip":
            boxes, flip = crop_boxes(seeds.augmentation, epoch, ids, sizes), flips(seeds.augmentation, epoch, ids)
        elif self._recipe.augmentation == "shift_flip":
            drawn = np.stack(shifts_and_flips(seeds.augmentation, epoch, ids, self._recipe.shift)).astype(np.int64)
            moves = torch.from_numpy(drawn).to(self._device)
        labels = self._labels[torch.from_numpy(order).to(self._device)]
        for (start, stop, total), views in zip(slices, self._views(slices, order, boxes, flip), strict=True):
            views = views.to(self._device, non_blocking=True)
            if moves is not None:
                size, padding = (self._recipe.resolution,) * 2, self._recipe.padding
                ys, xs = shift_indices(*moves[:, start:stop], size, padding)
                views = shifted_views(views, torch.arange(stop - start, device=self._device), ys, xs)
            yield self._batch(views, labels[start:stop], order[start:stop], total)

    def score_batches(self, part: Part = WHOLE) -> Iterator[Batch]:
        """Batches in the dataset's order, without augmentation; of all, those of this part."""
        slices = part.of_pass(self.count, score_batch_size(self._device))
        boxes = centre_boxes(self._columns.images.sizes)
        rows = np.arange(self.count)
        batches = self._views(slices, rows, boxes, np.zeros(self.count, bool))
        for (start, stop, total), batch in zip(slices, batches, strict=True):
            views = batch.to(self._device, non_blocking=True)
            yield self._batch(views, self._labels[start:stop], rows[start:stop], total)

    def _batch(self, views_BHWC: torch.Tensor, labels: torch.Tensor, rows: np.ndarray, total: int) -> Batch:
        return Batch(self._normalize(views_BHWC.permute(0, 3, 1, 2)), labels, rows, total)

    def _views(
        self, slices: list[Slice], rows: np.ndarray, boxes: np.ndarray, flip: np.ndarray
    ) -> Generator[torch.Tensor, None, None]:
        """Yield (B, R, R, 3) uint8 for all slices; every batch has separate memory, so it may be kept."""
        side, pinned = self._recipe.resolution, self._device.type == "cuda"
        batches: list[torch.Tensor] = []

        def chunks() -> Iterator[Chunk]:
            for start, stop, _ in slices:
                batches.append(torch.empty((stop - start, side, side, 3), dtype=torch.uint8, pin_memory=pinned))
                views = batches[-1].numpy()
                for low in range(start, stop, CHUNK):
                    high = min(low + CHUNK, stop)
                    target, at = views[low - start : high - start], np.zeros(1, np.int64)
                    yield Chunk(rows[low:high], boxes[low:high], flip[low:high], target, at)

        largest = max((stop - start for start, stop, _ in slices), default=0)  # a process may have no batch
        done = map_ahead(
            chunks(),
            self._decoder.decode,
            workers=self._workers,
            ahead=max(BATCHES_AHEAD * -(-largest // CHUNK), 2 * self._workers),
            describe=lambda chunk: f"decoding {self._columns.images.name(chunk.rows[chunk.at[0]])}",
        )
        try:
            for start, stop, _ in slices:
                for _ in range(start, stop, CHUNK):
                    next(done)
                yield batches.pop(0)
        finally:
            done.close()
