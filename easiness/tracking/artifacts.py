"""Artifacts of a run: fetched, compared with their checksums, and read."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from mlflow.artifacts import download_artifacts, list_artifacts

from easiness.files import Checksum, DamagedError, checksum, verify
from easiness.tracking.errors import TrackingError, one_line
from easiness.tracking.lookup import runs_by_id, ui_address
from easiness.tracking.manifests import SEAL, Manifest
from easiness.tracking.server import command_of_ui, get_run

AnyManifest = TypeVar("AnyManifest", bound=Manifest)
Content = TypeVar("Content")


@dataclass(frozen=True)
class RunArtifacts:
    """Artifacts of a run: each is compared with its checksum in the manifest, which is to be read first.

    `hashes` has the SHA-256 of every file read, by `prefix` and path. Whatever is wrong with a file is a DamagedError
    or a ValueError, and a FileNotFoundError says that the run has no such file.
    """

    run_id: str
    tracking_uri: str | None = None
    checksums: dict[str, Checksum] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    prefix: str = ""

    def manifest(self, kind: type[AnyManifest]) -> AnyManifest:
        """Read the manifest of the run, and the checksums in it."""
        with self._fetched(kind.FILE) as path:
            found = checksum(path)["sha256"]
            sealed = get_run(self.run_id, self.tracking_uri).data.tags.get(SEAL)
            if sealed is None:
                raise DamagedError(f"{kind.FILE} of run {self.run_id} has no checksum; make the run again")
            if sealed != found:
                raise DamagedError(
                    f"{kind.FILE} of run {self.run_id} is damaged: its SHA-256 is {found[:12]}…, and {sealed[:12]}… "
                    "was written"
                )
            manifest = kind.from_json(path.read_text(encoding="utf-8"), self.run_id)
        self.hashes[self.prefix + kind.FILE] = found
        self.checksums.update(manifest.checksums)
        return manifest

    def read(self, name: str, reader: Callable[[Path], Content]) -> Content:
        """Fetch a file, or a folder with all files in it, and read it."""
        names = [path for path in self.checksums if path == name or path.startswith(f"{name}/")]
        if not names:
            raise FileNotFoundError(f"run {self.run_id} has no artifact {name}")
        with self._fetched(name) as place:
            for path in names:
                verify(place / path.removeprefix(name).lstrip("/"), self.checksums[path], self._named(path))
                self.hashes[self.prefix + path] = self.checksums[path]["sha256"]
            try:
                return reader(place)
            except DamagedError:
                raise
            except Exception as error:  # every format has its own errors
                raise ValueError(f"{self._named(name)} cannot be read: {error or type(error).__name__}") from error

    def optional(self, name: str, reader: Callable[[Path], Content]) -> Content | None:
        """Read a file that not every run has."""
        return self.read(name, reader) if name in self.checksums else None

    def require_uploaded(self) -> None:
        """Raise a TrackingError if the server does not list every file, or lists it with another size."""
        for folder in sorted({path.rpartition("/")[0] for path in self.checksums}):
            try:
                listed = _listed(_address(self.run_id, folder, self.tracking_uri), self.tracking_uri)
            except Exception as error:
                raise _not_fetched(self.run_id, folder or "/", error) from error
            sizes = {f"{folder}/{path.name}".lstrip("/"): size for path, size in listed.items()}
            for path, written in self.checksums.items():
                listed_as = sizes.get(path, "no such file")
                # Not every store says how large a file is.
                if path.rpartition("/")[0] == folder and listed_as not in (None, written["bytes"]):
                    raise TrackingError(
                        f"{self._named(path)} did not arrive: {written['bytes']:,} bytes were sent, and the server "
                        f"lists {listed_as}"
                    )

    @contextmanager
    def _fetched(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield fetch(self.run_id, name, self.tracking_uri, folder=Path(folder))

    def _named(self, name: str) -> str:
        return f"{name} of run {self.run_id}"


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


def artifact_place(run_id: str) -> str:
    """Address of the artifacts of a run."""
    return get_run(run_id).info.artifact_uri


def whereabouts(run_id: str) -> str:
    """Lines for a person: the id of a run, the place of its artifacts, the command of the UI, and the run's page in it.

    An experiment alone would open in a view for language models.
    """
    (run,) = runs_by_id([run_id])
    command, address = command_of_ui(), ui_address(run)
    shown = f"open       {command}\n           {address}" if command else f"open       {address}"
    return f"run id     {run_id}\nartifacts  {artifact_place(run_id)}\n{shown}"


def _address(run_id: str, path: str, tracking_uri: str | None) -> str:
    root = get_run(run_id, tracking_uri).info.artifact_uri
    return f"{root.rstrip('/')}/{path}".rstrip("/")


def _listed(address: str, tracking_uri: str | None) -> dict[PurePosixPath, int | None]:
    """Sizes of what is in a folder; None for folders in it."""
    items = list_artifacts(artifact_uri=address, tracking_uri=tracking_uri)
    return {PurePosixPath(item.path): item.file_size for item in items}


def _is_missing(address: str, tracking_uri: str | None) -> bool:
    """Whether the folder of an artifact is listed, and does not hold it."""
    folder, _, name = address.rpartition("/")
    try:
        return name not in [path.name for path in _listed(folder, tracking_uri)]
    except Exception:
        return False


def _not_fetched(run_id: str, path: str, error: Exception) -> TrackingError:
    """Error of one line, without passwords, for an artifact that may well be there."""
    return TrackingError(f"artifact {path} of run {run_id} cannot be fetched: {one_line(error)}")
