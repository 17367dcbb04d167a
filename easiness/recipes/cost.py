"""Cost of trainings in images and in time."""

import heapq
from collections.abc import Iterable

# Evaluating an image takes about a third of the time of training on it.
EVALUATION = 1 / 3


def makespan(costs: Iterable[float], workers: int) -> float:
    """Time until the last task ends, where each worker takes the longest one that is left.

    >>> makespan([1, 1, 1], workers=2), makespan([3, 1, 2], workers=2)
    (2.0, 3.0)
    """
    busy = [0.0] * workers
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(busy, busy[0] + cost)
    return max(busy)


def duration(seconds: float) -> str:
    """Time for a person.

    Examples
    --------
    >>> [duration(seconds) for seconds in (40, 300, 7200, 200_000)]
    ['1 min', '5 min', '2.0 h', '2.3 days']
    """
    if seconds < 5400:
        return f"{max(round(seconds / 60), 1)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
