"""Scores and trials, read back."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from easiness.tracking.artifacts import fetch
from easiness.tracking.manifests import ScoreManifest
from easiness.tracking.server import client, get_run, server_errors


@dataclass(frozen=True)
class Scores:
    """What a score run found. Lower easiness = easier.

    Attributes
    ----------
    run_id : str
        Of the score run.
    manifest : ScoreManifest
        Dataset, fingerprint, recipe, updates, the run ids of the trials.
    table : pandas.DataFrame
        One row per example: example_id, source, label, class_name, easiness (nats), easiness_std, rank, set.
    trajectory_TN : numpy.ndarray
        (T, N) easiness at every scored moment.
    tracking_uri : str or None
        Server that holds the trials.
    """

    run_id: str
    manifest: ScoreManifest
    table: pd.DataFrame
    trajectory_TN: np.ndarray
    tracking_uri: str | None = None

    @property
    def updates(self) -> np.ndarray:
        """(T,) int64: updates at the scored moments."""
        return np.asarray(self.manifest.updates, np.int64)

    def summary(self) -> str:
        """Where the run is."""
        from easiness.tracking.artifacts import whereabouts

        return whereabouts(self.run_id)

    @cached_property
    def losses_TMN(self) -> np.ndarray:  # noqa: N802, its shape
        """(T, M, N) float32 cross-entropy in nats; lower = easier."""
        return self.measure("losses")

    def measure(self, name: str, mapped: Path | None = None) -> np.ndarray:
        """(T, M, N) float32 of a measure: losses, el2n, margin, correct or predicted, fetched from the trials' runs.

        With a folder `mapped`, the array lies in a file there and is only mapped into memory.
        """
        manifest = self.manifest
        return read_trials(
            manifest.trial_runs, name, manifest.updates, manifest.fingerprint, self.tracking_uri, mapped=mapped
        )


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
    kind = get_run(run_id, tracking_uri).data.tags.get("easiness.kind")
    if kind != "score":
        raise ValueError(f"run {run_id} is of kind {kind!r}, and scores are read from a run of kind 'score'")
    with tempfile.TemporaryDirectory() as place:
        folder = fetch(run_id, "scores", tracking_uri, folder=Path(place))
        manifest = ScoreManifest.from_json((folder / "manifest.json").read_text(encoding="utf-8"), run_id)
        table = pd.read_parquet(folder / "easiness.parquet")
        return Scores(run_id, manifest, table, np.load(folder / "trajectory.npy"), tracking_uri)


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
        with server_errors():
            found = client(tracking_uri).get_run(run_id).data.tags.get("easiness.fingerprint")
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


def _new_array(shape: tuple[int, ...], file: Path | None) -> np.ndarray:
    return np.empty(shape, np.float32) if file is None else np.lib.format.open_memmap(file, "w+", np.float32, shape)
