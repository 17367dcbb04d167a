"""The tracking server or store: its address, its runs, and the way to it."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

# A server that does not answer is reported in seconds. MLflow reads these when it is called, and a user may set others.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# MLflow shows a progress bar even for a handful of small files.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from easiness.tracking.errors import in_one_line, without_password
from easiness.tracking.interruptions import is_stopping, signals_held
from easiness.tracking.store import open_store

# For the last words of a process that a signal ends: it has seconds.
_HURRY = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def public_address() -> str:
    """Address of the tracking server or store without a user's name and password, and without folders."""
    parts = urlsplit(without_password(mlflow.get_tracking_uri()))
    return urlunsplit(parts) if parts.netloc else f"{parts.scheme}:///{parts.path.rpartition('/')[2]}"


def command_of_ui() -> str:
    """Command, to be pasted into any shell, that shows the runs of a store in a browser; empty for a server."""
    address = without_password(mlflow.get_tracking_uri())
    if address.startswith("http"):
        return ""
    program = Path(sys.executable).with_name("mlflow")
    words = [str(program) if program.exists() else "mlflow", "ui", "--backend-store-uri", address]
    return shlex.join(words)


def client(tracking_uri: str | None = None) -> mlflow.MlflowClient:
    """MLflow's client of a server or store; of MLflow's own default without an address."""
    open_store(tracking_uri or mlflow.get_tracking_uri())
    return mlflow.MlflowClient(tracking_uri)


def get_run(run_id: str, tracking_uri: str | None = None) -> Run:
    """Run by its id; ValueError if there is no such run."""
    with server_errors():
        try:
            return client(tracking_uri).get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            address = tracking_uri or public_address()
            raise ValueError(
                f"there is no run {run_id} on {without_password(address)}; check the id and tracking_uri"
            ) from None


def search_beside(run_id: str | None, query: str) -> list[Run]:
    """Runs that a query finds in the experiment of a run, the latest first; None is a run that is not opened yet."""
    experiment = _next_experiment() if run_id is None else get_run(run_id).info.experiment_id
    return [] if experiment is None else search(experiment, query)


def _next_experiment() -> str | None:
    """Id of the experiment in which a call opens its run; None where that is not there yet."""
    active = mlflow.active_run()
    if active is not None:
        return active.info.experiment_id
    if "MLFLOW_RUN_ID" in os.environ:
        return get_run(os.environ["MLFLOW_RUN_ID"]).info.experiment_id
    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    with server_errors():
        found = client().get_experiment_by_name(os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default"))
    return None if found is None else found.experiment_id


def search(experiment: str, query: str) -> list[Run]:
    """Runs that a query finds in an experiment, by its id, the latest first."""
    order = ["attributes.start_time DESC"]
    with server_errors():
        return mlflow.search_runs([experiment], filter_string=query, order_by=order, output_format="list")


@contextmanager
def server_errors(artifacts: str = "") -> Iterator[None]:
    """The way to the store, for every call of MLflow, and to the address of its artifacts.

    What the libraries below raise becomes a TrackingError of one line, a signal waits until the call is over, and
    where a signal already ends the process, a server has two seconds to answer.
    """
    hand_on_password()
    earlier = {name: os.environ.get(name, value) for name, value in _HURRY.items()}
    if is_stopping():
        os.environ.update(_HURRY)
    try:
        with signals_held(), in_one_line(artifacts):
            yield
    finally:
        os.environ.update(earlier)


def hand_on_password() -> None:
    """Move user and password from the server's address to MLflow's variables: MLflow prints and stores the address."""
    address = mlflow.get_tracking_uri()
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and parts.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
        mlflow.set_tracking_uri(without_password(address))
