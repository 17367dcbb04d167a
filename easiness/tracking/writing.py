"""Runs opened and ended, and the calls that log on them."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, Metric, Param, RunTag

from easiness.files import checksums
from easiness.tracking.artifacts import AnyManifest, RunArtifacts
from easiness.tracking.contract import SCHEMA, VERSION
from easiness.tracking.host import HOST, is_alive
from easiness.tracking.manifests import SEAL, Manifest
from easiness.tracking.server import client, get_run, search_beside, server_errors

# Entries of an epoch that say when it was; the others are metrics.
_WHEN = ("epoch", "update", "time")

# Tags of MLflow's own that a child run gets from its parent.
_INHERITED = ("mlflow.source.git.commit", "mlflow.user")


@dataclass(frozen=True)
class DataDescription:
    """Data of a run: name, train or val, place it was read from, fingerprint, N and K."""

    name: str
    split: str
    source: str
    fingerprint: str
    count: int
    num_classes: int


@contextmanager
def tracked_run(kind: str, name: str) -> Iterator[str]:
    """Open a run of a kind (`score`, `match` …): the one that `mlflow run` has made, or a new one; yields its id.

    Inside another one it becomes a child of that. A run that ends by an error is marked FAILED.
    """
    with server_errors():
        parent = mlflow.active_run()
        if parent is not None:
            active = mlflow.start_run(nested=True, experiment_id=parent.info.experiment_id)
        else:
            if "MLFLOW_RUN_ID" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
                mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default"))
            active = mlflow.start_run()
    run_id = active.info.run_id
    status = "FAILED"
    try:
        if parent is None:
            _close_cut_off(run_id)
        set_tags(run_id, {"easiness.kind": kind, "mlflow.runName": name, **_origin()})
        yield run_id
        status = "FINISHED"
    finally:
        with server_errors():
            mlflow.end_run(status)


def start_child(parent_id: str, kind: str, name: str, tags: dict[str, str]) -> str:
    """Start a run below another one; returns its id."""
    with server_errors():
        parent = client().get_run(parent_id)
        source = {key: parent.data.tags[key] for key in _INHERITED if key in parent.data.tags}
        source |= {"mlflow.parentRunId": parent_id, "easiness.kind": kind, **_origin()}
        run = client().create_run(parent.info.experiment_id, tags=source | tags, run_name=name)
    return run.info.run_id


def end_child(run_id: str, status: str) -> None:
    """End a child run as FINISHED, FAILED or KILLED."""
    with server_errors():
        client().set_terminated(run_id, status)


def set_tags(run_id: str, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    with server_errors():
        client().log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


def log_settings(run_id: str, settings: dict[str, object]) -> None:
    """Log the settled options of a run as parameters `recipe.…`.

    MLflow logs the declared parameters itself, as typed and before any code runs; the same name with a parsed value
    would be refused.
    """
    with server_errors():
        params = [Param(f"recipe.{key}", _plain(value)) for key, value in settings.items()]
        client().log_batch(run_id, params=params)


def log_metrics(run_id: str, metrics: dict[str, float]) -> None:
    """Log numbers of a run in one call."""
    now = _now()
    with server_errors():
        client().log_batch(run_id, metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()])


def log_epochs(run_id: str, epochs: Sequence[dict[str, float]]) -> None:
    """Log the metrics of epochs, as `run_trial` reports them; logging an epoch again changes nothing.

    Each has an `epoch`, and may have a `time` in milliseconds.
    """
    now = _now()
    metrics = [
        Metric(key, value, int(entry.get("time", now)), int(entry["epoch"]))
        for entry in epochs
        for key, value in entry.items()
        if key not in _WHEN
    ]
    with server_errors():
        for start in range(0, len(metrics), 1000):  # the server takes no more in one call
            client().log_batch(run_id, metrics=metrics[start : start + 1000])


def log_data(run_id: str, *descriptions: DataDescription) -> None:
    """Log which data a run used; the UI shows it as "Datasets used"."""
    inputs = [
        DatasetInput(
            DatasetEntity(
                name=data.name,
                digest=data.fingerprint[:32],
                source_type="easiness",
                source=json.dumps({"from": data.source, "fingerprint": data.fingerprint}),
                profile=json.dumps({"examples": data.count, "classes": data.num_classes}),
            ),
            tags=[mlflow.entities.InputTag("mlflow.data.context", data.split)],
        )
        for data in descriptions
    ]
    with server_errors():
        client().log_inputs(run_id, inputs)


def log_folder(run_id: str, folder: Path, artifact_path: str | None = None) -> None:
    """Upload everything in a folder."""
    with server_errors():
        client().log_artifacts(run_id, str(folder), artifact_path)


def log_results(run_id: str, folder: Path, manifest: AnyManifest) -> AnyManifest:
    """Upload everything in a folder, and the manifest with the checksums of it; returns that manifest."""
    manifest = replace(manifest, checksums=checksums(folder))
    log_folder(run_id, folder)
    log_manifest(run_id, manifest)
    return manifest


def log_manifest(run_id: str, manifest: Manifest) -> None:
    """Log a manifest once all files that it names are there, and last its own checksum as a tag.

    A TrackingError names a file that did not arrive.
    """
    RunArtifacts(run_id, checksums=manifest.checksums).require_uploaded()
    text = manifest.to_json()
    with server_errors():
        client().log_text(run_id, text, manifest.FILE)
    set_tags(run_id, {SEAL: hashlib.sha256(text.encode()).hexdigest()})


def log_model(run_id: str, model: object, example_BCHW: np.ndarray) -> None:
    """Log a network (on the CPU, in eval mode) as the logged model `model` of a run.

    `example_BCHW` is normalized float32; B of at least 2 keeps the batch size free.
    """
    import mlflow.pytorch

    requirements = [f"{package}=={version(package).split('+')[0]}" for package in ("torch", "torchvision")]
    with server_errors(), mlflow.start_run(run_id=run_id, nested=True):
        mlflow.pytorch.log_model(
            model, name="model", input_example=example_BCHW, pip_requirements=requirements, serialization_format="pt2"
        )


def code_versions(run_id: str) -> dict[str, str | None]:
    """Versions of this package, its git commit and the libraries below it, for the manifest of a run."""
    return {
        "version": VERSION,
        "git_commit": get_run(run_id).data.tags.get("mlflow.source.git.commit"),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "torchvision", "numpy", "mlflow")},
    }


def _close_cut_off(run_id: str) -> None:
    """Mark as KILLED what processes of this folder, on this machine, left RUNNING in the experiment of a run."""
    origin = _origin()
    for run in search_beside(run_id, "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        here = all(tags.get(key) == origin[key] for key in ("easiness.host", "easiness.folder"))
        if here and not is_alive(int(tags.get("easiness.pid", os.getpid()))):
            end_child(run.info.run_id, "KILLED")


def _origin() -> dict[str, str]:
    """Tags that name the version and the process which opens a run."""
    return {
        "easiness.schema": str(SCHEMA),
        "easiness.version": VERSION,
        "easiness.host": HOST,
        "easiness.folder": str(Path.cwd()),
        "easiness.pid": str(os.getpid()),
    }


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _now() -> int:
    return int(1000 * time.time())
