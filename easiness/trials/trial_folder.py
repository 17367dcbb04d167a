"""The folder of one trial: what it keeps there, under which names, and who may write.

A name that exists is a file that is complete, whenever the power fails: all but the measured arrays, which `done.json`
vouches for, are written under another name first.
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
    """Hold the folder, which is made if need be, against every other process of this machine.

    Raises
    ------
    BlockingIOError
        If another process is running the trial in it.
    """
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
    """Whether a process is running the trial in this folder right now."""
    if not folder.is_dir():
        return False
    try:
        with locked(folder):
            return False
    except BlockingIOError:
        return True


def is_done(folder: Path) -> bool:
    """Whether the trial in this folder ran to its end."""
    return (folder / "done.json").exists()


def is_trained(folder: Path) -> bool:
    """Whether the trial in this folder has its final network; a joint one may wait to be measured."""
    return (folder / "validation" / "epochs.json").exists()


def weights_file(folder: Path, update: int) -> Path:
    """Where a joint trial keeps its weights after so many updates, until they have been measured."""
    return folder / "weights" / f"updates={update:06d}.pt"


def waiting_updates(folder: Path) -> set[int]:
    """Moments, in updates, whose weights a joint trial keeps because they have not been measured yet."""
    return {int(path.stem.removeprefix("updates=")) for path in weights_file(folder, 0).parent.glob("*.pt")}


def measure_file(measure: str, update: int) -> str:
    """Where a trial keeps one measure of one moment, as the artifact contract names it.

    Examples
    --------
    >>> measure_file("losses", 391)
    'losses/updates=000391.npy'
    """
    return f"{measure}/updates={update:06d}.npy"


def save_example_metrics(folder: Path, update: int, metrics: ExampleMetrics) -> None:
    """Write every measure of one moment, (N,) each, under its `measure_file`."""
    for measure in MEASURES:
        target = folder / measure_file(measure, update)
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, getattr(metrics, measure))


def read_measure(folder: Path, measure: str, updates: Sequence[int]) -> np.ndarray:
    """(T, N) float32 of one measure at T scored moments."""
    return np.stack([np.load(folder / measure_file(measure, update)) for update in updates])


def write_json(path: Path, content: object) -> None:
    """Write JSON under a name that exists only when it is complete."""
    _write_whole(path, lambda temporary: temporary.write_text(json.dumps(content, indent=1) + "\n"))


def save_tensors(path: Path, state: dict[str, object]) -> None:
    """Write what `torch.load(weights_only=True)` reads, under a name that exists only when it is complete.

    Raises
    ------
    OSError
        If the disk is full.
    """
    path.parent.mkdir(exist_ok=True)
    _write_whole(path, lambda temporary: torch.save(state, temporary))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
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
