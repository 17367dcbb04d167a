"""Processes of this machine, and what they leave behind when they are killed."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Leftovers name the machine, too: several machines may share a folder, and their process ids say nothing elsewhere.
HOST = socket.gethostname()


def process_mark() -> str:
    """Mark of this process: its id and its start, since ids are used again (in a container, from 1 each time)."""
    return f"{os.getpid()}-{_start_of(os.getpid())}"


def is_alive(mark: str) -> bool:
    """Whether the process of this machine with that mark is still at work; a zombie is not."""
    pid, _, start = mark.partition("-")
    return _start_of(int(pid)) == start


def works_for(run_id: str) -> bool:
    """Whether a process of this machine was started by `mlflow run` for a run."""
    wanted = f"MLFLOW_RUN_ID={run_id}".encode()
    return any(wanted in _read(path) for path in Path("/proc").glob("[0-9]*/environ"))


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


def _start_of(pid: int) -> str:
    """Start of a process in ticks since the machine's own; empty if there is none, or only its zombie."""
    # The name of the program, in brackets, may hold anything.
    state, *rest = _read(Path(f"/proc/{pid}/stat")).decode(errors="replace").rpartition(")")[2].split() or ["Z"]
    return "" if state in "ZX" else rest[18]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""
