"""Results of a finished match run, read back from a tracking server."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.scores import SCORES, Score
from easiness.runs.checks import one_of
from easiness.runs.match.tables import MatchingResults, at_last_moment
from easiness.runs.match.verdict import shared_starts
from easiness.runs.pages import result_html
from easiness.runs.score.thumbnails import read_thumbnails
from easiness.tracking import MatchManifest, RunArtifacts

# Tag of a match run with the name of the score that its sets are cut by.
SCORE_BY = "easiness.score_by"

# Beginnings of the paths of figures that show images, and so cannot be drawn again without the data.
_IMAGE_FIGURES = ("figures/fig1_", "figures/fig2_", "figures/disagreement_")


@dataclass(frozen=True, eq=False, kw_only=True)
class Matching(MatchingResults):
    """What architectures share: the fields of `MatchingResults`, and what belongs to the run.

    Attributes
    ----------
    run_id, manifest
        Match run, and its data, matched runs, options and verdicts.
    diversity : pandas.DataFrame or None
        From `look_at_classes`; None without images.
    tracking_uri, hashes
        As in `Scores`.
    """

    run_id: str
    manifest: MatchManifest
    diversity: pd.DataFrame | None
    tracking_uri: str | None = None
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def score(self) -> Score:
        """Score that the sets are cut by."""
        return SCORES[self.manifest.score_by]

    @property
    def title(self) -> str:
        """Models, data and score."""
        return match_title(self.updates, self.manifest.dataset, self.score)

    @property
    def sentences(self) -> list[str]:
        """Verdict on each set, in words, and which trials are no independent beginnings."""
        return [entry["sentence"] for entry in self.manifest.verdict] + shared_starts(self.manifest.runs)

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """Figures (png) that show images, by name."""
        names = sorted(path for path in self.manifest.checksums if path.startswith(_IMAGE_FIGURES))
        return {Path(name).stem: self._artifacts.read(name, Path.read_bytes) for name in names}

    @cached_property
    def thumbnails(self) -> dict[int, bytes]:
        """Small pictures of the examples in dispute, by example id; none without images."""
        return self._artifacts.optional("preview/thumbnails.npz", read_thumbnails) or {}

    def summary(self) -> str:
        """Rates at the last moment and the verdicts, for a terminal."""
        tables = {
            f"matching rates{self.score.by} at the last moment": at_last_moment(self.pairs),
            f"first moment against the last{self.score.by} (Table 1)": self.table1,
        }
        if self.external is not None:
            tables[f"against outside scores{self.score.by}, at the last moment"] = at_last_moment(self.external)
        shown = [
            f"{name}:\n{table.to_string(index=False, float_format='{:.3f}'.format, na_rep='')}"
            for name, table in tables.items()
            if len(table)
        ]
        verdict = ["\n".join(self.sentences)] if self.sentences else []
        return "\n" + "\n\n".join([*shown, *verdict, tracking.whereabouts(self.run_id)])

    def _repr_html_(self) -> str:
        numbers = {
            "score": self.score.title,
            "fraction": self.manifest.fraction,
            "draws": self.manifest.draws,
            "run": self.run_id,
        }
        table = at_last_moment(self.pairs if len(self.pairs) else self.moments)
        return result_html(self.title, numbers, table, self.sentences)

    @property
    def _artifacts(self) -> RunArtifacts:
        return RunArtifacts(self.run_id, self.tracking_uri, self.manifest.checksums, self.hashes)


def match_title(names: Iterable[str], dataset: str, score: Score) -> str:
    """Name of a match run: what differs between such runs first, since lists cut names."""
    return f"{', '.join(names)} on {dataset} by {score.title}"


def read_matching(run_id: str, tracking_uri: str | None = None) -> Matching:
    """Read a finished match run back from a tracking server; errors are as in `load_scores`."""
    tracking.run_of_kind(run_id, "match", tracking_uri)
    artifacts = RunArtifacts(run_id, tracking_uri)
    manifest = artifacts.manifest(MatchManifest)
    one_of("score_by", manifest.score_by, tuple(SCORES))
    overlaps = {"global": manifest.moment_overlaps, "per_class": manifest.moment_overlaps_per_class}

    def table(name: str) -> pd.DataFrame:
        return artifacts.read(f"{name}.csv", tracking.read_table)

    return Matching(
        run_id=run_id,
        manifest=manifest,
        updates={run["model"]: tuple(run["updates"]) for run in manifest.runs},
        pairs=table("matching"),
        sensitivity=table("sensitivity"),
        moments=table("moments"),
        external=artifacts.optional("external.csv", tracking.read_table),
        common=artifacts.optional("common.csv", tracking.read_table),
        table1=table("table1"),
        disagreements=table("disagreement"),
        beyond_noise=pd.DataFrame(manifest.beyond_noise),
        repeats=table("repeats"),
        overlaps={scope: _matrices(by_model) for scope, by_model in overlaps.items()},
        diversity=artifacts.optional("diversity.csv", tracking.read_table),
        tracking_uri=tracking_uri,
        hashes=artifacts.hashes,
    )


def _matrices(by_model: Mapping[str, Mapping[str, list]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        model: {kind: np.asarray(matrix, np.float64) for kind, matrix in by_kind.items()}
        for model, by_kind in by_model.items()
    }
