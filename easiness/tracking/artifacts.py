"""Files of a run."""

from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from easiness.tracking.server import client, server_errors


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
        If the run has no such artifact.
    """
    with server_errors():
        try:
            place = client(tracking_uri).get_run(run_id).info.artifact_uri
            if urlsplit(place).scheme in ("", "file"):  # MLflow would copy them
                found = Path(local_file_uri_to_path(place), path)
                if not found.exists():
                    raise FileNotFoundError(str(found))
                return found
            return Path(
                mlflow.artifacts.download_artifacts(
                    run_id=run_id,
                    artifact_path=path,
                    tracking_uri=tracking_uri,
                    dst_path=None if folder is None else str(folder),
                )
            )
        except (OSError, MlflowException) as error:
            if isinstance(error, MlflowException) and error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                raise
            raise FileNotFoundError(f"run {run_id} has no artifact {path}") from error


def artifact_names(run_id: str, folder: str, suffix: str) -> list[str]:
    """Names, without their suffix, of the artifacts in a folder of a run; none where there is no such folder."""
    with server_errors():
        paths = [Path(item.path) for item in client().list_artifacts(run_id, folder)]
    return sorted(path.stem for path in paths if path.suffix == suffix)


def artifact_place(run_id: str) -> str:
    """Where the artifacts of a run are, for a person to open."""
    with server_errors():
        return client().get_run(run_id).info.artifact_uri
