"""Comparison of two sides: one rate of overlap, and what it takes to judge it.

Every rate comes with four companions: what chance gives, what chance gives once the class mix of both sets is
known, how far fresh trials would move the rate, and how well one model's trials match each other.

**What the interval is for.** The rate of two models depends on the number of trials behind each side: more
trials, less noise, more overlap. `low` to `high` covers, in 95 % of repetitions, the rate that fresh trials
*in the same numbers* give on average. It says nothing about the rate of endless trials, which is higher.

**How it is made.** The trials of both sides are reweighted at random (`resampling.spread_weights`) and the
spread of the rates so obtained is put around the observed rate: rate ± t · sd. Percentiles of the resampled
rates would be wrong: a reweighted mean carries the noise of its trials twice, so resampled rates lie lower than
the rate whose spread they measure. The degrees of freedom behind t (`freedom`) are M − 1 a side, as for any mean,
but more for few trials, where the rate bends enough to show more of the noise than a linear function would; the
rule was chosen by simulation, to cover in 92 to 98 % of draws, with and without swings of whole classes between
trials.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from easiness.analysis.matching.resampling import KINDS, count_shared
from easiness.analysis.matching.sides import Frame, Scope, Side
from easiness.analysis.sets import chance, chance_given_classes, corrected

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Match:
    """Overlap of two sets of examples, with everything needed to judge it. All rates are in [0, 1]."""

    a: str  # the two sides; two models in the order of their names
    b: str
    updates_a: int  # moments; -1 for an outside score
    updates_b: int
    epoch: int  # index of the scored moment from 1 (of side a, within one model)
    set: str  # "easy" or "hard"
    scope: Scope  # whether the fraction is taken from all examples or from every class
    rate: float  # shared members over the size of the larger set
    chance: float  # overlap of random sets of these sizes
    chance_sd: float
    chance_given_classes: float  # overlap of random sets with the class mix of A and of B
    chance_given_classes_sd: float
    corrected: float  # (rate − c) / (1 − c) with c = `chance_given_classes`
    low: float  # 95 % interval of the rate, see the module; NaN where a side has one trial only
    high: float
    # Overlap of two disjoint halves of one model's trials, averaged over cuts; geometric mean of the two sides, as the
    # noise of each lowers the rate by a factor. A half has half the trials and so more noise than the sets of the
    # rate, which can rise above it: a cautious yardstick, not a bound. NaN as `low`; an outside score has no noise.
    ceiling: float
    rank_correlation: float  # Spearman's, of the two sides' easiness; NaN where one is constant
    trials_a: int  # 0 for an outside score
    trials_b: int
    n: int  # number of examples

    @property
    def corrected_interval(self) -> tuple[float, float]:
        """Interval of `corrected`, with the chance level taken as exact."""
        return corrected(self.low, self.chance_given_classes), corrected(self.high, self.chance_given_classes)


def compare(a: Side, b: Side, epoch: int, scope: Scope, degrees: int, frame: Frame) -> list[Match]:
    """Compare two sides, for easy and for hard; `degrees` of freedom are those of the reweighted trials."""
    with np.errstate(invalid="ignore"):  # ranks that are all the same: NaN
        correlation = float(np.corrcoef(a.ranks_N, b.ranks_N)[0, 1])
    matches = []
    for kind in KINDS:
        size, count = len(a.rows[kind]), len(a.ranks_N)
        rate = float(count_shared(a.bits[kind], b.bits[kind])[0] / size)
        random = chance(size, size, count)
        random_given_classes = chance_given_classes(a.rows[kind], b.rows[kind], frame.labels_N)
        low = high = math.nan
        if a.resampled is not None and b.resampled is not None:
            spread = float(count_shared(a.resampled[kind], b.resampled[kind]).std(ddof=1) / size)
            reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * spread
            low, high = max(0.0, rate - reach), min(1.0, rate + reach)
        matches.append(
            Match(
                a=a.name,
                b=b.name,
                updates_a=a.updates,
                updates_b=b.updates,
                epoch=epoch,
                set=kind,
                scope=scope,
                rate=rate,
                chance=random.mean,
                chance_sd=random.sd,
                chance_given_classes=random_given_classes.mean,
                chance_given_classes_sd=random_given_classes.sd,
                corrected=corrected(rate, random_given_classes.mean),
                low=low,
                high=high,
                ceiling=math.sqrt(a.ceiling[kind] * b.ceiling[kind]),
                rank_correlation=correlation,
                trials_a=a.trials,
                trials_b=b.trials,
                n=count,
            )
        )
    return matches


def freedom(trials: int) -> int:
    """Degrees of freedom that one side's trials give the spread of a rate; of two sides the poorer decides for both.

    >>> [freedom(trials) for trials in (2, 3, 4, 7, 10)]
    [1, 3, 6, 6, 9]
    """
    # As many as there are pairs of trials, up to six; M − 1 where that is more.
    return min(trials * (trials - 1) // 2, max(6, trials - 1))
