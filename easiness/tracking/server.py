"""The tracking server or store: its address, its runs, and its errors in one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

# A server that does not answer is reported in seconds. MLflow reads these when it is called, and a user may set others.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# MLflow shows a progress bar even for a handful of small files.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException


class TrackingError(ConnectionError):
    """The tracking server does not answer, or refuses."""


def server_address() -> str:
    """Address of the tracking server or store."""
    return mlflow.get_tracking_uri()


def public_address() -> str:
    """Address of the tracking server or store without a user's name and password, and without folders."""
    parts = urlsplit(server_address())
    if parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return f"{parts.scheme}:///{parts.path.rpartition('/')[2]}"


def how_to_open() -> str:
    """Command or address that shows the runs in a browser."""
    address = server_address()
    return address if address.startswith("http") else f"mlflow ui --backend-store-uri {address}"


def client(tracking_uri: str | None = None) -> mlflow.MlflowClient:
    """MLflow's client of a server or store; of MLflow's own default without an address."""
    return mlflow.MlflowClient(tracking_uri)


def get_run(run_id: str, tracking_uri: str | None = None) -> Run:
    """Run by its id; ValueError if there is no such run."""
    with server_errors():
        try:
            return client(tracking_uri).get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"):
                raise
            address = tracking_uri or public_address()
            raise ValueError(f"there is no run {run_id} on {address}; check the id and tracking_uri") from None


def search_beside(run_id: str, query: str) -> list[Run]:
    """Runs that a query finds in the experiment of a run, the latest first."""
    return search(get_run(run_id).info.experiment_id, query)


def search(experiment: str, query: str) -> list[Run]:
    """Runs that a query finds in an experiment, by its id, the latest first."""
    order = ["attributes.start_time DESC"]
    with server_errors():
        return mlflow.search_runs([experiment], filter_string=query, order_by=order, output_format="list")


@contextmanager
def server_errors() -> Iterator[None]:
    """Turn what the libraries below raise when a server is gone into one line."""
    try:
        yield
    except MlflowException as error:
        if "API request to" in str(error) or isinstance(error.__cause__, OSError):
            cause = str(error).split(" failed with exception ")[-1]
            raise TrackingError(
                f"the tracking server {server_address()} does not answer ({cause[:200]}); start it, or set "
                "MLFLOW_TRACKING_URI"
            ) from error
        raise
