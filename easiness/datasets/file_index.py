"""Index of the image files of a folder: what decoding said of each, kept for the next command.

An entry holds for a file of the same size, times and inode, under the same decoders; any other is decoded anew. Among
the times is that of the last change of the inode (ctime), which no program can put back, as it can the time of
modification. A file that changed in the last seconds gets no entry: a clock that ticks slowly could give its next
content the same times. Bad files have no entry either.
"""

import hashlib
import io
import json
import logging
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from easiness.datasets.image_files import FILES_PER_TASK, Checked, check_files, decoders, digest_table, pixel_limit
from easiness.files import locked, work_folder, write_whole
from easiness.machine import usable_cores

LOG = logging.getLogger("easiness")

# The coarsest clock of a file system ticks every two seconds (FAT).
_SETTLED_NS = 2_000_000_000

# Folders whose index is kept: those written last.
_MOST_INDEXES = 32

# How long to wait for another command that writes the same index, before what this one found is dropped.
_PATIENCE_S = 30

_NO_MARK = (-1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class _Index:
    """N good files of a folder."""

    names: list[str]
    kinds: list[tuple[str, str]]  # format and remark of `Checked`
    marks: np.ndarray  # (N, 4) int64: size, times of modification and of change in nanoseconds, inode
    sizes: np.ndarray  # (N, 2) int64, height and width in pixels
    digests: np.ndarray  # (N, 16) uint8
    stored: np.ndarray  # (N, 16) uint8

    def check(self, row: int) -> Checked:
        size = tuple(self.sizes[row].tolist())
        return Checked(size, self.digests[row].tobytes(), self.stored[row].tobytes(), *self.kinds[row])

    def take(self, rows: np.ndarray) -> "_Index":
        lists = ([values[row] for row in rows] for values in (self.names, self.kinds))
        return _Index(*lists, *(values[rows] for values in (self.marks, self.sizes, self.digests, self.stored)))

    def holds(self, names: Sequence[str], marks: np.ndarray) -> np.ndarray:
        """Row of every file that is as it was, else -1."""
        row_of = {name: row for row, name in enumerate(self.names)}
        rows = np.fromiter((row_of.get(name, -1) for name in names), np.int64, len(names))
        same = rows >= 0
        same[same] = (self.marks[rows[same]] == marks[same]).all(axis=1)
        # The limit is of this machine, and of today.
        same[same] = self.sizes[rows[same]].prod(axis=1) <= pixel_limit()
        return np.where(same, rows, -1)


def check_listed(
    root: str | Path, names: Sequence[str], paths: Sequence[str], *, anew: bool = False
) -> list[Checked | str]:
    """Size and digests of every image, or the reason why the file is bad, as `check_files`; known files are not read.

    `names` are the files' names in the index of the folder `root`, one for each path. With `anew` all are decoded, and
    the index holds what that said.
    """
    place = _place(root)
    settled = time.time_ns() - _SETTLED_NS
    marks = _marks(paths)
    index = None if anew else _read(place)
    rows = np.full(len(paths), -1) if index is None else index.holds(names, marks)
    checks: list[Checked | str] = ["" if row < 0 else index.check(row) for row in rows]
    unknown = np.flatnonzero(rows < 0)
    for row, check in zip(unknown, check_files([paths[row] for row in unknown]), strict=True):
        checks[row] = check
    lasting = (marks[unknown, 0] >= 0) & (marks[unknown, 1:3].max(axis=1, initial=0) < settled)
    new = [row for row in unknown[lasting] if isinstance(checks[row], Checked)]
    if new:
        good = [checks[row] for row in new]
        found = _Index(
            [names[row] for row in new],
            [(check.format, check.remark) for check in good],
            marks[new],
            np.array([check.size for check in good], np.int64),
            digest_table(check.digest for check in good),
            digest_table(check.stored for check in good),
        )
        _add(place, Path(root), found)
    return checks


def _place(root: str | Path) -> Path:
    """File of the index of a folder."""
    key = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()
    return work_folder() / "images" / f"{key[:32]}.index"


def _marks(paths: Sequence[str]) -> np.ndarray:
    """(N, 4) int64 of `_Index.marks`; `_NO_MARK` of what is not a regular file that can be reached."""
    tasks = [paths[i : i + FILES_PER_TASK] for i in range(0, len(paths), FILES_PER_TASK)]
    with ThreadPoolExecutor(usable_cores()) as pool:  # a file server lets each wait
        done = pool.map(lambda task: np.array([_mark(path) for path in task], np.int64), tasks)
        return np.concatenate([np.empty((0, 4), np.int64), *done])


def _mark(path: str) -> tuple[int, int, int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return _NO_MARK
    if not stat.S_ISREG(found.st_mode):
        return _NO_MARK
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & (2**63 - 1)


def _add(place: Path, root: Path, found: _Index) -> None:
    """Add entries to an index, less those of files that are gone; what cannot be written is decoded again next time."""
    try:
        with locked(place.with_suffix(".lock"), timeout=_PATIENCE_S):
            earlier, new = _read(place), set(found.names)
            if earlier is not None:
                stay = [i for i, name in enumerate(earlier.names) if name not in new and os.path.lexists(root / name)]
                found = _joined(earlier.take(np.array(stay, np.int64)), found)
            write_whole(place.parent, {place.name: lambda part: part.write_bytes(_packed(found))})
            indexes = sorted(place.parent.glob("*.index"), key=lambda path: path.stat().st_mtime_ns)
            for old in indexes[:-_MOST_INDEXES]:
                old.unlink(missing_ok=True)
    except OSError as error:
        LOG.info("what was decoded of %s is not kept: %s", root, error)


def _joined(first: _Index, second: _Index) -> _Index:
    arrays = ("marks", "sizes", "digests", "stored")
    joined = (np.concatenate([getattr(first, name), getattr(second, name)]) for name in arrays)
    return _Index(first.names + second.names, first.kinds + second.kinds, *joined)


def _packed(index: _Index) -> bytes:
    """Index as bytes, which begin with their own checksum."""
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(index.kinds))}
    body = io.BytesIO()
    np.savez(
        body,
        decoders=_text(decoders()),
        names=_text("\0".join(index.names)),
        kinds=_text(json.dumps(list(numbers))),
        kind=np.array([numbers[kind] for kind in index.kinds], np.int64),
        **{name: getattr(index, name) for name in ("marks", "sizes", "digests", "stored")},
    )
    content = body.getvalue()
    return hashlib.sha256(content).digest() + content


def _read(place: Path) -> _Index | None:
    """Index of a folder; None where there is none, it is damaged, or of other decoders."""
    with suppress(OSError, ValueError, LookupError, BadZipFile):
        content = memoryview(place.read_bytes())
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        with np.load(io.BytesIO(content[32:]), allow_pickle=False) as file:
            table = dict(file)
        if table.pop("decoders").tobytes().decode() != decoders():
            return None
        names = table.pop("names").tobytes().decode().split("\0")
        kinds = [tuple(kind) for kind in json.loads(table.pop("kinds").tobytes())]
        return _Index(names, [kinds[number] for number in table.pop("kind")], **table)
    return None


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
