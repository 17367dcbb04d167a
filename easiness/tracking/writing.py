"""Runs opened and ended, and the calls that log on them."""

import hashlib
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, LoggedModelStatus, Metric, Param, Run, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking.context.registry import resolve_tags

from easiness.files import checksums
from easiness.tracking.artifacts import AnyManifest, RunArtifacts
from easiness.tracking.contract import SCHEMA, VERSION
from easiness.tracking.errors import TrackingError
from easiness.tracking.host import HOST, is_alive, process_mark, works_for
from easiness.tracking.manifests import SEAL, Manifest
from easiness.tracking.server import client, get_run, search_beside, server_errors

# Entries of an epoch that say when it was; the others are metrics.
_WHEN = ("epoch", "update", "time")

# Tags of MLflow's own that a child run gets from its parent.
_INHERITED = ("mlflow.source.git.commit", "mlflow.user")

# Files of one folder on their way to a server at the same time.
_UPLOADS = 8

# A run that `mlflow run` has made is without a process for a moment, until its program is started.
_STARTING_S = 60


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

    Inside another one it becomes a child of that; else the store is tried before the work, and what killed processes
    left there is closed. A run that ends by an error is marked FAILED, one that is stopped KILLED.
    """
    active = None
    # Tags come with the run: one that is killed between the two could not be told from another's.
    named = {"run_name": name, "tags": {"easiness.kind": kind, **_origin()}}
    try:
        with server_errors():
            client()
            parent = mlflow.active_run()
            if parent is not None:
                active = mlflow.start_run(nested=True, experiment_id=parent.info.experiment_id, **named)
            else:
                if "MLFLOW_RUN_ID" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
                    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default"))
                active = mlflow.start_run(**named)
        run_id = active.info.run_id
        if parent is None:
            _close_cut_off(run_id)
            _try_artifacts(run_id)
        yield run_id
    except BaseException as error:
        if active is None:
            raise
        # Of a store that is gone, the first error says what is lost and kept; that the run stays open is no news.
        with suppress(TrackingError), server_errors():
            mlflow.end_run("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            _has_model(run_id)
        raise
    with server_errors():
        mlflow.end_run("FINISHED")


def start_child(parent_id: str, kind: str, name: str, tags: dict[str, str]) -> str:
    """Start a run below another one; returns its id."""
    with server_errors():
        parent = client().get_run(parent_id)
        source = {key: parent.data.tags[key] for key in _INHERITED if key in parent.data.tags}
        source |= {"mlflow.parentRunId": parent_id, "easiness.kind": kind, **_origin()}
        run = client().create_run(parent.info.experiment_id, tags=source | tags, run_name=name)
    return run.info.run_id


def start_run(kind: str, name: str, tags: dict[str, str]) -> str:
    """Start a run that is not MLflow's active one, and so catches nobody else's logging; returns its id.

    Inside a run, the active one or that of `mlflow run`, it becomes a child; else the store is tried before the work,
    as in `tracked_run`. `end_child` ends it.
    """
    with server_errors():
        client()
        active = mlflow.active_run()
        parent = os.environ.get("MLFLOW_RUN_ID") if active is None else active.info.run_id
        if parent is not None:
            return start_child(parent, kind, name, tags)
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if experiment is None:
            named = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
            found = client().get_experiment_by_name(named)
            experiment = client().create_experiment(named) if found is None else found.experiment_id
        tags = resolve_tags({"easiness.kind": kind, **_origin(), **tags})
        run_id = client().create_run(experiment, tags=tags, run_name=name).info.run_id
    try:
        _close_cut_off(run_id)
        _try_artifacts(run_id)
    except BaseException:
        with suppress(TrackingError):
            end_child(run_id, "FAILED")
        raise
    return run_id


def end_child(run_id: str, status: str) -> None:
    """End a child run as FINISHED, FAILED or KILLED; of one that is not finished, no logged model stays half-way up."""
    if status != "FINISHED":
        _has_model(run_id)
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
    """Upload everything in a folder, several files at a time."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to upload")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    address = get_run(run_id).info.artifact_uri
    with server_errors(address):
        repository, failed = get_artifact_repository(address), threading.Event()

        def send(file: Path) -> None:
            place = "/".join([*filter(None, [artifact_path]), *file.relative_to(folder).parts[:-1]])
            try:
                if not failed.is_set():
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
    import mlflow.pytorch

    requirements = [f"{package}=={version(package).split('+')[0]}" for package in ("torch", "torchvision")]
    if _has_model(run_id):
        return  # the upload was cut off later than here
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
    for run in search_beside(run_id, "attributes.status = 'RUNNING'"):
        if run.info.run_id != run_id and _is_cut_off(run):
            end_child(run.info.run_id, "KILLED")


def _is_cut_off(run: Run) -> bool:
    """Whether the process that works on a run is a dead one of this folder, on this machine."""
    tags, origin = run.data.tags, _origin()
    if "easiness.process" in tags:
        here = all(tags.get(key) == origin[key] for key in ("easiness.host", "easiness.folder"))
        return here and not is_alive(tags["easiness.process"])
    # Made by `mlflow run .`, whose program was killed before it could say more.
    started_here = tags.get("mlflow.source.name", "").endswith(origin["easiness.folder"])
    return started_here and _now() - run.info.start_time > 1000 * _STARTING_S and not works_for(run.info.run_id)


def _has_model(run_id: str) -> bool:
    """Whether the logged model of a run is there; deletes what is left of an upload that failed."""
    with server_errors():
        experiment = get_run(run_id).info.experiment_id
        models = client().search_logged_models([experiment], f"source_run_id = '{run_id}'")
        for model in models:
            if model.status != LoggedModelStatus.READY:
                client().delete_logged_model(model.model_id)
    return any(model.status == LoggedModelStatus.READY for model in models)


def _try_artifacts(run_id: str) -> None:
    """Send one small artifact there and back: a store that takes none is known before the work, not after it."""
    address = get_run(run_id).info.artifact_uri
    with server_errors(address):
        repository = get_artifact_repository(address)
        with tempfile.TemporaryDirectory() as folder:
            sent, back = Path(folder, "store-check.txt"), Path(folder, "back")
            sent.write_text(run_id)
            back.mkdir()
            repository.log_artifact(str(sent))
            if Path(repository.download_artifacts(sent.name, str(back))).read_text() != run_id:
                raise TrackingError(f"artifacts at {repository.artifact_uri} do not come back as they were sent")
        with suppress(Exception):  # a store may keep all that it is given
            repository.delete_artifacts(sent.name)


def _origin() -> dict[str, str]:
    """Tags that name the version and the process which opens a run."""
    return {
        "easiness.schema": str(SCHEMA),
        "easiness.version": VERSION,
        "easiness.host": HOST,
        "easiness.folder": str(Path.cwd()),
        "easiness.process": process_mark(),
    }


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _now() -> int:
    return int(1000 * time.time())
