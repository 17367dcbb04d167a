"""An ablate run: training on the rest after removing easy, hard or random examples, and the cost of each removal."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.datasets.kept import write_kept
from easiness.datasets.opening import is_one_tree, undivided
from easiness.figures import save
from easiness.recipes.recipe import make_recipe, recipe_from
from easiness.runs.ablate.arms import LEAST_TRIALS, STEPWISE, FinishedArm, Plan, Scoring, run_arms
from easiness.runs.ablate.figures import ablation_figures
from easiness.runs.ablate.reading import Ablation
from easiness.runs.ablate.tables import ablation_tables, sentences
from easiness.runs.checks import at_least
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.public import public
from easiness.runs.score.reading import Scores, load_scores, refuse_flipped
from easiness.runs.setup import TrainingSetup, log_training_setup, prepare_training, under_torchrun
from easiness.tracking.manifests import AblationManifest

LOG = logging.getLogger("easiness")


@public
@under_torchrun
def ablate(
    training: TrainingOptions,
    run: RunOptions,
    plan: Plan,
    scores: str | None = None,
    score_moment: int | None = None,
) -> Ablation:
    """Train on what is left after removing easy, hard or random examples, and compare the accuracies.

    Parameters
    ----------
    training : TrainingOptions
        Model, data and recipe of the arms, each a whole training; stepwise scores what is left by the recipe of the
        score run.
    run : RunOptions
        Where and how arms run.
    plan : Plan
        What is removed.
    scores : str, optional
        Run id of a score run of the same model and data; the latest finished one if not given.
    score_moment : int, optional
        Updates after which easiness is taken; the moment of the score run's own table if not given.

    Returns
    -------
    Ablation
        Accuracies, costs and what was really removed, as tables.
    """
    at_least("score_moment", score_moment, 0)
    scored = None if scores is None else open_scores(scores, training.model, plan, score_moment)
    setup = prepare_training(whole_training(training), run)
    plan.check(len(setup.train))
    whole, rows_in_whole = "", None
    if is_one_tree(training.dataset, setup.training.data):
        whole, rows_in_whole = undivided(setup.train, setup.val)
    if scored is not None:
        _refuse_other_data(scored, setup, whole)
    description = describe(setup, plan)
    LOG.info(description)
    with tracking.tracked_run("ablate", f"ablate {setup.name}") as run_id:
        log_training_setup(run_id, setup)
        scored = scored or open_scores(_latest_scores(run_id, setup, whole), training.model, plan, score_moment)
        easiness_N, scoring = choose_moment(scored, score_moment)
        _refuse_other_start(scoring, setup, plan)
        if scored.manifest.fingerprint == whole:
            LOG.info("the validation set was scored, too: %d of %d scores are used", len(setup.train), len(easiness_N))
            easiness_N = easiness_N[rows_in_whole]
        tracking.set_tags(run_id, {"easiness.scores": scored.run_id})
        source = f"easiness after {scoring.moment_name}, from score run {scored.run_id}"
        LOG.info(source)
        arms = run_arms(plan, setup, easiness_N, scoring, run_id)
        tables = ablation_tables(arms, setup, plan, easiness_N)
        manifest = _manifest(setup, plan, scored.run_id, scoring, run_id, sentences(tables["costs"]))
        with tempfile.TemporaryDirectory() as folder:
            _write_artifacts(Path(folder), manifest, tables, arms, setup)
            manifest = tracking.log_results(run_id, Path(folder), manifest)
        note = "\n".join(f"- {line}" for line in manifest.summary)
        tracking.set_tags(run_id, {"mlflow.note.content": f"{description}; {source}\n\n{note}"})
    return Ablation(run_id, manifest, tables)


def whole_training(training: TrainingOptions) -> TrainingOptions:
    """Options of a training whose schedule ends where it ends, unless they give its length."""
    epochs = training.epochs or make_recipe(training.dataset, training.model).epochs
    return replace(training, schedule_epochs=training.schedule_epochs or epochs)


def describe(setup: TrainingSetup, plan: Plan) -> str:
    """One line: which data, what is removed, how each arm is trained."""
    strategies, ratios = ", ".join(plan.strategies), ", ".join(f"{100 * ratio:g}" for ratio in plan.removing_ratios)
    stepwise = f", stepwise scored anew after equal {'epochs' if plan.equal_epochs else 'updates'}"
    arms = "every arm, of equal updates" if plan.equal_updates else "every arm"
    return setup.describe(
        f"removing {ratios} % by {strategies}{stepwise if STEPWISE in plan.strategies else ''}, {plan.seeds} seeds "
        f"each; {arms}"
    )


def open_scores(run_id: str, model: str, plan: Plan, moment: int | None) -> Scores:
    """Read the scores of a model; ValueError where they are another model's, or cannot serve the plan.

    Stepwise trains the network that the manifest names, which may be a stranger's code: only the command names code.
    """
    scores = load_scores(run_id)
    refuse_flipped(scores, "ablate")
    _, scoring = choose_moment(scores, moment)
    named = {scores.model, scoring.recipe.model} - {model}
    if named:
        raise ValueError(f"scores is {run_id}, a run of model {named.pop()!r}, and model is {model!r}; give the same")
    if STEPWISE in plan.strategies and scoring.recipe.trials < LEAST_TRIALS:
        raise ValueError(
            f"the score run has {scoring.recipe.trials} trial, and stepwise scores what is left with as many; score "
            f"with trials={LEAST_TRIALS} or more, or leave stepwise out of strategies"
        )
    return scores


def _latest_scores(run_id: str, setup: TrainingSetup, whole: str) -> str:
    fingerprint = setup.train.fingerprint
    found = (tracking.find_score_run(run_id, setup.recipe.model, data) for data in (fingerprint, whole))
    scores = next(filter(None, found), None)
    if scores is None:
        raise ValueError(
            f"this experiment has no finished score run of {setup.name} with fingerprint {fingerprint[:12]}; run "
            "score first, with the same model, dataset, limit, keep, decisions and seed, or give scores=RUN_ID"
        )
    return scores


def _refuse_other_data(scores: Scores, setup: TrainingSetup, whole: str) -> None:
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


def choose_moment(scores: Scores, moment: int | None) -> tuple[np.ndarray, Scoring]:
    """Easiness after so many updates (lower = easier), and how it was scored."""
    moment = scores.manifest.moment if moment is None else moment
    updates = scores.manifest.updates
    if moment not in updates:
        raise ValueError(
            f"score_moment is {moment}, and score run {scores.run_id} scored after {', '.join(map(str, updates))} "
            "updates"
        )
    scoring = Scoring(recipe_from(scores.manifest.recipe), moment, scores.manifest.trained)
    return scores.trajectory_TN[updates.index(moment)], scoring


def _manifest(
    setup: TrainingSetup, plan: Plan, scores: str, scoring: Scoring, run_id: str, summary: list[str]
) -> AblationManifest:
    return AblationManifest(
        run_id=run_id,
        dataset=setup.train.name,
        fingerprint=setup.train.fingerprint,
        fingerprint_val=setup.val.fingerprint,
        class_names=tuple(setup.train.class_names),
        recipe=setup.recipe.settings(),
        scores=scores,
        scores_recipe=scoring.recipe.settings(),
        moment=scoring.moment,
        seed=setup.recipe.seed,
        summary=tuple(summary),
        label_changes=setup.label_changes,
        code=tracking.code_versions(run_id),
        **vars(plan) | {"ratios": tuple(plan.removing_ratios)},
    )


def _write_artifacts(
    folder: Path,
    manifest: AblationManifest,
    tables: dict[str, pd.DataFrame],
    arms: list[FinishedArm],
    setup: TrainingSetup,
) -> None:
    for name, table in tables.items():
        (folder / f"{name}.csv").write_text(tracking.to_csv(table), encoding="utf-8")
    for arm in (finished.arm for finished in arms):
        name = f"{arm.strategy}-{arm.ratio:g}-{arm.seed}"
        write_kept(folder / "kept", name, setup.train.example_ids[arm.kept])
    shown = (tables[name] for name in ("accuracy", "removed", "differences"))
    (folder / "figures").mkdir()
    for name, figure in ablation_figures(*shown, manifest.strategies, setup.name).items():
        save(figure, folder / "figures" / f"{name}.png")
