"""Matching of easy and hard sets: of pairs of models, of two moments of one model, and with outside scores.

`easiness.analysis.matching.comparing` says what a row means, and what its interval is for. Nothing depends on the
order of the models or of their trials.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from easiness.analysis.matching.comparing import Match, compare
from easiness.analysis.matching.resampling import KINDS, branch, count_shared, packed_rows, trial_seed
from easiness.analysis.matching.sides import (
    CUT,
    SCOPES,
    MatchOptions,
    ScoredModel,
    Side,
    averages,
    make_frame,
    model_side,
    observed,
)
from easiness.analysis.scores import check_scores, easiness

DEFAULTS = MatchOptions()


def match_pairs(models: Sequence[ScoredModel], labels_N: ArrayLike, options: MatchOptions = DEFAULTS) -> list[Match]:
    """Match the easy and hard sets of every pair of models at every moment both have.

    Models have different names and the same N examples in the same order. Moments pair by their index: the first
    epoch of one with the first of the other, whatever the updates. Rows come by epoch, scope, pair and set.
    """
    models = sorted(models, key=lambda model: model.name)
    names = [model.name for model in models]
    if len(models) < 2:
        raise ValueError(f"matching needs at least two models, got {names}; score another one")
    if len(set(names)) < len(names):
        raise ValueError(f"models must have different names to be told apart, got {names}")
    frame = make_frame(models, labels_N, options)
    seeds = {model.name: trial_seed(model.losses, options.seed) for model in models}
    matches = []
    for moment in range(sorted(len(model.updates) for model in models)[-2]):
        present = [model for model in models if moment < len(model.updates)]
        means = averages([(model, moment, seeds[model.name]) for model in present], options)
        for scope in options.scopes:
            sides = [
                model_side(model, moment, mean, scope, seeds[model.name], frame)
                for model, mean in zip(present, means, strict=True)
            ]
            for a, b in combinations(sides, 2):
                degrees = 2 * (min(a.trials, b.trials) - 1)
                matches += compare(a, b, moment + 1, scope, degrees, frame)
    return matches


def match_moments(model: ScoredModel, labels_N: ArrayLike, options: MatchOptions = DEFAULTS) -> list[Match]:
    """Match one model's sets at its first and its last moment; rows come by scope and set.

    Both sides come from the same trials, which are reweighted together.

    >>> losses_MN = np.random.default_rng(0).random((3, 100), dtype=np.float32)
    >>> model = ScoredModel("one", (100, 200), [losses_MN, -losses_MN])
    >>> [row.rate for row in match_moments(model, np.zeros(100, int))]
    [0.0, 0.0, 0.0, 0.0]
    """
    frame = make_frame([model], labels_N, options)
    moments = (0, len(model.updates) - 1)
    seeds = trial_seed(model.losses, options.seed)
    means = averages([(model, moment, seeds) for moment in moments], options)
    matches = []
    for scope in options.scopes:
        a, b = (
            model_side(model, moment, average, scope, seeds, frame)
            for moment, average in zip(moments, means, strict=True)
        )
        matches += compare(a, b, 1, scope, model.trials - 1, frame)
    return matches


def match_external(
    model: ScoredModel,
    scores_N: ArrayLike,
    labels_N: ArrayLike,
    *,
    name: str,
    higher_is_easier: bool,
    options: MatchOptions = DEFAULTS,
) -> list[Match]:
    """Match one model's sets at every moment with the sets cut from scores made elsewhere, in the same order.

    The outside scores, called `name`, are side b and taken as exact: the interval speaks of the model's trials alone,
    and the ceiling counts the model's noise alone. `higher_is_easier` is False for losses, EL2N, forgetting counts.
    Rows come by epoch, scope and set; ``updates_b`` is -1 and ``trials_b`` 0.
    """
    frame = make_frame([model], labels_N, options)
    scores_N = np.asarray(scores_N)
    if scores_N.shape != (model.examples,):
        raise ValueError(f"{name} has scores of shape {scores_N.shape}, but {model.name} has {model.examples} examples")
    hardness_N = check_scores(-scores_N if higher_is_easier else scores_N)
    _, ties = trial_seed([hardness_N[None]], options.seed)
    seeds = trial_seed(model.losses, options.seed)
    ranks_N = scipy.stats.rankdata(hardness_N)
    matches = []
    for moment in range(len(model.updates)):
        [average] = averages([(model, moment, seeds)], options)
        for scope in options.scopes:
            a = model_side(model, moment, average, scope, seeds, frame)
            rows, bits = observed(hardness_N, scope, branch(ties, SCOPES.index(scope)), frame)
            resampled = {kind: bits[kind][None] for kind in KINDS}
            b = Side(name, -1, 0, ranks_N, rows, bits, resampled, dict.fromkeys(KINDS, 1.0))
            matches += compare(a, b, moment + 1, scope, a.trials - 1, frame)
    return matches


def moment_overlaps(
    model: ScoredModel,
    kind: Literal["easy", "hard"],
    *,
    fraction: float = 0.1,
    labels_N: ArrayLike | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Overlap of one model's sets at any two moments: (T, T), symmetric, 1 on the diagonal.

    With labels, the fraction is taken from every class. The seed breaks ties.

    >>> losses_MN = np.random.default_rng(0).random((3, 100), dtype=np.float32)
    >>> moment_overlaps(ScoredModel("one", (100, 200), [losses_MN, -losses_MN]), "easy")
    array([[1., 0.],
           [0., 1.]])
    """
    _, source = trial_seed(model.losses, seed)
    bits = []
    for moment, losses_MN in enumerate(model.losses):
        ties = int(branch(source, moment).generate_state(1)[0])
        rows = CUT[kind](easiness(losses_MN), fraction, seed=ties, labels_N=labels_N)
        bits.append(packed_rows(rows, model.examples))
    bits_TB = np.stack(bits)
    return np.stack([count_shared(bits_B, bits_TB) for bits_B in bits_TB]) / len(rows)
