"""The only room that knows MLflow: what is logged where, how it is found again, how it is read back.

The artifact contract is described in the README; `SCHEMA` is its version.
"""

import json
import os
import platform
import socket
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

# A server that does not answer is reported in seconds. MLflow reads these when it is called, and a user may set others.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# Its bars for a handful of small files would stand between our own, and fill a log.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from easiness.version import VERSION

SCHEMA = 1

# What a worker records per epoch that is a metric; the rest says when.
_WHEN = ("epoch", "update", "time")
_NO_LIMIT = 5_000


class TrackingError(ConnectionError):
    """The tracking server does not answer, or refuses."""


@dataclass(frozen=True)
class DataDescription:
    """What a run says of its data, so that a number can be traced to it.

    Attributes
    ----------
    name, split, source : str
        Which dataset, which part of it, and where it was read from.
    fingerprint : str
        SHA-256 over labels, order and content.
    count, num_classes : int
        N and K.
    """

    name: str
    split: str
    source: str
    fingerprint: str
    count: int
    num_classes: int


@contextmanager
def tracked_run(kind: str, name: str) -> Iterator[str]:
    """Open the run of an entry point: the one that `mlflow run` has made, or a new one.

    Inside another one it becomes a child of that. A run that ends by an error is marked FAILED.

    Parameters
    ----------
    kind : str
        What it is: `score`, `train`, `match` …; the tag `easiness.kind`.
    name : str
        What the UI calls it.

    Yields
    ------
    str
        Run id.

    Raises
    ------
    TrackingError
        If the server does not answer.
    """
    with _server():
        parent = mlflow.active_run()
        if parent is not None:
            active = mlflow.start_run(nested=True, experiment_id=parent.info.experiment_id)
        else:
            if "MLFLOW_RUN_ID" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
                mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default"))
            active = mlflow.start_run()
    run_id = active.info.run_id
    status = "FAILED"
    try:
        set_tags(run_id, {"easiness.kind": kind, "mlflow.runName": name, **_provenance()})
        yield run_id
        status = "FINISHED"
    finally:
        with _server():
            mlflow.end_run(status)


def start_child(parent_id: str, kind: str, name: str, tags: dict[str, str]) -> str:
    """Start a run below another one.

    Returns
    -------
    str
        Run id.
    """
    with _server():
        parent = _client().get_run(parent_id)
        tags = {"mlflow.parentRunId": parent_id, "easiness.kind": kind, **_provenance(), **_host(), **tags}
        source = {
            key: parent.data.tags[key] for key in ("mlflow.source.git.commit", "mlflow.user") if key in parent.data.tags
        }
        run = _client().create_run(parent.info.experiment_id, tags=source | tags, run_name=name)
    return run.info.run_id


def end_child(run_id: str, status: str) -> None:
    """End a child run as FINISHED, FAILED or KILLED."""
    with _server():
        _client().set_terminated(run_id, status)


def set_tags(run_id: str, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    with _server():
        _client().log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


def log_settings(run_id: str, settings: dict[str, object]) -> None:
    """Log what was settled for a run, as parameters `recipe.…`.

    MLflow logs the declared parameters itself, as typed and before any code runs; the same name with a parsed value
    would be refused.
    """
    with _server():
        params = [Param(f"recipe.{key}", _plain(value)) for key, value in settings.items()]
        _client().log_batch(run_id, params=params)


def log_metrics(run_id: str, metrics: dict[str, float], step: int = 0) -> None:
    """Log numbers of a run in one call."""
    now = _now()
    with _server():
        _client().log_batch(run_id, metrics=[Metric(key, float(value), now, step) for key, value in metrics.items()])


def log_epochs(run_id: str, epochs: Sequence[dict[str, float]]) -> None:
    """Log the metrics of several epochs in one call; logging an epoch again changes nothing.

    Parameters
    ----------
    run_id : str
        Of a trial, or of what has a course over epochs.
    epochs : sequence of dict
        As `run_trial` reports them, with `epoch` and `time` (milliseconds; now, where there is none).
    """
    now = _now()
    metrics = [
        Metric(key, value, int(entry.get("time", now)), int(entry["epoch"]))
        for entry in epochs
        for key, value in entry.items()
        if key not in _WHEN
    ]
    with _server():
        for start in range(0, len(metrics), 1000):  # the server takes no more in one call
            _client().log_batch(run_id, metrics=metrics[start : start + 1000])


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
    with _server():
        _client().log_inputs(run_id, inputs)


def log_folder(run_id: str, folder: Path, artifact_path: str | None = None) -> None:
    """Upload everything in a folder."""
    with _server():
        _client().log_artifacts(run_id, str(folder), artifact_path)


def log_model(run_id: str, model: object, example_BCHW: np.ndarray) -> None:
    """Log a network as the logged model `model` of a run.

    Parameters
    ----------
    run_id : str
        Of a trial.
    model : torch.nn.Module
        On the CPU, in eval mode.
    example_BCHW : numpy.ndarray
        (B, 3, H, W) float32, normalized; B of at least 2 keeps the batch size free.
    """
    import mlflow.pytorch

    requirements = [f"{package}=={version(package).split('+')[0]}" for package in ("torch", "torchvision")]
    with _server(), mlflow.start_run(run_id=run_id, nested=True):
        mlflow.pytorch.log_model(
            model, name="model", input_example=example_BCHW, pip_requirements=requirements, serialization_format="pt2"
        )


def find_trials(run_id: str, digests: Collection[str], kind: str = "trial") -> dict[str, str]:
    """Finished trials (or others of a `kind`), in the experiment of a run, that are known by these digests.

    Returns
    -------
    dict of str
        Run id by digest; the latest where there are several.
    """
    found = {}
    for run in _search(run_id, f"tags.`easiness.kind` = '{kind}' and attributes.status = 'FINISHED'"):
        digest = run.data.tags.get("easiness.trial_digest")
        if digest in digests:
            found.setdefault(digest, run.info.run_id)
    return found


def close_cut_off(run_id: str, digests: Collection[str]) -> None:
    """Mark runs of this machine that were cut off in the middle of these trials as KILLED, and their parents."""
    for run in _search(run_id, "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if tags.get("easiness.trial_digest") in digests and all(
            tags.get(key) == value for key, value in _host().items()
        ):
            end_child(run.info.run_id, "KILLED")
            parent_id = tags.get("mlflow.parentRunId", run_id)
            if parent_id != run_id:
                end_child(parent_id, "KILLED")


@dataclass(frozen=True)
class ScoreRun:
    """A finished score run, by its tags.

    Attributes
    ----------
    run_id, model : str
    dataset, fingerprint : str
        Of its training set.
    """

    run_id: str
    model: str
    dataset: str
    fingerprint: str


def find_score_runs(run_id: str) -> list[ScoreRun]:
    """Finished score runs in the experiment of a run, the latest first."""
    runs = _search(run_id, "tags.`easiness.kind` = 'score' and attributes.status = 'FINISHED'")
    names = ("easiness.model", "easiness.dataset", "easiness.fingerprint")
    return [ScoreRun(run.info.run_id, *(run.data.tags.get(name, "unknown") for name in names)) for run in runs]


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
    with _server():
        try:
            place = _client(tracking_uri).get_run(run_id).info.artifact_uri
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
    with _server():
        paths = [Path(item.path) for item in _client().list_artifacts(run_id, folder)]
    return sorted(path.stem for path in paths if path.suffix == suffix)


def artifact_place(run_id: str) -> str:
    """Where the artifacts of a run are, for a person to open."""
    with _server():
        return _client().get_run(run_id).info.artifact_uri


def server_address() -> str:
    """Address of the tracking server or store."""
    return mlflow.get_tracking_uri()


def how_to_open() -> str:
    """Command or address that shows the runs in a browser."""
    address = server_address()
    return address if address.startswith("http") else f"mlflow ui --backend-store-uri {address}"


def make_manifest(run_id: str, content: dict[str, object]) -> dict[str, object]:
    """Complete the manifest of a score run with the contract's version and what made it."""
    return {"schema": SCHEMA, "run_id": run_id, "polarity": "lower_is_easier", **content, "code": _code(run_id)}


@dataclass(frozen=True)
class Scores:
    """What a score run found. Lower easiness = easier.

    Attributes
    ----------
    run_id : str
        Of the score run.
    manifest : dict
        Dataset, fingerprint, recipe, seeds, updates and the run ids of the trials.
    table : pandas.DataFrame
        One row per example: example_id, source, label, class_name, easiness (nats), easiness_std, rank, set.
    trajectory : numpy.ndarray
        (T, N) easiness at every scored moment.
    tracking_uri : str or None
        Server that holds the trials.
    """

    run_id: str
    manifest: dict
    table: pd.DataFrame
    trajectory: np.ndarray
    tracking_uri: str | None = None

    @property
    def updates(self) -> np.ndarray:
        """(T,) int64: updates at the scored moments."""
        return np.asarray(self.manifest["updates"], np.int64)

    @cached_property
    def losses(self) -> np.ndarray:
        """(T, M, N) float32 cross-entropy in nats; lower = easier."""
        return self.measure("losses")

    def measure(self, name: str, mapped: Path | None = None) -> np.ndarray:
        """(T, M, N) float32 of a measure: losses, el2n, margin, correct or predicted, fetched from the trials' runs.

        With a folder `mapped`, the array lies in a file there and is only mapped into memory.
        """
        run_ids = [trial["run_id"] for trial in self.manifest["trials"]]
        fingerprint = self.manifest["fingerprint"]
        return read_trials(run_ids, name, self.updates, fingerprint, self.tracking_uri, mapped=mapped)


def read_trials(
    run_ids: Sequence[str],
    measure: str,
    updates: Sequence[int],
    fingerprint: str,
    tracking_uri: str | None = None,
    *,
    mapped: Path | None = None,
) -> np.ndarray:
    """Read one measure of several trials.

    Parameters
    ----------
    run_ids : sequence of str
        M runs of trials.
    measure : str
        losses, el2n, margin, correct or predicted.
    updates : sequence of int
        T scored moments.
    fingerprint : str
        Of the training set that all trials must be of.
    tracking_uri : str, optional
        Server or store; MLflow's own default without it.
    mapped : pathlib.Path, optional
        Folder for a file that holds the array, which is then mapped instead of held in memory.

    Returns
    -------
    numpy.ndarray
        (T, M, N) float32; read-only where it is mapped.

    Raises
    ------
    ValueError
        If a trial is of other data.
    FileNotFoundError
        If a trial lacks a moment.
    """
    values_TMN = None
    for m, run_id in enumerate(run_ids):
        with _server():
            found = _client(tracking_uri).get_run(run_id).data.tags.get("easiness.fingerprint")
        if found != fingerprint:
            raise ValueError(
                f"trial run {run_id} is of data {found}, the others of {fingerprint}: they cannot be combined"
            )
        with tempfile.TemporaryDirectory() as place:
            folder = fetch(run_id, measure, tracking_uri, folder=Path(place))
            for t, update in enumerate(updates):
                path = folder / f"updates={update:06d}.npy"
                if not path.exists():
                    raise FileNotFoundError(f"trial run {run_id} has no {measure} after {update} updates")
                values_N = np.load(path)
                if values_TMN is None:
                    shape = (len(updates), len(run_ids), len(values_N))
                    values_TMN = _new_array(shape, None if mapped is None else mapped / f"{measure}.npy")
                values_TMN[t, m] = values_N
    if mapped is None:
        return values_TMN
    values_TMN.flush()
    return np.load(mapped / f"{measure}.npy", mmap_mode="r")


def _new_array(shape: tuple[int, ...], file: Path | None) -> np.ndarray:
    return np.empty(shape, np.float32) if file is None else np.lib.format.open_memmap(file, "w+", np.float32, shape)


def read_validation(run_id: str) -> tuple[list[dict[str, float]], np.ndarray]:
    """Read what a trial measured of the validation set.

    Returns
    -------
    epochs : list of dict
        Metrics of every epoch.
    correct : numpy.ndarray
        (N_val,) float32, 1 where the final network is right.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = fetch(run_id, "validation", folder=Path(place))
        return json.loads((folder / "epochs.json").read_text()), np.load(folder / "correct.npy")


def find_score_run(run_id: str, model: str, fingerprint: str) -> str | None:
    """Latest finished score run of a model and data, in the experiment of a run; None if there is none."""
    wanted = (model, fingerprint)
    return next((run.run_id for run in find_score_runs(run_id) if (run.model, run.fingerprint) == wanted), None)


def load_scores(run_id: str, tracking_uri: str | None = None) -> Scores:
    """Read a score run back from a tracking server.

    Parameters
    ----------
    run_id : str
        Of a finished score run.
    tracking_uri : str, optional
        Server or store; MLflow's own default without it.

    Returns
    -------
    Scores
        Table and arrays; the arrays of single trials are fetched when they are asked for.

    Raises
    ------
    ValueError
        If the run is no score run, was written by another version of the contract, or joins trials of different data.
    FileNotFoundError
        If the run has no scores.
    TrackingError
        If the server does not answer.
    """
    kind = _get_run(run_id, tracking_uri).data.tags.get("easiness.kind")
    if kind != "score":
        raise ValueError(f"run {run_id} is of kind {kind!r}, and scores are read from a run of kind 'score'")
    with tempfile.TemporaryDirectory() as place:
        folder = fetch(run_id, "scores", tracking_uri, folder=Path(place))
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest["schema"] != SCHEMA:
            raise ValueError(
                f"run {run_id} was written with schema {manifest['schema']}, and this version reads {SCHEMA}"
            )
        table = pd.read_parquet(folder / "easiness.parquet")
        return Scores(run_id, manifest, table, np.load(folder / "trajectory.npy"), tracking_uri)


@dataclass(frozen=True)
class RunRecord:
    """What the tracking server says of a run.

    Attributes
    ----------
    run_id, name, kind, status : str
        `kind` is the tag `easiness.kind`, empty for runs of other programs; `status` is FINISHED, RUNNING, FAILED …
    experiment_id : str
    started : int
        Milliseconds since 1970.
    tags : dict of str
    metrics : dict of float
        The last value of each.
    """

    run_id: str
    name: str
    kind: str
    status: str
    experiment_id: str
    started: int
    tags: dict[str, str]
    metrics: dict[str, float]


def runs_of_kind(experiment: str, kinds: Sequence[str]) -> list[RunRecord]:
    """Runs of an experiment by their kind, finished or not, the latest first.

    Raises
    ------
    ValueError
        If there is no such experiment.
    """
    with _server():
        found = _client().get_experiment_by_name(experiment)
        if found is None:
            names = sorted(each.name for each in _client().search_experiments())
            raise ValueError(
                f"there is no experiment {experiment!r} on {public_address()}; there are {', '.join(names)}"
            )
    runs = [run for kind in kinds for run in _search_in(found.experiment_id, f"tags.`easiness.kind` = '{kind}'")]
    return sorted(map(_record, runs), key=lambda run: (-run.started, run.run_id))


def children_of(run_id: str, kinds: Sequence[str]) -> list[RunRecord]:
    """Finished runs of these kinds below a run, the earliest first."""
    query = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'FINISHED'"
    children = sorted(map(_record, _search(run_id, query)), key=lambda run: run.started)
    return [run for run in children if run.kind in kinds]


def runs_with_tag(run_id: str, key: str) -> dict[str, str]:
    """Finished runs, in the experiment of a run, that have a tag: run id by the tag's value, the latest of several."""
    found: dict[str, str] = {}
    for run in _search(run_id, f"tags.`{key}` != '' and attributes.status = 'FINISHED'"):
        found.setdefault(run.data.tags[key], run.info.run_id)
    return found


def measured_rates(run_id: str) -> dict[tuple[str, int], float]:
    """Images that one trial trains on in a second, by model and resolution, as the experiment's trials measured it.

    Returns
    -------
    dict of float
        The median over trials of the rate of their last epoch.
    """
    rates: dict[tuple[str, int], list[float]] = {}
    for run in _search(run_id, "tags.`easiness.trial_digest` != '' and attributes.status = 'FINISHED'"):
        params, metrics = run.data.params, run.data.metrics
        if "images_per_second" in metrics and "recipe.model" in params:
            key = (params["recipe.model"], int(params["recipe.resolution"]))
            rates.setdefault(key, []).append(metrics["images_per_second"])
    return {key: float(np.median(values)) for key, values in rates.items()}


def runs_by_id(run_ids: Sequence[str]) -> list[RunRecord]:
    """Runs in the order of their ids.

    Raises
    ------
    ValueError
        If there is no such run.
    """
    return [_record(_get_run(run_id)) for run_id in run_ids]


def experiment_of(run_id: str) -> str:
    """Name of the experiment that a run is in."""
    with _server():
        return _client().get_experiment(_client().get_run(run_id).info.experiment_id).name


def public_address() -> str:
    """Address of the tracking server or store, fit to be published.

    Without a user's name and password; of a store that is a file, without the folders of this machine.
    """
    parts = urlsplit(server_address())
    if parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return f"{parts.scheme}:///{parts.path.rpartition('/')[2]}"


def ui_address(run: RunRecord) -> str:
    """Page of a run in the UI; of a store that is a file, where `mlflow ui` shows it by default."""
    address = public_address()
    base = address.rstrip("/") if address.startswith("http") else "http://127.0.0.1:5000"
    return f"{base}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def _record(run: Run) -> RunRecord:
    tags = dict(run.data.tags)
    return RunRecord(
        run.info.run_id,
        run.info.run_name or "",
        tags.get("easiness.kind", ""),
        run.info.status,
        run.info.experiment_id,
        run.info.start_time,
        tags,
        dict(run.data.metrics),
    )


def _get_run(run_id: str, tracking_uri: str | None = None) -> Run:
    with _server():
        try:
            return _client(tracking_uri).get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            address = tracking_uri or public_address()
            raise ValueError(f"there is no run {run_id} on {address}; check the id and tracking_uri") from None


def _client(tracking_uri: str | None = None) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri)


def _search(run_id: str, query: str) -> list[Run]:
    with _server():
        experiment = _client().get_run(run_id).info.experiment_id
    return _search_in(experiment, query)


def _search_in(experiment: str, query: str) -> list[Run]:
    with _server():
        runs, token = [], None
        while True:
            page = _client().search_runs(
                [experiment], query, max_results=_NO_LIMIT, order_by=["attributes.start_time DESC"], page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs


@contextmanager
def _server() -> Iterator[None]:
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


def _provenance() -> dict[str, str]:
    return {"easiness.schema": str(SCHEMA), "easiness.version": VERSION}


def _host() -> dict[str, str]:
    return {"easiness.host": socket.gethostname(), "easiness.folder": str(Path.cwd())}


def _code(run_id: str) -> dict[str, str | None]:
    with _server():
        tags = _client().get_run(run_id).data.tags
    return {
        "version": VERSION,
        "git_commit": tags.get("mlflow.source.git.commit"),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "torchvision", "numpy", "mlflow")},
    }


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _now() -> int:
    return int(pd.Timestamp.now("UTC").timestamp() * 1000)
