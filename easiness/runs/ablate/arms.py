"""Train on what is left after removing easy, hard or random examples, at once or step by step.

An *arm* is one training: a strategy, a ratio and a seed. All arms of one seed share initialization, order and
augmentation seeds, and the luck of the draw, so that they can be compared in pairs. Arms that keep the same examples
are one training: `easy` and `stepwise` are the same thing until the first step is done.
"""

import dataclasses
import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from easiness import tracking
from easiness.analysis.removal import Step, Strategy, check_classes, draw_removed, removal_count, stepwise_plan
from easiness.analysis.scores import easiness
from easiness.datasets import Dataset
from easiness.recipes.recipe import Recipe
from easiness.runs.tracked_trials import SharedData, TrackedTrial, names_with_model, tracked_jobs
from easiness.runs.trial_log import Job
from easiness.trials.training import updates_per_epoch

STEPWISE = "stepwise"
STEP = 0.1  # share of the original size that goes at a time
STRATEGIES = (*get_args(Strategy), STEPWISE)
NOTHING = "none"

# A mean over fewer networks is one network's opinion.
LEAST_TRIALS = 2

# Purposes of seeds that are spawned from the same one; trials have the short keys (0,), (1,), …
_DRAW, _RESCORE, _TRAIN = 1, 2, 3


@dataclass(frozen=True)
class Plan:
    """What is removed.

    Attributes
    ----------
    strategies : tuple of str
        Of `STRATEGIES`.
    ratios : tuple of float
        Shares of the training set to remove, 0 <= ratio < 1. Nothing removed (0) is always measured, too.
    seeds : int
        Repetitions of every arm.
    weighting, balanced, allow_empty
        As in `easiness.analysis.removal`: how easiness becomes a weight, whether every class loses the same share, and
        whether a class may lose its last example.
    equal_updates : bool
        Train for as many epochs as come nearest to the updates that nothing removed takes, instead of equal epochs.
    seed : int
        Of the draws.
    """

    strategies: tuple[str, ...] = STRATEGIES
    ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    seeds: int = 3
    weighting: str = "inverse"
    balanced: bool = False
    allow_empty: bool = False
    equal_updates: bool = False
    seed: int = 0

    def check(self, count: int) -> None:
        """Refuse what cannot be done with `count` examples.

        Raises
        ------
        ValueError
            No or an unknown strategy, no seed, a ratio outside [0, 1) or one that leaves fewer than two examples.
        """
        unknown = [strategy for strategy in self.strategies if strategy not in STRATEGIES]
        if unknown or not self.strategies:
            wrong = f"unknown strategy {unknown[0]!r}" if unknown else "no strategy"
            raise ValueError(f"{wrong}; choose from {', '.join(STRATEGIES)}")
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}, and must be at least 1")
        for ratio in self.ratios:
            if count - removal_count(ratio, count) < 2:
                raise ValueError(f"ablation ratio {ratio} leaves 1 of {count} examples; take a smaller ratio")
        if not self.removing_ratios:
            raise ValueError("no ratio above 0; give shares to remove, such as 0.1,0.3,0.5")

    @property
    def removing_ratios(self) -> list[float]:
        """Ratios above 0, ascending, each once."""
        return sorted({round(ratio, 12) for ratio in self.ratios} - {0.0})


@dataclass(frozen=True)
class Scoring:
    """How a score run scored, so that what is left can be scored in the same way.

    Attributes
    ----------
    recipe : Recipe
        Of the score run, with its number of trials.
    moment : int
        Updates after which easiness is taken.
    count : int
        Number of examples it scored.
    """

    recipe: Recipe
    moment: int
    count: int

    def of_rest(self, count: int, path: int) -> Recipe:
        """Recipe that scores `count` examples of one path, with seeds of their own.

        The moment comes after the same share of an epoch; training stops there, along the same schedule.
        """
        epochs = self.moment / updates_per_epoch(self.count, self.recipe.batch_size)
        per_epoch = updates_per_epoch(count, self.recipe.batch_size)
        moment = max(round(epochs * per_epoch), min(self.moment, 1))
        return dataclasses.replace(
            self.recipe,
            epochs=max(math.ceil(moment / per_epoch), 1),
            score_at=(moment,),
            seed=_spawned(self.recipe.seed, _RESCORE, path, count),
        )


@dataclass(frozen=True, eq=False)
class Arm:
    """One training of an ablation.

    Attributes
    ----------
    strategy : str
        Of `STRATEGIES`, or "none".
    ratio : float
        Share of the training set that is removed.
    seed : int
        Number of the repetition, from 0.
    kept : numpy.ndarray
        Rows of the training set that are left, ascending.
    """

    strategy: str
    ratio: float
    seed: int
    kept: np.ndarray

    @property
    def name(self) -> str:
        """What a person calls it."""
        what = "nothing removed" if self.strategy == NOTHING else f"{self.strategy} {100 * self.ratio:g} %"
        return f"{what}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class FinishedArm:
    """An arm on the tracking server.

    Attributes
    ----------
    arm : Arm
        What was trained on.
    trial : TrackedTrial
        Its run.
    epochs : list of dict
        Metrics of every epoch.
    correct : numpy.ndarray
        (N_val,) float32, 1 where the final network is right.
    """

    arm: Arm
    trial: TrackedTrial
    epochs: list[dict[str, float]]
    correct: np.ndarray


def run_ablation(
    plan: Plan,
    recipe: Recipe,
    train: Dataset,
    val: Dataset,
    easiness_N: np.ndarray,
    scoring: Scoring,
    *,
    run_id: str,
    device: torch.device,
    engine: str = "auto",
    address: str = "auto",
    log_models: str = "none",
) -> list[FinishedArm]:
    """Train all arms; what is on the tracking server is taken from there, what was cut off goes on.

    Arms and re-scoring trials of all strategies and seeds share one pool; all paths of `stepwise` take a step together.

    Parameters
    ----------
    plan : Plan
        What is removed.
    recipe : Recipe
        How every arm is trained; trial number s of it belongs to seed s.
    train, val : Dataset
        Training and validation set.
    easiness_N : numpy.ndarray
        (N,) mean loss in nats of the training examples; lower = easier.
    scoring : Scoring
        Where it came from; used by `stepwise`.
    run_id, device, engine, address, log_models
        As in `tracked_trials`.

    Returns
    -------
    list of FinishedArm
        By strategy (nothing removed first), ratio and seed.

    Raises
    ------
    ValueError
        A plan that cannot be carried out; a class left empty.
    DivergedError, TrackingError
        As `tracked_trials`.
    """
    plan.check(len(train))
    if STEPWISE in plan.strategies and scoring.recipe.trials < LEAST_TRIALS:
        raise ValueError(
            f"the score run has {scoring.recipe.trials} trial, and stepwise scores what is left with as many; score "
            f"with trials={LEAST_TRIALS} or more, or leave stepwise out of strategies"
        )
    steps = stepwise_plan(plan.removing_ratios, len(train), STEP) if STEPWISE in plan.strategies else []
    levels = sorted({step.before for step in steps}) or [0]
    paths = {seed: (np.arange(len(train)), np.asarray(easiness_N)) for seed in range(plan.seeds)}
    arms = _arms_at_once(plan, train, easiness_N)
    finished: list[FinishedArm] = []
    with SharedData(train, val) as data:
        for level, following in itertools.zip_longest(levels, levels[1:]):
            left = _take_steps(plan, train, paths, [step for step in steps if step.before == level])
            arms += _arms_of_steps(plan, len(train), left)
            rescoring = {
                seed: _scoring_jobs(scoring, rows, seed, len(train))
                for (seed, after), rows in left.items()
                if after == following
            }
            groups = _equal_arms(arms)
            training = [_arm_job(plan, recipe, len(train), group) for group in groups]
            jobs = [*itertools.chain(*rescoring.values()), *training]
            with_model = names_with_model(training, log_models)
            trials = tracked_jobs(
                jobs,
                data,
                run_id=run_id,
                device=device,
                engine=engine,
                address=address,
                with_model=with_model if following is None or log_models == "all" else (),
            )
            done = dict(zip(jobs, trials, strict=True))
            for group, job in zip(groups, training, strict=True):
                validation = tracking.read_validation(done[job].run_id)
                finished += [FinishedArm(arm, done[job], *validation) for arm in group]
            for seed, scored in rescoring.items():
                updates, rows = scored[0].recipe.score_at, scored[0].rows
                run_ids = [done[job].run_id for job in scored]
                (losses_MN,) = tracking.read_trials(run_ids, "losses", updates, train.fingerprint_of(rows))
                paths[seed] = rows, easiness(losses_MN)
            arms = []
    order = {strategy: place for place, strategy in enumerate((NOTHING, *plan.strategies))}
    return sorted(finished, key=lambda each: (order[each.arm.strategy], each.arm.ratio, each.arm.seed))


def _arms_at_once(plan: Plan, train: Dataset, easiness_N: np.ndarray) -> list[Arm]:
    """Arms that need no further scoring: nothing removed, and every strategy but stepwise."""
    everything = np.arange(len(train))
    arms = [Arm(NOTHING, 0.0, seed, everything) for seed in range(plan.seeds)]
    for strategy in plan.strategies:
        if strategy == STEPWISE:
            continue
        for ratio in plan.removing_ratios:
            count = removal_count(ratio, len(train))
            for seed in range(plan.seeds):
                kept = _left(plan, train, everything, easiness_N, strategy, seed, count)
                arms.append(Arm(strategy, ratio, seed, kept))
    return arms


def _take_steps(
    plan: Plan, train: Dataset, paths: dict[int, tuple[np.ndarray, np.ndarray]], steps: Sequence[Step]
) -> dict[tuple[int, int], np.ndarray]:
    """Rows that are left by seed and number of removed examples, after steps from where the paths are."""
    return {
        (seed, step.after): _left(plan, train, rows, scores, "easy", seed, step.after - step.before)
        for seed, (rows, scores) in paths.items()
        for step in steps
    }


def _arms_of_steps(plan: Plan, count: int, left: dict[tuple[int, int], np.ndarray]) -> list[Arm]:
    return [
        Arm(STEPWISE, ratio, seed, rows)
        for (seed, after), rows in left.items()
        for ratio in plan.removing_ratios
        if removal_count(ratio, count) == after
    ]


def _left(
    plan: Plan, train: Dataset, rows_n: np.ndarray, easiness_n: np.ndarray, strategy: Strategy, seed: int, count: int
) -> np.ndarray:
    """Rows that are left of `rows_n` after removing `count` of them."""
    gone = len(train) - len(rows_n)
    removed = draw_removed(
        easiness_n,
        count,
        strategy=strategy,
        weighting=plan.weighting,
        seed=np.random.SeedSequence(plan.seed, spawn_key=(_DRAW, seed, gone)),
        labels_N=train.labels[rows_n],
        balanced=plan.balanced,
    )
    left = np.delete(rows_n, removed)
    everything = np.arange(len(train))
    gone_rows = np.setdiff1d(everything, left, assume_unique=True)
    for name in check_classes(train.labels, gone_rows, train.class_names, plan.allow_empty):
        share = len(gone_rows) / len(train)
        print(f"warning: after {100 * share:g} %, seed {seed}: class {name} has no example left", file=sys.stderr)
    return left


def _equal_arms(arms: Sequence[Arm]) -> list[list[Arm]]:
    groups: dict[tuple[int, bytes], list[Arm]] = {}
    for arm in arms:
        groups.setdefault((arm.seed, arm.kept.tobytes()), []).append(arm)
    return list(groups.values())


def _arm_job(plan: Plan, recipe: Recipe, whole: int, group: Sequence[Arm]) -> Job:
    """Build the one training of arms that keep the same examples."""
    arm = group[0]
    # Not the seeds of the networks that scored: an arm must not meet the luck that its examples were chosen by.
    own = dataclasses.replace(recipe, score_at=None, trials=1, seed=_spawned(recipe.seed, _TRAIN, 0, 0))
    if plan.equal_updates:
        longer = updates_per_epoch(whole, own.batch_size) / updates_per_epoch(len(arm.kept), own.batch_size)
        epochs, schedule_epochs = (max(round(longer * each), 1) for each in (own.epochs, own.schedule_epochs))
        own = dataclasses.replace(own, epochs=epochs, schedule_epochs=schedule_epochs)
    return Job(
        own,
        arm.seed,
        arm.kept,
        name=" = ".join(arm.name for arm in group),
        kind="arm",
        tags={
            "easiness.strategy": ",".join(arm.strategy for arm in group),
            "easiness.ratio": ",".join(f"{arm.ratio:g}" for arm in group),
            "easiness.seed": str(arm.seed),
        },
    )


def _spawned(seed: int, *key: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


def _scoring_jobs(scoring: Scoring, rows: np.ndarray, seed: int, whole: int) -> list[Job]:
    recipe = scoring.of_rest(len(rows), seed)
    name = f"scoring after {(whole - len(rows)) / whole:.0%} stepwise, seed {seed}"
    return [Job(recipe, trial, rows, f"{name}, trial {trial}") for trial in range(recipe.trials)]
