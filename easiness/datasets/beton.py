"""Layout of a .beton, FFCV's file of images (its version 2), written and read with numpy.

FFCV's writer waits for ever when one of its processes raises, and leaves its shared memory behind when killed. Here one
process writes page after page into a file without a name, checksums every page, and names the file when it is whole.

The file: a header; two field descriptors (an RGB image, an integer label); one record per example; pages of image
bytes, where no image crosses a page; a table of the position and size of every image's bytes.
"""

import contextlib
import hashlib
import io
import json
import operator
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from easiness.datasets.image_files import DIGEST_SIZE, decode_image, pixel_limit
from easiness.machine import OPEN_FLAGS, take_lock

MANIFEST = "packed.json"  # beside the files
VERSION = 2
JPEG, RAW = 0, 1
PAGE_SIZE = 8 * 2**20
GREATEST_SIDE = 2**16 - 1  # sides have 16 bits

_HEADER = np.dtype(
    {
        "names": ("version", "num_fields", "page_size", "num_samples", "alloc_table_ptr"),
        "formats": ("<u2", "<u2", "<u4", "<u8", "<u8"),
    },
    align=True,
)
_FIELD = np.dtype([("type_id", "<u1"), ("name", "<u1", 16), ("arguments", "<u1", 1024)], align=True)
_IMAGE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])
_EXAMPLE = np.dtype([("f0", _IMAGE), ("f1", "<i8")], align=True)
_ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])
_INT_FIELD, _IMAGE_FIELD = 1, 2

# Position, size and mode of each image in memory.
RECORD = np.dtype([("ptr", "<i8"), ("size", "<i8"), ("height", "<i4"), ("width", "<i4"), ("mode", "<i4")], align=True)


class EncodedImage(NamedTuple):
    """Stored image: `mode` JPEG or RAW, sides in pixels, bytes."""

    mode: int
    height: int
    width: int
    data: bytes


def decode_stored(image: EncodedImage) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a stored image; an OSError or ValueError if it is damaged."""
    if image.mode == RAW:
        return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    pixels = decode_image(io.BytesIO(image.data))
    if pixels.shape[:2] != (image.height, image.width):
        raise ValueError(f"{pixels.shape[:2]} pixels, not {(image.height, image.width)}")
    return pixels


class WrittenBeton(NamedTuple):
    """Checksums of a finished file: its size in bytes and the BLAKE2b-128 (hex) of each block."""

    size: int
    block_size: int
    blocks: list[str]


class BetonWriter:
    """Writer of one file: a context manager that leaves the whole file or nothing, even when killed.

    The file gets its name in `finish`. `capacity` is the largest number of examples; `page_size`, a power of two, is at
    least the bytes of the largest image.
    """

    def __init__(self, path: Path, capacity: int, page_size: int = PAGE_SIZE) -> None:
        self._path, self._page_size = path, page_size
        self._temporary = path.with_name(path.name + ".part")
        self._examples = np.zeros(capacity, _EXAMPLE)
        self._allocations = np.zeros(capacity, _ALLOCATION)
        self._count = self._used = 0
        self._page = bytearray(page_size)
        head = _HEADER.itemsize + 2 * _FIELD.itemsize + self._examples.nbytes
        self._data_start = self._at = -(-head // page_size) * page_size
        self._blocks: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary.unlink(missing_ok=True)
        nameless = _open_nameless(path.parent)
        self._nameless = nameless is not None
        self._file = nameless or self._temporary.open("w+b")

    def __enter__(self) -> "BetonWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    @property
    def bytes_written(self) -> int:
        """Bytes of images written so far."""
        return self._at - self._data_start + self._used

    def add(self, image: EncodedImage, label: int) -> None:
        """Append one example; a ValueError if it does not fit in a page, or a side in 16 bits."""
        size = len(image.data)
        if size > self._page_size:
            raise ValueError(f"an image of {size:,} bytes does not fit in a page of {self._page_size:,}")
        if not 1 <= min(image.height, image.width) <= max(image.height, image.width) <= GREATEST_SIDE:
            raise ValueError(f"an image has {image.width}×{image.height} pixels; sides are from 1 to {GREATEST_SIDE}")
        if self._used + size > self._page_size:
            self._flush()
        start = self._at + self._used
        self._page[self._used : self._used + size] = image.data
        self._used += size
        self._examples[self._count] = ((image.mode, image.width, image.height, start), label)
        self._allocations[self._count] = (self._count, start, size)
        self._count += 1

    def finish(self) -> WrittenBeton:
        """Write the rest, and give the file its name."""
        if self._used:
            self._flush()
        table, table_start = self._allocations[: self._count].tobytes(), self._at
        head = self._head(table_start)
        self._file.seek(table_start)
        self._file.write(table)
        self._file.seek(0)
        self._file.write(head)
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._nameless:
            # Python follows the link only if it is given a file descriptor of a directory, too.
            os.link(f"/proc/self/fd/{self._file.fileno()}", self._temporary, src_dir_fd=self._file.fileno())
        self._temporary.replace(self._path)
        blocks = [*self._digests(head), *self._blocks, *self._digests(table)]
        return WrittenBeton(table_start + len(table), self._page_size, blocks)

    def _head(self, table_start: int) -> bytes:
        header = np.array([(VERSION, 2, self._page_size, self._count, table_start)], _HEADER)
        fields = np.zeros(2, _FIELD)
        for field, (kind, name) in zip(fields, ((_IMAGE_FIELD, b"image"), (_INT_FIELD, b"label")), strict=True):
            field["type_id"] = kind
            field["name"][: len(name)] = np.frombuffer(name, np.uint8)
        head = header.tobytes() + fields.tobytes() + self._examples[: self._count].tobytes()
        return head.ljust(self._data_start, b"\0")

    def _flush(self) -> None:
        self._page[self._used :] = bytes(self._page_size - self._used)
        self._file.seek(self._at)
        self._file.write(self._page)
        self._blocks += self._digests(self._page)
        self._at += self._page_size
        self._used = 0

    def _digests(self, content: bytes | bytearray) -> list[str]:
        starts = range(0, len(content), self._page_size)
        return [block_digest(memoryview(content)[start : start + self._page_size]) for start in starts]


def block_digest(block: bytes | memoryview) -> str:
    """BLAKE2b-128 (hex) of one block of a file."""
    return hashlib.blake2b(block, digest_size=DIGEST_SIZE).hexdigest()


def _open_nameless(folder: Path) -> io.BufferedRandom | None:
    """File that vanishes with its process unless linked; None if the file system does not support it."""
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except (AttributeError, OSError):
        return None


class BetonFile:
    """Open .beton: one descriptor for all reads, whatever becomes of the path.

    Its shared lock makes `prepare` leave the file in place. Another process opens it again by its path, and refuses it
    if its size or one of the `marks`, digests of a few of its blocks, is another.
    """

    def __init__(self, path: Path, size: int | None = None, marks: tuple[tuple[int, int, str], ...] = ()) -> None:
        self.path, self.marks = path, marks  # start in bytes, length and digest of each block
        try:
            self.descriptor = os.open(path, os.O_RDONLY | OPEN_FLAGS)  # not to wait for a pipe
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path} is missing; run prepare again") from error
        weakref.finalize(self, os.close, self.descriptor)
        with contextlib.suppress(OSError):  # some network drives have no locks
            take_lock(self.descriptor, shared=True)
        self.size = os.fstat(self.descriptor).st_size
        if size is not None and (size != self.size or any(self.digest(*mark[:2]) != mark[2] for mark in marks)):
            raise ValueError(f"{path} is not the file that was opened first; it was packed again, so start again")

    def __reduce__(self) -> tuple:
        return BetonFile, (self.path, self.size, self.marks)

    def digest(self, start: int, length: int) -> str:
        """BLAKE2b-128 (hex) of a range of bytes."""
        return block_digest(os.pread(self.descriptor, length, start))


class BetonIndex(NamedTuple):
    """Index of a .beton."""

    records: np.ndarray  # (N,) of RECORD
    labels: np.ndarray  # (N,) int64


def read_index(beton: BetonFile) -> BetonIndex:
    """Read everything but the images; a ValueError if the file is not such a .beton, or is damaged."""
    path, whole = beton.path, beton.size
    head = os.pread(beton.descriptor, _HEADER.itemsize + 2 * _FIELD.itemsize, 0)
    header = np.frombuffer(head[: _HEADER.itemsize].ljust(_HEADER.itemsize, b"\0"), _HEADER)[0]
    if (header["version"], header["num_fields"]) != (VERSION, 2):
        raise ValueError(f"{path} is not a .beton (version {VERSION}) with an image and a label; pack it again")
    fields = np.frombuffer(head[_HEADER.itemsize :].ljust(2 * _FIELD.itemsize, b"\0"), _FIELD)
    if [int(kind) for kind in fields["type_id"]] != [_IMAGE_FIELD, _INT_FIELD]:
        raise ValueError(f"{path} has other fields than an image and a label; pack it again")
    count, table_start = int(header["num_samples"]), int(header["alloc_table_ptr"])
    if max(table_start + count * _ALLOCATION.itemsize, len(head) + count * _EXAMPLE.itemsize) > whole:
        raise ValueError(f"{path} is truncated at byte {whole:,}, before the end of its tables; pack it again")
    examples, allocations = (
        np.frombuffer(os.pread(beton.descriptor, count * kind.itemsize, start), kind)
        for kind, start in ((_EXAMPLE, len(head)), (_ALLOCATION, table_start))
    )
    records = np.empty(count, RECORD)
    records["ptr"] = examples["f0"]["data_ptr"]
    for name in ("mode", "height", "width"):
        records[name] = examples["f0"][name]
    # FFCV's own writer lists the images in the order in which its processes finished.
    size_at = dict(zip(allocations["ptr"].tolist(), allocations["size"].tolist(), strict=True))
    records["size"] = [min(size_at.get(ptr, -1), whole + 1) for ptr in examples["f0"]["data_ptr"].tolist()]
    pixels = records["height"].astype(np.int64) * records["width"] * 3
    outside = (records["size"] < 0) | (records["ptr"] < 0) | (records["ptr"] > whole - records["size"])
    if outside.any():
        raise ValueError(f"{path} is damaged: {outside.sum():,} of {count:,} images lie outside it; pack it again")
    unlike = (records["mode"] == RAW) & (records["size"] != pixels) | ~np.isin(records["mode"], (RAW, JPEG))
    unlike |= (pixels == 0) | (pixels > 3 * pixel_limit())
    if unlike.any():
        raise ValueError(
            f"{path} is damaged, or made for another machine: {unlike.sum():,} images have an impossible size, or more "
            f"than {pixel_limit():,} pixels; pack it again"
        )
    return BetonIndex(records, examples["f1"].astype(np.int64))


@dataclass(frozen=True, eq=False)
class BetonImages(Sequence):
    """Lazy sequence of images in a .beton, decoded on access to (H_i, W_i, 3) uint8 RGB."""

    file: BetonFile
    rows: np.ndarray  # (N,) int64, their numbers in the file
    records: np.ndarray  # (N,) of RECORD
    stored: np.ndarray  # (N, 16) uint8, BLAKE2b-128 of their stored bytes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        index = range(len(self))[operator.index(index)]
        mode, height, width = (int(self.records[index][name]) for name in ("mode", "height", "width"))
        data = self.read_bytes(index)
        try:
            return decode_stored(EncodedImage(mode, height, width, data))
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.name(index)} is damaged ({error}); pack it again") from error

    @property
    def sizes(self) -> np.ndarray:
        """(N, 2) int64, height and width in pixels."""
        return np.stack([self.records["height"], self.records["width"]], axis=1).astype(np.int64)

    def read_bytes(self, index: int) -> bytes:
        """Stored bytes of one image; a ValueError if they are missing, or are not those that were packed."""
        size, start = int(self.records["size"][index]), int(self.records["ptr"][index])
        data = os.pread(self.file.descriptor, size, start)
        if len(data) < size:
            raise ValueError(f"{self.name(index)} is missing: the file was truncated; pack it again")
        if block_digest(data) != self.stored[index].tobytes().hex():
            raise ValueError(f"{self.name(index)} is damaged: its bytes differ from what was packed; pack it again")
        return data

    def name(self, index: int) -> str:
        """Number of the image and its source in the manifest, for messages."""
        row, path = int(self.rows[index]), self.file.path
        try:
            parts = json.loads(path.with_name(MANIFEST).read_text())["parts"].values()
            (source,) = (part["sources"][row] for part in parts if part["file"] == path.name)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return f"image {row} of {path}"
        return f"image {row} of {path} ({source})"

    def take(self, rows: np.ndarray) -> "BetonImages":
        """Images of some rows, in the order of `rows`."""
        return BetonImages(self.file, self.rows[rows], self.records[rows], self.stored[rows])
