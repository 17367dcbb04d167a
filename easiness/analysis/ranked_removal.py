"""Removal by rank, without weights: `offset` and `coverage`, which the literature describes by what is *kept*.

Both first remove the hardest share `offset` of the examples, where wrong labels and outliers gather, or all that is to
be removed, if that is less. Of the rest,

offset
    *keeps* the hardest, and so removes the easiest: a window of scores that ends below the hardest share (Paul et al.,
    "Deep Learning on a Data Diet", 2021). With an offset of 0 it removes the easiest, in the order of their scores.
coverage
    *keeps* equally many of each of `STRATA` strata, which divide the range of the remaining scores evenly, or all of a
    smaller one, drawn at random; so crowded strata lose most, which are mostly the easy ones (Zheng et al.,
    "Coverage-centric Coreset Selection for High Pruning Rates", 2023; the share is their β).

The smaller of two removals lies inside the larger.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ranked = Literal["offset", "coverage"]

STRATA = 50


def ranked_removal(
    strategy: Ranked, scores_N: NDArray, count: int, offset: float, keys_N: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Rows that a strategy removes, `count` of them, by scores of which higher = harder.

    Of equal scores, and within a stratum, those with the highest of the random `keys_N` go first. `offset` is the share
    of these N examples, in [0, 1), that goes first.

    >>> ranked_removal("offset", np.arange(10.0), 4, 0.1, np.zeros(10)).tolist()
    [9, 0, 1, 2]
    >>> sorted(ranked_removal("coverage", np.array([0, 0, 0, 0, 1, 9, 9.5]), 3, 0.0, np.arange(7.0)).tolist())
    [1, 2, 3]
    """
    by_hardness = np.lexsort((keys_N, scores_N))[::-1]
    hardest, rest = np.split(by_hardness, [min(int(round(offset * len(scores_N), 9)), count)])
    count -= len(hardest)
    if strategy == "offset":
        easiest_first = rest[np.lexsort((-keys_N[rest], scores_N[rest]))]
        return np.concatenate([hardest, easiest_first[:count]])
    strata_n = strata(scores_N[rest])
    kept = budgets(np.bincount(strata_n, minlength=STRATA), len(rest) - count)
    # Place of every example in the random order of its stratum.
    order = np.lexsort((keys_N[rest], strata_n))
    starts = np.searchsorted(strata_n[order], np.arange(STRATA))
    place_n = np.empty(len(rest), np.int64)
    place_n[order] = np.arange(len(rest)) - starts[strata_n[order]]
    return np.concatenate([hardest, rest[place_n >= kept[strata_n]]])


def strata(scores_n: NDArray) -> NDArray[np.int64]:
    """Stratum of every score, 0 to `STRATA` - 1, of equal width from the lowest to the highest."""
    low, high = scores_n.min(), scores_n.max()
    if low == high:
        return np.zeros(len(scores_n), np.int64)
    return np.minimum((scores_n - low) / (high - low) * STRATA, STRATA - 1).astype(np.int64)


def budgets(sizes_S: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Examples that each stratum keeps, `total` of all: an equal part of what is left, the smallest strata first.

    >>> budgets(np.array([10, 2, 0, 5]), 9)
    array([4, 2, 0, 3])
    """
    kept_S = np.zeros(len(sizes_S), np.int64)
    for place, stratum in enumerate(np.argsort(sizes_S, kind="stable")):
        kept_S[stratum] = min(sizes_S[stratum], total // (len(sizes_S) - place))
        total -= kept_S[stratum]
    return kept_S
