"""Runs opened and ended, and those closed that a kill left open."""

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
from mlflow.entities import Run, SourceType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.git_utils import get_git_commit
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from easiness.machine import HOST, has_process_with, is_alive, process_mark
from easiness.tracking.contract import SCHEMA, VERSION
from easiness.tracking.errors import TrackingError
from easiness.tracking.server import client, get_run, search_beside, server_errors
from easiness.tracking.writing import has_model

# Tags of MLflow's own that a child run gets from its parent.
_INHERITED = ("mlflow.source.git.commit", "mlflow.user")

# A run that `mlflow run` has made is without a process for a moment, until its program is started.
_STARTING_S = 60

# Kind of a run in which nothing was done.
DRY_RUN = "dry_run"

_EXPERIMENT_KIND = "mlflow.experimentKind"


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
            _show_runs(active.info.experiment_id)
            _close_cut_off(run_id)
            _try_artifacts(run_id)
        yield run_id
    except BaseException as error:
        if active is None:
            raise
        # Of a store that is gone, the first error says what is lost and kept; that the run stays open is no news.
        with suppress(TrackingError), server_errors():
            mlflow.end_run("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            has_model(run_id)
        raise
    with server_errors():
        mlflow.end_run("FINISHED")


def start_project_run(entry_point: str, experiment_name: str | None, experiment_id: str | None) -> str:
    """Make the run of an entry point of the project in the current folder; returns its id.

    It has the tags of a run that `mlflow run` makes, and no parameters: the program logs them, settled.
    """
    with server_errors():
        if experiment_id is None and (experiment_name is not None or "MLFLOW_EXPERIMENT_ID" not in os.environ):
            name = experiment_name or os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
            experiment_id = mlflow.set_experiment(name).experiment_id
        tags = {
            MLFLOW_USER: getpass.getuser(),
            MLFLOW_SOURCE_NAME: str(Path.cwd()),
            MLFLOW_SOURCE_TYPE: SourceType.to_string(SourceType.PROJECT),
            MLFLOW_PROJECT_ENTRY_POINT: entry_point,
            MLFLOW_GIT_COMMIT: get_git_commit(str(Path.cwd())),
            **_origin(),
        }
        said = {key: value for key, value in tags.items() if value is not None}
        run = client().create_run(experiment_id or os.environ["MLFLOW_EXPERIMENT_ID"], tags=said)
    return run.info.run_id


def close_project_run(run_id: str) -> None:
    """Mark a run FAILED whose program never began, and delete that of a dry run."""
    with suppress(TrackingError, ValueError):
        run = get_run(run_id)
        if run.info.status == "RUNNING":
            end_child(run_id, "FAILED")
        elif run.data.tags.get("easiness.kind") == DRY_RUN:
            with server_errors():
                client().delete_run(run_id)


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
        _show_runs(experiment)
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
        has_model(run_id)
    with server_errors():
        client().set_terminated(run_id, status)


def _show_runs(experiment_id: str) -> None:
    """Have the UI open an experiment with its runs; without this tag it opens a view for language models."""
    with server_errors():
        if _EXPERIMENT_KIND not in client().get_experiment(experiment_id).tags:
            client().set_experiment_tag(experiment_id, _EXPERIMENT_KIND, "custom_model_development")


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
    return (
        started_here
        and 1000 * time.time() - run.info.start_time > 1000 * _STARTING_S
        and not has_process_with("MLFLOW_RUN_ID", run.info.run_id)
    )


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
