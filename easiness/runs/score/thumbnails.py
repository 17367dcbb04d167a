"""Small pictures of the examples that a reader of scores will want to see, kept with the scores.

A page made from a tracking server then shows them on any machine, whether the data are there or not.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from easiness.datasets import Dataset

# Examples at either end of every class, and of the hardest of all at the end of training.
PER_CLASS, HARDEST = 8, 400
# Pictures of class ends in all; with very many classes each shows fewer.
_ALL_ENDS = 2_000

SIDE = 96  # pixels; larger pictures are made smaller
_LOSSLESS = 32  # up to this side a picture keeps its pixels


def ends_per_class(num_classes: int) -> int:
    """Examples that are shown at either end of every class.

    Examples
    --------
    >>> ends_per_class(10), ends_per_class(1000)
    (8, 1)
    """
    return max(1, min(PER_CLASS, _ALL_ENDS // (2 * num_classes)))


def shown_rows(table: pd.DataFrame, last_easiness_N: np.ndarray) -> np.ndarray:
    """Rows to keep pictures of, ascending: both ends of every class, and the hardest at the end of training."""
    by_class = table.reset_index(drop=True).sort_values("rank").groupby("label")
    count = ends_per_class(by_class.ngroups)
    ends = [*by_class.head(count).index, *by_class.tail(count).index]
    hardest = np.argsort(-last_easiness_N, kind="stable")[:HARDEST]
    return np.unique(np.concatenate([np.asarray(ends, np.int64), hardest]))


def write_thumbnails(path: Path, dataset: Dataset, rows: Sequence[int] | np.ndarray) -> None:
    """Write pictures of some examples into one npz.

    It holds example_id (n,) int64, length (n,) int64 in bytes, and content uint8, the files one after the other.
    """
    files = [encode_picture(np.asarray(dataset.images[row])) for row in rows]
    with path.open("wb") as file:  # to a name, numpy would append .npz
        np.savez(
            file,
            example_id=dataset.example_ids[np.asarray(rows, np.int64)],
            length=np.array([len(content) for content in files], np.int64),
            content=np.frombuffer(b"".join(files), np.uint8),
        )


def read_thumbnails(path: Path) -> dict[int, bytes]:
    """Read pictures, png or jpeg, by example id."""
    with np.load(path) as stored:
        ends = np.cumsum(stored["length"])
        content = stored["content"].tobytes()
        bounds = zip(stored["example_id"].tolist(), (ends - stored["length"]).tolist(), ends.tolist(), strict=True)
        return {example_id: content[start:end] for example_id, start, end in bounds}


@dataclass(frozen=True, eq=False)
class StoredPictures(Sequence):
    """Pictures that runs kept of some of N examples; item i is (H, W, 3) uint8, and KeyError where none was kept."""

    example_ids: np.ndarray  # (N,)
    files: Mapping[int, bytes]  # png or jpeg, by example id

    def __len__(self) -> int:
        return len(self.example_ids)

    def __getitem__(self, row: int) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.files[int(self.example_ids[row])])).convert("RGB"))


def pictured(dataset: Dataset, rows: Iterable[int]) -> list[int]:
    """Rows whose pictures are known: all, but of recorded trials those that these kept."""
    images = dataset.images
    if not isinstance(images, StoredPictures):
        return list(rows)
    return [row for row in rows if int(images.example_ids[row]) in images.files]


def encode_picture(image_HWC: np.ndarray) -> bytes:
    """Encode a picture as png where it is small, else as a jpeg of at most `SIDE` pixels."""
    image = Image.fromarray(image_HWC)
    content = io.BytesIO()
    if max(image.size) <= _LOSSLESS:
        image.save(content, "PNG", optimize=True)
    else:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        image.save(content, "JPEG", quality=85)
    return content.getvalue()


def encode_webp(image_HWC: np.ndarray, side: int, quality: int) -> bytes:
    """Encode a picture as a WebP of at most `side` pixels, half a JPEG's bytes.

    Pictures of a few pixels keep them, if the quality is 75 or more.
    """
    image = Image.fromarray(image_HWC)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=quality, lossless=quality >= 75 and max(image.size) <= _LOSSLESS)
    return content.getvalue()
