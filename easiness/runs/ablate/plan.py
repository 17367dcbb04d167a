"""Plan of an ablation: strategies, ratios and seeds, and how the examples to remove are chosen."""

from dataclasses import dataclass
from typing import get_args

from easiness.analysis.ranked_removal import Ranked
from easiness.analysis.removal import OFFSET, Weighting, removal_count
from easiness.runs.checks import at_least, at_most, one_of, unused

STEPWISE = "stepwise"
# The paper's, and those that go by rank.
PAPERS = ("easy", "hard", "random", STEPWISE)
STRATEGIES = (*PAPERS, *get_args(Ranked))

# Each is a network for every strategy and ratio.
MOST_SEEDS = 1_000


@dataclass(frozen=True)
class Plan:
    """Examples that are removed, and trainings on the rest.

    Attributes
    ----------
    strategies : tuple of str
        easy, hard, random, stepwise: which examples go first; stepwise is easy, a tenth at a time, scored anew. offset,
        coverage: the hardest share `offset` goes first, then the easiest, or equally many stay of each level of
        difficulty.
    ratios : tuple of float
        Shares of the training set to remove; 0 is always measured, too.
    seeds : int
        Repetitions of every arm, each with its own initialization, order, augmentation and draw.
    weighting : str, optional
        How the score e becomes a weight of the draw: inverse (1/e for easy, e for hard), rank or reflect (max - e); if
        not given, inverse, or rank where e may be negative. Of easy, hard and stepwise.
    offset : float
        Share of the hardest that the strategies offset and coverage remove first.
    balanced : bool
        Every class loses the same share.
    allow_empty : bool
        Go on, with a warning, where a class loses its last example.
    equal_updates : bool
        Train smaller sets for more epochs, until the updates are those of the whole set, or nearly.
    equal_epochs : bool
        Let stepwise score what is left after as many epochs as the first score had; else after as many updates, rounded
        up to whole epochs.
    """

    strategies: tuple[str, ...] = PAPERS
    ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    seeds: int = 3
    weighting: str | None = None
    offset: float = OFFSET
    balanced: bool = False
    allow_empty: bool = False
    equal_updates: bool = False
    equal_epochs: bool = False

    def __post_init__(self) -> None:
        for strategy in self.strategies:
            one_of("strategies", strategy, STRATEGIES)
        if len(set(self.strategies)) < max(len(self.strategies), 1):
            given = ", ".join(self.strategies) or "empty"
            raise ValueError(f"strategies is {given}; give one or more of {', '.join(STRATEGIES)}, each once")
        if self.weighting is not None:
            one_of("weighting", self.weighting, get_args(Weighting))
        if not 0 <= self.offset < 1:
            raise ValueError(f"offset is {self.offset}, and must be a share from 0 to below 1")
        if not set(get_args(Ranked)) & set(self.strategies):
            given = None if self.offset == OFFSET else self.offset
            unused("offset", given, "only the strategies offset and coverage leave out the hardest first")
        at_least("seeds", self.seeds, 1)
        at_most("seeds", self.seeds, MOST_SEEDS)
        for ratio in self.ratios:
            if not 0 <= ratio < 1:
                raise ValueError(f"ratios has {ratio}, which is not a share to remove; take 0 <= ratio < 1")
        if not self.removing_ratios:
            raise ValueError("ratios has none above 0; give shares to remove, such as 0.1,0.3,0.5")
        if STEPWISE not in self.strategies:
            unused("equal_epochs", self.equal_epochs, "only stepwise scores anew, and strategies is without it")

    def check(self, count: int) -> None:
        """Refuse with a ValueError ratios that cannot be taken of `count` examples."""
        for ratio in self.ratios:
            if count - removal_count(ratio, count) < 2:
                raise ValueError(f"ratios has {ratio}, which leaves 1 of {count} examples; take a smaller ratio")

    @property
    def removing_ratios(self) -> list[float]:
        """Ratios above 0, ascending, each once."""
        return sorted({round(ratio, 12) for ratio in self.ratios} - {0.0})
