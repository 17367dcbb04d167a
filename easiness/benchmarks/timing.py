"""Interleaved timing: tasks take turns, so that other programs on the machine slow all of them alike."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def interleave(tasks: Mapping[str, Callable[[], object]], repeats: int, *, warm_up: int = 1) -> dict[str, list]:
    """Seconds of each task in each of `repeats` rounds, after `warm_up` rounds that do not count.

    A task that runs on a GPU must wait for it.
    """
    seconds: dict[str, list] = {name: [] for name in tasks}
    for turn in range(-warm_up, repeats):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def summary(values: list[float]) -> dict[str, float | list[float]]:
    """Median, least, greatest, and all values.

    >>> summary([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0, 'all': [3.0, 1.0, 2.0]}
    """
    return {"median": float(np.median(values)), "low": min(values), "high": max(values), "all": list(values)}


def ratios(numerator: list[float], denominator: list[float]) -> dict[str, float | list[float]]:
    """Summary of the ratios of one task's seconds to another's, round by round."""
    return summary([a / b for a, b in zip(numerator, denominator, strict=True)])
