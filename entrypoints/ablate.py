"""Ablate: train on what is left after removing easy, hard or random examples, and say what those were worth."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from easiness import tracking
from easiness.datasets.kept import write_kept
from easiness.recipes.recipe import recipe_from
from easiness.runs.ablate.arms import FinishedArm, Plan, Scoring, run_ablation
from easiness.runs.ablate.figures import ablation_figures, write_figures
from easiness.runs.ablate.tables import (
    accuracy_table,
    costs_table,
    differences_table,
    group_accuracy_table,
    removed_table,
    sentences,
)
from easiness.runs.options import Setup, TrainingSetup, log_training_setup, prepare_training, training_command
from easiness.tracking import Scores, load_scores
from easiness.trials.precision import settle_precision


def ablate(
    setup: Setup,
    scores: str | None = None,
    strategies: tuple[str, ...] = Plan.strategies,
    ratios: tuple[float, ...] = Plan.ratios,
    seeds: int = Plan.seeds,
    weighting: str = Plan.weighting,
    balanced: bool = Plan.balanced,
    allow_empty: bool = Plan.allow_empty,
    equal_updates: bool = Plan.equal_updates,
    score_moment: int | None = None,
) -> None:
    """Train on what is left after removing easy, hard or random examples, and compare the accuracies.

    Parameters
    ----------
    setup : Setup
        Model, data and recipe of the arms; stepwise scores what is left by the recipe of the score run.
    scores : str, optional
        Run id of the score run; the latest finished one of this model and data where none is given.
    strategies : tuple of str
        easy, hard, random, stepwise: which examples go first; stepwise is easy, a tenth at a time, scored anew.
    ratios : tuple of float
        Shares of the training set to remove; 0 is always measured, too.
    seeds : int
        Repetitions of every arm, each with its own initialization, order, augmentation and draw.
    weighting : str
        How easiness becomes a weight of the draw: inverse (1/e for easy, e for hard), rank or reflect (max - e).
    balanced : bool
        Every class loses the same share.
    allow_empty : bool
        Go on, with a warning, where a class loses its last example.
    equal_updates : bool
        Train smaller sets for more epochs, until the updates are those of the whole set, or nearly.
    score_moment : int, optional
        Updates after which easiness is taken; the moment of the score run's own table where none is given.
    """
    if setup.trials is not None or setup.score_at:
        raise ValueError("an arm is one training that measures no training example: leave trials and score_at to score")
    if setup.score_pass != "each":
        raise ValueError(
            f"score_pass is {setup.score_pass!r}, and every arm here has other examples: leave it to score"
        )
    experiment = prepare_training(setup, many=True)
    plan = Plan(
        tuple(dict.fromkeys(strategies)),
        tuple(ratios),
        seeds,
        weighting,
        balanced,
        allow_empty,
        equal_updates,
        experiment.recipe.seed,
    )
    plan.check(len(experiment.train))
    print(describe(experiment, plan))
    with tracking.tracked_run("ablate", f"ablate {experiment.name}") as run_id:
        log_training_setup(run_id, experiment)
        found = find_scores(run_id, scores, experiment)
        easiness_N, scoring = choose_moment(found, score_moment, experiment.device)
        tracking.set_tags(run_id, {"easiness.scores": found.run_id})
        print(f"easiness after {scoring.moment} updates, from score run {found.run_id}")
        finished = run_ablation(
            plan,
            experiment.recipe,
            experiment.train,
            experiment.val,
            easiness_N,
            scoring,
            run_id=run_id,
            device=experiment.device,
            engine=setup.engine,
            address=setup.address,
            log_models=setup.log_models,
        )
        tables = make_tables(finished, experiment, plan, easiness_N)
        summary = sentences(tables["costs"])
        content = {
            "kind": "ablate",
            "dataset": experiment.train.name,
            "fingerprint": experiment.train.fingerprint,
            "fingerprint_val": experiment.val.fingerprint,
            "class_names": list(experiment.train.class_names),
            "recipe": experiment.recipe.settings(),
            "scores": found.run_id,
            "scores_recipe": scoring.recipe.settings(),
            "moment": scoring.moment,
            **{name: value for name, value in vars(plan).items() if name != "ratios"},
            "ratios": plan.removing_ratios,
            "summary": summary,
        }
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for table, rows in tables.items():
                rows.to_csv(folder / f"{table}.csv", index=False)
            manifest = tracking.make_manifest(run_id, content)
            (folder / "ablation.json").write_text(json.dumps(manifest, indent=1) + "\n")
            for arm in (each.arm for each in finished):
                write_kept(
                    folder / "kept", f"{arm.strategy}-{arm.ratio:g}-{arm.seed}", experiment.train.example_ids[arm.kept]
                )
            shown = (tables[name] for name in ("accuracy", "removed", "differences"))
            write_figures(folder / "figures", ablation_figures(*shown, plan.strategies, experiment.name))
            tracking.log_folder(run_id, folder)
        note = "\n".join(f"- {line}" for line in summary)
        tracking.set_tags(run_id, {"mlflow.note.content": f"{describe(experiment, plan)}\n\n{note}"})
        say(run_id, tables, summary, seeds)


def describe(experiment: TrainingSetup, plan: Plan) -> str:
    """One line for a person: which data, what is removed, how each arm is trained."""
    recipe = experiment.recipe
    ratios = ", ".join(f"{100 * ratio:g}" for ratio in plan.removing_ratios)
    length = f"as many updates as {recipe.epochs} epochs have" if plan.equal_updates else f"{recipe.epochs} epochs"
    return (
        f"{experiment.describe_data()}; removing {ratios} % by {', '.join(plan.strategies)}, {plan.seeds} seeds each; "
        f"every arm {length}, batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}, on {experiment.device}"
    )


def find_scores(run_id: str, scores: str | None, experiment: TrainingSetup) -> Scores:
    """Scores of the run that was asked for, or the latest of this model and data.

    Raises
    ------
    ValueError
        If there is none, or it is of other data.
    """
    model, fingerprint = experiment.recipe.model, experiment.train.fingerprint
    scores = scores or tracking.find_score_run(run_id, model, fingerprint)
    if scores is None:
        raise ValueError(
            f"this experiment has no finished score run of {experiment.name} with fingerprint {fingerprint[:12]}; run "
            "score first, with the same model, dataset, limit, keep and seed, or give scores=RUN_ID"
        )
    found = load_scores(scores)
    if found.manifest["fingerprint"] != fingerprint:
        raise ValueError(
            f"score run {scores} is of {found.manifest['examples']} examples of {found.manifest['dataset']} with "
            f"fingerprint {found.manifest['fingerprint'][:12]}, and this training set has {fingerprint[:12]}; take the "
            "same dataset, limit, keep and seed"
        )
    return found


def choose_moment(scores: Scores, moment: int | None, device: torch.device) -> tuple[np.ndarray, Scoring]:
    """Easiness after so many updates (lower = easier), and how it was scored."""
    moment = scores.manifest["moment"] if moment is None else moment
    updates = scores.updates.tolist()
    if moment not in updates:
        raise ValueError(
            f"score_moment is {moment}, and score run {scores.run_id} scored after {', '.join(map(str, updates))} "
            "updates"
        )
    recipe = recipe_from(scores.manifest["recipe"])
    # Runs from before a recipe said which precision it came to were scored in that of the device.
    recipe = replace(recipe, precision=settle_precision(recipe.precision, device))
    return scores.trajectory[updates.index(moment)], Scoring(recipe, moment, len(scores.table))


def make_tables(
    finished: list[FinishedArm], experiment: TrainingSetup, plan: Plan, easiness_N: np.ndarray
) -> dict[str, pd.DataFrame]:
    """All tables of the run, by the name of their file."""
    train, val = experiment.train, experiment.val
    accuracy = accuracy_table(finished, val)
    class_names = np.asarray(val.class_names, object)[val.labels]
    tables = {
        "accuracy": accuracy,
        "class_accuracy": group_accuracy_table(finished, class_names, "class_name"),
        "removed": removed_table(finished, train, easiness_N, plan.seed),
        "differences": differences_table(accuracy, plan.strategies),
        "costs": costs_table(accuracy, plan.strategies),
    }
    if val.groups is not None:
        tables["group_accuracy"] = group_accuracy_table(finished, val.groups, "group")
    return tables


def say(run_id: str, tables: dict[str, pd.DataFrame], summary: list[str], seeds: int) -> None:
    """Print what a person wants to know next."""

    def by_ratio(table: pd.DataFrame, columns: list[str], values: str) -> str:
        means = table.pivot_table(index="ratio", columns=columns, values=values, sort=False)
        return means.map(lambda share: "" if np.isnan(share) else f"{100 * share:.1f}").to_string()

    print(f"\naccuracy in percent, mean of {seeds} seeds:\n{by_ratio(tables['accuracy'], ['strategy'], 'accuracy')}")
    if "group_accuracy" in tables:
        print(f"\nby group:\n{by_ratio(tables['group_accuracy'], ['strategy', 'group'], 'accuracy')}")
        removed = tables["removed"]
        removed = removed[removed["grouping"] == "group"]
        print(f"\nshare removed of each group, in percent:\n{by_ratio(removed, ['strategy', 'group'], 'share')}")
    print("\ncost against nothing removed, in percentage points (± half of the 95 % interval):")
    print("\n".join(summary))
    print(f"\nrun id     {run_id}\nartifacts  {tracking.artifact_place(run_id)}")
    print(f"open       {tracking.how_to_open()}")


if __name__ == "__main__":
    training_command(ablate)
