"""Folder of one trial: file names, a lock, and files that are complete as soon as their name exists.

Arrays alone are written in place; they are complete when `done.json` is there.
"""

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from easiness.trials.evaluation import MEASURES, ExampleMetrics


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create the folder if need be, and hold its lock; BlockingIOError if another process of this machine holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                errno.EAGAIN,
                f"another process is running the trial in {folder}; wait for it or take another seed",
            ) from None
        yield


def in_use(folder: Path) -> bool:
    """Whether a process is running the trial in this folder now."""
    if not folder.is_dir():
        return False
    try:
        with locked(folder):
            return False
    except BlockingIOError:
        return True


def is_done(folder: Path) -> bool:
    """Whether the trial in this folder is complete."""
    return (folder / "done.json").exists()


def is_trained(folder: Path) -> bool:
    """Whether the trial in this folder has its final network; a joint trial may still wait for its evaluation."""
    return (folder / "validation" / "epochs.json").exists()


def weights_file(folder: Path, update: int) -> Path:
    """File of a joint trial's weights after `update` updates, until they are evaluated."""
    return folder / "weights" / f"updates={update:06d}.pt"


def waiting_updates(folder: Path) -> set[int]:
    """Updates whose weights a joint trial keeps for the evaluation."""
    return {int(path.stem.removeprefix("updates=")) for path in weights_file(folder, 0).parent.glob("*.pt")}


def measure_file(measure: str, update: int) -> str:
    """Path in a trial's folder, and artifact path, of one measure after `update` updates.

    Examples
    --------
    >>> measure_file("losses", 391)
    'losses/updates=000391.npy'
    """
    return f"{measure}/updates={update:06d}.npy"


def save_example_metrics(folder: Path, update: int, metrics: ExampleMetrics) -> None:
    """Write every measure after `update` updates, (N,) each, to its `measure_file`."""
    for measure in MEASURES:
        target = folder / measure_file(measure, update)
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, getattr(metrics, measure))


def read_measure(folder: Path, measure: str, updates: Sequence[int]) -> np.ndarray:
    """(T, N) float32 of one measure at T scored moments."""
    return np.stack([np.load(folder / measure_file(measure, update)) for update in updates])


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(content, indent=1) + "\n"))


def save_tensors(path: Path, state: dict[str, object]) -> None:
    """Write tensors for `torch.load(weights_only=True)` atomically."""
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, and rename it when it is on the disk; OSError if the disk is full."""
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        # torch reports a full disk as a RuntimeError without a number.
        if isinstance(error, OSError) and error.errno != errno.ENOSPC:
            raise
        raise OSError(errno.ENOSPC, f"could not write {path.name} ({error}); is the disk full?") from error
