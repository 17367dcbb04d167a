"""Scores that an ablation removes by: those of a score run, or of a file made elsewhere."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.scores import EASINESS, SCORES
from easiness.commandline import caller_path
from easiness.recipes.recipe import recipe_from
from easiness.recipes.schedule import moment_name
from easiness.runs.ablate.arms import LEAST_TRIALS, Scoring
from easiness.runs.ablate.plan import STEPWISE, Plan
from easiness.runs.checks import at_least, existing, one_of, unused
from easiness.runs.match.external import SUFFIXES, read_external_scores
from easiness.runs.score.reading import Scores, load_scores, refuse_flipped
from easiness.runs.setup import TrainingSetup

LOG = logging.getLogger("easiness")

# Name of a score that a file holds.
FILE = "file"


@dataclass(frozen=True)
class ScoreOptions:
    """Options that say by which scores examples are removed.

    Attributes
    ----------
    scores : tuple of str
        Run id of a score run of the same model and data; the latest finished one if not given. Or one for each of
        `seeds`, alike but for their own seeds: then intervals over seeds contain the luck of scoring. Or a file of
        scores made elsewhere (.csv, .parquet, .npy, .npz), higher = harder, with a column `example_id`, or in a csv
        `file`.
    scores_column : str, optional
        Which column of the file; the only one of numbers if not given.
    score_by : str
        Which score of the run: easiness, el2n, aum (sign turned), forgetting or heldout; higher = harder in all.
    score_moment : int, optional
        Updates after which the score is taken; the moment of the score run's own table if not given.
    """

    scores: tuple[str, ...] = ()
    scores_column: str | None = None
    score_by: str = EASINESS
    score_moment: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.scores, str):  # from Python, one run's id or one file
            object.__setattr__(self, "scores", (self.scores,))
        one_of("score_by", self.score_by, tuple(SCORES))
        at_least("score_moment", self.score_moment, 0)
        if self.file is None:
            unused("scores_column", self.scores_column, "scores names no file")
            return
        existing("scores", self.file, SUFFIXES)
        unused("score_by", None if self.score_by == EASINESS else self.score_by, "scores is a file, of one score")
        unused("score_moment", self.score_moment, "scores is a file, of one moment")

    @property
    def file(self) -> Path | None:
        """File of scores; None where they are of a run."""
        files = [name for name in self.scores if Path(name).suffix]
        if files and len(self.scores) > 1:
            raise ValueError(f"scores has {files[0]} among {len(self.scores)}; give one file, or run ids alone")
        return caller_path(files[0]) if files else None

    def check(self, plan: Plan) -> None:
        """Refuse with a ValueError scores that do not fit the seeds, or with which stepwise cannot score anew."""
        if len(self.scores) not in (0, 1, plan.seeds) or len(set(self.scores)) < len(self.scores):
            raise ValueError(
                f"scores has {','.join(self.scores)}, and seeds is {plan.seeds}; give one score run, or as many "
                "different ones as seeds"
            )
        if STEPWISE not in plan.strategies:
            return
        why = None
        if self.file is not None:
            why = "scores is a file, which does not say how its scores were made"
        elif SCORES[self.score_by].held_out:
            why = "score_by is 'heldout', for which what is left would have to be held out in folds, too"
        if why:
            raise ValueError(f"{why}; stepwise scores what is left anew: leave it out of strategies")


@dataclass(frozen=True, eq=False)
class RemovalScores:
    """Scores (S, N) of the training set by seed, higher = harder; where they are from, in words and for the manifest.

    `scorings` says how those of each seed were made: empty where it is not known.
    """

    values_SN: np.ndarray
    source: str
    described: dict[str, object]  # fields of `AblationManifest`
    scorings: tuple[Scoring, ...] = ()
    signed: bool = False  # whether such a score may be negative

    @property
    def weighting(self) -> str:
        """Weighting of the draw that suits them."""
        return "rank" if self.signed or self.values_SN.min() < 0 else "inverse"


def file_scores(options: ScoreOptions, setup: TrainingSetup, seeds: int) -> RemovalScores:
    """Read the scores of a file for the examples of the training set."""
    train, path = setup.train, options.file
    table = pd.DataFrame({"example_id": train.example_ids, "source": train.sources, "label": train.labels})
    found = read_external_scores(path, table, column=options.scores_column, option="scores")
    described = {"score_by": FILE, "score_title": found.name, "scores": (), "scores_file": path.name}
    described |= {"scores_sha256": found.sha256, "scores_recipe": None, "moment": None}
    return RemovalScores(_by_seed([found.values], seeds), f"{found.name} of the file {path.name}", described)


def run_scores(
    scored: list[Scores], options: ScoreOptions, setup: TrainingSetup, plan: Plan, rows_in_scores: np.ndarray | None
) -> RemovalScores:
    """Take the scores of one run, or of one for each seed, for the training set: all, or some rows of theirs."""
    chosen = [choose_moment(run, options.score_moment) for run in scored]
    scorings = [scoring for *_, scoring in chosen if scoring is not None]
    for scoring in scorings:
        _refuse_other_start(scoring, setup, plan)
    values, first, moment = [values_N for values_N, *_ in chosen], scored[0], chosen[0][1]
    if rows_in_scores is not None:
        LOG.info("the validation set was scored, too: %d of %d scores are used", len(setup.train), len(values[0]))
        values = [values_N[rows_in_scores] for values_N in values]
    score, ids = first.score, tuple(run.run_id for run in scored)
    described = {"score_by": score.name, "score_title": score.title, "scores": ids, "scores_file": None}
    described |= {"scores_sha256": None, "scores_recipe": first.manifest.recipe, "moment": moment}
    named = moment_name(moment, first.per_epoch, first.manifest.recipe["schedule_epochs"])
    source = f"{score.title} after {named}, from score run{'s' * (len(ids) > 1)} {', '.join(ids)}"
    by_seed = tuple(scorings * (plan.seeds // len(ids)))
    return RemovalScores(_by_seed(values, plan.seeds), source, described, by_seed, score.signed)


def _by_seed(values: list[np.ndarray], seeds: int) -> np.ndarray:
    """(S, N) scores: a view where all seeds have the same."""
    return np.broadcast_to(np.stack(values) if len(values) > 1 else values[0], (seeds, len(values[0])))


def open_all_scores(run_ids: Sequence[str], model: str, plan: Plan, options: ScoreOptions) -> list[Scores]:
    """Read score runs by `open_scores`; ValueError where several differ in more than their seed, or not in that."""
    opened = [open_scores(run_id, model, plan, options) for run_id in run_ids]
    recipes = [run.manifest.recipe | {"fingerprint of the data": run.manifest.fingerprint} for run in opened]
    seeds = [recipe.pop("seed", None) for recipe in recipes]
    for run, recipe in zip(opened, recipes, strict=True):
        differ = [name for name in recipe | recipes[0] if recipe.get(name) != recipes[0].get(name)]
        if differ:
            raise ValueError(
                f"scores has runs {opened[0].run_id} and {run.run_id}, whose recipes differ in {', '.join(differ)}; "
                "those of the seeds must differ in their own seed alone"
            )
    if len(set(seeds)) < len(seeds):
        raise ValueError(
            f"the score runs that scores has were made with the seeds {', '.join(map(str, seeds))}; score again with "
            "another seed for each, so that they share no luck"
        )
    return opened


def open_scores(run_id: str, model: str, plan: Plan, options: ScoreOptions) -> Scores:
    """Read the scores of a model; ValueError where they are another model's, or cannot serve the plan.

    Stepwise trains the network that the manifest names, which may be a stranger's code: only the command names code.
    """
    scores = load_scores(run_id)
    refuse_flipped(scores, "ablate")
    _, _, scoring = choose_moment(scores, options.score_moment)
    if scoring is None and STEPWISE in plan.strategies:
        raise ValueError(
            f"score run {run_id} was collected from recorded trials, whose recipe is not known; stepwise scores what "
            "is left anew: leave it out of strategies"
        )
    if scoring is None:  # of a network that may be no model here
        return scores.by(options.score_by)
    named = {scores.model, scoring.recipe.model} - {model}
    if named:
        raise ValueError(f"scores is {run_id}, a run of model {named.pop()!r}, and model is {model!r}; give the same")
    if STEPWISE in plan.strategies and scoring.recipe.trials < LEAST_TRIALS:
        raise ValueError(
            f"the score run has {scoring.recipe.trials} trial, and stepwise scores what is left with as many; score "
            f"with trials={LEAST_TRIALS} or more, or leave stepwise out of strategies"
        )
    return scores.by(options.score_by)


def latest_scores(run_id: str | None, setup: TrainingSetup, whole: str) -> str:
    """Run id of the latest score run of the model and data, beside a run; `whole` as in `refuse_other_data`."""
    fingerprint = setup.train.fingerprint
    found = (tracking.find_score_run(run_id, setup.recipe.model, data) for data in (fingerprint, whole))
    scores = next(filter(None, found), None)
    if scores is None:
        raise ValueError(
            f"this experiment has no finished score run of {setup.name} with fingerprint {fingerprint[:12]}; run "
            "score first, with the same model, dataset, limit, keep, decisions and seed, or give scores=RUN_ID"
        )
    return scores


def refuse_other_data(scores: Scores, setup: TrainingSetup, whole: str) -> None:
    """Refuse scores of other data; `whole` is the fingerprint of training and validation set as one tree."""
    scored, fingerprint = scores.manifest, setup.train.fingerprint
    if scored.fingerprint not in (fingerprint, whole):
        raise ValueError(
            f"score run {scores.run_id} is of {scored.examples} examples of {scored.dataset} with fingerprint "
            f"{scored.fingerprint[:12]}, and this training set has {fingerprint[:12]}; take the same dataset, limit, "
            "keep, decisions and seed"
        )


def _refuse_other_start(scoring: Scoring, setup: TrainingSetup, plan: Plan) -> None:
    """Refuse stepwise by a score run with other weights: only the command says which are read."""
    scored, arms = scoring.recipe, setup.recipe
    if STEPWISE in plan.strategies and scored.weights_sha256 != arms.weights_sha256:
        raise ValueError(
            f"weights is {arms.weights!r}, and the score run's is {scored.weights!r}; stepwise scores what is left as "
            "that run did: give the same weights, or leave stepwise out of strategies"
        )


def choose_moment(scores: Scores, moment: int | None) -> tuple[np.ndarray, int, Scoring | None]:
    """Scores after so many updates (lower = easier), that moment, and how they were made, if that is known."""
    moment = scores.manifest.moment if moment is None else moment
    updates = scores.manifest.updates
    if moment not in updates:
        raise ValueError(
            f"score_moment is {moment}, and score run {scores.run_id} scored after {', '.join(map(str, updates))} "
            "updates"
        )
    values_N = scores.trajectory_TN[updates.index(moment)]
    if scores.manifest.recorded:
        return values_N, moment, None
    before = tuple(update for update in updates if update < moment) if scores.score.cumulative else ()
    recipe = recipe_from(scores.manifest.recipe)
    return values_N, moment, Scoring(recipe, moment, scores.manifest.trained, scores.score.name, before)
