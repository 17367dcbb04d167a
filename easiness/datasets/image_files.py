"""Image files: checked once by decoding them, then decoded to RGB on access.

Images keep their size and are never all in memory. A file is bad if Pillow cannot decode it to the end, so a truncated
one is; damage inside a JPEG that the decoder conceals is not found here.
"""

import functools
import hashlib
import operator
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from easiness.datasets.progress import progress_bar

# Pillow's other formats run programs (EPS) or accept almost any bytes (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
FILES_PER_TASK = 64
DIGEST_SIZE = 16


@dataclass(frozen=True, eq=False)
class ImageFiles(Sequence):
    """Lazy sequence of N images, decoded on access to (H_i, W_i, 3) uint8 RGB."""

    paths: tuple[str, ...]
    sizes: np.ndarray  # (N, 2) int64, height and width in pixels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        index = range(len(self))[operator.index(index)]
        path, size = self.paths[index], tuple(self.sizes[index].tolist())
        try:
            image = decode_image(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} was readable when it was checked and is not now ({reason(error)})") from error
        if image.shape[:2] != size:
            raise ValueError(
                f"{path} was {size} pixels (height, width) when it was checked and is {image.shape[:2]} now; "
                "open the data set again"
            )
        return image

    def name(self, index: int) -> str:
        """Path, for messages."""
        return self.paths[index]

    def take(self, rows: np.ndarray) -> "ImageFiles":
        """Images of some rows, in the order of `rows`."""
        return ImageFiles(tuple(self.paths[row] for row in rows), self.sizes[rows])


def decode_image(file: str | Path | IO[bytes]) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8 RGB: upright, first frame, upper 8 of 16 bits, white where transparent.

    An OSError if the file cannot be read or ends early; a ValueError if it is not an image, is damaged, far too large,
    or has pixels without an agreed range.
    """
    try:
        with _pillow_warnings_off(), Image.open(file, formats=_formats()) as image:
            image.load()
            return _upright_rgb(image)
    except (OSError, ValueError, MemoryError):
        raise
    except Exception as error:
        # On damaged bytes Pillow raises almost anything: SyntaxError, struct.error, ZeroDivisionError.
        raise ValueError(f"{type(error).__name__}: {error}") from error


class Checked(NamedTuple):
    """A readable image."""

    size: tuple[int, int]  # height, width
    digest: bytes  # BLAKE2b-128 of its file


def check_files(paths: list[str]) -> list[Checked | str]:
    """Size and digest of every image, or the reason why the file is bad."""
    tasks = [paths[i : i + FILES_PER_TASK] for i in range(0, len(paths), FILES_PER_TASK)]
    checks = []
    with (
        _pillow_warnings_off(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress_bar("checking images", len(paths), "file") as bar,
    ):
        for done in pool.map(lambda task: [_check_file(path) for path in task], tasks):
            checks += done
            bar.update(len(done))
    return checks


def refusal(path: str) -> str:
    """Reason not to open a file; empty for most."""
    if not os.path.isfile(path):
        return "not a regular file"  # a pipe would block, a link may lead nowhere
    return "" if printable(path) == path else "its name is not UTF-8"


def _check_file(path: str) -> Checked | str:
    refused = refusal(path)
    if refused:
        return refused
    try:
        with open(path, "rb") as file:
            height, width, _ = decode_image(file).shape
            file.seek(0)
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_SIZE)).digest()
    except (OSError, ValueError) as error:
        return reason(error)
    return Checked((height, width), digest)


def reason(error: Exception) -> str:
    """Reason why an image is bad, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not a known image format"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def printable(name: str) -> str:
    r"""File name that can be printed, with ``\udcff`` for bytes that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _upright_rgb(image: Image.Image) -> np.ndarray:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        # Damaged metadata do not make a bad image, and Pillow raises almost anything on them. In place, the image is
        # turned before its metadata are rewritten.
        pass
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"pixels from {values.min()} to {values.max()}, outside 0 to 65535")
        return np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


@functools.cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


_quiet_lock = threading.Lock()
_quiet_callers = 0
_quiet_filters = warnings.catch_warnings()


@contextmanager
def _pillow_warnings_off() -> Iterator[None]:
    """Ignore Pillow's warnings about large or oddly tagged images, in all threads.

    Warning filters are one list per process: the first thread to enter sets it, the last one restores it.
    """
    global _quiet_callers, _quiet_filters
    with _quiet_lock:
        if _quiet_callers == 0:
            _quiet_filters = warnings.catch_warnings()
            _quiet_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_callers += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_callers -= 1
            if _quiet_callers == 0:
                _quiet_filters.__exit__(None, None, None)
