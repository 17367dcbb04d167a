"""Files of a run."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

from easiness.tracking.server import TrackingError, client, how_to_open, server_errors

# Characters of a cause that are shown.
_SHOWN = 200


def fetch(run_id: str, path: str = "", tracking_uri: str | None = None, *, folder: Path | None = None) -> Path:
    """Download artifacts of a run, or find them where they are on this machine.

    Parameters
    ----------
    run_id, path : str
        Whose, and which; all of them without a path.
    tracking_uri : str, optional
        Server or store; MLflow's own default without it.
    folder : pathlib.Path, optional
        Where to download to, for the caller to remove; a temporary folder that stays without it.

    Raises
    ------
    FileNotFoundError
        If the run has no such artifact: its folder is listed, and it is not in it.
    TrackingError
        If it is there and cannot be fetched, or nothing can be said of it.
    """
    place = _place(run_id, path, tracking_uri)
    if urlsplit(place).scheme in ("", "file"):  # MLflow would copy them
        found = Path(local_file_uri_to_path(place), path)
        if not found.exists():
            raise FileNotFoundError(f"run {run_id} has no artifact {path}")
        return found
    # By way of `runs:/` MLflow would swallow the error, and call everything missing that it cannot fetch.
    repository = _repository(place, tracking_uri)
    try:
        return Path(repository.download_artifacts(path, dst_path=None if folder is None else str(folder)))
    except Exception as error:  # every kind of store has errors of its own
        if _is_missing(repository, PurePosixPath(path)):
            raise FileNotFoundError(f"run {run_id} has no artifact {path}") from error
        raise _not_fetched(run_id, path or "/", error) from error


def artifact_names(run_id: str, folder: str, suffix: str) -> list[str]:
    """Names, without their suffix, of the artifacts in a folder of a run; none where there is no such folder.

    Raises
    ------
    TrackingError
        If the folder cannot be listed.
    """
    repository = _repository(artifact_place(run_id))
    try:
        paths = [PurePosixPath(item.path) for item in repository.list_artifacts(folder)]
    except Exception as error:
        raise _not_fetched(run_id, folder, error) from error
    return sorted(path.stem for path in paths if path.suffix == suffix)


def artifact_place(run_id: str) -> str:
    """Where the artifacts of a run are, for a person to open."""
    with server_errors():
        return client().get_run(run_id).info.artifact_uri


def whereabouts(run_id: str) -> str:
    """Three lines for a person: the id of a run, the place of its artifacts, and the command that opens the UI."""
    return f"run id     {run_id}\nartifacts  {artifact_place(run_id)}\nopen       {how_to_open()}"


def _place(run_id: str, path: str, tracking_uri: str | None) -> str:
    """Where the artifacts of a run are; a run that is not there has none."""
    with server_errors():
        try:
            return client(tracking_uri).get_run(run_id).info.artifact_uri
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                raise
            raise FileNotFoundError(f"run {run_id} has no artifact {path}") from error


def _repository(place: str, tracking_uri: str | None = None) -> ArtifactRepository:
    place = add_databricks_profile_info_to_artifact_uri(place, tracking_uri)
    return get_artifact_repository(place, tracking_uri=tracking_uri)


def _is_missing(repository: ArtifactRepository, path: PurePosixPath) -> bool:
    """Whether the folder of an artifact is listed, and does not hold it."""
    if not path.name:  # the whole, which is in no folder
        return False
    try:
        items = repository.list_artifacts(str(path.parent) if path.parent.name else None)
    except Exception:
        return False
    return path.name not in [PurePosixPath(item.path).name for item in items]


def _not_fetched(run_id: str, path: str, error: Exception) -> TrackingError:
    """Say in one line, without passwords, why something that may well be there is not here."""
    # Before these words MLflow repeats where it looked, at length.
    cause = re.split(r"#####|failed with exception|Caused by", str(error))[-1]
    cause = re.sub(r"//[^/\s]*@", "//", " ".join(cause.split()))[:_SHOWN] or type(error).__name__
    return TrackingError(
        f"artifact {path} of run {run_id} cannot be fetched: {cause}; the same command tries again once the server "
        "gives it"
    )
