"""Arms of an ablation: trainings on the rest after removing easy, hard or random examples, at once or step by step.

An *arm* is one training: a strategy, a ratio and a seed. All arms of one seed share initialization, order and
augmentation seeds, and the luck of the draw, so that they can be compared in pairs. Arms that keep the same examples
are one training: `easy` and `stepwise` are the same thing until the first step is done.
"""

import dataclasses
import hashlib
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from easiness import tracking
from easiness.analysis.removal import Step, Strategy, check_classes, draw_removed, removal_count, stepwise_plan
from easiness.analysis.scores import EASINESS, SCORES, easiness, trial_scores
from easiness.datasets import Dataset
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import moment_name, updates_per_epoch
from easiness.runs.ablate.plan import STEPWISE, Plan
from easiness.runs.score.outliers import describe_outliers
from easiness.runs.setup import TrainingSetup
from easiness.runs.tracked_trials import SharedData, TrialOptions, names_with_model, run_tracked_trials
from easiness.runs.trial_log import Trial

LOG = logging.getLogger("easiness")

STEP = 0.1  # share of the original size that goes at a time
NOTHING = "none"

# A mean over fewer networks is one network's opinion.
LEAST_TRIALS = 2

# Purposes of seeds that are spawned from the same one; trials have the short keys (0,), (1,), …
_DRAW, _RESCORE, _TRAIN = 1, 2, 3


@dataclass(frozen=True)
class Scoring:
    """Recipe and moment of a score run, by which the rest is scored in the same way."""

    recipe: Recipe  # of the score run, with its number of trials
    moment: int  # updates after which the score is taken
    count: int  # number of examples that its trials trained on
    score: str = EASINESS  # name of the score
    before: tuple[int, ...] = ()  # earlier moments that it is made of, too

    @property
    def per_epoch(self) -> int:
        """Updates of an epoch of the score run."""
        return updates_per_epoch(self.count, self.recipe.batch_size)

    @property
    def moment_name(self) -> str:
        """Moment as captions name it."""
        return moment_name(self.moment, self.per_epoch, self.recipe.schedule_epochs)

    def of_rest(self, count: int, path: int, equal_epochs: bool = False) -> Recipe:
        """Recipe that scores `count` examples of one path, with new seeds.

        Training goes along the same schedule, in updates or in epochs, and stops at the moment: after as many updates,
        rounded up to whole epochs, or after the same share of an epoch.
        """
        whole, per_epoch = self.per_epoch, updates_per_epoch(count, self.recipe.batch_size)
        schedule_epochs = self.recipe.schedule_epochs
        if not equal_epochs:
            schedule_epochs = math.ceil(schedule_epochs * whole / per_epoch)

        def moved(update: int) -> int:
            if equal_epochs:
                return max(round(update * per_epoch / whole), min(update, 1))
            return math.ceil(update / per_epoch) * per_epoch

        moment = moved(self.moment)
        return dataclasses.replace(
            self.recipe,
            epochs=max(math.ceil(moment / per_epoch), 1),
            schedule_epochs=schedule_epochs,
            head_epochs=_longer(self.recipe.head_epochs, 1 if equal_epochs else whole / per_epoch),
            score_at=tuple(sorted({moment, *map(moved, self.before)})),
            seed=_spawned(self.recipe.seed, _RESCORE, path, count),
            folds=0,
        )


@dataclass(frozen=True, eq=False)
class Arm:
    """One training of an ablation."""

    strategy: str  # one of `STRATEGIES`, or "none"
    ratio: float  # share of the training set that is removed
    seed: int  # number of the repetition, from 0
    kept: np.ndarray  # rows of the training set that are left, ascending

    @property
    def name(self) -> str:
        """Name in the UI."""
        removal = "nothing removed" if self.strategy == NOTHING else f"{self.strategy} {100 * self.ratio:g} %"
        return f"{removal} seed {self.seed}"


@dataclass(frozen=True, eq=False)
class FinishedArm:
    """An arm on the tracking server."""

    arm: Arm
    run_id: str  # run of its training
    epochs: list[dict[str, float]]  # metrics of every epoch
    correct: np.ndarray  # (N_val,) float32, 1 where the final network is right


def run_arms(
    plan: Plan, setup: TrainingSetup, easiness_SN: np.ndarray, scorings: Sequence[Scoring], run_id: str
) -> list[FinishedArm]:
    """Train all arms; finished ones are taken from the tracking server, cut-off ones go on.

    `easiness_SN`, or another score of which higher = harder, was made for each seed as `scorings` say: none where that
    is not known, and nothing can be scored anew. Arms and re-scoring trials of all strategies and seeds share one pool;
    all paths of `stepwise` take a step together. Trial number s of the setup's recipe belongs to seed s. The result is
    sorted by strategy (nothing removed first), ratio and seed.
    """
    recipe, train = setup.recipe, setup.train
    score = SCORES[scorings[0].score if scorings else EASINESS]
    steps = stepwise_plan(plan.removing_ratios, len(train), STEP) if STEPWISE in plan.strategies else []
    levels = sorted({step.before for step in steps}) or [0]
    paths = {seed: (np.arange(len(train)), easiness_N) for seed, easiness_N in enumerate(easiness_SN)}
    arms = _arms_at_once(plan, recipe.seed, train, easiness_SN)
    finished: list[FinishedArm] = []
    with SharedData(train, setup.val) as data:
        for level, following in itertools.zip_longest(levels, levels[1:]):
            left = _take_steps(plan, recipe.seed, train, paths, [step for step in steps if step.before == level])
            arms += _arms_of_steps(plan, len(train), left)
            rescoring = {
                seed: _scoring_trials(
                    scorings[seed].of_rest(len(rows), seed, plan.equal_epochs), rows, seed, len(train)
                )
                for (seed, after), rows in left.items()
                if after == following
            }
            groups = _equal_arms(arms)
            training = [_arm_trial(plan, recipe, len(train), group) for group in groups]
            log_models = setup.run.log_models
            with_model = names_with_model(training, log_models)
            options = TrialOptions(
                with_model=with_model if following is None or log_models == "all" else (),
                measures=tuple({"losses", score.measure}),  # of re-scoring trials; arms measure no training example
            )
            trials = [*itertools.chain(*rescoring.values()), *training]
            records = run_tracked_trials(trials, data, run_id, setup.device, setup.run, options)
            record_of = dict(zip(trials, records, strict=True))
            for group, trial in zip(groups, training, strict=True):
                validation = tracking.read_validation(record_of[trial].run_id)
                finished += [FinishedArm(arm, record_of[trial].run_id, *validation) for arm in group]
            for seed, scored in rescoring.items():
                scores = [record_of[trial] for trial in scored]
                losses_MN = np.stack([record.measure("losses")[-1] for record in scores])
                apart = describe_outliers(scores, losses_MN, train.labels[scored[0].rows])
                if apart:
                    LOG.warning("%s; averaged in, so look at seed %d of stepwise with care", apart, seed)
                measured_TMN = np.stack([record.measure(score.measure) for record in scores], axis=1)
                *_, values_MN = trial_scores(score.name, measured_TMN)
                paths[seed] = scored[0].rows, easiness(values_MN)
            arms = []
    order = {strategy: position for position, strategy in enumerate((NOTHING, *plan.strategies))}
    return sorted(finished, key=lambda done: (order[done.arm.strategy], done.arm.ratio, done.arm.seed))


def planned_trials(plan: Plan, recipe: Recipe, count: int, scoring: Scoring | None) -> tuple[list[Trial], list[Trial]]:
    """Trainings of all arms, and those that score anew for `stepwise`, of a training set of `count` examples.

    Their sizes are those of `run_arms`; which examples are left is not drawn.
    """
    rows = np.arange(count)  # of which all take views: there may be hundreds
    steps = stepwise_plan(plan.removing_ratios, count, STEP) if STEPWISE in plan.strategies else []
    # Until it scores anew, stepwise is easy.
    shared = {step.after for step in steps if not step.before and "easy" in plan.strategies}
    arms = [
        Arm(strategy, ratio, seed, rows[removal_count(ratio, count) :])
        for strategy, ratio in [(NOTHING, 0.0), *itertools.product(plan.strategies, plan.removing_ratios)]
        if strategy != STEPWISE or removal_count(ratio, count) not in shared
        for seed in range(plan.seeds)
    ]
    rescoring = [
        _scoring_trials(scoring.of_rest(count - before, seed, plan.equal_epochs), rows[before:], seed, count)
        for before in sorted({step.before for step in steps} - {0})
        for seed in range(plan.seeds)
    ]
    return [_arm_trial(plan, recipe, count, [arm]) for arm in arms], list(itertools.chain(*rescoring))


def _arms_at_once(plan: Plan, draw_seed: int, train: Dataset, easiness_SN: np.ndarray) -> list[Arm]:
    """Arms that need no further scoring: nothing removed, and every strategy but stepwise."""
    everything = np.arange(len(train))
    arms = [Arm(NOTHING, 0.0, seed, everything) for seed in range(plan.seeds)]
    for strategy in plan.strategies:
        if strategy == STEPWISE:
            continue
        for ratio in plan.removing_ratios:
            count = removal_count(ratio, len(train))
            for seed in range(plan.seeds):
                kept = _left(plan, draw_seed, train, everything, easiness_SN[seed], strategy, seed, count)
                arms.append(Arm(strategy, ratio, seed, kept))
    return arms


def _take_steps(
    plan: Plan, draw_seed: int, train: Dataset, paths: dict[int, tuple[np.ndarray, np.ndarray]], steps: Sequence[Step]
) -> dict[tuple[int, int], np.ndarray]:
    """Rows that are left by seed and number of removed examples, after steps from where the paths are."""
    return {
        (seed, step.after): _left(plan, draw_seed, train, rows, scores, "easy", seed, step.after - step.before)
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
    plan: Plan,
    draw_seed: int,
    train: Dataset,
    rows_n: np.ndarray,
    easiness_n: np.ndarray,
    strategy: Strategy,
    seed: int,
    count: int,
) -> np.ndarray:
    """Rows that are left of `rows_n` after removing `count` of them."""
    gone = len(train) - len(rows_n)
    removed = draw_removed(
        easiness_n,
        count,
        strategy=strategy,
        weighting=plan.weighting,
        seed=np.random.SeedSequence(draw_seed, spawn_key=(_DRAW, seed, gone)),
        labels_N=train.labels[rows_n],
        balanced=plan.balanced,
        offset=plan.offset,
    )
    left = np.delete(rows_n, removed)
    everything = np.arange(len(train))
    gone_rows = np.setdiff1d(everything, left, assume_unique=True)
    for name in check_classes(train.labels, gone_rows, train.class_names, plan.allow_empty):
        share = len(gone_rows) / len(train)
        LOG.warning("after %g %%, seed %d: class %s has no example left", 100 * share, seed, name)
    return left


def _equal_arms(arms: Sequence[Arm]) -> list[list[Arm]]:
    groups: dict[tuple[int, bytes], list[Arm]] = {}
    for arm in arms:
        groups.setdefault((arm.seed, hashlib.blake2b(np.ascontiguousarray(arm.kept)).digest()), []).append(arm)
    return list(groups.values())


def _arm_trial(plan: Plan, recipe: Recipe, whole: int, group: Sequence[Arm]) -> Trial:
    """Build the one training of arms that keep the same examples."""
    arm = group[0]
    # Not the seeds of the networks that scored: an arm must not meet the luck that its examples were chosen by.
    seed = _spawned(recipe.seed, _TRAIN, 0, 0)
    recipe = dataclasses.replace(recipe, score_at=None, trials=1, seed=seed)
    if plan.equal_updates:
        longer = updates_per_epoch(whole, recipe.batch_size) / updates_per_epoch(len(arm.kept), recipe.batch_size)
        names = ("epochs", "schedule_epochs", "head_epochs")
        recipe = dataclasses.replace(recipe, **{name: _longer(getattr(recipe, name), longer) for name in names})
        # As often as the arm of the whole set: so many looks cost as much, and none has more chances of a best one.
        recipe = dataclasses.replace(recipe, validate_every=max(round(longer), 1))
    return Trial(
        recipe,
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


def _longer(epochs: int, factor: float) -> int:
    """Epochs so many times as long, at least one where there were some."""
    return max(round(factor * epochs), min(epochs, 1))


def _spawned(seed: int, *key: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


def _scoring_trials(recipe: Recipe, rows: np.ndarray, seed: int, whole: int) -> list[Trial]:
    name = f"scoring after {(whole - len(rows)) / whole:.0%} stepwise, seed {seed}"
    return [Trial(recipe, trial, rows, f"{name}, trial {trial}") for trial in range(recipe.trials)]
