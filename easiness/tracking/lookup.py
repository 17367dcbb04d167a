"""Runs on the tracking server, found by experiment, kind, id, digest or data."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from mlflow.entities import Run

from easiness.tracking.manifests import SEAL
from easiness.tracking.server import client, get_run, public_address, search, search_beside, server_errors

# Tag of a trial run whose files are not those that were written, with the reason.
DAMAGED = "easiness.damaged"

# Tag of a run whose labels were flipped on purpose, with how: its scores are a test, not those of the data.
FLIPS = "easiness.flips"

_FINISHED = "attributes.status = 'FINISHED'"


@dataclass(frozen=True)
class RunRecord:
    """A run on the tracking server."""

    run_id: str
    name: str
    kind: str  # tag `easiness.kind`, empty for runs of other programs
    status: str  # FINISHED, RUNNING, FAILED …
    experiment_id: str
    started: int  # milliseconds since 1970
    tags: dict[str, str]
    metrics: dict[str, float]  # the last value of each

    @property
    def model(self) -> str:
        """Model that was trained; empty for a match run."""
        return self.tags.get("easiness.model", "")

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.tags.get("easiness.dataset", "unknown")

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the training set; empty if the run does not say."""
        return self.tags.get("easiness.fingerprint", "")


def find_trials(run_id: str | None, digests: Collection[str], kind: str = "trial") -> dict[str, list[str]]:
    """Finished runs of trials (or another kind) in the experiment of a run, by digest, the latest first.

    Runs that were not uploaded to their end, or were found damaged, are left out. Here as below, None is a run that is
    not opened yet.
    """
    run_ids: dict[str, list[str]] = {}
    for run in search_beside(run_id, f"tags.`easiness.kind` = '{kind}' and {_FINISHED}"):
        tags = run.data.tags
        if tags.get("easiness.trial_digest") in digests and SEAL in tags and DAMAGED not in tags:
            run_ids.setdefault(tags["easiness.trial_digest"], []).append(run.info.run_id)
    return run_ids


def find_score_runs(run_id: str | None) -> list[RunRecord]:
    """Finished score runs in the experiment of a run, the latest first."""
    return [_record(run) for run in search_beside(run_id, f"tags.`easiness.kind` = 'score' and {_FINISHED}")]


def find_score_run(run_id: str | None, model: str, fingerprint: str) -> str | None:
    """Latest finished score run of a model and data, in the experiment of a run; None if there is none."""
    wanted = (model, fingerprint)
    return next((run.run_id for run in find_score_runs(run_id) if (run.model, run.fingerprint) == wanted), None)


def runs_of_kind(experiment: str, kinds: Sequence[str]) -> list[RunRecord]:
    """Runs of an experiment, given by name, of some kinds, finished or not, the latest first."""
    with server_errors():
        entity = client().get_experiment_by_name(experiment)
        if entity is None:
            names = ", ".join(sorted(other.name for other in client().search_experiments()))
            raise ValueError(f"there is no experiment {experiment!r} on {public_address()}; there are {names}")
    runs = [run for kind in kinds for run in search(entity.experiment_id, f"tags.`easiness.kind` = '{kind}'")]
    return sorted(map(_record, runs), key=lambda run: (-run.started, run.run_id))


def runs_by_id(run_ids: Sequence[str], tracking_uri: str | None = None) -> list[RunRecord]:
    """Runs in the order of their ids; ValueError if there is no such run."""
    return [_record(get_run(run_id, tracking_uri)) for run_id in run_ids]


def run_of_kind(run_id: str, kind: str, tracking_uri: str | None = None) -> RunRecord:
    """Run by its id; ValueError if there is no such run, or it is of another kind."""
    (run,) = runs_by_id([run_id], tracking_uri)
    if run.kind != kind:
        hint = "; collect makes one of trials" if (run.kind, kind) == ("trial", "score") else ""
        raise ValueError(f"run {run_id} is of kind {run.kind!r}; give a run of kind {kind!r}{hint}")
    return run


def measured_rates(run_id: str | None) -> dict[tuple[str, int], float]:
    """Images per second that one trial trains on, by model and resolution: median over the trials of an experiment."""
    rates: dict[tuple[str, int], list[float]] = {}
    for run in search_beside(run_id, f"tags.`easiness.trial_digest` != '' and {_FINISHED}"):
        params, metrics = run.data.params, run.data.metrics
        if "images_per_second" in metrics and "recipe.model" in params:
            key = (params["recipe.model"], int(params["recipe.resolution"]))
            rates.setdefault(key, []).append(metrics["images_per_second"])
    return {key: float(np.median(values)) for key, values in rates.items()}


def experiment_of(run_id: str) -> str:
    """Name of the experiment that a run is in."""
    experiment_id = get_run(run_id).info.experiment_id
    with server_errors():
        return client().get_experiment(experiment_id).name


def ui_address(run: RunRecord) -> str:
    """Page of a run in the UI; of a store that is a file, where `mlflow ui` shows it by default."""
    address = public_address()
    base = address.rstrip("/") if address.startswith("http") else "http://127.0.0.1:5000"
    return f"{base}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def _record(run: Run) -> RunRecord:
    info, tags = run.info, dict(run.data.tags)
    return RunRecord(
        info.run_id,
        info.run_name or "",
        tags.get("easiness.kind", ""),
        info.status,
        info.experiment_id,
        info.start_time,
        tags,
        dict(run.data.metrics),
    )
