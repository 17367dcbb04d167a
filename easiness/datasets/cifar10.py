"""CIFAR-10 as its authors published it, read with numpy and verified file by file.

Two archives exist, one of raw records and one of Python pickles; both give the same examples in the same order, packed
or unpacked. Digests are those of the files inside, because repacked archives with the same files are common.

Sources of the digests: the SHA-1 of the six binary batches are those that MXNet's CIFAR10 dataset checks, the MD5 of
the pickles those of torchvision, the MD5 of the archive that of the dataset's page
(https://www.cs.toronto.edu/~kriz/cifar.html). The SHA-1 of batches.meta.txt (ten names and an empty line) was taken
from a repacked archive whose six batches pass.
"""

import hashlib
import http.client
import io
import os
import pickle
import posixpath
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from easiness.datasets.image_files import printable
from easiness.datasets.progress import progress_bar
from easiness.files import work_folder

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
TIMEOUT_SECONDS = 20

BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "val": ("test_batch",)}
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane
LARGEST_MEMBER = 2**26  # twice the size of the largest genuine file
LARGEST_ARCHIVE = 2**30  # five times the genuine one, unpacked

BINARY_SHA1 = {
    "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
    "batches.meta.txt": "0bd38742f1e9325cbd6717d686c45e107fea48dd",
}
PYTHON_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
# Everything that a pickled array calls; the batches were pickled by Python 2, with numpy's module names of that time.
PICKLED_ARRAYS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Cifar10(NamedTuple):
    """One split of CIFAR-10 in its official order."""

    images: np.ndarray  # (N, 32, 32, 3) uint8 RGB
    labels: np.ndarray  # (N,) int64, 0 to 9
    sources: np.ndarray  # (N,) str, the batch and the record in it: data_batch_1.bin#17


def read_cifar10(root: str | Path | None, split: str) -> Cifar10:
    """Read ``train`` (50,000 images) or ``val`` (the 10,000 test images), and verify all files of the archive.

    `root` is an archive, the unpacked folder, or a folder that contains one of them. None stands for
    ``.easiness/data``, with a download if nothing is there. A FileNotFoundError if that fails; a ValueError if a file
    of the archive is missing, truncated or altered.
    """
    path = _find(root)
    seen = set()
    records = {}
    for name, content in _read_folder(path) if path.is_dir() else _read_archive(path):
        seen.add(name)
        _verify(path, name, content)
        batch = name.removesuffix(".bin")
        if batch in BATCHES[split]:
            records[batch] = name, _records_from(path, name, content)
    table = PYTHON_MD5 if seen & PYTHON_MD5.keys() else BINARY_SHA1
    missing = sorted(table.keys() - seen)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)} of CIFAR-10; download the archive again from {PAGE}")

    batches = [records[batch] for batch in BATCHES[split]]
    rows = np.concatenate([rows for _, rows in batches])
    images = np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    sources = [f"{name}#{i}" for name, rows in batches for i in range(len(rows))]
    return Cifar10(images, rows[:, 0].astype(np.int64), np.array(sources))


def download(url: str, path: Path, md5: str) -> Path:
    """Download a file; it appears at `path` when it is whole and verified.

    A FileNotFoundError if the address does not answer for 20 s, a ValueError for a file with another length or MD5.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as reply:
            announced = int(reply.headers.get("Content-Length", 0))
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                open(temporary, "wb") as file,
                progress_bar(path.name, announced or None, "B") as bar,
            ):
                while chunk := reply.read(2**20):
                    digest.update(chunk)
                    bar.update(file.write(chunk))
                received = file.tell()
        if received < announced or digest.hexdigest() != md5:
            raise ValueError(
                f"{url} sent {received:,} bytes of {announced:,} with MD5 {digest.hexdigest()}, "
                f"expected {md5}; nothing was kept: run again, put the file at {path} yourself, "
                "or give it with -P data=PATH"
            )
        os.replace(temporary, path)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise FileNotFoundError(
            f"{path} does not exist and {url} cannot be downloaded ({getattr(error, 'reason', error)}); "
            f"get {path.name} elsewhere and put it at {path}, or give it with -P data=PATH"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _find(root: str | Path | None) -> Path:
    """Archive file, or folder of batches."""
    if root is None:
        cache = work_folder() / "data"
        return find_batches(cache) or download(ARCHIVE_URL, cache / ARCHIVES[0], ARCHIVE_MD5)
    root = Path(root).expanduser()
    if root.is_file():
        return root
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist; give {ARCHIVES[0]} or its unpacked folder with -P data=PATH")
    path = find_batches(root)
    if path is None:
        raise FileNotFoundError(
            f"{root} contains none of {', '.join(ARCHIVES + FOLDERS)}; download {ARCHIVES[0]} from {PAGE} into it"
        )
    return path


def find_batches(root: Path) -> Path | None:
    """Folder of batches or archive in a folder; None if there is none."""
    for folder in (root, *(root / name for name in FOLDERS)):
        if any((folder / name).is_file() for name in (*BINARY_SHA1, *PYTHON_MD5)):
            return folder
    return next((root / name for name in ARCHIVES if (root / name).is_file()), None)


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    binary = any((folder / name).is_file() for name in BINARY_SHA1)
    for name in BINARY_SHA1 if binary else PYTHON_MD5:
        if (folder / name).is_file():
            with open(folder / name, "rb") as file:
                yield name, file.read(LARGEST_MEMBER)


def _read_archive(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Known files, straight from the compressed stream; nothing is unpacked to the disk."""
    name, unpacked = "its beginning", 0
    try:
        with tarfile.open(archive, "r|*") as tar:
            for entry in tar:
                name, unpacked = posixpath.basename(entry.name), unpacked + entry.size
                if unpacked > LARGEST_ARCHIVE:
                    raise ValueError(f"more than {LARGEST_ARCHIVE:,} bytes when unpacked")
                if entry.isfile() and (name in BINARY_SHA1 or name in PYTHON_MD5):
                    yield name, tar.extractfile(entry).read(LARGEST_MEMBER)
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # tarfile and the decompressors raise almost anything on damaged bytes
        raise ValueError(
            f"{archive} ({archive.stat().st_size:,} bytes) is truncated, damaged or not a tar.gz archive "
            f"at {printable(name)} ({error}); download it again from {PAGE}"
        ) from error


def _verify(path: Path, name: str, content: bytes) -> None:
    kind, expected = ("sha1", BINARY_SHA1[name]) if name in BINARY_SHA1 else ("md5", PYTHON_MD5[name])
    digest = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise ValueError(
            f"{name} in {path} is altered or truncated: {len(content):,} bytes with {kind} {digest}, "
            f"expected {expected}; download the archive again from {PAGE}"
        )


def _records_from(path: Path, name: str, content: bytes) -> np.ndarray:
    """(n, 3073) uint8 records of a verified batch of either kind."""
    if name in PYTHON_MD5:
        try:
            batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        except pickle.UnpicklingError as error:
            raise ValueError(f"{name} in {path} was not unpickled: {error}") from error
        content = np.hstack([np.array(batch[b"labels"], np.uint8)[:, None], batch[b"data"]]).tobytes()
        # A pickle with the right examples gives exactly the bytes of the binary batch.
        _verify(path, name + ".bin", content)
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that can build numpy arrays and plain containers, and call nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the three allowed names, or an error."""
        if (module, name) not in PICKLED_ARRAYS:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, and only arrays are allowed")
        return PICKLED_ARRAYS[module, name]
