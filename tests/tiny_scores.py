"""Score runs that were never trained: losses that a test chose, logged as the entry point `score` would log them."""

import hashlib
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
    settings = {"seed": 0, "resolution": 64, "score_at": [], "common_random_numbers": False, "folds": 0}
    return settings | {"batch_size": 32, "epochs": 2, "schedule_epochs": 300} | fields


def score_manifest(**fields):
    """Everything that the manifest of a score run holds, as it stands in the file."""
    return {
        "schema": 1,
        "checksums": {},
        "run_id": "r",
        "polarity": "lower_is_easier",
        "dataset": "planted",
        "fingerprint": "ab" * 32,
        "fingerprint_val": "cd" * 32,
        "opened_as": "planted",
        "source": None,
        "limit": None,
        "data_seed": 0,
        "order": "row i of every array is row i of the table; example_id is the row in the whole dataset",
        "examples": 100,
        "trained": 100,
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
        "label_changes": {},
        "code": {"version": "0.1.0"},
    } | fields


def log_sealed(run_id, folder, file, content):
    """Log a folder, the manifest of everything in it, and the manifest's checksum, by hand."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    checksums = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in paths
    }
    text = json.dumps(content | {"checksums": checksums})
    client = mlflow.MlflowClient()
    client.log_artifacts(run_id, str(folder))
    client.log_text(run_id, text, file)
    client.set_tag(run_id, "easiness.manifest", hashlib.sha256(text.encode()).hexdigest())


def log_trial(run_id, folder, trial, arrays, fingerprint):
    """Log a trial below a run: `arrays` by measure and update; returns its run id."""
    child = tracking.start_child(run_id, "trial", f"trial {trial}", {"easiness.fingerprint": fingerprint})
    for measure, by_update in arrays.items():
        (folder / measure).mkdir(parents=True)
        for update, values_N in by_update.items():
            np.save(folder / measure / f"updates={update:06d}.npy", values_N.astype(np.float32))
    content = {"digest": f"{trial}", "trial": trial, "fingerprint": fingerprint, "updates": list(arrays["losses"])}
    log_sealed(child, folder, "trial.json", {"schema": 1, **content})
    tracking.end_child(child, "FINISHED")
    return child


def log_score_run(
    folder,
    dataset,
    losses_TMN,
    *,
    model="net",
    table=None,
    predicted_MN=None,
    more=None,
    fingerprints=(),
    measures=None,
    **manifest,
):
    """Log a score run with its trials, without the writer of the library; returns the run id.

    `table` replaces columns of the table, `manifest` entries of the manifest; `predicted_MN` is kept by the trials, as
    are other `measures`, (T, M, N) by name; trials may have `fingerprints` of their own, by trial; `more` writes
    further artifacts into a folder.
    """
    fingerprint = manifest.get("fingerprint", dataset.fingerprint)
    updates = manifest.get("updates", list(UPDATES))
    with tracking.tracked_run("score", model) as run_id:
        tags = {"easiness.model": model, "easiness.dataset": dataset.name, "easiness.fingerprint": fingerprint}
        tracking.set_tags(run_id, tags)
        trials = []
        for trial in range(losses_TMN.shape[1]):
            arrays = {"losses": dict(zip(updates, losses_TMN[:, trial], strict=True))}
            for name, values_TMN in (measures or {}).items():
                arrays[name] = dict(zip(updates, values_TMN[:, trial], strict=True))
            if predicted_MN is not None:
                arrays["predicted"] = {updates[-1]: predicted_MN[trial]}
            place, data = folder / run_id / f"{trial}", dict(fingerprints).get(trial, fingerprint)
            trials.append({"trial": trial, "run_id": log_trial(run_id, place, trial, arrays, data)})
        place = folder / run_id / "run"
        (place / "scores").mkdir(parents=True)
        trajectory_TN = losses_TMN.mean(axis=1, dtype=np.float64)
        count = len(dataset)
        columns = {
            "example_id": dataset.example_ids,
            "source": dataset.sources.astype(object),
            "label": dataset.labels,
            "class_name": np.asarray(dataset.class_names, object)[dataset.labels],
            "easiness": trajectory_TN[-1],
            "easiness_std": losses_TMN[-1].std(axis=0, dtype=np.float64),
            "rank": trajectory_TN[-1].argsort().argsort() + 1,
            "set": np.full(count, "", object),
        }
        pd.DataFrame(columns | (table or {})).to_parquet(place / "scores" / "easiness.parquet")
        np.save(place / "scores" / "trajectory.npy", trajectory_TN)
        if more is not None:
            more(place)
        content = dict.fromkeys(("limit", "examples", "trained"), count)
        content |= {"class_names": list(dataset.class_names), "run_id": run_id}
        content |= {"dataset": dataset.name, "fingerprint": fingerprint, "model": model, "trials": trials}
        content |= {"moment": updates[-1], "opened_as": dataset.kind}
        log_sealed(run_id, place, "scores/manifest.json", score_manifest(**content | manifest))
    return run_id


def noisy_losses(trials, count, noise, seed=0):
    """(trials, count) losses of a common part and, so many times as large, noise of each trial."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=count) + noise * rng.normal(size=(trials, count))).astype(np.float32)
