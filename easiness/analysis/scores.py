"""Scores of every example, with the ranks, correlations, areas and deciles that are made of them.

Easiness is the mean cross-entropy over independent trials: **lower = easier**. It is computed from the losses of one
moment of training, ``losses_MN`` (M trials, N examples); callers loop over moments. The other `SCORES` are made in the
same way of other measures of the same trials, and **higher = harder in all of them**. Arrays may be memory-mapped: no
function makes a float64 copy of the whole.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

DECILES = 10


@dataclass(frozen=True)
class Score:
    """A score of examples, **higher = harder**: the mean over trials of what `trial_scores` makes of a measure."""

    name: str  # as `score_by` takes it
    title: str  # in sentences and titles
    meaning: str  # what it is, with the unit
    measure: str  # array of a trial that it is made of
    unit: str = ""  # behind a number; empty for counts and shares
    signed: bool = False  # may be negative
    cumulative: bool = False  # made of all scored moments up to one, not of that one alone
    held_out: bool = False  # of the trials that did not train on an example

    @property
    def column(self) -> str:
        """Column of the table of scores."""
        return "heldout_loss" if self.held_out else self.name

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return f"{self.title} ({self.meaning}) · lower = easier"

    @property
    def by(self) -> str:
        """Words that a title adds where it is not easiness.

        >>> SCORES["easiness"].by, SCORES["el2n"].by
        ('', ', by EL2N')
        """
        return "" if self.name == EASINESS else f", by {self.title}"


EASINESS = "easiness"
# docs/scores.md says where each comes from, and when to use it.
SCORES = {
    score.name: score
    for score in (
        Score(EASINESS, "easiness", "mean cross-entropy, nats", "losses", unit="nats"),
        Score("el2n", "EL2N", "mean norm of the error, 0 to √2", "el2n"),
        Score("aum", "AUM", "mean margin of the logits, sign turned", "margin", signed=True, cumulative=True),
        Score("forgetting", "forgetting", "mean number of forgetting events", "correct", cumulative=True),
        Score("heldout", "held-out loss", "mean cross-entropy, nats", "losses", unit="nats", held_out=True),
    )
}
# Scores that every run has, beside easiness.
OTHER_SCORES = ("el2n", "aum", "forgetting")


def trial_scores(name: str, measure_TMN: Iterable[NDArray]) -> Iterator[NDArray]:
    """Score (M, N) of every trial after each scored moment, from the (M, N) of its measure; higher = harder.

    easiness, heldout
        The loss at that moment.
    el2n
        Norm of (softmax − one-hot label) at that moment (Paul et al. 2021).
    aum
        *Minus* the margin, label's logit less the greatest other, averaged over all moments up to that one (Pleiss et
        al. 2020, where lower = harder; the sign is turned).
    forgetting
        How many of the moments up to that one found a right answer lost since the one before (Toneva et al. 2019). An
        example that was never right counts one for each moment, more than anyone can lose: as in their code, where it
        gets the number of epochs.

    With a single moment, AUM is minus its margin, and forgetting 0 where it was right and 1 where it was wrong.

    >>> correct_TMN = np.array([[[1, 0]], [[0, 0]], [[1, 0]], [[0, 0]]])
    >>> [forgotten_MN.astype(int).tolist() for forgotten_MN in trial_scores("forgetting", correct_TMN)]
    [[[0, 1]], [[1, 2]], [[1, 3]], [[2, 4]]]
    """
    if name == "aum":
        return _areas(measure_TMN)
    return _forgetting(measure_TMN) if name == "forgetting" else iter(measure_TMN)


def _areas(margin_TMN: Iterable[NDArray]) -> Iterator[NDArray]:
    total_MN = 0.0
    for count, margin_MN in enumerate(margin_TMN, 1):
        total_MN = total_MN + margin_MN
        yield -total_MN / np.float32(count)


def _forgetting(correct_TMN: Iterable[NDArray]) -> Iterator[NDArray]:
    before_MN = ever_MN = np.False_
    events_MN = np.float32(0)
    for count, correct_MN in enumerate(correct_TMN, 1):
        right_MN = np.asarray(correct_MN) > 0
        events_MN = events_MN + (before_MN & ~right_MN)
        before_MN, ever_MN = right_MN, ever_MN | right_MN
        yield np.where(ever_MN, events_MN, np.float32(count))


def easiness(losses_MN: NDArray) -> NDArray[np.float64]:
    """Mean loss of every example over the trials, in nats. Lower = easier.

    The last bit may depend on the order of the trials. Losses that are not finite raise a ValueError that names
    trial and number of examples: a diverged trial is never averaged in.

    >>> easiness(np.array([[0.0, 2.0], [1.0, 4.0]]))
    array([0.5, 3. ])
    """
    losses_MN = np.asanyarray(losses_MN)
    if losses_MN.ndim != 2 or 0 in losses_MN.shape:
        raise ValueError(f"losses must be (trials, examples), both at least 1, got shape {losses_MN.shape}")
    if losses_MN.dtype.kind not in "fiu":
        raise ValueError(f"losses must be real numbers, got dtype {losses_MN.dtype}")
    total_N = np.zeros(losses_MN.shape[1])
    with np.errstate(invalid="ignore"):  # inf − inf; the total tells
        for losses_N in losses_MN:
            total_N += losses_N
    # Sums of float32 in float64 cannot overflow, so a bad value anywhere leaves a bad total.
    if not np.isfinite(total_N).all():
        bad_M = np.array([losses_N.size - np.isfinite(losses_N).sum() for losses_N in losses_MN])
        trials = ", ".join(f"trial {m}: {bad_M[m]} of {losses_MN.shape[1]} examples" for m in np.flatnonzero(bad_M))
        raise ValueError(f"losses are not finite ({trials}); drop the diverged trial or run it again")
    return total_N / len(losses_MN)


def rank_correlation(a_N: ArrayLike, b_N: ArrayLike) -> float:
    """Spearman's rank correlation of two finite scores of the same examples, in [-1, 1].

    Ties get average ranks. NaN where one side is constant, since it then ranks nothing.

    >>> rank_correlation([0.1, 0.2, 0.9], [3, 2, 1])
    -1.0
    """
    a_N, b_N = check_scores(a_N), check_scores(b_N)
    if len(a_N) != len(b_N):
        raise ValueError(f"scores of {len(a_N)} and {len(b_N)} examples cannot be paired; score the same data")
    if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:
        return math.nan
    return float(scipy.stats.spearmanr(a_N, b_N).statistic)


def roc_auc(scores_N: ArrayLike, positive_N: ArrayLike) -> float:
    """Chance that a positive example scores higher than a negative one, in [0, 1]; a tie counts half.

    Higher scores = more likely positive: easiness is such a score for *hard* positives.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    from sklearn.metrics import roc_auc_score  # takes a second, which callers without positives do not wait for

    scores_N, positive_N = check_scores(scores_N), np.asarray(positive_N, dtype=bool)
    if positive_N.shape != scores_N.shape:
        raise ValueError(f"scores {scores_N.shape} and positives {positive_N.shape} must have the same shape")
    positives = int(positive_N.sum())
    if not 0 < positives < len(scores_N):
        raise ValueError(f"needs examples of both kinds, got {positives} positive of {len(scores_N)} in all")
    return float(roc_auc_score(positive_N, scores_N))


def deciles(easiness_N: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """Difficulty decile of every example: 0 = easiest tenth … 9 = hardest tenth, sizes differing by at most 1.

    The seed breaks ties, in the same order as `easiness.analysis.sets.easiest`.

    >>> deciles(np.linspace(1.0, 0.0, 10))
    array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    """
    easiness_N = check_scores(easiness_N)
    count = len(easiness_N)
    decile_N = np.empty(count, dtype=np.int64)
    decile_N[np.lexsort((tie_keys(count, seed), easiness_N))] = np.arange(count) * DECILES // count
    return decile_N


def tie_keys(count: int, seed: int) -> NDArray[np.float64]:
    """Random keys that order tied examples, one for each of `count` rows."""
    # One order for every cut: sets cut from the two ends of the same scores never share a tied example.
    return np.random.default_rng(seed).random(count)


def check_scores(values_N: ArrayLike) -> NDArray:
    """Return scores as an array; refuse what is not one finite number for each example."""
    values_N = np.asarray(values_N)
    if values_N.ndim != 1 or len(values_N) == 0:
        raise ValueError(f"scores must be one number for each example, got shape {values_N.shape}")
    bad = len(values_N) - int(np.isfinite(values_N).sum())
    if bad:
        raise ValueError(f"{bad} of {len(values_N)} scores are not finite; drop or repair them first")
    return values_N
