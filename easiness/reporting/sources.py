"""What runs left on the tracking server, read back with a hash of every file."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.runs.score.thumbnails import read_thumbnails
from easiness.tracking import SCHEMA, RunRecord

THUMBNAILS = "preview/thumbnails.npz"

# Columns of words; a class may be called 3.
_NAMES = ("a", "b", "model", "strategy", "grouping", "group", "class_name", "worst_class", "source", "run_id")

Content = TypeVar("Content")


@dataclass(frozen=True, eq=False)
class Source:
    """A run that a report is made of.

    Attributes
    ----------
    run : RunRecord
    dataset, fingerprint : str
        Of which data it is.
    settings : dict
        Its manifest, as it was written.
    files : dict of str
        SHA-256 of every artifact that was read, by its path; of a trial's, by `runs:/RUN_ID/path`.
    """

    run: RunRecord
    dataset: str
    fingerprint: str
    settings: dict
    files: dict[str, str]

    @property
    def variant(self) -> str:
        """What tells runs of one kind, model and data apart; nothing does, but for ablations."""
        return ""


@dataclass(frozen=True, eq=False)
class ScoreSource(Source):
    """A score run.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per example, as `score_table` makes it; lower easiness = easier.
    trajectory_TN : numpy.ndarray
        (T, N) easiness in nats at every scored moment.
    thumbnails : dict of bytes
        Pictures by example id; empty for a run of an earlier version.
    predicted_MN : numpy.ndarray or None
        (M, N) label that every trial predicts at the last moment; None where not every trial kept it.
    """

    table: pd.DataFrame
    trajectory_TN: np.ndarray
    thumbnails: dict[int, bytes]
    predicted_MN: np.ndarray | None

    @property
    def model(self) -> str:
        """Name of the network."""
        return self.settings["model"]

    @property
    def trials(self) -> int:
        """Number of trials M."""
        return len(self.settings["trials"])


@dataclass(frozen=True, eq=False)
class MatchSource(Source):
    """A match run: its tables by name, its pictures (png) by name, the diversity tests of every model.

    The tables `matching` and `moments` are always there, of which the first has no row where there is a single model.
    """

    tables: dict[str, pd.DataFrame]
    pictures: dict[str, bytes]
    order_tests: dict[str, dict]
    thumbnails: dict[int, bytes]


@dataclass(frozen=True, eq=False)
class AblationSource(Source):
    """An ablate run: its tables by name."""

    tables: dict[str, pd.DataFrame]

    @property
    def variant(self) -> str:
        """How examples were drawn and networks trained."""
        flags = [name.replace("_", " ") for name in ("balanced", "equal_updates") if self.settings[name]]
        return ", ".join([f"{self.settings['weighting']} weights", *flags])

    @property
    def title(self) -> str:
        """Model and variant."""
        return f"{self.settings['recipe']['model']}, {self.variant}"


def read_source(run: RunRecord) -> Source:
    """Fetch what a finished run left.

    Raises
    ------
    FileNotFoundError
        If an artifact that the report cannot do without is missing.
    ValueError, KeyError
        If one is damaged, or was written by another version of the contract.
    """
    read = {"score": _read_score, "match": _read_match, "ablate": _read_ablation}[run.kind]
    with tempfile.TemporaryDirectory() as folder:
        return read(_Artifacts(run, Path(folder)))


class _Artifacts:
    """Artifacts of a run, hashed as they are read."""

    def __init__(self, run: RunRecord, folder: Path) -> None:
        self.run, self._folder = run, folder
        self.files: dict[str, str] = {}

    def path(self, name: str, run_id: str | None = None) -> Path:
        """Fetch one file, of this run or of another one."""
        path = tracking.fetch(run_id or self.run.run_id, name, folder=self._folder)
        key = f"runs:/{run_id}/{name}" if run_id else name
        self.files[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return path

    def maybe(self, name: str, read: Callable[[Path], Content], otherwise: Content) -> Content:
        """Read a file that not every run has."""
        try:
            path = self.path(name)
        except FileNotFoundError:
            return otherwise
        return read(path)

    def manifest(self, name: str) -> dict:
        """Read the manifest of a run, and refuse another version of the contract."""
        content = _json(self.path(name))
        if content["schema"] != SCHEMA:
            raise ValueError(f"{name} has schema {content['schema']}, and this version reads {SCHEMA}")
        return content

    def tables(self, *names: str) -> dict[str, pd.DataFrame]:
        """Read csv files that not every run has; those that are there and hold a row."""
        found = {name: self.maybe(f"{name}.csv", _read_csv, None) for name in names}
        return {name: table for name, table in found.items() if table is not None and len(table)}


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a table of ours: only an empty cell is unknown, since a class may be called null."""
    return pd.read_csv(path, dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=[""])


def _json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_score(artifacts: _Artifacts) -> ScoreSource:
    manifest = artifacts.manifest("scores/manifest.json")
    table = pd.read_parquet(artifacts.path("scores/easiness.parquet"))
    trajectory_TN = np.load(artifacts.path("scores/trajectory.npy"))
    if trajectory_TN.shape != (len(manifest["updates"]), len(table)):
        raise ValueError(f"trajectory of shape {trajectory_TN.shape} for {len(table)} examples")
    thumbnails = artifacts.maybe(THUMBNAILS, read_thumbnails, {})
    predicted_MN = _read_predictions(artifacts, manifest, len(table)) if "predicted" in table else None
    return ScoreSource(*_common(artifacts, manifest), table, trajectory_TN, thumbnails, predicted_MN)


def _read_predictions(artifacts: _Artifacts, manifest: dict, count: int) -> np.ndarray | None:
    """(M, N) label that every trial predicts at the end, in the smallest type; None where a trial has lost it."""
    classes, name = len(manifest["class_names"]), f"predicted/updates={manifest['updates'][-1]:06d}.npy"
    predicted_MN = np.empty((len(manifest["trials"]), count), np.min_scalar_type(classes - 1))
    for m, trial in enumerate(manifest["trials"]):
        try:
            path = artifacts.path(name, trial["run_id"])
        except FileNotFoundError:
            return None
        labels_N = np.load(path)
        if labels_N.shape != (count,) or not (labels_N.min() >= 0 and labels_N.max() < classes):
            raise ValueError(
                f"{name} of trial run {trial['run_id']} must hold {count} labels from 0 to {classes - 1}, got shape "
                f"{labels_N.shape}, {labels_N.min()} to {labels_N.max()}"
            )
        predicted_MN[m] = labels_N
    return predicted_MN


def _read_match(artifacts: _Artifacts) -> MatchSource:
    manifest = artifacts.manifest("matching.json")
    tables = {name: _read_csv(artifacts.path(f"{name}.csv")) for name in ("matching", "moments")}
    tables |= artifacts.tables("table1", "external", "disagreement", "diversity")
    order_tests = artifacts.maybe("diversity.json", _json, {})
    thumbnails = artifacts.maybe(THUMBNAILS, read_thumbnails, {})
    pictures = {
        name: artifacts.path(f"figures/{name}.png").read_bytes()
        for name in tracking.artifact_names(artifacts.run.run_id, "figures", ".png")
        if name.startswith(("fig1_", "fig2_", "disagreement_"))
    }
    return MatchSource(*_common(artifacts, manifest), tables, pictures, order_tests, thumbnails)


def _read_ablation(artifacts: _Artifacts) -> AblationSource:
    manifest = artifacts.manifest("ablation.json")
    tables = {"accuracy": _read_csv(artifacts.path("accuracy.csv"))}
    tables |= artifacts.tables("removed", "differences", "costs", "class_accuracy", "group_accuracy")
    return AblationSource(*_common(artifacts, manifest), tables)


def _common(artifacts: _Artifacts, manifest: dict) -> tuple[RunRecord, str, str, dict, dict[str, str]]:
    return artifacts.run, manifest["dataset"], manifest["fingerprint"], manifest, artifacts.files
