"""Comparison of two sides: one rate of overlap, and what it takes to judge it.

Every rate comes with what it takes to judge it: what chance gives, and how often it gives as much; how far fresh
trials would move the rate; and what noise would leave of perfect agreement.

**What the interval is for.** The rate of two models depends on the number of trials behind each side: more
trials, less noise, more overlap. `low` to `high` covers, in 95 % of repetitions, the rate that fresh trials
*in the same numbers* give on average, on these examples. It says nothing about the rate of endless trials, which is
higher.

**How it is made.** The rate is taken again with half of the trials of each side, many times
(`resampling.half_samples`), and the spread of these rates is put around the observed rate: rate ± t · sd, with
M − 1 degrees of freedom a side. Percentiles of the rates of halves would be wrong: halves are noisier, so their rates
lie lower than the rate whose spread they measure.

**What luck gives.** Unrelated rankings share as many members as random sets with the same class mix, however noisy the
trials are, and this number varies with the examples. `chance_p` knows that; the interval, which is about these
examples, does not.

`easiness.benchmarks.calibration` measures how often the interval covers, how wide it is, how often unrelated rankings
are taken for shared ones, and the bias of the ceiling.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from easiness.analysis.matching.ceilings import joint_ceiling
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
    chance_p: float  # probability that random sets with the class mix of A and of B share as much
    corrected: float  # (rate − c) / (1 − c) with c = `chance_given_classes`
    low: float  # 95 % interval of the rate, see the module; NaN where a side has one trial only
    high: float
    # What noise would leave of perfect agreement: the expected overlap of one model's M trials with M fresh ones, see
    # `ceilings`; of two sides with noise of their own, see `joint_ceiling`. An estimate, so that a rate may lie above
    # it by luck. NaN as `low`; an outside score has no noise.
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
        shared = int(count_shared(a.bits[kind], b.bits[kind])[0])
        rate = shared / size
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
                chance_p=chance_to_share(shared, size * random_given_classes.mean, size * random_given_classes.sd),
                corrected=corrected(rate, random_given_classes.mean),
                low=low,
                high=high,
                ceiling=joint_ceiling(a.ceiling[kind], b.ceiling[kind], frame.options.fraction),
                rank_correlation=correlation,
                trials_a=a.trials,
                trials_b=b.trials,
                n=count,
            )
        )
    return matches


def chance_to_share(shared: int, mean: float, sd: float) -> float:
    """Probability that random sets, drawn from every class as `sets.chance_given_classes` says, share so many or more.

    Mean and standard deviation are those of the number shared. That number is distributed as a sum of independent
    draws of yes or no, which is close to a binomial variable of the same mean and variance (here within 0.001).

    Two random sets of 50 out of 1,000 share six or more with probability 0.0338 (hypergeometric):

    >>> round(chance_to_share(6, 2.5, 1.5028), 4)
    0.0337
    """
    yes = 1 - sd**2 / mean if mean else 0.0
    if not 1e-9 < yes < 1 - 1e-9:  # nothing is left to luck
        return float(shared <= mean + 1e-6)
    draws = mean / yes
    return 1.0 if shared <= 0 else float(scipy.special.betainc(shared, max(draws - shared + 1, 1e-9), yes))
