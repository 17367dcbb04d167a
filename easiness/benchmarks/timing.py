"""Contestants measured in turns: what else the machine does falls on all of them alike."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def interleave(contestants: Mapping[str, Callable[[], object]], repeats: int, *, warm_up: int = 1) -> dict[str, list]:
    """Time each contestant in turn, `repeats` times round.

    Parameters
    ----------
    contestants : mapping of callable
        By name; each does its work and, on a GPU, waits for it.
    repeats : int
        Rounds that count.
    warm_up : int
        Rounds before them that do not.

    Returns
    -------
    dict of list
        Seconds of every round, by name.
    """
    seconds: dict[str, list] = {name: [] for name in contestants}
    for turn in range(-warm_up, repeats):
        for name, work in contestants.items():
            started = time.perf_counter()
            work()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def summary(values: list[float]) -> dict[str, float | list[float]]:
    """Median, least, greatest, and all values.

    Examples
    --------
    >>> summary([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0, 'all': [3.0, 1.0, 2.0]}
    """
    return {"median": float(np.median(values)), "low": min(values), "high": max(values), "all": list(values)}


def ratios(numerator: list[float], denominator: list[float]) -> dict[str, float | list[float]]:
    """Summary of the ratios of one contestant's seconds to another's, round by round."""
    return summary([a / b for a, b in zip(numerator, denominator, strict=True)])
