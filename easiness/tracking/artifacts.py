"""Artifacts of a run: fetched, listed, and read with a hash of every file."""

import hashlib
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from mlflow.artifacts import download_artifacts, list_artifacts

from easiness.tracking.manifests import Manifest
from easiness.tracking.server import TrackingError, get_run, how_to_open

# Characters of a cause that are shown.
_SHOWN = 200

AnyManifest = TypeVar("AnyManifest", bound=Manifest)
Content = TypeVar("Content")


@dataclass(frozen=True)
class RunArtifacts:
    """Artifacts of a run. `hashes` has the SHA-256 of every file read, by path (another run's: `runs:/RUN_ID/path`)."""

    run_id: str
    tracking_uri: str | None = None
    hashes: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, reader: Callable[[Path], Content], run_id: str | None = None) -> Content:
        """Fetch one file, of this run or of another one, and read it."""
        with tempfile.TemporaryDirectory() as folder:
            path = fetch(run_id or self.run_id, name, self.tracking_uri, folder=Path(folder))
            key = f"runs:/{run_id}/{name}" if run_id else name
            self.hashes[key] = hashlib.sha256(path.read_bytes()).hexdigest()
            return reader(path)

    def optional(self, name: str, reader: Callable[[Path], Content]) -> Content | None:
        """Read a file that not every run has."""
        try:
            return self.read(name, reader)
        except FileNotFoundError:
            return None

    def manifest(self, kind: type[AnyManifest]) -> AnyManifest:
        """Read the manifest of the run."""
        return kind.from_json(self.read(kind.FILE, _read_text), self.run_id)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def fetch(run_id: str, path: str = "", tracking_uri: str | None = None, *, folder: Path | None = None) -> Path:
    """Download an artifact of a run (all without a path), or find it where it is on this machine.

    It goes to `folder`, for the caller to remove, or to a temporary folder that stays. FileNotFoundError says that its
    folder is listed and does not hold it; TrackingError that it cannot be fetched, or nothing can be said of it.
    """
    address = _address(run_id, path, tracking_uri)
    if urlsplit(address).scheme in ("", "file"):
        folder = None  # MLflow would copy what is on this machine
    try:
        # Not by a `runs:/` address: there MLflow calls everything missing that it cannot fetch.
        download = None if folder is None else str(folder)
        return Path(download_artifacts(artifact_uri=address, dst_path=download, tracking_uri=tracking_uri))
    except Exception as error:  # every kind of store raises its own errors
        if _is_missing(address, tracking_uri):
            raise FileNotFoundError(f"run {run_id} has no artifact {path}") from error
        raise _not_fetched(run_id, path or "/", error) from error


def artifact_names(run_id: str, folder: str, suffix: str, tracking_uri: str | None = None) -> list[str]:
    """Names, without their suffix, of the artifacts in a folder of a run; none where there is no such folder."""
    try:
        paths = _listed(_address(run_id, folder, tracking_uri), tracking_uri)
    except Exception as error:
        raise _not_fetched(run_id, folder, error) from error
    return sorted(path.stem for path in paths if path.suffix == suffix)


def artifact_place(run_id: str) -> str:
    """Address of the artifacts of a run."""
    return get_run(run_id).info.artifact_uri


def whereabouts(run_id: str) -> str:
    """Three lines for a person: the id of a run, the place of its artifacts, and the command that opens the UI."""
    return f"run id     {run_id}\nartifacts  {artifact_place(run_id)}\nopen       {how_to_open()}"


def _address(run_id: str, path: str, tracking_uri: str | None) -> str:
    root = get_run(run_id, tracking_uri).info.artifact_uri
    return f"{root.rstrip('/')}/{path}".rstrip("/")


def _listed(address: str, tracking_uri: str | None) -> list[PurePosixPath]:
    return [PurePosixPath(item.path) for item in list_artifacts(artifact_uri=address, tracking_uri=tracking_uri)]


def _is_missing(address: str, tracking_uri: str | None) -> bool:
    """Whether the folder of an artifact is listed, and does not hold it."""
    folder, _, name = address.rpartition("/")
    try:
        return name not in [path.name for path in _listed(folder, tracking_uri)]
    except Exception:
        return False


def _not_fetched(run_id: str, path: str, error: Exception) -> TrackingError:
    """Error of one line, without passwords, for an artifact that may well be there."""
    # Before these words MLflow repeats where it looked, at length.
    cause = re.split(r"#####|failed with exception|Caused by", str(error))[-1]
    cause = re.sub(r"//[^/\s]*@", "//", " ".join(cause.split()))[:_SHOWN] or type(error).__name__
    return TrackingError(
        f"artifact {path} of run {run_id} cannot be fetched: {cause}; the same command tries again once the server "
        "gives it"
    )
