"""Images of another library's dataset: decoded once to be checked, then on access."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from easiness.datasets.image_files import FILES_PER_TASK, Decoded, digest_table, pixel_digest, reason
from easiness.datasets.prefetch import map_ahead
from easiness.datasets.progress import progress_bar
from easiness.machine import usable_cores

# Images of one size that together are smaller are kept in memory, where they are decoded but once.
KEPT_BYTES = 2**30


class Item(NamedTuple):
    """One item of another library's dataset."""

    image: Decoded
    label: int


@dataclass(frozen=True, eq=False)
class LazyImages(Sequence):
    """Lazy sequence of N images, read on access as (H_i, W_i, 3) uint8 RGB."""

    read: Callable[[int], Item]  # item of a row of the library's dataset; can be pickled
    rows: np.ndarray  # (N,) int64, rows there
    sizes: np.ndarray  # (N, 2) int64, height and width in pixels
    digests: np.ndarray  # (N, 16) uint8, `pixel_digest`

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        index = range(len(self))[operator.index(index)]
        pixels = self.read(int(self.rows[index])).image.pixels
        if pixel_digest(pixels) != self.digests[index].tobytes():
            raise ValueError(f"{self.name(index)} is another than when it was checked; open the data set again")
        return pixels

    def name(self, index: int) -> str:
        """Number of the image, for messages."""
        return f"image {self.rows[index]}"

    def take(self, rows: np.ndarray) -> "LazyImages":
        """Images of some rows, in the order of `rows`."""
        return LazyImages(self.read, self.rows[rows], self.sizes[rows], self.digests[rows])


class CheckedImages(NamedTuple):
    """Images that could be read."""

    images: np.ndarray | LazyImages
    digests: np.ndarray  # (n, 16) uint8
    labels: np.ndarray  # (n,) int64
    good: np.ndarray  # (n,) int64, rows that could be read
    bad: dict[int, str]  # the others, with the reason
    odd: dict[int, tuple[str, str]]  # format and remark of each good row, see `Decoded`


def check_items(read: Callable[[int], Item], count: int) -> CheckedImages:
    """Decode all images of another library's dataset once, and keep small ones of one size."""
    bad, odd, digests, labels, sizes = {}, {}, [], [], []
    kept: list[np.ndarray] | None = []
    total, workers = 0, usable_cores()

    def check(rows: range) -> list[tuple[Item, bytes] | str]:
        checks = []
        for row in rows:
            try:
                item = read(row)
                checks.append((item, pixel_digest(item.image.pixels)))
            except Exception as error:  # the libraries raise almost anything
                checks.append(reason(error))
        return checks

    tasks = [range(start, min(start + FILES_PER_TASK, count)) for start in range(0, count, FILES_PER_TASK)]
    done = map_ahead(tasks, check, workers=workers, ahead=2 * workers, describe=lambda rows: f"image {rows[0]}")
    with progress_bar("checking images", count, "img") as bar:
        for rows, checks in zip(tasks, done, strict=True):
            bar.update(len(rows))
            for row, checked in zip(rows, checks, strict=True):
                if isinstance(checked, str):
                    bad[row] = checked
                    continue
                (image, label), digest = checked
                odd[row] = image.format, image.remark
                digests.append(digest)
                labels.append(label)
                sizes.append(image.pixels.shape[:2])
                total += image.pixels.nbytes
                if kept is not None and (total > KEPT_BYTES or sizes[-1] != sizes[0]):
                    kept = None
                if kept is not None:
                    kept.append(image.pixels)
    good, table = np.array(list(odd), np.int64), digest_table(digests)
    images = np.stack(kept) if kept else LazyImages(read, good, np.array(sizes, np.int64).reshape(-1, 2), table)
    return CheckedImages(images, table, np.array(labels, np.int64), good, bad, odd)
