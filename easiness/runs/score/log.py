"""Scores logged on their run, from losses and their table: trajectory, trials needed, numbers, pages."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.analysis.matching.trials_needed import predict_repeats
from easiness.analysis.scores import easiness
from easiness.datasets import Dataset
from easiness.runs.score.held_out import write_probabilities
from easiness.runs.score.preview import write_preview
from easiness.runs.score.reading import Scores
from easiness.runs.score.tables import repeat_table, score_metrics, trials_needed_table
from easiness.runs.score.thumbnails import pictured, shown_rows, write_thumbnails
from easiness.tracking import ScoreManifest


@dataclass(frozen=True, eq=False)
class Measured:
    """What the trials of one model have measured."""

    name: str  # model and data, in titles
    description: str  # one line on data and trials
    data: Dataset  # the N examples
    table: pd.DataFrame  # from `score_table`
    losses_TMN: np.ndarray  # cross-entropy in nats of the trials that trained on an example
    probabilities: np.ndarray | None = None  # class probabilities of the trials that held an example out
    metrics: Mapping[str, float] = field(default_factory=dict)  # more numbers than those of `score_metrics`
    score_by: str | None = None  # order of the examples on the review page, as in `suspicion_order`


def log_scores(run_id: str, manifest: ScoreManifest, measured: Measured) -> Scores:
    """Log table, trajectory, preview and manifest of a score run, its metrics and its note; returns the scores."""
    losses_TMN, data = measured.losses_TMN, measured.data
    trajectory_TN = np.stack([easiness(losses_MN) for losses_MN in losses_TMN])
    scopes = ("per_class",) if manifest.per_class else ("global",)
    options = MatchOptions(manifest.fraction, scopes, seed=manifest.recipe["seed"])
    scored = ScoredModel(measured.name, manifest.updates, list(losses_TMN))
    repeats = repeat_table(predict_repeats(scored, data.labels, options))
    needed = trials_needed_table(repeats)
    at_moment_MN = losses_TMN[manifest.updates.index(manifest.moment)]
    metrics = score_metrics(measured.table, at_moment_MN, needed[needed["updates"] == manifest.moment])
    metrics |= measured.metrics
    scores = Scores(run_id, manifest, measured.table, trajectory_TN, metrics)
    with tempfile.TemporaryDirectory() as folder:
        _write_artifacts(Path(folder), scores, measured, repeats)
        scores = replace(scores, manifest=tracking.log_results(run_id, Path(folder), manifest))
    vars(scores)["losses_TMN"] = losses_TMN  # they are here: no need to fetch them
    tracking.log_metrics(run_id, metrics)
    tracking.set_tags(run_id, {"mlflow.note.content": _note(measured.description, scores)})
    return scores


def _write_artifacts(folder: Path, scores: Scores, measured: Measured, repeats: pd.DataFrame) -> None:
    preview, probabilities = folder / "preview", measured.probabilities
    (folder / "scores").mkdir()
    scores.table.to_parquet(folder / "scores" / "easiness.parquet", index=False)
    np.save(folder / "scores" / "trajectory.npy", scores.trajectory_TN)
    if probabilities is not None:
        write_probabilities(folder / "scores", probabilities)
    title = f"{measured.name}: easiness after {scores.moment_name}"
    more = {"repeats": repeats, "pred_probs": probabilities, "score_by": measured.score_by}
    write_preview(preview, measured.data, scores, title, **more)
    shown = pictured(measured.data, shown_rows(scores.table, scores.trajectory_TN[-1]))
    write_thumbnails(preview / "thumbnails.npz", measured.data, shown)


def _note(description: str, scores: Scores) -> str:
    """Description that the UI shows on the run's first page."""
    numbers = "\n".join(f"- {name}: {value:.4g}" for name, value in scores.metrics.items())
    return (
        f"Easiness after {scores.moment_name}: mean cross-entropy in nats over trials, **lower = easier**.\n\n"
        f"{description}\n\n{numbers}\n\nArtifacts: `preview/index.html`, `scores/easiness.parquet`."
    )
