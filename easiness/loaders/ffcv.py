"""FFCV decoder: reads a .beton with FFCV's compiled code.

It uses what makes FFCV fast: the file format, and the C++ functions that decode and resize, called from one loop that
numba compiles and that runs without the interpreter's lock. FFCV's Python package is not imported, because its `Loader`
waits for ever when a worker raises, is killed when the file shrinks while it is mapped, accepts damaged bytes, sets
torch's number of threads for the whole process, reuses the memory of a batch in use, compiles for 13 to 20 seconds in
every process, and keeps three Python objects per image.
"""

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from ctypes import c_bool, c_int64, c_ssize_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

from easiness.datasets.beton import RAW, RECORD, BetonImages
from easiness.loaders.streaming import Chunk

# Status of an image.
_TRUNCATED, _DAMAGED = 1, 2


def why_no_ffcv() -> str:
    """Reason why FFCV cannot be used; empty if it can."""
    try:
        _library()
        import numba  # noqa: F401
    except (ImportError, OSError, AttributeError) as error:
        return f"FFCV cannot be used ({error})"
    return ""


class FFCVDecoder:
    """Decoder for the images of a .beton; raises an ImportError if FFCV is not installed."""

    def __init__(self, images: BetonImages) -> None:
        self._images = images
        records = images.records
        self._most_bytes = int(records["size"].max())
        self._most_pixels = int((records["height"].astype(np.int64) * records["width"]).max()) * 3
        self._decode = _compiled()

    def decode(self, chunk: Chunk) -> None:
        """Decode, crop, scale and flip the images of a chunk into its views; a ValueError names a damaged image."""
        status = np.zeros(len(chunk.rows), np.int64)
        buffers = np.empty(self._most_bytes, np.uint8), np.empty(self._most_pixels, np.uint8)
        # pread reports a file that became shorter; a mapped one would kill the process.
        self._decode(self._images.file.descriptor, self._images.records[chunk.rows], chunk, buffers, status)
        for row, state in zip(chunk.rows.tolist(), status.tolist(), strict=True):
            if state == _TRUNCATED:
                raise ValueError(f"{self._images.name(row)} is missing: the file was truncated; pack it again")
            if state == _DAMAGED:
                raise ValueError(f"{self._images.name(row)} is damaged and cannot be decoded; pack it again")


@functools.cache
def _library() -> ctypes.CDLL:
    """FFCV's C++ library, with the argument types of its functions."""
    package = importlib.util.find_spec("ffcv")
    if package is None:
        raise ImportError("it is not installed")
    (path,) = Path(package.submodule_search_locations[0]).glob("_libffcv*.so")
    library = ctypes.CDLL(str(path))
    library.imdecode.argtypes = [c_void_p, c_uint64, c_uint32, c_uint32, c_void_p, *[c_uint32] * 6, c_bool, c_bool]
    library.resize.argtypes = [c_int64] * 11
    library.resize.restype = None
    return library


@functools.cache
def _compiled() -> Callable[..., None]:
    """Loop over a chunk, compiled once for all loaders and trials of a process (some seconds)."""
    import numba

    imdecode, resize = _library().imdecode, _library().resize
    pread = ctypes.CDLL(None).pread
    pread.argtypes, pread.restype = [ctypes.c_int, c_void_p, c_uint64, c_int64], c_ssize_t

    @numba.njit(nogil=True, error_model="numpy")
    def decode(file, records, chunk, buffers, status):  # noqa: ANN001, ANN202
        encoded, decoded = buffers
        boxes = chunk.boxes
        for i in range(len(records)):
            chunk.at[0] = i
            height, width, size = records[i]["height"], records[i]["width"], records[i]["size"]
            raw = records[i]["mode"] == RAW
            target = decoded if raw else encoded
            if pread(file, target.ctypes.data, size, records[i]["ptr"]) != size:
                status[i] = _TRUNCATED
                continue
            # The whole image, not scaled, not flipped; a result other than 0 is an error or a warning of libjpeg.
            source, pixels = encoded.ctypes.data, decoded.ctypes.data
            if not raw and imdecode(source, size, height, width, pixels, height, width, 0, 0, 1, 1, False, False):
                status[i] = _DAMAGED
                continue
            top, left, below, right = boxes[i, 0], boxes[i, 1], boxes[i, 0] + boxes[i, 2], boxes[i, 1] + boxes[i, 3]
            view = chunk.views[i]
            resize(0, pixels, height, width, top, below, left, right, view.ctypes.data, view.shape[0], view.shape[1])
            if chunk.flip[i]:
                view[:] = view[:, ::-1].copy()

    # Compiled here, because a worker that compiles would be taken for stalled.
    none, buffer = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    chunk = Chunk(none, np.zeros((0, 4), np.int64), np.zeros(0, bool), np.zeros((0, 1, 1, 3), np.uint8), none)
    decode(0, np.zeros(0, RECORD), chunk, (buffer, buffer), none)
    return decode
