"""Calls that log on a run."""

import hashlib
import json
import platform
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, LoggedModelStatus, Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from easiness.files import checksums
from easiness.tracking.artifacts import AnyManifest, RunArtifacts
from easiness.tracking.contract import VERSION
from easiness.tracking.manifests import SEAL, Manifest
from easiness.tracking.server import client, get_run, server_errors

# Entries of an epoch that say when it was; the others are metrics.
_WHEN = ("epoch", "update", "time")

# MLflow refuses longer ones.
_LONGEST_PARAMETER = 6000

# Files of one folder on their way to a server at the same time.
_UPLOADS = 8


@dataclass(frozen=True)
class DataDescription:
    """Data of a run: name, train or val, place it was read from, fingerprint, N and K."""

    name: str
    split: str
    source: str
    fingerprint: str
    count: int
    num_classes: int


def set_tags(run_id: str, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    with server_errors():
        client().log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


def log_settings(run_id: str, settings: dict[str, object]) -> None:
    """Log the settled options of a run as parameters `recipe.…`.

    A bare `mlflow run` logs the declared parameters itself, as typed and before any code runs; the same name with a
    parsed value would be refused.
    """
    _log_params(run_id, "recipe", settings)


def log_options(run_id: str, options: dict[str, object]) -> None:
    """Log the options of a run that no recipe settles, as parameters `option.…`."""
    _log_params(run_id, "option", options)


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


def log_folder(
    run_id: str, folder: Path, artifact_path: str | None = None, stopped: threading.Event | None = None
) -> None:
    """Upload everything in a folder, several files at a time; where it is stopped, the rest stays."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to upload")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    address = get_run(run_id).info.artifact_uri
    with server_errors(address):
        repository, failed = get_artifact_repository(address), threading.Event()

        def send(file: Path) -> None:
            place = "/".join([*filter(None, [artifact_path]), *file.relative_to(folder).parts[:-1]])
            try:
                if not (failed.is_set() or (stopped is not None and stopped.is_set())):
                    repository.log_artifact(str(file), place or None)
            except BaseException:
                failed.set()
                raise

        pool = ThreadPoolExecutor(_UPLOADS)
        try:
            for sent in [pool.submit(send, file) for file in files]:
                sent.result()
        finally:
            pool.shutdown(cancel_futures=True)


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
    requirements = [f"{package}=={version(package).split('+')[0]}" for package in ("torch", "torchvision")]
    if has_model(run_id):
        return  # the upload was cut off later than here
    import mlflow.pytorch  # torch and, where it is, Lightning: seconds

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


def has_model(run_id: str) -> bool:
    """Whether the logged model of a run is there; deletes what is left of an upload that failed."""
    with server_errors():
        experiment = get_run(run_id).info.experiment_id
        models = client().search_logged_models([experiment], f"source_run_id = '{run_id}'")
        for model in models:
            if model.status != LoggedModelStatus.READY:
                client().delete_logged_model(model.model_id)
    return any(model.status == LoggedModelStatus.READY for model in models)


def _log_params(run_id: str, prefix: str, values: dict[str, object]) -> None:
    params = [Param(f"{prefix}.{key}", _plain(value)[:_LONGEST_PARAMETER]) for key, value in values.items()]
    with server_errors():
        client().log_batch(run_id, params=params)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _now() -> int:
    return int(1000 * time.time())
