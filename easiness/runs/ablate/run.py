"""An ablate run: training on the rest after removing easy, hard or random examples, and the cost of each removal."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

from easiness import tracking
from easiness.analysis.scores import EASINESS
from easiness.datasets.kept import write_kept
from easiness.datasets.splitting import undivided
from easiness.figures import save
from easiness.recipes.recipe import make_recipe
from easiness.runs.ablate.arms import FinishedArm, Scoring, planned_trials, run_arms
from easiness.runs.ablate.figures import ablation_figures
from easiness.runs.ablate.plan import STEPWISE, Plan
from easiness.runs.ablate.reading import Ablation
from easiness.runs.ablate.scores import (
    RemovalScores,
    ScoreOptions,
    choose_moment,
    file_scores,
    latest_scores,
    open_all_scores,
    open_scores,
    refuse_other_data,
    run_scores,
)
from easiness.runs.ablate.tables import ablation_tables, accuracy_curves, sentences
from easiness.runs.dry_run import DryRun, dry_run_of
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.public import logged_run, public
from easiness.runs.setup import TrainingSetup, log_training_setup, prepare_training, under_torchrun
from easiness.runs.tracked_trials import names_with_model
from easiness.tracking.manifests import AblationManifest

LOG = logging.getLogger("easiness")


@public
@under_torchrun
def ablate(
    training: TrainingOptions,
    run: RunOptions,
    plan: Plan,
    by: ScoreOptions,
    dry_run: bool = False,
) -> Ablation | DryRun:
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
    by : ScoreOptions
        Scores that say what is easy.
    dry_run : bool
        Open the data and say what would be trained, how long that takes and how much room it needs; train nothing, and
        make no run. Scores are needed for stepwise alone.

    Returns
    -------
    Ablation or DryRun
        Accuracies, costs and what was really removed, as tables; the cost, where that was asked for.
    """
    by.check(plan)
    named = () if by.file is not None else by.scores
    scored = open_all_scores(named, training.model, plan, by)
    setup = prepare_training(whole_training(training), run)
    plan.check(len(setup.train))
    whole, rows_in_whole = "", None
    if setup.train.tree_keys is not None:
        whole, rows_in_whole = undivided(setup.train, setup.val)
    for each in scored:
        refuse_other_data(each, setup, whole)
    scores = None if by.file is None else file_scores(by, setup, plan.seeds)
    description = describe(setup, plan)
    if dry_run:
        if not scored and STEPWISE in plan.strategies:
            scored = [open_scores(latest_scores(None, setup, whole), training.model, plan, by)]
        return _dry_run(description, setup, plan, choose_moment(scored[0], by.score_moment)[2] if scored else None)
    LOG.info(description)
    with logged_run("ablate", f"{setup.name}, without {', '.join(plan.strategies)}", setup.settings) as run_id:
        log_training_setup(run_id, setup)
        if scores is None:
            scored = scored or [open_scores(latest_scores(run_id, setup, whole), training.model, plan, by)]
            has_val = scored[0].manifest.fingerprint == whole
            scores = run_scores(scored, by, setup, plan, rows_in_whole if has_val else None)
            tracking.set_tags(run_id, {"easiness.scores": ",".join(run.run_id for run in scored)})
        plan = replace(plan, weighting=plan.weighting or scores.weighting)
        LOG.info("%s; weighting %s", scores.source, plan.weighting)
        arms = run_arms(plan, setup, scores.values_SN, scores.scorings, run_id)
        tables = ablation_tables(arms, setup, plan, scores.values_SN)
        manifest = _manifest(setup, plan, scores, run_id, sentences(tables["costs"]))
        with tempfile.TemporaryDirectory() as folder:
            _write_artifacts(Path(folder), manifest, tables, arms, setup)
            manifest = tracking.log_results(run_id, Path(folder), manifest)
        tracking.log_epochs(run_id, accuracy_curves(tables["accuracy"]))
        ablation = Ablation(run_id, manifest, tables)
        note = "\n".join(f"- {line}" for line in manifest.summary)
        tags = {"mlflow.runName": ablation.name, "mlflow.note.content": f"{description}; {scores.source}\n\n{note}"}
        tracking.set_tags(run_id, tags)
    return ablation


def whole_training(training: TrainingOptions) -> TrainingOptions:
    """Options of a training whose schedule ends where it ends, unless they give its length."""
    epochs = training.epochs or make_recipe(training.kind, training.model).epochs
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


def _dry_run(description: str, setup: TrainingSetup, plan: Plan, scoring: Scoring | None) -> DryRun:
    arms, rescoring = planned_trials(plan, setup.recipe, len(setup.train), scoring)
    models = len(names_with_model(arms, setup.run.log_models))
    again = f"{len(rescoring)} of the trainings score anew; " if rescoring else ""
    return dry_run_of(
        f"{description}; {again}finished ones are counted, too", setup, [*arms, *rescoring], models=models
    )


def _manifest(
    setup: TrainingSetup, plan: Plan, scores: RemovalScores, run_id: str, summary: list[str]
) -> AblationManifest:
    return AblationManifest(
        run_id=run_id,
        dataset=setup.train.name,
        fingerprint=setup.train.fingerprint,
        fingerprint_val=setup.val.fingerprint,
        class_names=tuple(setup.train.class_names),
        recipe=setup.recipe.settings(),
        seed=setup.recipe.seed,
        summary=tuple(summary),
        label_changes=setup.label_changes,
        code=tracking.code_versions(run_id),
        **vars(plan) | {"ratios": tuple(plan.removing_ratios)} | scores.described,
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
    title = setup.name + (f", by {manifest.score_title}" if manifest.score_by != EASINESS else "")
    shown = (tables[name] for name in ("accuracy", "removed", "differences"))
    (folder / "figures").mkdir()
    for name, figure in ablation_figures(*shown, manifest.strategies, title).items():
        save(figure, folder / "figures" / f"{name}.png")
