"""Score runs that were never trained: losses that a test chose, logged as the entry point `score` would log them."""

import json

import mlflow
import numpy as np
import pandas as pd

from easiness import tracking
from easiness.datasets import open_dataset

UPDATES = (4, 8)


def tiny_planted(limit=100):
    """Part of the drawn dataset, with pictures."""
    return open_dataset("planted", limit=limit)


def draw_losses(dataset, seed, *, moments=2, trials=3, noise=0.5):
    """(T, M, N) losses: a difficulty that all models share, one of the model's own, and the noise of trials."""
    common_N = np.random.default_rng(99).normal(size=len(dataset))
    rng = np.random.default_rng(seed)
    own_N = common_N + 0.5 * rng.normal(size=len(dataset))
    return np.exp(own_N + noise * rng.normal(size=(moments, trials, len(dataset)))).astype(np.float32)


def tiny_settings(**fields):
    """Settings of a recipe, as far as readers look at them."""
    settings = {"seed": 0, "resolution": 64, "score_at": [], "common_random_numbers": False}
    return settings | {"batch_size": 32, "epochs": 2, "schedule_epochs": 300} | fields


def score_manifest(**fields):
    """Everything that the manifest of a score run holds, as it stands in the file."""
    return {
        "schema": 1,
        "run_id": "r",
        "polarity": "lower_is_easier",
        "dataset": "planted",
        "fingerprint": "ab" * 32,
        "fingerprint_val": "cd" * 32,
        "source": None,
        "limit": None,
        "order": "row i of every array is row i of the table; example_id is the row in the whole dataset",
        "examples": 100,
        "skipped": [],
        "class_names": ["sun", "moon"],
        "model": "net",
        "recipe": tiny_settings(),
        "recipe_digest": "ef" * 32,
        "updates": list(UPDATES),
        "moment": UPDATES[-1],
        "fraction": 0.1,
        "per_class": False,
        "allow_outliers": False,
        "trials": [],
        "code": {"version": "0.1.0"},
    } | fields


def log_score_run(
    folder, dataset, losses_TMN, *, model="net", updates=UPDATES, table=None, predicted_MN=None, **manifest
):
    """Log a score run with its trials, without the writer of the library; returns the run id.

    `table` replaces columns of the table, `manifest` entries of the manifest; `predicted_MN` is kept by the trials.
    """
    fingerprint = manifest.get("fingerprint", dataset.fingerprint)
    with tracking.tracked_run("score", model) as run_id:
        tags = {"easiness.model": model, "easiness.dataset": dataset.name, "easiness.fingerprint": fingerprint}
        tracking.set_tags(run_id, tags)
        trials = []
        for trial in range(losses_TMN.shape[1]):
            child = tracking.start_child(run_id, "trial", f"trial {trial}", {"easiness.fingerprint": fingerprint})
            place = folder / run_id / f"{trial}" / "losses"
            place.mkdir(parents=True)
            for update, losses_MN in zip(updates, losses_TMN, strict=True):
                np.save(place / f"updates={update:06d}.npy", losses_MN[trial])
            if predicted_MN is not None:
                (place.parent / "predicted").mkdir()
                last = place.parent / "predicted" / f"updates={updates[-1]:06d}.npy"
                np.save(last, predicted_MN[trial].astype(np.float32))
            mlflow.MlflowClient().log_artifacts(child, str(place.parent))
            tracking.end_child(child, "FINISHED")
            trials.append({"trial": trial, "run_id": child})
        scores = folder / run_id / "scores"
        scores.mkdir()
        trajectory_TN = losses_TMN.mean(axis=1, dtype=np.float64)
        columns = {
            "example_id": dataset.example_ids,
            "source": dataset.sources.astype(object),
            "label": dataset.labels,
            "class_name": np.asarray(dataset.class_names, object)[dataset.labels],
            "easiness": trajectory_TN[-1],
        }
        pd.DataFrame(columns | (table or {})).to_parquet(scores / "easiness.parquet")
        np.save(scores / "trajectory.npy", trajectory_TN)
        content = {"limit": len(dataset), "examples": len(dataset), "class_names": list(dataset.class_names)}
        content |= {"dataset": dataset.name, "fingerprint": fingerprint, "model": model, "updates": list(updates)}
        content |= {"moment": updates[-1], "trials": trials}
        (scores / "manifest.json").write_text(json.dumps(score_manifest(run_id=run_id, **content | manifest)))
        tracking.log_folder(run_id, scores, "scores")
    return run_id


def noisy_losses(trials, count, noise, seed=0):
    """(trials, count) losses of a common part and, so many times as large, noise of each trial."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=count) + noise * rng.normal(size=(trials, count))).astype(np.float32)
