"""Errors of a store, from whatever library below: one line that says what is wrong, and what to do."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import mlflow
from mlflow.exceptions import RestException
from requests import RequestException

# Characters of a cause that are shown.
_SHOWN = 200

# What is found in an error, in this order; what the store does, then; what to do.
_CAUSES = (
    (r"Errno 28\b|No space left|disk is full|DiskFull|status 507", "has a full disk", "free space there"),
    (r"status 401", "{login} (401)", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
    (r"status 403", "forbids this to {user} (403)", "ask whoever runs it for the permission"),
    (r"status 413", "takes no upload of this size (413)", "raise its proxy's limit (nginx: client_max_body_size 0)"),
    (
        r"xperiment.*state is deleted|deleted experiment|NoSuchExperiment",
        "has deleted the experiment",
        "run `mlflow experiments restore --experiment-id ID`, or set MLFLOW_EXPERIMENT_NAME to another",
    ),
    (r"readonly database|Errno (30|13|1)\b", "cannot be written", "make it writable for this user"),
    (r"No module named '(?P<module>\w+)", "needs {module} for its artifacts", ".venv/bin/pip install {module}"),
    (r"status (?P<status>5\d\d)", "fails ({status})", "see its log; a full disk is often the cause"),
    (r"status (?P<status>4\d\d)", "refuses ({status})", "see that MLFLOW_TRACKING_URI is an MLflow server"),
    (r"API request to|onnection|timed? ?out", "does not answer", "start it, or set MLFLOW_TRACKING_URI"),
    (r"", "refuses", "see the cause"),
)


class TrackingError(ConnectionError):
    """The store does not answer, or refuses: a server, a database or the place of the artifacts."""


@contextmanager
def in_one_line(artifacts: str = "") -> Iterator[None]:
    """Turn whatever a store raises into a TrackingError; a ValueError of ours is about what the user gave.

    `artifacts` is the address of those that are sent or fetched, for errors that name no place.
    """
    outer = sys.exc_info()[1]
    try:
        yield
    except Exception as error:  # every kind of store raises its own
        ours = isinstance(error, ValueError) and not isinstance(error, RequestException)
        if ours or isinstance(error, TrackingError):
            raise
        raise TrackingError(one_line(error, outer, artifacts)) from error


def without_password(text: str) -> str:
    """Text whose addresses have neither user nor password."""
    return re.sub(r"//[^/\s@]*@", "//", text)


def one_line(error: BaseException, outer: BaseException | None = None, artifacts: str = "") -> str:
    """Line on what a store has raised, while `outer` was handled: which store, what is wrong, and what to do."""
    chain = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) not in (None, outer, *chain):
        chain.append(deeper)
    text = " ".join(f"{one} {_status(one)}" for one in chain)
    found, does, remedy = next(
        (found, does, remedy) for pattern, does, remedy in _CAUSES if (found := re.search(pattern, text))
    )
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    login = f"does not accept the password of {user}" if user else "asks for a user and a password"
    words = {"login": login, "user": user or "a caller without a name"} | found.groupdict()
    subject, cause = _subject(error, text, artifacts), _cause(chain)
    return without_password(f"{subject} {does.format(**words)}: {cause}; {remedy.format(**words)}")


def _status(error: BaseException) -> str:
    """Status of an answer by HTTP, as a word that the table knows."""
    response = getattr(error, "response", None)
    if isinstance(error, RestException):
        status = error.get_http_status_code()
    elif hasattr(response, "status_code"):
        status = response.status_code
    else:
        found = re.search(r"error code (\d{3}) !=|too many (\d{3}) error responses", str(error))
        status = found and (found[1] or found[2])
    return f"(status {status})" if status else ""


def _subject(error: BaseException, text: str, artifacts: str) -> str:
    """The thing that fails: a server that is named in the error, a file, or the store as it was given."""
    server = re.search(r"(?:API request to|for url:) (https?://[^/\s]+)", text)
    if server:
        return f"the tracking server {server[1]}"
    if isinstance(error, OSError) and error.filename:
        return f"the folder {os.path.dirname(os.fspath(error.filename))}"
    if artifacts:
        return f"the artifact store {artifacts}"
    address = mlflow.get_tracking_uri()
    parts = urlsplit(address)
    if parts.scheme == "sqlite":
        return f"the store {parts.path[1:]}"
    return f"the tracking server {address}"


def _cause(chain: list[BaseException]) -> str:
    """End of the first error, where MLflow says why, without tags and in one line."""
    words = re.split(r"#####|failed with exception|Response (?:body|text):|Caused by", str(chain[0]))[-1]
    words = " ".join(re.sub(r"<style.*?</style>|<[^>]*>", " ", words.split("[SQL:")[0], flags=re.S).split())
    return words[:_SHOWN].strip(" '\"") or type(chain[0]).__name__
