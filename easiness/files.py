"""Files that are whole or not there, checksums that say whether they still are, locks, and the work folder.

The checksum is SHA-256: anybody's `sha256sum` can repeat it, reports name their inputs by it, and here it is as fast as
BLAKE2 and nearly as fast as a CRC, which a foreign file could match.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from easiness.machine import HOST, is_alive, process_mark, take_lock

# Size and SHA-256 of a file: {"bytes": 200128, "sha256": "6f0a…"}.
Checksum = dict[str, int | str]

Write = Callable[[Path], object]

_POLL_S = 0.2


class DamagedError(ValueError):
    """A file is missing, or is not what was written."""


def work_folder() -> Path:
    """Folder of all that is on no tracking server yet: `EASINESS_WORK`, or the user's cache.

    `run.sh` sets the former to `.easiness` in its checkout.
    """
    chosen = os.environ.get("EASINESS_WORK")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("easiness", appauthor=False)


@contextmanager
def own_folder(place: Path, name: str) -> Iterator[Path]:
    """Make a folder `name-…` of this process in a place, and remove there what killed processes left of their own."""
    place.mkdir(parents=True, exist_ok=True)
    for left_behind in place.glob(f"*-{HOST}-*-*-*"):
        mark = left_behind.name.partition(f"-{HOST}-")[2].rpartition("-")[0]
        if not is_alive(mark):
            shutil.rmtree(left_behind, ignore_errors=True)
    prefix = f"{name}-{HOST}-{process_mark()}-"
    with tempfile.TemporaryDirectory(dir=place, prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def checksum(path: Path) -> Checksum:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def checksums(folder: Path) -> dict[str, Checksum]:
    """Checksums of all files in a folder, by their paths in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in files}


def verify(path: Path, expected: Checksum, name: str) -> None:
    """Raise a DamagedError that begins with `name` if a file is missing, or is not what was written."""
    if not path.is_file():
        raise DamagedError(f"{name} is missing")
    found = checksum(path)
    if found["bytes"] != expected["bytes"]:
        raise DamagedError(
            f"{name} is damaged: it has {found['bytes']:,} bytes, and {expected['bytes']:,} were written"
        )
    if found != expected:
        raise DamagedError(
            f"{name} is damaged: its SHA-256 is {found['sha256'][:12]}…, and {expected['sha256'][:12]}… was written"
        )


def write_whole(folder: Path, files: Mapping[str, Write]) -> dict[str, Checksum]:
    """Write files, each of which is complete as soon as its name exists, after a power failure, too; their checksums.

    Each `write` fills a temporary file, which gets its name when it is on the disk. OSError if the disk is full.
    """
    parts = {folder / name: folder / f"{name}.part" for name in files}
    writing = folder
    try:
        for (path, part), write in zip(parts.items(), files.values(), strict=True):
            writing = path
            path.parent.mkdir(parents=True, exist_ok=True)
            write(part)
        written = dict(zip(files, map(checksum, parts.values()), strict=True))
        _sync(parts.values())
        for writing, part in parts.items():
            part.replace(writing)
        _sync({path.parent for path in parts})
    except (OSError, RuntimeError) as error:
        for part in parts.values():
            part.unlink(missing_ok=True)
        # torch reports a full disk as a RuntimeError without a number.
        if isinstance(error, OSError) and error.errno != errno.ENOSPC:
            raise
        raise OSError(errno.ENOSPC, f"could not write {writing.name} ({error}); is the disk full?") from error
    return written


def write_mark(path: Path, content: object) -> None:
    """Write json with its own checksum, for `read_mark`."""
    text = json.dumps({"content": content, "sha256": _sha256(content)}) + "\n"
    write_whole(path.parent, {path.name: lambda part: part.write_text(text)})


def read_mark(path: Path) -> object:
    """Read what `write_mark` wrote; FileNotFoundError or DamagedError if it is not there, or is damaged."""
    try:
        mark = json.loads(path.read_bytes())
        if mark["sha256"] == _sha256(mark["content"]):
            return mark["content"]
    except (ValueError, LookupError, TypeError):  # of other text than ours
        pass
    raise DamagedError(f"{path.name} is damaged: its content has another checksum than it says")


@contextmanager
def locked(path: Path, *, timeout: float = 0.0, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the lock that a file stands for, among all processes of this machine; the file goes with the lock.

    While another process holds it, call `waiting` once, and try again for `timeout` seconds; then BlockingIOError.
    """
    deadline = time.monotonic() + timeout
    called = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            if not take_lock(file.fileno()):
                if time.monotonic() >= deadline:
                    raise BlockingIOError(errno.EAGAIN, f"another process holds {path}; wait for it")
                if not called:
                    called = True
                    waiting()
                time.sleep(_POLL_S)
                continue
            if not _is_at(path, file.fileno()):  # removed by its last holder: this lock is nobody's
                continue
            try:
                yield
            finally:
                with suppress(PermissionError):  # Windows keeps an open file
                    path.unlink(missing_ok=True)
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sync(paths: Iterable[Path]) -> None:
    """Wait until files or folders are on the disk; all at once, since a file system writes them together."""
    paths = list(paths)
    with ThreadPoolExecutor(len(paths) or 1) as pool:
        list(pool.map(_sync_one, paths))


def _sync_one(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows writes names at once
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
