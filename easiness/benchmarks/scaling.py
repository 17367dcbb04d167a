"""Time and memory of a scoring against the numbers of examples, trials and processes."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from easiness.benchmarks.score import score_untracked
from easiness.benchmarks.timing import peak_gib, seconds_of, summary, take_turns
from easiness.datasets import Dataset
from easiness.recipes.recipe import Recipe


def noise(count: int, resolution: int, num_classes: int, split: str = "train") -> Dataset:
    """Dataset of random pixels: the time that a network takes does not depend on what it sees."""
    rng = np.random.default_rng(["train", "val"].index(split))
    return Dataset(
        "noise",
        split,
        rng.integers(0, 256, (count, resolution, resolution, 3), np.uint8),
        np.arange(count) % num_classes,
        tuple(f"class {k}" for k in range(num_classes)),
        np.array([f"noise#{row}" for row in range(count)]),
        np.arange(count),
        rng.integers(0, 256, (count, 16), np.uint8),
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

    The result holds for `examples`, `trials` and `processes`: `sizes`, the summaries of `seconds` and `gib` (greatest
    resident memory of the process and its workers, images and libraries included) at each size, and the fitted
    exponents `time_exponent` and `memory_exponent`: 1 = linear, 0 = constant.
    """
    series = {
        "examples": {count: (count, 1, 1) for count in counts},
        "trials": {m: (counts[0], m, 1) for m in trials},
        "processes": {p: (counts[0], max(processes), p) for p in processes},
    }
    settings = sorted({setting for settings in series.values() for setting in settings.values()})
    _measure(recipe, *settings[0])
    measured = take_turns({setting: partial(_measure, recipe, *setting) for setting in settings}, repeats)
    result: dict[str, object] = {"model": recipe.model, "epochs": recipe.epochs}
    for name, settings in series.items():
        seconds, gib = ([summary([v[i] for v in measured[setting]]) for setting in settings.values()] for i in range(2))
        result[name] = {
            "sizes": list(settings),
            "seconds": seconds,
            "gib": gib,
            "time_exponent": fit_exponent(list(settings), [point["median"] for point in seconds]),
            "memory_exponent": fit_exponent(list(settings), [point["median"] for point in gib]),
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
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_run, replace(recipe, trials=trials), count, processes).result()
        except BrokenProcessPool:
            died = f"the scoring of {count} examples in {trials} trials died; is the memory full?"
            raise RuntimeError(died) from None


def _run(recipe: Recipe, count: int, processes: int) -> tuple[float, float]:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: processes * recipe.threads])
    data = noise(count, recipe.resolution, 10)
    with _watched_workers() as kib_by_worker:
        engine = "processes" if processes > 1 else "inline"
        seconds = seconds_of(partial(score_untracked, recipe, data, torch.device("cpu"), engine))
    return seconds, peak_gib() + sum(kib_by_worker.values()) / 2**20


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
