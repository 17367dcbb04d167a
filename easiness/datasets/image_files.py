"""Pictures in files: decoded to RGB when asked for, and checked beforehand by really decoding them.

Pictures keep their own size and are never all in memory. What Pillow cannot decode to the end is bad, which
includes files that are cut off; damage inside a JPEG that its decoder conceals is not seen here.
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
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

# Pictures only: others of Pillow's formats call programs (EPS) or take almost any bytes for a picture (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
FILES_PER_TASK = 64
FILES_WITHOUT_BAR = 4000

# What brings a picture upright, by its EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class ImageFiles(Sequence):
    """Lazy sequence of pictures; item i is decoded when asked for, to (H_i, W_i, 3) uint8 RGB.

    Attributes
    ----------
    paths
        N paths.
    sizes
        (N, 2) int64, height and width in pixels, upright.
    """

    paths: tuple[str, ...]
    sizes: np.ndarray

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
        """What a message calls the picture."""
        return self.paths[index]

    def take(self, rows: np.ndarray) -> "ImageFiles":
        """Choose pictures by row, in the order of `rows`."""
        return ImageFiles(tuple(self.paths[row] for row in rows), self.sizes[rows])


def decode_image(file: str | Path | IO[bytes]) -> np.ndarray:
    """Decode a picture to (H, W, 3) uint8 RGB, upright, on white where it is transparent.

    Of an animation the first frame is taken, of 16 bits the upper 8.

    Raises
    ------
    OSError
        The file cannot be read, or its image data end early.
    ValueError
        It is no picture, is damaged, is far too large, or has pixels without an agreed range.
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
    """A picture that decodes: (height, width), and the BLAKE2b-128 of its file."""

    size: tuple[int, int]
    digest: bytes


def check_files(paths: list[str]) -> list[Checked | str]:
    """Size and digest of every picture, or in their place the reason why it is bad."""
    tasks = [paths[i : i + FILES_PER_TASK] for i in range(0, len(paths), FILES_PER_TASK)]
    checks = []
    with (
        _pillow_warnings_off(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(
            desc="checking images",
            total=len(paths),
            unit="file",
            disable=len(paths) < FILES_WITHOUT_BAR or None,
        ) as bar,
    ):
        for done in pool.map(lambda task: [_check_file(path) for path in task], tasks):
            checks += done
            bar.update(len(done))
    return checks


def refusal(path: str) -> str:
    """Reason why a file is not even to be opened; empty for most."""
    if not os.path.isfile(path):
        return "no regular file"  # a pipe would block, a link may lead nowhere
    return "" if printable(path) == path else "its name is not UTF-8"


def _check_file(path: str) -> Checked | str:
    refused = refusal(path)
    if refused:
        return refused
    try:
        with open(path, "rb") as file:
            height, width, _ = decode_image(file).shape
            file.seek(0)
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except (OSError, ValueError) as error:
        return reason(error)
    return Checked((height, width), digest)


def reason(error: Exception) -> str:
    """Why a picture is bad, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "no known image format"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def printable(name: str) -> str:
    r"""Write a file name so that it can be printed, with ``\udcff`` for bytes that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _upright_rgb(image: Image.Image) -> np.ndarray:
    upright = UPRIGHT.get(_orientation(image))
    if upright is not None:
        image = image.transpose(upright)
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


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:
        # Damaged metadata do not make a damaged picture; Pillow raises almost anything on them, too.
        return None


@functools.cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


_quiet_lock = threading.Lock()
_quiet_callers = 0
_quiet_filters = warnings.catch_warnings()


@contextmanager
def _pillow_warnings_off() -> Iterator[None]:
    """Keep Pillow's remarks on large or oddly tagged pictures from being printed or raised, in any thread.

    Filters of warnings are one list per process: the first thread to come in sets it, the last restores it.
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
