"""Arrays of trials, read back."""

import json
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from easiness.files import DamagedError
from easiness.tracking.artifacts import Content, RunArtifacts
from easiness.tracking.manifests import RecordManifest, TrialManifest, WeightsManifest


def read_trials(
    run_ids: Sequence[str],
    measure: str,
    updates: Sequence[int],
    fingerprint: str,
    tracking_uri: str | None = None,
    *,
    mapped: Path | None = None,
) -> np.ndarray:
    """Read one measure of M trials at T scored moments: (T, M, N) float32.

    ValueError if a trial is not of the data with this fingerprint, or an array is not what was written. With a folder
    `mapped`, the array lies in a file there and is mapped, read-only, instead of held in memory.
    """
    values_TMN = None
    for m, run_id in enumerate(run_ids):
        values_TN = open_trial(run_id, fingerprint, tracking_uri).read(measure, partial(_read_moments, updates))
        if values_TMN is None:
            shape = (len(updates), len(run_ids), values_TN.shape[1])
            values_TMN = _new_array(shape, None if mapped is None else mapped / f"{measure}.npy")
        if values_TN.shape[1] != values_TMN.shape[2]:
            raise ValueError(
                f"trial run {run_id} has {measure} of {values_TN.shape[1]} examples, and run {run_ids[0]} of "
                f"{values_TMN.shape[2]}: they cannot be combined"
            )
        values_TMN[:, m] = values_TN
    if mapped is None:
        return values_TMN
    values_TMN.flush()
    return np.load(mapped / f"{measure}.npy", mmap_mode="r")


def open_trial(run_id: str, fingerprint: str, tracking_uri: str | None = None, prefix: str = "") -> RunArtifacts:
    """Artifacts of a finished trial; ValueError if it is not of the data with this fingerprint."""
    artifacts = RunArtifacts(run_id, tracking_uri, prefix=prefix)
    manifest = artifacts.manifest(TrialManifest)
    if manifest.fingerprint != fingerprint:
        raise ValueError(
            f"trial run {run_id} is of data {manifest.fingerprint}, the others of {fingerprint}: they cannot be "
            "combined"
        )
    return artifacts


def verify_trial(run_id: str, digest: str, files: Collection[str], measures: Collection[str]) -> dict[str, np.ndarray]:
    """Compare all files of a finished trial with their checksums; returns (T, N) of some measures.

    DamagedError if one is not as it was written, if there are others than these `files`, or it is another trial;
    FileNotFoundError if a whole folder is missing.
    """
    artifacts = RunArtifacts(run_id)
    manifest = artifacts.manifest(TrialManifest)
    arrays = {name for name in manifest.checksums if not name.startswith("weights/")}  # weights are not part of it
    if manifest.digest != digest or arrays != set(files):
        raise DamagedError(f"{TrialManifest.FILE} of run {run_id} is of another trial than its tags say")
    moments = partial(_read_moments, manifest.updates)
    folders = sorted({path.partition("/")[0] for path in files})
    read = {name: artifacts.read(name, moments if name in measures else lambda _: None) for name in folders}
    return {name: read[name] for name in measures if name in read}


def read_weights(run_id: str, reader: Callable[[Path], Content]) -> tuple[WeightsManifest, Content]:
    """Final weights of a trial, read from their file, and the network that they are of.

    FileNotFoundError if the trial left none; DamagedError if they are not as they were written.
    """
    artifacts = RunArtifacts(run_id)
    artifacts.manifest(TrialManifest)
    network = artifacts.read(
        WeightsManifest.FILE, lambda path: WeightsManifest.from_json(path.read_text(encoding="utf-8"), run_id)
    )
    return network, artifacts.read(WeightsManifest.WEIGHTS, reader)


def read_trial(run_id: str) -> tuple[RunArtifacts, TrialManifest]:
    """Artifacts of a finished trial, and its manifest."""
    artifacts = RunArtifacts(run_id)
    return artifacts, artifacts.manifest(TrialManifest)


def read_record(trial: RunArtifacts) -> tuple[RecordManifest, pd.DataFrame] | None:
    """Training behind a recorded trial and the table of its examples; None of a trial that was trained here."""
    record = trial.optional(
        RecordManifest.FILE, lambda path: RecordManifest.from_json(path.read_text(encoding="utf-8"), trial.run_id)
    )
    return None if record is None else (record, trial.read(RecordManifest.EXAMPLES, pd.read_parquet))


def read_validation(run_id: str) -> tuple[list[dict[str, float]], np.ndarray]:
    """Metrics of every epoch of a trial, and (N_val,) float32 that is 1 where its final network is right."""

    def read(folder: Path) -> tuple[list[dict[str, float]], np.ndarray]:
        return json.loads((folder / "epochs.json").read_text()), np.load(folder / "correct.npy")

    artifacts = RunArtifacts(run_id)
    artifacts.manifest(TrialManifest)
    return artifacts.read("validation", read)


def _read_moments(updates: Sequence[int], folder: Path) -> np.ndarray:
    """(T, N) float32 of one measure; ValueError for other shapes and types, and for what is not a number."""
    arrays = []
    for update in updates:
        path = folder / f"updates={update:06d}.npy"
        if not path.exists():
            raise ValueError(f"there is nothing after {update} updates")
        values_N = np.load(path)
        if values_N.ndim != 1 or values_N.dtype != np.float32 or (arrays and values_N.shape != arrays[0].shape):
            raise ValueError(f"{path.name} has {values_N.dtype} of shape {values_N.shape}, and must have (N,) float32")
        if not np.isfinite(values_N).all():
            raise ValueError(f"{path.name} has values that are NaN or infinite")
        arrays.append(values_N)
    return np.stack(arrays)


def _new_array(shape: tuple[int, ...], file: Path | None) -> np.ndarray:
    return np.empty(shape, np.float32) if file is None else np.lib.format.open_memmap(file, "w+", np.float32, shape)
