"""Time and memory of a scoring against the numbers of examples, trials and processes."""

import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from easiness.benchmarks.score import score_untracked
from easiness.benchmarks.timing import summary
from easiness.datasets import Dataset
from easiness.recipes.recipe import Recipe


def noise(count: int, resolution: int, num_classes: int) -> Dataset:
    """Dataset of random pixels: the time that a network takes does not depend on what it sees."""
    rng = np.random.default_rng(0)
    return Dataset(
        "noise",
        "train",
        rng.integers(0, 256, (count, resolution, resolution, 3), np.uint8),
        np.arange(count) % num_classes,
        tuple(f"class {k}" for k in range(num_classes)),
        np.array([f"noise#{row}" for row in range(count)]),
        np.arange(count),
        np.zeros((count, 16), np.uint8),
    )


def bench_scaling(
    recipe: Recipe,
    *,
    counts: Sequence[int] = (5_000, 10_000, 25_000, 50_000),
    trials: Sequence[int] = (1, 2, 4, 8),
    processes: Sequence[int] = (1, 2),
    repeats: int = 5,
) -> dict[str, object]:
    """Score noise of growing size: one trial on one process for each count; the least count for the rest.

    The series of `processes` trains as many trials as its largest number. Every measurement runs in a new process, so
    that the greatest memory is that of this measurement alone. They take turns, after one measurement to warm up.

    Returns
    -------
    dict
        `examples`, `trials`, `processes`: each with the `sizes`, the summaries of `seconds` and `gib` (greatest
        resident memory of the process and its workers, images and libraries included) at each size, and the fitted
        exponents `time_exponent` and `memory_exponent`: 1 = linear, 0 = constant.
    """
    series = {
        "examples": [(count, 1, 1) for count in counts],
        "trials": [(counts[0], m, 1) for m in trials],
        "processes": [(counts[0], max(processes), p) for p in processes],
    }
    settings = sorted({setting for settings in series.values() for setting in settings})
    measured: dict[tuple[int, int, int], list[tuple[float, float]]] = {setting: [] for setting in settings}
    for turn in range(-1, repeats):
        for setting in settings[:1] if turn < 0 else settings:
            values = _measure(recipe, *setting)
            if turn >= 0:
                measured[setting].append(values)
    result: dict[str, object] = {"model": recipe.model, "epochs": recipe.epochs}
    for name, settings in series.items():
        sizes = {"examples": counts, "trials": trials, "processes": processes}[name]
        seconds = [summary([value[0] for value in measured[setting]]) for setting in settings]
        memory = [summary([value[1] for value in measured[setting]]) for setting in settings]
        result[name] = {
            "sizes": list(sizes),
            "seconds": seconds,
            "gib": memory,
            "time_exponent": fit_exponent(sizes, [point["median"] for point in seconds]),
            "memory_exponent": fit_exponent(sizes, [point["median"] for point in memory]),
        }
    return result


def fit_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a straight line through the logarithms, by least squares; NaN for a single size.

    >>> round(fit_exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _measure(recipe: Recipe, count: int, trials: int, processes: int) -> tuple[float, float]:
    """Seconds and GiB of one scoring, in a new process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(sender, replace(recipe, trials=trials), count, processes))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"the scoring of {count} examples in {trials} trials died; is the memory full?") from None
    finally:
        child.join()


def _run(sender: Connection, recipe: Recipe, count: int, processes: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: processes * recipe.threads])
    data = noise(count, recipe.resolution, 10)
    with _watched_workers() as kib_by_worker:
        started = time.perf_counter()
        score_untracked(recipe, data, torch.device("cpu"), "processes" if processes > 1 else "inline")
        seconds = time.perf_counter() - started
    # Kibibytes, but bytes on macOS.
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    sender.send((seconds, (kib + sum(kib_by_worker.values())) / 2**20))


@contextmanager
def _watched_workers() -> Iterator[dict[int, int]]:
    """Poll the greatest resident memory of each worker of this process, in KiB by pid (on Linux; elsewhere nothing).

    `getrusage` counts children alone, and workers are children of the server that forks them.
    """
    peaks: dict[int, int] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for worker in multiprocessing.active_children():
                with suppress(OSError, IndexError):
                    status = Path(f"/proc/{worker.pid}/status").read_text()
                    peaks[worker.pid] = int(status.split("VmHWM:")[1].split()[0])

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()
