"""Image files: checked once by decoding them, then decoded to RGB on access.

Images keep their size and are never all in memory. A file is bad if Pillow cannot decode it to the end, so a truncated
one is; damage inside a JPEG that the decoder conceals is not found here.
"""

import functools
import hashlib
import json
import operator
import os
import re
import stat
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError, features

from easiness.datasets.progress import progress_bar
from easiness.machine import OPEN_FLAGS, memory_bytes, usable_cores

# Pillow's other formats run programs (EPS) or accept almost any bytes (TGA).
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
FILES_PER_TASK = 64
DIGEST_SIZE = 16

# Part of what `prepare` remembers: raise it when an image starts to be decoded to other pixels.
DECODING = 2

# Of iPhones; Pillow reads them where the extra is installed.
_HEIC = (".heic", ".heif")
_NO_HEIC = "HEIC, which is read where the extra is installed: pip install 'easiness[heic]'"

# Memory for one pixel while an image is decoded, turned upright and laid on white.
BYTES_PER_PIXEL = 20

# Names of the pictures that web sites send instead of one that is gone.
PLACEHOLDER = re.compile(r"(?i)placeholder|not[-_ ]?found|not[-_ ]?available|unavailable|no[-_ ]?(image|photo|picture)")

# Numbers of TIFF tags.
_BITS, _PHOTOMETRIC = 258, 262


@dataclass(frozen=True, eq=False)
class ImageFiles(Sequence):
    """Lazy sequence of N images, decoded on access to (H_i, W_i, 3) uint8 RGB."""

    paths: tuple[str, ...]
    sizes: np.ndarray  # (N, 2) int64, height and width in pixels
    stored: np.ndarray  # (N, 16) uint8, digests of the files' bytes, by which a changed one is noticed

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        index = range(len(self))[operator.index(index)]
        path = self.paths[index]
        try:
            image, stored = _read(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} was readable when it was checked and is not now ({reason(error)})") from error
        if stored != self.stored[index].tobytes():
            raise ValueError(f"{path} is another file than when it was checked; open the data set again")
        return image.pixels

    def name(self, index: int) -> str:
        """Path, for messages."""
        return self.paths[index]

    def take(self, rows: np.ndarray) -> "ImageFiles":
        """Images of some rows, in the order of `rows`."""
        return ImageFiles(tuple(self.paths[row] for row in rows), self.sizes[rows], self.stored[rows])


class Decoded(NamedTuple):
    """Image with what is odd about it."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    format: str  # Pillow's name of it
    remark: str  # why it may not be the picture that is meant; empty for most


def decode_image(file: str | Path | IO[bytes]) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8 RGB: upright, first frame, upper 8 of its bits, white where transparent.

    An OSError if the file cannot be read or ends early; a ValueError if it is not an image, is damaged, too large for
    this machine, or has pixels without an agreed range.
    """
    return decode(file).pixels


def decode(file: str | Path | IO[bytes]) -> Decoded:
    """Decode an image as `decode_image`, and say what is odd about it."""
    try:
        with _pillow_warnings_off(), Image.open(file, formats=_formats()) as image:
            pixels = image.width * image.height
            if pixels > pixel_limit():
                raise ValueError(
                    f"{image.width:,}×{image.height:,} pixels, and the memory of this machine allows "
                    f"{pixel_limit():,} for each core"
                )
            animated = False
            with suppress(Exception):  # damage behind the first frame does not matter
                animated = getattr(image, "is_animated", False)
            kind = image.format or ""
            image.load()
            rgb = upright_rgb(image)
    except (OSError, ValueError, MemoryError):
        raise
    except Exception as error:
        # On damaged bytes Pillow raises almost anything: SyntaxError, struct.error, ZeroDivisionError.
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return decoded(rgb, kind, animated=animated)


def decoded(rgb: np.ndarray, kind: str = "", *, animated: bool = False) -> Decoded:
    """(H, W, 3) uint8 RGB pixels with what is odd about them."""
    # Most differ in their first row, which is all that is looked at then.
    one_colour = rgb.size > 3 and all((part == rgb[0, 0]).all() for part in (rgb[0], rgb))
    remark = "animated, or of several pages: the first is used" if animated else "of one colour" if one_colour else ""
    return Decoded(rgb, kind, remark)


def pixel_digest(image: np.ndarray) -> bytes:
    """BLAKE2b-128 of the pixels of a (H, W, 3) uint8 RGB image, by which examples of all kinds of data are known."""
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=DIGEST_SIZE).digest()


def digest_table(digests: Iterable[bytes]) -> np.ndarray:
    """(N, 16) uint8 of N digests."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_SIZE)


@functools.cache
def pixel_limit() -> int:
    """Greatest number of pixels of an image: what every core can decode at a time in half of the memory."""
    return min(memory_bytes() // 2 // usable_cores() // BYTES_PER_PIXEL, 2 * (Image.MAX_IMAGE_PIXELS or 2**27))


@functools.cache
def decoders() -> str:
    """Everything of this environment that decides whether a file can be decoded, and to which pixels."""
    libraries = {name: features.version(name) for name in ("jpg", "jpg_2000", "zlib", "libtiff", "webp", "avif")}
    formats = _formats()
    heif = getattr(sys.modules.get("pillow_heif"), "__version__", "")
    return json.dumps([DECODING, PIL.__version__, libraries, formats, heif])


class Checked(NamedTuple):
    """A readable image."""

    size: tuple[int, int]  # height, width
    digest: bytes  # `pixel_digest`
    stored: bytes  # BLAKE2b-128 of its file
    format: str = ""
    remark: str = ""


def check_files(paths: list[str]) -> list[Checked | str]:
    """Size and digests of every image, or the reason why the file is bad."""
    tasks = [paths[i : i + FILES_PER_TASK] for i in range(0, len(paths), FILES_PER_TASK)]
    checks = []
    with (
        _pillow_warnings_off(),
        ThreadPoolExecutor(usable_cores()) as pool,
        progress_bar("checking images", len(paths), "file") as bar,
    ):
        for done in pool.map(lambda task: [_check_file(path) for path in task], tasks):
            checks += done
            bar.update(len(done))
    return checks


def refusal(path: str) -> str:
    """Reason not to open a file; empty for most."""
    if os.path.isdir(path):
        return "a link to a folder, which is not followed" if os.path.islink(path) else "a folder that cannot be read"
    if not os.path.lexists(path):
        return "there is no such file"
    if not os.path.isfile(path):
        return "not a regular file"  # a pipe would block, a link may lead nowhere
    return "" if printable(path) == path else "its name is not UTF-8"


def _check_file(path: str) -> Checked | str:
    refused = refusal(path)
    if refused:
        return refused
    try:
        image, stored = _read(path)
    except (OSError, ValueError) as error:
        return reason(error, path)
    return Checked(image.pixels.shape[:2], pixel_digest(image.pixels), stored, image.format, image.remark)


def _read(path: str) -> tuple[Decoded, bytes]:
    """Image in a file, and the digest of its bytes."""
    # Not to wait for a pipe that took the place of a file.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | OPEN_FLAGS)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        image = decode(file)
        file.seek(0)
        stored = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_SIZE))
    return image, stored.digest()


def reason(error: Exception, path: str = "") -> str:
    """Reason why a file is bad, in one line that can be printed."""
    if isinstance(error, UnidentifiedImageError):
        without = path.lower().endswith(_HEIC) and "HEIF" not in _formats()
        return _NO_HEIC if without else "not a known image format"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))
    return text or type(error).__name__


def printable(name: str) -> str:
    r"""File name that can be printed, with ``\udcff`` for bytes that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def upright_rgb(image: Image.Image) -> np.ndarray:
    """Pixels of an image of Pillow's, as `decode_image` gives them."""
    tags = image.tag_v2 if image.format == "TIFF" else {}
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
        return _eight_bits(image, tags)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    # Read-only, since a copy would take as long as the digest of the pixels.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _eight_bits(image: Image.Image, tags: Mapping[int, object]) -> np.ndarray:
    """Upper 8 bits of gray levels that have more of them."""
    if image.mode == "I" and image.format == "TIFF":
        raise ValueError("signed and 32-bit pixels have no agreed range; save it with 8 or 16 bits")
    # Pillow scales all but TIFF to 16 bits.
    bits, white_is_zero = max(tags.get(_BITS, (16,))), tags.get(_PHOTOMETRIC) == 0
    values = np.asarray(image).astype(np.int32)
    if values.min() < 0 or values.max() >> bits:
        raise ValueError(f"pixels from {values.min()} to {values.max()}, outside {bits} bits")
    if white_is_zero:
        values = (1 << bits) - 1 - values
    if isinstance(image.info.get("transparency"), int):
        values = np.where(values == image.info["transparency"], (1 << bits) - 1, values)
    return np.repeat((values >> (bits - 8)).astype(np.uint8)[:, :, None], 3, axis=2)


@functools.cache
def _formats() -> list[str]:
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
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
