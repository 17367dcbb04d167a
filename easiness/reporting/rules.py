"""Rules of all verdicts in one table: what is claimed, when it holds, and how often the rule errs.

The error rates are measured by ``python -m easiness.benchmarks.calibration verdicts``, which judges drawn data as a
report judges real ones; docs/calibration.md has all of its lines, and a test holds the two equal.
"""

from dataclasses import dataclass

from easiness.runs.match.verdict import LITTLE

# Share of what could stay in a set, from which on the set counts as the same.
SAME = 0.9
# "Hard examples contribute more" is judged up to this ratio: beyond, the paper itself says that easy collapses.
MODERATE = 0.5
# From this ratio on, very many examples are removed.
MANY = 0.5
# One step of stepwise: up to it, stepwise is easy.
STEP = 0.1


@dataclass(frozen=True)
class Rule:
    """Rule of a claim, and its error rates as shares of simulated cases.

    `false` is how often the claim is said to hold where there is `nothing`; `found`, where there is the `effect`.
    """

    claim: str
    place: str  # of the claim in the paper
    text: str
    nothing: str
    false: float
    effect: str
    found: float

    @property
    def rates(self) -> str:
        """Error rates as a sentence."""
        return (
            f"In simulations the claim is said to hold in {100 * self.false:.1f} % of cases at most "
            f"(shapes of losses counted together) with {self.nothing}, and in {100 * self.found:.0f} % with "
            f"{self.effect}."
        )


_BY_SEED = (
    "Accuracies are paired by seed, and every ratio has a one-sided t-test at 2.5 %, with Holm's correction over the "
    "ratios. Holds where some ratio shows it and none the reverse; does not hold where some ratio shows the reverse "
    "and none shows it."
)
_NO_EFFECT = "arms of equal worth"
_POINT = "arms that are one point apart, five seeds, and half a point of luck in each arm"

RULES = {
    "shared": Rule(
        "{Kind} examples are shared across architectures",
        "Fig. 3",
        "Holds where, for every pair of models, at every scored moment and for sets cut from all images as well as "
        "from every class, unrelated rankings with the same class mix would share as much in at most 2.5 % of cases, "
        "and the 95 % interval over trials lies above what luck and class mix give. Does not hold where, at the last "
        f"moment that all pairs have, some pair shares less than {LITTLE:g} of what could be shared beyond luck "
        "(one-sided t-test at 2.5 %, Holm's correction over pairs and cuts).",
        "unrelated rankings",
        0.003,
        "true difficulties that correlate by 0.5, and four trials of 1,000 examples",
        0.99,
    ),
    "changing": Rule(
        "{Kind} examples change during {length}",
        "Table 1",
        "Holds where, for every model, first and last set share less than noise leaves of equal ones. That is the "
        "ceiling: what the sets of so many trials share with those of as many fresh ones, at both moments' noise. Less "
        "means by more than √2 times half of the rate's 95 % interval, as the ceiling is an estimate, too. Does not "
        f"hold where, for some model, more than {SAME:g} of what could stay has stayed, by the same margin (Holm's "
        "correction over models). The claim is about a whole training, or its name says about which part.",
        "unchanged sets of which the noise changes",
        0.017,
        "true difficulties that correlate by 0.8, and four trials of 1,000 examples",
        0.38,
    ),
    "diverse": Rule(
        "Easy examples look alike, hard ones are diverse",
        "Fig. 2",
        "Diversity is one less the mean correlation of two images, which contrast and brightness do not move. Every "
        "class counts, and every model has random sets of its own. Holds where, for every model and on average over "
        "classes, hard sets are more diverse than random ones and random ones than easy ones (one-sided t-tests at "
        "2.5 %, all of which must say so), and no class alone shows the reverse (Holm's correction over classes). Does "
        "not hold where some average shows the reverse (Holm's correction over models).",
        "sets that differ in nothing, in contrast alone, or in one of the two steps alone",
        0.023,
        "likeness of images 0.05 apart at each step, three classes, 50 images a set",
        0.999,
    ),
    "hard": Rule(
        "Hard examples contribute more to generalization than easy ones",
        "Fig. 4a",
        f"Looks at ratios up to {100 * MODERATE:g} %. A ratio shows it where removing hard examples leaves less than "
        "removing random ones, and less than removing easy ones; and the reverse where it leaves more than either. "
        f"{_BY_SEED}",
        f"{_NO_EFFECT}, or hard ones worth more than random ones alone",
        0.025,
        _POINT,
        0.473,
    ),
    "many": Rule(
        "Removing very many easy examples hurts",
        "Fig. 4a",
        f"Looks at ratios of {100 * MANY:g} % and more. A ratio shows it where removing easy examples leaves less than "
        f"removing random ones. {_BY_SEED}",
        _NO_EFFECT,
        0.027,
        _POINT,
        0.768,
    ),
    "stepwise_easy": Rule(
        "Stepwise beats removing easy examples in one shot",
        "Fig. 4a",
        f"Looks at ratios above {100 * STEP:g} %, which is one step. A ratio shows it where stepwise leaves more than "
        f"easy. {_BY_SEED}",
        _NO_EFFECT,
        0.023,
        _POINT,
        0.785,
    ),
    "stepwise_random": Rule(
        "Stepwise beats random",
        "Fig. 4",
        f"A ratio shows it where stepwise leaves more than random. {_BY_SEED}",
        _NO_EFFECT,
        0.025,
        _POINT,
        0.802,
    ),
}
