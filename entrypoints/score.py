"""Score every training example: M trials, each a child run, and their mean loss on the parent."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.reliability import reliability
from easiness.analysis.scores import easiness, roc_auc
from easiness.analysis.sets import set_size
from easiness.runs.options import Setup, TrainingSetup, log_training_setup, prepare_training, training_command
from easiness.runs.score.preview import write_preview
from easiness.runs.score.tables import class_counts, score_table
from easiness.runs.score.thumbnails import shown_rows, write_thumbnails
from easiness.runs.tracked_trials import TrackedTrial, tracked_trials
from easiness.trials.training import scored_updates


def score(setup: Setup, moment: int | None = None, fraction: float = 0.1, per_class: bool = False) -> None:
    """Score every training example of a dataset under one model; lower easiness = easier.

    Parameters
    ----------
    setup : Setup
        Model, data and recipe.
    moment : int, optional
        Updates after which easiness is taken for the table; the last scored moment where none is given.
    fraction : float
        Share of the examples in the easy set, and in the hard set.
    per_class : bool
        Take that share of every class, instead of the whole.
    """
    experiment = prepare_training(setup, many=True)
    recipe, train = experiment.recipe, experiment.train
    updates = scored_updates(recipe, len(train))
    moment = updates[-1] if moment is None else moment
    if moment not in updates:
        raise ValueError(f"moment is {moment}, and the scored moments are after {', '.join(map(str, updates))} updates")
    set_size(fraction, len(train))
    print(experiment.describe())
    with tracking.tracked_run("score", f"score {experiment.name}") as run_id:
        log_training_setup(run_id, experiment)
        trials = tracked_trials(
            recipe,
            train,
            experiment.val,
            run_id=run_id,
            numbers=range(recipe.trials),
            device=experiment.device,
            engine=setup.engine,
            address=setup.address,
            log_models=setup.log_models,
            score_pass=setup.score_pass,
        )
        losses_TMN = tracking.read_trials([trial.run_id for trial in trials], "losses", updates, train.fingerprint)
        losses_MN = losses_TMN[updates.index(moment)]
        table = score_table(
            train,
            losses_MN,
            fraction=fraction,
            per_class=per_class,
            seed=recipe.seed,
            predicted_MN=last_predictions(trials, updates, train.fingerprint),
        )
        trajectory_TN = np.stack([easiness(losses) for losses in losses_TMN])
        results = summarize(table, losses_MN)
        content = manifest_content(experiment, trials, updates, moment, fraction, per_class)
        with tempfile.TemporaryDirectory() as folder:
            scores, preview = Path(folder, "scores"), Path(folder, "preview")
            scores.mkdir()
            table.to_parquet(scores / "easiness.parquet", index=False)
            np.save(scores / "trajectory.npy", trajectory_TN)
            manifest = tracking.make_manifest(run_id, content)
            (scores / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
            write_preview(preview, train, table, trajectory_TN, np.asarray(updates), f"Easiness of {experiment.name}")
            write_thumbnails(preview / "thumbnails.npz", train, shown_rows(table, trajectory_TN[-1]))
            tracking.log_folder(run_id, Path(folder))
        tracking.log_metrics(run_id, results)
        counts = class_counts(table, train.class_names)
        tracking.set_tags(run_id, {"mlflow.note.content": note(experiment, results, moment)})
        say(run_id, results, counts)


def last_predictions(trials: list[TrackedTrial], updates: tuple[int, ...], fingerprint: str) -> np.ndarray | None:
    """(M, N) label that every trial predicts at the end; None where a trial of an earlier version did not keep it."""
    try:
        (predicted_MN,) = tracking.read_trials(
            [trial.run_id for trial in trials], "predicted", updates[-1:], fingerprint
        )
    except FileNotFoundError as error:
        print(f"no predicted labels: {error}", file=sys.stderr)
        return None
    return predicted_MN


def summarize(table: pd.DataFrame, losses_MN: np.ndarray) -> dict[str, float]:
    """Numbers of a score run; the areas under the ROC curve are there where the truth is known (`planted`)."""
    results = {"easiness_mean": float(table["easiness"].mean()), "trials": len(losses_MN)}
    if len(losses_MN) > 1:
        results["reliability"] = reliability(losses_MN)
    if "group" in table:
        scores, groups = table["easiness"].to_numpy(), table["group"].to_numpy()
        kinds = {"mislabelled": groups == "mislabelled", "minority_or_mislabelled": groups != "majority"}
        # A list of kept examples may leave none of a kind.
        results |= {f"auc_{name}": roc_auc(scores, rows) for name, rows in kinds.items() if 0 < rows.sum() < len(rows)}
    return results


def manifest_content(
    experiment: TrainingSetup,
    trials: list[TrackedTrial],
    updates: tuple[int, ...],
    moment: int,
    fraction: float,
    per_class: bool,
) -> dict[str, object]:
    """All that a reader needs to know of the arrays, and where each came from."""
    recipe, train = experiment.recipe, experiment.train
    return {
        "dataset": train.name,
        "fingerprint": train.fingerprint,
        "fingerprint_val": experiment.val.fingerprint,
        "source": experiment.setup.data,
        "limit": experiment.setup.limit,
        "order": "row i of every array is row i of the table; example_id is the row in the whole dataset",
        "examples": len(train),
        "skipped": list(train.skipped),
        "class_names": list(train.class_names),
        "model": recipe.model,
        "recipe": recipe.settings(),
        "recipe_digest": recipe.digest(),
        "updates": list(updates),
        "moment": moment,
        "fraction": fraction,
        "per_class": per_class,
        "trials": [vars(trial) for trial in trials],
    }


def note(experiment: TrainingSetup, results: dict[str, float], moment: int) -> str:
    """Description that the UI shows on the run's first page."""
    numbers = "\n".join(f"- {name}: {value:.4g}" for name, value in results.items())
    return (
        f"Easiness after {moment} updates: mean cross-entropy in nats over trials, **lower = easier**.\n\n"
        f"{experiment.describe()}\n\n{numbers}\n\nArtifacts: `preview/index.html`, `scores/easiness.parquet`."
    )


def say(run_id: str, results: dict[str, float], counts: pd.DataFrame) -> None:
    """Print what a person wants to know next."""
    print("\nlower easiness = easier; examples of each class in the easy and in the hard set:")
    print(
        counts.to_string(index=False) if len(counts) <= 20 else f"{len(counts)} classes: see preview/class_counts.csv"
    )
    for name, value in results.items():
        print(f"{name:>28}  {value:.4g}")
    print(f"\nrun id     {run_id}")
    print(f"artifacts  {tracking.artifact_place(run_id)}")
    print(f"open       {tracking.how_to_open()}")


if __name__ == "__main__":
    training_command(score)
