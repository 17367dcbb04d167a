"""Timing in turns, so that other programs on the machine slow all tasks alike, and summaries of what was measured."""

import resource
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")


def take_turns(tasks: Mapping[Name, Callable[[], Result]], rounds: int) -> dict[Name, list[Result]]:
    """Results of each task in each of `rounds` rounds."""
    results: dict[Name, list[Result]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            results[name].append(task())
    return results


def interleave(tasks: Mapping[str, Callable[[], object]], repeats: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each task in each of `repeats` rounds, after `warm_up` rounds that do not count.

    A task that runs on a GPU must wait for it.
    """
    timed = {name: partial(seconds_of, task) for name, task in tasks.items()}
    take_turns(timed, warm_up)
    return take_turns(timed, repeats)


def seconds_of(task: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def peak_gib() -> float:
    """Highest resident memory of this process so far, in GiB."""
    # Kibibytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def summary(values: list[float]) -> dict[str, float | list[float]]:
    """Median, least, greatest, and all values.

    >>> summary([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0, 'all': [3.0, 1.0, 2.0]}
    """
    return {"median": float(np.median(values)), "low": min(values), "high": max(values), "all": list(values)}


def ratios(numerator: list[float], denominator: list[float]) -> dict[str, float | list[float]]:
    """Summary of the ratios of one task's measurements to another's, round by round."""
    return summary([a / b for a, b in zip(numerator, denominator, strict=True)])
