"""How runs are found again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from mlflow.entities import Run

from easiness.tracking.server import client, get_run, public_address, search, search_beside, server_errors


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


def find_trials(run_id: str, digests: Collection[str], kind: str = "trial") -> dict[str, str]:
    """Finished trials (or others of a `kind`), in the experiment of a run, that are known by these digests.

    Returns
    -------
    dict of str
        Run id by digest; the latest where there are several.
    """
    found = {}
    for run in search_beside(run_id, f"tags.`easiness.kind` = '{kind}' and attributes.status = 'FINISHED'"):
        digest = run.data.tags.get("easiness.trial_digest")
        if digest in digests:
            found.setdefault(digest, run.info.run_id)
    return found


def find_score_runs(run_id: str) -> list[ScoreRun]:
    """Finished score runs in the experiment of a run, the latest first."""
    runs = search_beside(run_id, "tags.`easiness.kind` = 'score' and attributes.status = 'FINISHED'")
    names = ("easiness.model", "easiness.dataset", "easiness.fingerprint")
    return [ScoreRun(run.info.run_id, *(run.data.tags.get(name, "unknown") for name in names)) for run in runs]


def find_score_run(run_id: str, model: str, fingerprint: str) -> str | None:
    """Latest finished score run of a model and data, in the experiment of a run; None if there is none."""
    wanted = (model, fingerprint)
    return next((run.run_id for run in find_score_runs(run_id) if (run.model, run.fingerprint) == wanted), None)


def runs_of_kind(experiment: str, kinds: Sequence[str]) -> list[RunRecord]:
    """Runs of an experiment by their kind, finished or not, the latest first.

    Raises
    ------
    ValueError
        If there is no such experiment.
    """
    with server_errors():
        found = client().get_experiment_by_name(experiment)
        if found is None:
            names = sorted(each.name for each in client().search_experiments())
            raise ValueError(
                f"there is no experiment {experiment!r} on {public_address()}; there are {', '.join(names)}"
            )
    runs = [run for kind in kinds for run in search(found.experiment_id, f"tags.`easiness.kind` = '{kind}'")]
    return sorted(map(_record, runs), key=lambda run: (-run.started, run.run_id))


def runs_by_id(run_ids: Sequence[str]) -> list[RunRecord]:
    """Runs in the order of their ids.

    Raises
    ------
    ValueError
        If there is no such run.
    """
    return [_record(get_run(run_id)) for run_id in run_ids]


def run_of_kind(run_id: str, kind: str, tracking_uri: str | None = None) -> RunRecord:
    """Run by its id.

    Raises
    ------
    ValueError
        If there is no such run, or it is of another kind.
    """
    run = _record(get_run(run_id, tracking_uri))
    if run.kind != kind:
        raise ValueError(f"run {run_id} is of kind {run.kind!r}; give a run of kind {kind!r}")
    return run


def children_of(run_id: str, kinds: Sequence[str]) -> list[RunRecord]:
    """Finished runs of these kinds below a run, the earliest first."""
    query = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'FINISHED'"
    children = sorted(map(_record, search_beside(run_id, query)), key=lambda run: run.started)
    return [run for run in children if run.kind in kinds]


def runs_with_tag(run_id: str, key: str) -> dict[str, str]:
    """Finished runs, in the experiment of a run, that have a tag: run id by the tag's value, the latest of several."""
    found: dict[str, str] = {}
    for run in search_beside(run_id, f"tags.`{key}` != '' and attributes.status = 'FINISHED'"):
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
    for run in search_beside(run_id, "tags.`easiness.trial_digest` != '' and attributes.status = 'FINISHED'"):
        params, metrics = run.data.params, run.data.metrics
        if "images_per_second" in metrics and "recipe.model" in params:
            key = (params["recipe.model"], int(params["recipe.resolution"]))
            rates.setdefault(key, []).append(metrics["images_per_second"])
    return {key: float(np.median(values)) for key, values in rates.items()}


def experiment_of(run_id: str) -> str:
    """Name of the experiment that a run is in."""
    with server_errors():
        return client().get_experiment(client().get_run(run_id).info.experiment_id).name


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
