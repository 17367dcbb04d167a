"""A score run: M trials, each a child run, and their mean loss on the parent."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.analysis.scores import OTHER_SCORES, SCORES
from easiness.analysis.sets import set_size
from easiness.recipes.schedule import early_moment, moment_name, scored_updates, updates_per_epoch
from easiness.runs.checks import at_least, one_of
from easiness.runs.dry_run import DryRun, dry_run_of
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.public import logged_run, public
from easiness.runs.score.flips import FlipOptions, describe_flips, flip_metrics, flip_training
from easiness.runs.score.folds import (
    Folds,
    choose_folds,
    held_out_columns,
    held_out_metrics,
    read_probabilities,
    split_folds,
)
from easiness.runs.score.log import Measured, log_scores
from easiness.runs.score.outliers import describe_outliers, refuse_outliers
from easiness.runs.score.reading import Scores
from easiness.runs.score.tables import other_scores, score_table
from easiness.runs.setup import TrainingSetup, log_training_setup, prepare_training, under_torchrun
from easiness.runs.tracked_trials import (
    SCORE_PASSES,
    SharedData,
    TrialOptions,
    names_with_model,
    run_tracked_trials,
)
from easiness.runs.trial_log import TrialRecord
from easiness.tracking.manifests import ScoreManifest
from easiness.trials.trial_folder import bytes_of_probabilities

LOG = logging.getLogger("easiness")


@public
@under_torchrun
def score(
    training: TrainingOptions,
    run: RunOptions,
    flips: FlipOptions,
    trials: int | None = None,
    folds: int | None = None,
    groups: str | Path | None = None,
    score_at: tuple[int, ...] = (),
    score_pass: str = "each",
    common_random_numbers: bool = False,
    moment: int | None = None,
    fraction: float = 0.1,
    per_class: bool = False,
    allow_outliers: bool = False,
    score_by: str | None = None,
    dry_run: bool = False,
) -> Scores | DryRun:
    """Score every training example of a dataset under one model; lower easiness = easier.

    Parameters
    ----------
    training : TrainingOptions
        Model, data and recipe.
    run : RunOptions
        Where and how trials run.
    flips : FlipOptions
        Wrong labels made on purpose.
    trials : int, optional
        Number of independent trials M; does not change any one of them. A multiple of `folds`.
    folds : int, optional
        Parts of the images: each trial leaves one out, and measures all; where the data have no validation set, 5 if
        not given, or as many as divide `trials`; else 0, which trains on all training images.
    groups : path, optional
        Table (.csv) with columns group, and file or example_id: images of one group stay in one fold.
    score_at : tuple of int
        Updates after which every training example is measured; empty: at the end of every epoch.
    score_pass : str
        each: every trial scores as it goes; joint: one pass over the data scores all trials, for data slow to decode.
    common_random_numbers : bool
        Give all architectures the same seeds: a control, which `match` shows as such.
    moment : int, optional
        Updates after which easiness is taken for the table; the end of epoch 5 if not given, or the last scored moment
        before it.
    fraction : float
        Share of the examples in the easy set, and in the hard set.
    per_class : bool
        Take that share of every class, instead of the whole.
    allow_outliers : bool
        Average in a trial that stands apart from the others (blew up, or learnt nothing), with a warning.
    score_by : str, optional
        Order of the review page: easiness, el2n, aum, forgetting, or heldout, the default with folds.
    dry_run : bool
        Open the data and say what would be trained, how long that takes and how much room it needs; train nothing, and
        make no run.

    Returns
    -------
    Scores or DryRun
        Table and arrays, as `load_scores` reads them; the cost, where that was asked for.
    """
    start = time.monotonic()
    one_of("score_pass", score_pass, SCORE_PASSES)
    at_least("moment", moment, 0)
    if score_at and moment is not None:
        one_of("moment", moment, score_at)
    if score_by is not None:
        one_of("score_by", score_by, tuple(SCORES))
    set_size(fraction, 2)
    chosen = {"score_at": score_at, "common_random_numbers": common_random_numbers}
    folding = choose_folds(training, folds, trials, groups)
    if score_by == "heldout" and not folding["folds"]:
        raise ValueError("score_by is 'heldout', and folds is 0, which holds nothing out; say folds=5")
    setup = prepare_training(training, run, **chosen, **folding)
    setup = flip_training(setup, flips)
    recipe, train = setup.recipe, setup.train
    split = split_folds(setup, groups)
    updates = scored_updates(recipe, split.trained)
    moment = early_moment(recipe, split.trained) if moment is None else moment
    if moment not in updates:
        raise ValueError(f"moment is {moment}, and the scored moments are after {', '.join(map(str, updates))} updates")
    description = setup.describe(f"{recipe.trials} trials")
    if dry_run:
        return _dry_run(description, setup, split, score_pass)
    LOG.info(description)
    named = moment_name(moment, updates_per_epoch(split.trained, recipe.batch_size), recipe.schedule_epochs)
    with logged_run("score", f"{setup.name}, {recipe.trials} trials, {named}", setup.settings) as run_id:
        log_training_setup(run_id, setup)
        records = _run_trials(setup, split, run_id, score_pass)
        measured_MN = _at_moment(records, "losses", updates.index(moment))
        apart = describe_outliers(records, measured_MN, split.strata(train.labels))
        refuse_outliers(apart, allow=allow_outliers)
        predicted_MN = _at_moment(records, "predicted", updates.index(moment))
        losses_TMN = np.stack([split.in_sample(_at_moment(records, "losses", t)) for t in range(len(updates))])
        losses_MN = losses_TMN[updates.index(moment)]
        table = score_table(
            train,
            losses_MN,
            fraction=fraction,
            per_class=per_class,
            seed=recipe.seed,
            predicted_MN=split.in_sample(predicted_MN),
        )
        probabilities = None
        if split.count:
            probabilities = read_probabilities(records, split, moment, train.num_classes)
            table = table.assign(**held_out_columns(train, split, measured_MN, predicted_MN, probabilities))
        moments = range(updates.index(moment) + 1)
        table = table.assign(
            **other_scores(lambda name: (split.in_sample(_at_moment(records, name, t)) for t in moments))
        )
        cut = {"fraction": fraction, "per_class": per_class}
        manifest = _manifest(setup, split, records, run_id, moment=moment, allow_outliers=allow_outliers, **cut)
        metrics = {"trials": recipe.trials, "images": len(train), **_accuracy(records)}
        metrics |= held_out_metrics(table, probabilities, train.num_classes)
        metrics |= (found := flip_metrics(table, recipe.seed))
        if found:
            LOG.info(describe_flips(found, len(train)))
        metrics |= {"seconds": time.monotonic() - start}
        measured = Measured(setup.name, description, train, table, losses_TMN, probabilities, metrics, score_by)
        return log_scores(run_id, manifest, measured)


def _accuracy(records: Sequence[TrialRecord]) -> dict[str, float]:
    """Mean and standard deviation over trials of the final validation accuracy, where they have one."""
    finals = [run.metrics.get("val_accuracy", math.nan) for run in tracking.runs_by_id([r.run_id for r in records])]
    numbers = {"val_accuracy": float(np.mean(finals))}
    numbers |= {"val_accuracy_sd": float(np.std(finals, ddof=1))} if len(finals) > 1 else {}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _at_moment(records: Sequence[TrialRecord], measure: str, moment: int) -> np.ndarray:
    """(M, N) of a measure, at the moment with this position."""
    return np.stack([record.measure(measure)[moment] for record in records])


def _run_trials(setup: TrainingSetup, split: Folds, run_id: str, score_pass: str) -> list[TrialRecord]:
    trials = split.trials(setup.recipe)
    options = TrialOptions(
        with_model=names_with_model(trials, setup.run.log_models),
        score_pass=score_pass,
        measures=("losses", "predicted", *(SCORES[name].measure for name in OTHER_SCORES)),
    )
    with SharedData(setup.train, setup.val) as data:
        return run_tracked_trials(trials, data, run_id, setup.device, setup.run, options)


def _dry_run(description: str, setup: TrainingSetup, split: Folds, score_pass: str) -> DryRun:
    trials, classes = split.trials(setup.recipe), setup.train.num_classes
    with SharedData(setup.train, setup.val) as data:
        digests = {trial.name: data.record(trial).digest for trial in trials}
    finished = tracking.find_trials(None, digests.values())
    missing = [trial for trial in trials if digests[trial.name] not in finished]
    count = len(setup.train)
    moments = len(scored_updates(setup.recipe, split.trained))
    results = {"trajectory": 8 * moments * count}
    results["held-out probabilities"] = bytes_of_probabilities(count, classes, count) if split.count else 0
    names = names_with_model(trials, setup.run.log_models)
    models = sum(trial.name in names for trial in missing)
    about = {"finished": len(trials) - len(missing), "models": models, "results": results}
    return dry_run_of(description, setup, missing, joint=score_pass == "joint", **about)


def _manifest(
    setup: TrainingSetup, split: Folds, records: Sequence[TrialRecord], run_id: str, **table: object
) -> ScoreManifest:
    recipe, train = setup.recipe, setup.train
    manifest = ScoreManifest(
        run_id=run_id,
        dataset=train.name,
        fingerprint=train.fingerprint,
        fingerprint_val=setup.val.fingerprint,
        opened_as=train.kind,
        source=setup.source,
        limit=setup.training.limit,
        data_seed=setup.training.seed_of_data,
        examples=len(train),
        trained=split.trained,
        skipped=tuple(train.skipped),
        class_names=tuple(train.class_names),
        model=recipe.model,
        recipe=recipe.settings(),
        recipe_digest=recipe.digest(),
        updates=records[0].updates,
        trials=tuple(
            {
                "trial": record.trial.number,
                "run_id": record.run_id,
                "digest": record.digest,
                "fold": split.fold_of(record.trial.number),
            }
            for record in records
        ),
        label_changes=setup.label_changes,
        code=tracking.code_versions(run_id),
        **table,
    )
    return ScoreManifest.from_json(manifest.to_json(), run_id)  # lists where a reader gets lists
