"""Images and labels that are in memory, checked: arrays, lists of arrays, and names of classes."""

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from easiness.datasets.image_files import digest_table, pixel_digest, printable, upright_rgb

# Longest name of a class, as that of a folder.
_LONGEST = 255

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


@dataclass(frozen=True, eq=False)
class ImageList(Sequence):
    """N images of different sizes in memory, each (H_i, W_i, 3) uint8 RGB."""

    images: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.images[operator.index(index)]

    @property
    def sizes(self) -> np.ndarray:
        """(N, 2) int64, height and width in pixels."""
        return np.array([image.shape[:2] for image in self.images], np.int64).reshape(-1, 2)

    def name(self, index: int) -> str:
        """Number of the image, for messages."""
        return f"image {index}"

    def take(self, rows: np.ndarray) -> "ImageList":
        """Images of some rows, in the order of `rows`."""
        return ImageList(tuple(self.images[row] for row in rows))


def checked_images(images: object) -> np.ndarray | ImageList:
    """Images as (N, H, W, 3) uint8 RGB, or as an `ImageList` where their sizes differ.

    Given as an array (N, H, W, 3), (N, H, W, 1) or (N, H, W), or as a sequence of such images or of Pillow's. A
    ValueError for other shapes and types; grey levels are 0 to 255.
    """
    if isinstance(images, np.ndarray) and images.dtype != object:
        return _rgb(images, "images are", 4)
    found = [
        upright_rgb(image) if isinstance(image, Image.Image) else _rgb(np.asarray(image), f"image {row} is", 3)
        for row, image in enumerate(images)
    ]
    if len({image.shape for image in found}) == 1:
        return np.stack(found)
    return ImageList(tuple(found))


def _rgb(image: np.ndarray, what: str, dimensions: int) -> np.ndarray:
    given = image.shape
    if image.dtype != np.uint8:
        raise ValueError(f"{what} {image.dtype}, and must be uint8: grey levels of 0 to 255")
    if image.ndim == dimensions - 1:
        image = image[..., None]
    if image.ndim == dimensions and image.shape[-1] == 1:
        image = np.repeat(image, 3, axis=-1)
    if image.ndim != dimensions or image.shape[-1] != 3 or 0 in image.shape[1 if dimensions == 4 else 0 :]:
        wanted = ("N, " if dimensions == 4 else "") + "height, width, 3"
        raise ValueError(f"{what} of shape {given}, and must be ({wanted}), red, green and blue last")
    return np.ascontiguousarray(image)


def image_digests(images: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 16) uint8, `pixel_digest` of every image."""
    return digest_table(pixel_digest(image) for image in images)


def numbered(labels: Iterable[object], class_names: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) int64 labels, 0 to K - 1, and the names of the K classes.

    Whole numbers are numbers of `class_names`; text is one of them. Where there are none, the classes are all that
    labels say, see `in_order`. A ValueError for a label that is neither, is empty, or belongs to no class.
    """
    values = np.asarray(labels if hasattr(labels, "__len__") else list(labels))
    if values.ndim != 1:
        raise ValueError(f"labels are of shape {values.shape}; give one for each image")
    if values.dtype.kind in "iu" and class_names is not None:
        return values.astype(np.int64), _distinct(class_names)
    if values.dtype.kind not in "iuUSOTb":
        raise ValueError(f"labels are {values.dtype}, and must be whole numbers or names")
    missing = next((row for row, value in enumerate(values.tolist()) if value is None or value != value), None)
    if missing is not None:
        raise ValueError(f"label {missing} is missing")
    words = [str(value) for value in values.tolist()]
    for row, word in enumerate(words):
        if not word.strip() or len(word) > _LONGEST:
            raise ValueError(f"label {row} is {'empty' if not word.strip() else f'{len(word)} characters long'}")
    names = _distinct(in_order(set(words)) if class_names is None else class_names)
    number = {name: k for k, name in enumerate(names)}
    strange = next((word for word in words if word not in number), None)
    if strange is not None:
        raise ValueError(f"label {strange!r} is not among the classes {', '.join(map(printable, names[:10]))}")
    return np.array([number[word] for word in words], np.int64), names


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of classes in their order: as numbers where all are numbers, else as text.

    >>> in_order({"10", "9"}), in_order({"10", "9", "ten"})
    (('9', '10'), ('10', '9', 'ten'))
    """
    names = sorted(names)
    return tuple(sorted(names, key=float) if all(map(_NUMBER.fullmatch, names)) else names)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(str(name) for name in names)
    if len(set(names)) < len(names) or len(names) < 2:
        raise ValueError(f"there must be at least 2 classes, each with a name of its own, not {', '.join(names[:10])}")
    return names
