"""Parts of a pass: what each of several processes that work on one network takes of it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from easiness.recipes.schedule import batch_bounds


class Slice(NamedTuple):
    """Examples of one batch that a process takes, and how many all processes take with them."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True)
class Part:
    """Number of a process, from 0, and number of processes."""

    rank: int = 0
    size: int = 1

    def of_epoch(self, order_N: np.ndarray, batch_size: int) -> tuple[np.ndarray, list[Slice]]:
        """Rows that this process trains on in an epoch of this order, and its slice of them for every batch.

        Each batch is shared by all processes, whose slices differ by one example at most.

        Examples
        --------
        >>> Part(1, 2).of_epoch(np.array([4, 0, 3, 1, 2]), 3)
        (array([0, 3, 2]), [Slice(start=0, stop=2, total=3), Slice(start=2, stop=3, total=2)])
        """
        rows, slices, taken = [], [], 0
        for start, stop in batch_bounds(len(order_N), batch_size):
            total = stop - start
            low, high = (start + total * rank // self.size for rank in (self.rank, self.rank + 1))
            rows.append(order_N[low:high])
            slices.append(Slice(taken, taken + high - low, total))
            taken += high - low
        return np.concatenate(rows), slices

    def of_pass(self, count: int, batch_size: int) -> list[Slice]:
        """Batches of a scoring pass that this process takes, whole: every size-th batch, starting at rank.

        Examples
        --------
        >>> Part(1, 2).of_pass(10, 3)
        [Slice(start=3, stop=6, total=6), Slice(start=9, stop=10, total=4)]
        """
        starts = range(self.rank * batch_size, count, self.size * batch_size)
        rounds = range(0, count, self.size * batch_size)
        return [
            Slice(start, min(start + batch_size, count), min(self.size * batch_size, count - first))
            for first, start in zip(rounds, starts, strict=False)  # the last round may be over before this process
        ]


WHOLE = Part()
