"""Scores of a finished score run, read back from a tracking server."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.folds import held_out, in_sample
from easiness.analysis.scores import EASINESS, SCORES, Score, easiness, trial_scores
from easiness.recipes.schedule import moment_name, updates_per_epoch
from easiness.runs.checks import one_of
from easiness.runs.pages import result_html
from easiness.runs.score.held_out import fold_problems, probability_problems, read_greatest
from easiness.runs.score.tables import class_counts, ranks_and_sets
from easiness.runs.score.thumbnails import read_thumbnails
from easiness.tracking import RunArtifacts, ScoreManifest

# Columns of every table of scores.
COLUMNS = ("example_id", "source", "label", "class_name", "easiness", "easiness_std", "rank", "set")


# Above so many classes a person looks into the file.
_FEW_CLASSES = 20


@dataclass(frozen=True, eq=False)
class Scores:
    """Easiness of every training example under one model. Lower easiness = easier.

    Attributes
    ----------
    run_id, manifest
        Score run, and its dataset, fingerprint, recipe, updates and trials.
    table : pandas.DataFrame
        One row per example: example_id, source, label, class_name, easiness (nats), easiness_std, rank, set, predicted,
        predicted_share; el2n, aum, forgetting (higher = harder); group where the truth is known. With folds: fold,
        heldout_loss (nats), heldout_share, memorization, suggested_label, suggested_share.
    trajectory_TN : numpy.ndarray
        (T, N) easiness in nats, or the `score`, at every scored moment.
    metrics : dict of float
        Numbers of the run: easiness_mean, reliability …
    hashes : dict of str
        SHA-256 of every artifact that was read, by its path; of a trial's, by `runs:/RUN_ID/path`.
    score : Score
        Score that `rank` and `set` of the table and the trajectory are of; see `by`.
    """

    run_id: str
    manifest: ScoreManifest
    table: pd.DataFrame
    trajectory_TN: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)
    tracking_uri: str | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    score: Score = SCORES[EASINESS]

    @property
    def model(self) -> str:
        """Name of the network."""
        return self.manifest.model

    @property
    def trials(self) -> int:
        """Number of trials M."""
        return len(self.manifest.trials)

    @property
    def trials_in_sample(self) -> int:
        """Number of trials that trained on each example: all, or with folds all but one of each round."""
        folds = self.manifest.folds
        return self.trials - self.trials // folds if folds else self.trials

    @property
    def updates_T(self) -> np.ndarray:  # noqa: N802, its shape
        """(T,) int64 updates at the scored moments."""
        return np.asarray(self.manifest.updates, np.int64)

    @property
    def per_epoch(self) -> int | None:
        """Updates of an epoch of a trial; None where recorded trials do not say."""
        recipe = self.manifest.recipe
        if self.manifest.recorded:
            return recipe["updates_per_epoch"]
        return updates_per_epoch(self.manifest.trained, recipe["batch_size"])

    @property
    def moment_name(self) -> str:
        """When easiness was taken: `1,955 updates (epoch 5 of 300)`."""
        return moment_name(self.manifest.moment, self.per_epoch, self.manifest.recipe["schedule_epochs"])

    @property
    def values_N(self) -> np.ndarray:  # noqa: N802
        """(N,) of the score at the moment of the table; lower = easier."""
        return self.table[self.score.column].to_numpy()

    def by(self, name: str) -> "Scores":
        """The same run by one of `easiness.analysis.scores.SCORES`: its trajectory, and `rank` and `set` cut by it.

        A ValueError for `heldout` of a run without folds.
        """
        one_of("score_by", name, tuple(SCORES))
        score, manifest = SCORES[name], self.manifest
        if score == self.score:
            return self
        trajectory_TN = np.stack([easiness(values_MN) for values_MN in self.trial_scores(name)])
        values_N = trajectory_TN[manifest.updates.index(manifest.moment)]
        labels_N = self.table["label"].to_numpy() if manifest.per_class else None
        rank_N, set_N = ranks_and_sets(values_N, manifest.fraction, labels_N, manifest.recipe["seed"])
        table = self.table.assign(**{score.column: values_N, "rank": rank_N, "set": set_N})
        return replace(self, table=table, trajectory_TN=trajectory_TN, score=score)

    def trial_scores(self, name: str, mapped: Path | None = None) -> np.ndarray:
        """(T, M, N) float32 of one of `SCORES` of every trial that trained on an example, as `measure` reads them.

        `heldout` is (T, M/K, N), of the trials that held an example out. Higher = harder.
        """
        score, manifest = SCORES[name], self.manifest
        if score.held_out:
            if not manifest.folds:
                raise ValueError(
                    f"score_by is {name!r}, and score run {self.run_id} held nothing out; score with folds=5, or take "
                    "another score"
                )
            runs, fold_N = manifest.trial_runs, self.table["fold"].to_numpy()
            losses_TMN = tracking.read_trials(
                runs, score.measure, manifest.updates, manifest.fingerprint, self.tracking_uri
            )
            return np.stack([held_out(losses_MN, fold_N, manifest.folds) for losses_MN in losses_TMN])
        values_TMN = self.measure(score.measure, mapped)
        if not score.cumulative:
            return values_TMN
        found_TMN = _new_array(values_TMN.shape, np.float32, mapped and mapped / f"{name}.scores.npy")
        for t, values_MN in enumerate(trial_scores(name, values_TMN)):
            found_TMN[t] = values_MN
        return found_TMN

    @cached_property
    def losses_TMN(self) -> np.ndarray:  # noqa: N802
        """(T, M, N) float32 cross-entropy in nats, as `measure` reads them; lower = easier."""
        return self.measure("losses")

    def measure(self, name: str, mapped: Path | None = None) -> np.ndarray:
        """(T, M, N) float32 of a measure: losses, el2n, margin, correct or predicted, fetched from the trials' runs.

        With K folds, it is (T, M - M/K, N), of the trials that trained on an example, see
        `easiness.analysis.folds.in_sample`. With a folder `mapped`, the array lies in a file there and is only mapped
        into memory.
        """
        manifest = self.manifest
        values_TMN = tracking.read_trials(
            manifest.trial_runs, name, manifest.updates, manifest.fingerprint, self.tracking_uri, mapped=mapped
        )
        if values_TMN.shape[2] != manifest.examples:
            raise ValueError(
                f"score run {self.run_id} is of {manifest.examples} examples, and its trials have {name} of "
                f"{values_TMN.shape[2]}"
            )
        file = None if mapped is None else mapped / f"{name}.in_sample.npy"
        return self._in_sample(values_TMN, file) if manifest.folds else values_TMN

    def _in_sample(self, values_TMN: np.ndarray, file: Path | None = None) -> np.ndarray:
        folds, fold_N = self.manifest.folds, self.table["fold"].to_numpy()
        shape = (len(values_TMN), self.trials_in_sample, len(fold_N))
        found_TMN = _new_array(shape, values_TMN.dtype, file)
        for t, values_MN in enumerate(values_TMN):
            found_TMN[t] = in_sample(values_MN, fold_N, folds)
        return found_TMN

    @cached_property
    def pred_probs(self) -> np.ndarray:
        """(N, K) float16 mean class probabilities by the trials that held an example out, in the table's order.

        Of very large data (N, 5) `label` and `share` of the greatest, see `easiness.analysis.folds.dense`. A ValueError
        of a run without folds.
        """
        if not self.manifest.folds:
            raise ValueError(f"score run {self.run_id} held nothing out, so it has no pred_probs; score with folds=5")
        found = self._artifacts.optional("scores/pred_probs.npy", np.load)
        if found is None:
            found = self._artifacts.read("scores/pred_probs_top5.npz", read_greatest)
        for problem in probability_problems(found, len(self.table), len(self.manifest.class_names)):
            raise ValueError(f"pred_probs of score run {self.run_id} {problem}; make the run again")
        return found

    @cached_property
    def predicted_MN(self) -> np.ndarray:  # noqa: N802
        """(M, N) label that every trial predicts at the last moment, in the smallest type; with folds as `measure`."""
        manifest, count = self.manifest, len(self.table)
        classes, name = len(manifest.class_names), f"predicted/updates={manifest.updates[-1]:06d}.npy"
        predicted_MN = np.empty((self.trials, count), np.min_scalar_type(classes - 1))
        for m, run_id in enumerate(manifest.trial_runs):
            trial = tracking.open_trial(run_id, manifest.fingerprint, self.tracking_uri, prefix=f"runs:/{run_id}/")
            labels_N = trial.read(name, np.load)
            self.hashes.update(trial.hashes)
            if labels_N.shape != (count,) or not (labels_N.min() >= 0 and labels_N.max() < classes):
                raise ValueError(
                    f"{name} of trial run {run_id} must hold {count} labels from 0 to {classes - 1}, got shape "
                    f"{labels_N.shape}, {labels_N.min()} to {labels_N.max()}"
                )
            predicted_MN[m] = labels_N
        return self._in_sample(predicted_MN[None])[0] if manifest.folds else predicted_MN

    @cached_property
    def thumbnails(self) -> dict[int, bytes]:
        """Small pictures (png or jpeg) of both ends of every class and of the hardest examples, by example id."""
        return self._artifacts.read("preview/thumbnails.npz", read_thumbnails)

    def summary(self) -> str:
        """Class counts of both sets and the numbers of the run, for a terminal."""
        counts = class_counts(self.table, self.manifest.class_names)
        few = len(counts) <= _FEW_CLASSES
        return "\n".join(
            [
                "",
                f"{self.score.title} after {self.moment_name}, lower = easier;",
                "examples of each class in the easy and in the hard set:",
                counts.to_string(index=False) if few else f"{len(counts)} classes: see preview/class_counts.csv",
                *(f"{name:>28}  {value:.4g}" for name, value in self.metrics.items()),
                "",
                tracking.whereabouts(self.run_id),
            ]
        )

    def _repr_html_(self) -> str:
        data, score = self.manifest.dataset, self.score.title
        title = f"{self.model} on {data}: {score} after {self.moment_name} (lower = easier)"
        numbers = {"trials": self.trials} | self.metrics | {"run": self.run_id}
        return result_html(title, numbers, self.table)

    @property
    def _artifacts(self) -> RunArtifacts:
        return RunArtifacts(self.run_id, self.tracking_uri, self.manifest.checksums, self.hashes)


def load_scores(run_id: str, tracking_uri: str | None = None) -> Scores:
    """Read a finished score run back from a tracking server.

    Parameters
    ----------
    run_id : str
    tracking_uri : str, optional
        Server or store; MLflow's own default without it.

    Returns
    -------
    Scores
        Table and trajectory; the arrays of single trials are fetched when they are asked for.

    Raises
    ------
    ValueError
        If it is not a score run, its manifest was written by another version, or a file is not what was written: then
        it names the run and the file. Arrays of trials are compared with their checksums when they are fetched.
    FileNotFoundError
        If the run has no scores.
    TrackingError
        If the server does not answer.
    """
    metrics = tracking.run_of_kind(run_id, "score", tracking_uri).metrics
    artifacts = RunArtifacts(run_id, tracking_uri)
    manifest = artifacts.manifest(ScoreManifest)
    table = artifacts.read("scores/easiness.parquet", pd.read_parquet)
    trajectory_TN = artifacts.read("scores/trajectory.npy", np.load)
    for problem in _problems(manifest, table, trajectory_TN):
        raise ValueError(f"score run {run_id} cannot be used: {problem}; make it again")
    return Scores(run_id, manifest, table, trajectory_TN, metrics, tracking_uri, artifacts.hashes)


def _new_array(shape: tuple[int, ...], dtype: np.dtype, file: Path | None) -> np.ndarray:
    return np.empty(shape, dtype) if file is None else np.lib.format.open_memmap(file, "w+", dtype, shape)


def refuse_flipped(scores: Scores, what: str) -> None:
    """Refuse a run whose labels were flipped on purpose, for what needs the labels of the data."""
    flips = scores.manifest.label_changes.get("flips")
    if flips:
        raise ValueError(
            f"score run {scores.run_id} ({scores.model}) has {flips['count']} labels that were flipped on purpose, a "
            f"test of how well they are found; {what} needs a run without flip_labels"
        )


def _problems(manifest: ScoreManifest, table: pd.DataFrame, trajectory_TN: np.ndarray) -> Iterator[str]:
    """What contradicts the artifact contract, in words."""
    if manifest.polarity != "lower_is_easier":
        yield f"its polarity is {manifest.polarity!r}, and must be 'lower_is_easier'"
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        yield f"scores/easiness.parquet has no column {', '.join(missing)}"
        return
    expected = (len(manifest.updates), manifest.examples)
    if trajectory_TN.shape != expected or len(table) != manifest.examples:
        yield (
            f"it is of {expected[0]} moments and {expected[1]} examples, scores/trajectory.npy has shape "
            f"{trajectory_TN.shape}, and scores/easiness.parquet {len(table)} rows"
        )
    yield from fold_problems(manifest, table)
    if manifest.moment not in manifest.updates:
        yield f"its moment is {manifest.moment}, and it was scored after {manifest.updates} updates"
    for name, values in (("easiness.parquet", table["easiness"].to_numpy()), ("trajectory.npy", trajectory_TN)):
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            yield f"scores/{name} has easiness of type {values.dtype}, NaN or infinite, and must have finite numbers"
    for name, most in (("example_id", None), ("label", len(manifest.class_names) - 1)):
        column = table[name]
        if column.dtype.kind not in "iu" or (most is not None and not column.between(0, most).all()):
            yield f"scores/easiness.parquet has {name} of type {column.dtype} from {column.min()} to {column.max()}"
    if table["example_id"].duplicated().any():
        yield "scores/easiness.parquet has an example_id twice"
