"""Examples to remove by their easiness, and what a removal really took.

A removal is a weighted draw without replacement. The strategy says which end goes first, the weighting how
strongly. With e an example's easiness (lower = easier) and ranks from 1 = easiest, the weights are

========  ===========  ============  ===========
strategy  ``inverse``  ``rank``      ``reflect``
========  ===========  ============  ===========
easy      1 / e        N + 1 - rank  max(e) - e
hard      e            rank          e
random    1            1             1
========  ===========  ============  ===========

The weighting decides the result: on published CIFAR-10 scores (EL2N), at ratio 0.3, ``inverse`` takes nearly
all of the easiest decile, ``rank`` half of it and ``reflect`` hardly more than chance. So show
`removed_shares` with every arm.

Two more strategies go by rank alone, without weights, see `easiness.analysis.ranked_removal`. Any score of which
higher = harder stands in the place of easiness; one that may be negative takes the weighting ``rank``.
"""

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.ranked_removal import Ranked, ranked_removal
from easiness.analysis.scores import DECILES, check_scores, deciles
from easiness.analysis.sets import check_labels, class_members, row_mask

Drawn = Literal["easy", "hard", "random"]
Strategy = Literal["easy", "hard", "random", "offset", "coverage"]
Weighting = Literal["inverse", "rank", "reflect"]
Seed = int | np.random.SeedSequence | np.random.Generator

# Share of the hardest that `offset` and `coverage` leave out first.
OFFSET = 0.05

# Nats: the resolution of a float32 loss near zero. Values below it differ by rounding: they weigh the same.
FLOOR = 2.0**-23


def removal_weights(easiness_N: ArrayLike, strategy: Drawn, weighting: Weighting = "inverse") -> NDArray[np.float64]:
    """Weight with which each example is drawn for removal, by the table at the top of this module.

    Positive, finite, not normalized; higher = sooner removed. Equal easiness, equal weight: tied examples share the
    mean of their ranks. Where e or max(e) - e is below `FLOOR` it counts as `FLOOR`, so that no weight is zero or
    infinite; under ``inverse`` easy and hard are reciprocal. Strategy hard has nothing to reflect: under ``reflect``
    it is as under ``inverse``.

    >>> removal_weights([0.5, 2.0, 0.25], "easy")
    array([2. , 0.5, 4. ])
    >>> removal_weights([0.5, 2.0, 0.25], "easy", "rank")
    array([2., 1., 3.])
    """
    easiness_N = check_scores(easiness_N).astype(np.float64, copy=False)
    for name, value, allowed in (("strategy", strategy, Drawn), ("weighting", weighting, Weighting)):
        if value not in get_args(allowed):
            raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(get_args(allowed))}")
    if strategy == "random":
        return np.ones(len(easiness_N))
    if weighting == "rank":
        rank_N = scipy.stats.rankdata(easiness_N)
        return rank_N if strategy == "hard" else len(easiness_N) + 1 - rank_N
    _refuse_negative(easiness_N, weighting)
    if strategy == "hard":
        return np.maximum(easiness_N, FLOOR)
    if weighting == "inverse":
        return 1 / np.maximum(easiness_N, FLOOR)
    return np.maximum(easiness_N.max() - easiness_N, FLOOR)


def draw_removed(
    easiness_N: ArrayLike,
    count: int,
    *,
    strategy: Strategy,
    weighting: Weighting = "inverse",
    seed: Seed,
    labels_N: ArrayLike | None = None,
    balanced: bool = False,
    offset: float = OFFSET,
) -> NDArray[np.int64]:
    """Draw the examples to remove, without replacement, with `removal_weights`, or take them by `ranked_removal`.

    One pass: the rows with the largest ``log(weight) + Gumbel noise`` have the distribution of one draw after
    another, each with the weights of what is left (Yellott 1977). The noise depends on the seed and N alone. So
    with one int seed all strategies share their luck, and, unless balanced, the smaller of two removals lies
    inside the larger. A seed that is a Generator is advanced. Easiness (lower = easier) is the mean loss or another
    score; rows are returned ascending, at most N - 1 of them. `offset` is the share of the hardest that the strategies
    offset and coverage remove first; they use the same noise where scores or strata leave a choice.

    If balanced, every class of `labels_N` loses the same share, to within one example: quotas by largest remainder,
    equal remainders in random order. Weights are those of the whole set, drawn from class by class; offset and strata
    are those of each class.

    >>> draw_removed([1e-6, 2.0, 2e-6, 3.0], 2, strategy="easy", seed=0)
    array([0, 2])
    """
    ranked = strategy in get_args(Ranked)
    scores_N = check_scores(easiness_N)
    weights_N = np.ones(len(scores_N)) if ranked else removal_weights(scores_N, strategy, weighting)
    n, count = len(weights_N), operator.index(count)
    if not 0 <= count < n:
        raise ValueError(f"cannot remove {count} of {n} examples; take 0 to {n - 1}")
    if balanced and labels_N is None:
        raise ValueError("balanced=True needs labels_N, the class of every example")
    rng = np.random.default_rng(seed)
    keys_N = np.log(weights_N) + rng.gumbel(size=n)

    def remove(rows: NDArray[np.int64], quota: int) -> NDArray[np.int64]:
        taken = ranked_removal(strategy, scores_N[rows], quota, offset, keys_N[rows]) if ranked else None
        return rows[_rows_of_largest(keys_N[rows], quota) if taken is None else taken]

    if not balanced:
        return np.sort(remove(np.arange(n), count))

    if np.shape(labels_N) != (n,):
        raise ValueError(f"labels {np.shape(labels_N)} and easiness {(n,)} must have the same shape")
    rows_by_class = class_members(np.unique(labels_N, return_inverse=True)[1])
    quotas_K = _class_quotas(np.array([len(rows) for rows in rows_by_class]), count, rng)
    return np.sort(np.concatenate(list(map(remove, rows_by_class, quotas_K))))


def removal_count(ratio: float, n: int) -> int:
    """Count of examples that an ablation ratio removes: round(ratio × n), a half to the even side.

    The ratio is read to twelve decimals, so that 3 * 0.1 and 0.3 are one ratio.

    >>> removal_count(0.3, 50_000)
    15000
    """
    if not 0 <= ratio < 1:  # also refuses NaN
        raise ValueError(f"ablation ratio {ratio} is not a share to remove; take 0 <= ratio < 1")
    if n < 1:
        raise ValueError(f"cannot remove a share of {n} examples; give a training set that holds some")
    count = round(round(ratio, 12) * n)
    if count >= n:
        raise ValueError(f"ablation ratio {ratio} removes all {n} examples; take a smaller ratio")
    return count


@dataclass(frozen=True)
class Step:
    """One step of a stepwise removal: how many of the original examples are gone before and after it."""

    before: int
    after: int


def stepwise_plan(ratios: Iterable[float], n: int, step: float = 0.1) -> list[Step]:
    """Plan the steps that reach every ratio exactly and share all that can be shared.

    The path removes `step` of the *original* size at a time, through the counts of 1, 2, 3 … steps, and is the same
    whatever is asked for; totals are rounded, so steps differ by at most 1. A ratio between two of these is a side
    branch: one smaller step that begins on the path, at the last count below the ratio, and that nothing follows.
    So 0.25 adds one step to a plan, from 0.2, and leaves 0.3 and all beyond as they were. Steps from one count share
    its scoring. Steps ascend in `after`, each count once; a ratio is reached by the step whose `after` is
    ``removal_count(ratio, n)``, and 0 needs no step.

    >>> [(step.before, step.after) for step in stepwise_plan([0.25, 0.4], 100)]
    [(0, 10), (10, 20), (20, 25), (20, 30), (30, 40)]
    """
    if not 0 < step < 1:
        raise ValueError(f"step {step} is not a share to remove at a time; take 0 < step < 1")
    wanted = {removal_count(ratio, n) for ratio in ratios} - {0}
    if step * n < 1:
        raise ValueError(f"step {step} of {n} examples is less than one example; take a larger step")
    last = max(wanted, default=0)
    path = [0]
    while path[-1] < last and len(path) * step < 1:
        path.append(round(round(len(path) * step, 12) * n))
    origins = {after: before for before, after in itertools.pairwise(path) if after <= last}
    for count in wanted - origins.keys():
        origins[count] = max(start for start in path if start < count)
    return [Step(before, after) for after, before in sorted(origins.items())]


def check_classes(
    labels_N: ArrayLike, removed: ArrayLike, class_names: Sequence[str], allow_empty: bool = False
) -> list[str]:
    """Refuse a removal that takes the last example of a class; with `allow_empty`, return the names of such classes.

    Labels are indices of `class_names`, before the removal; `removed` lists rows.
    """
    labels_N = check_labels(labels_N, len(class_names))
    removed_N = _removed_mask(removed, len(labels_N))
    before_K = np.bincount(labels_N, minlength=len(class_names))
    left_K = np.bincount(labels_N[~removed_N], minlength=len(class_names))
    emptied = [class_names[k] for k in np.flatnonzero((before_K > 0) & (left_K == 0))]
    if emptied and not allow_empty:
        shown = ", ".join(emptied[:8]) + (f" and {len(emptied) - 8} more" if len(emptied) > 8 else "")
        raise ValueError(
            f"removing {removed_N.sum()} of {len(labels_N)} examples leaves none of {len(emptied)} of "
            f"{len(class_names)} classes: {shown}; remove fewer, use balanced=True or allow empty classes"
        )
    return emptied


@dataclass(frozen=True, eq=False)
class RemovedShares:
    """Share that was removed of each difficulty decile and of each class, 0 to 1; NaN of none."""

    deciles: NDArray[np.float64]  # (10,) from the easiest tenth of the examples to the hardest
    classes: NDArray[np.float64]  # (K,)


def removed_shares(
    easiness_N: ArrayLike, labels_N: ArrayLike, removed: ArrayLike, *, num_classes: int, seed: int = 0
) -> RemovedShares:
    """Share of each difficulty decile and of each class that a removal took from the set with these scores.

    The seed breaks ties of easiness between deciles.
    """
    easiness_N = check_scores(easiness_N)
    labels_N = check_labels(labels_N, num_classes)
    if labels_N.shape != easiness_N.shape:
        raise ValueError(f"labels {labels_N.shape} and easiness {easiness_N.shape} must have the same shape")
    removed_N = _removed_mask(removed, len(easiness_N))
    return RemovedShares(
        deciles=_share_by_group(deciles(easiness_N, seed), removed_N, DECILES),
        classes=_share_by_group(labels_N, removed_N, num_classes),
    )


def _rows_of_largest(keys: NDArray, count: int) -> NDArray[np.int64]:
    if count == len(keys):
        return np.arange(count)
    return np.argpartition(-keys, count)[:count]


def _class_quotas(sizes_K: NDArray, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    # In integers: rounding would make equal remainders look different.
    quotas_K, remainders_K = np.divmod(sizes_K * count, sizes_K.sum())
    first_served_K = np.lexsort((rng.random(len(sizes_K)), -remainders_K))
    quotas_K[first_served_K[: count - quotas_K.sum()]] += 1
    return quotas_K


def _share_by_group(group_N: NDArray, removed_N: NDArray, groups: int) -> NDArray[np.float64]:
    sizes = np.bincount(group_N, minlength=groups)
    removed = np.bincount(group_N[removed_N], minlength=groups)
    return np.divide(removed, sizes, out=np.full(groups, math.nan), where=sizes > 0)


def _refuse_negative(easiness_N: NDArray[np.float64], weighting: str) -> None:
    bad = np.flatnonzero(easiness_N < 0)
    if bad.size:
        raise ValueError(
            f"{bad.size} of {easiness_N.size} scores are negative, first {easiness_N[bad[0]]} in row {bad[0]}, and "
            f"weighting is {weighting!r}, which needs scores of 0 or more, higher = harder; use weighting=rank"
        )


def _removed_mask(removed: ArrayLike, n: int) -> NDArray[np.bool_]:
    return row_mask(removed, n) if np.size(removed) else np.zeros(n, dtype=bool)
