"""Gallery of a report: which examples people will want to look at, and what is said of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from easiness.analysis.scores import Score
from easiness.runs.score.reading import Scores
from easiness.runs.score.tables import majority_vote
from easiness.runs.score.thumbnails import ends_per_class

SUSPICIOUS = 48
DISPUTED = 24  # of each pair
_MOMENTS = 16  # points of a drawn trajectory


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """Score of an example under one model while it trained: `values_T` after `updates_T`; rank of `count`."""

    model: str
    updates_T: np.ndarray
    values_T: np.ndarray
    value: float
    unit: str
    rank: int
    count: int


@dataclass(frozen=True, eq=False)
class GalleryExample:
    """Example with its label, lines below its picture, the picture (None where no run kept it), a curve per model."""

    example_id: int
    class_name: str
    lines: tuple[str, ...]
    picture: bytes | None
    curves: list[ScoreCurve]


@dataclass(frozen=True)
class Row:
    """Examples in a row, with what they have in common."""

    name: str
    items: list[GalleryExample]


@dataclass(frozen=True)
class Section:
    """Rows that are unfolded together; `note` says how they were chosen."""

    title: str
    note: str
    rows: list[Row]


class Examples:
    """Single examples of one dataset, from one run per model and the pictures that other runs kept."""

    def __init__(self, runs: Sequence[Scores], more_thumbnails: dict[int, bytes]) -> None:
        self.runs = runs
        self._pictures = dict(more_thumbnails)
        for run in runs:
            self._pictures |= run.thumbnails
        self._row_of = {example_id: row for row, example_id in enumerate(runs[0].table["example_id"].tolist())}

    def describe(self, example_id: int, *lines: str) -> GalleryExample:
        """One example with what is said of it."""
        row = self._row_of[example_id]
        class_name = str(self.runs[0].table["class_name"].iloc[row])
        curves = [_curve(run, row) for run in self.runs]
        return GalleryExample(example_id, class_name, lines, self._pictures.get(example_id), curves)


def class_ends(examples: Examples, run: Scores) -> Section:
    """The easiest and the hardest examples of every class under one model."""
    ordered = run.table.assign(value=run.values_N).sort_values("rank", kind="stable")
    count = ends_per_class(ordered["label"].nunique())
    trials = "" if run.score.held_out else f", of {run.trials_in_sample} trials"
    rows = []
    for _, members in ordered.groupby("label"):
        shown = min(count, (len(members) + 1) // 2)
        for end, chosen in (("easiest", members.head(shown)), ("hardest", members.tail(shown)[::-1])):
            items = [
                examples.describe(row.example_id, _number(run.score, row.value), f"rank {row.rank:,}")
                for row in chosen.itertuples()
            ]
            rows.append(Row(f"{members['class_name'].iloc[0]}: {end}", items))
    return Section(
        f"Easiest and hardest of every class under {run.model}",
        f"By {run.score.title} after {run.moment_name} ({run.score.meaning}){trials}. Rank 1 "
        f"of {len(run.table):,} is the easiest.",
        rows,
    )


def suspicious(runs: Sequence[Scores], count: int = SUSPICIOUS) -> pd.DataFrame:
    """Labels that look wrong: the `count` examples that are hardest for every model (one run each) at the end.

    Returns
    -------
    pandas.DataFrame
        example_id, source, label, class_name, the score (mean over the models at the last moment), rank (then, under
        the model that finds it easiest; N = the hardest of all), preferred and preferred_share (class that most trials
        of all models predict, and their share), group where the truth is known. The most suspicious first.
    """
    ranks_AN = np.stack([rankdata(run.trajectory_TN[-1], method="ordinal") for run in runs])
    least_N = ranks_AN.min(axis=0)
    rows = np.lexsort((-ranks_AN.mean(axis=0), -least_N))[:count]
    first = runs[0].table
    table = first.iloc[rows][["example_id", "source", "label", "class_name"]].reset_index(drop=True)
    table[runs[0].score.column] = np.mean([run.trajectory_TN[-1, rows] for run in runs], axis=0)
    table["rank"] = least_N[rows]
    names = np.asarray(runs[0].manifest.class_names, object)
    labels, shares = majority_vote(np.concatenate([run.predicted_MN[:, rows] for run in runs]))
    table["preferred"], table["preferred_share"] = names[labels], shares
    if "group" in first:
        table["group"] = first["group"].to_numpy()[rows]
    return table


def describe_suspects(examples: Examples, table: pd.DataFrame, more: Sequence[str] = ()) -> list[GalleryExample]:
    """Rows of `suspicious` with their score, rank and what the models say; `more` is a line for each."""
    score = examples.runs[0].score
    lines = more or [""] * len(table)
    return [
        examples.describe(
            row.example_id,
            *[line] * bool(line),
            _number(score, getattr(row, score.column)),
            f"rank {row.rank:,} or more",
            f"models say {row.preferred} ({row.preferred_share:.0%})",
        )
        for row, line in zip(table.itertuples(), lines, strict=True)
    ]


def suspicious_section(examples: Examples, table: pd.DataFrame) -> Section:
    """Labels that look wrong, from `suspicious`."""
    score = examples.runs[0].score
    items = describe_suspects(examples, table)
    models = ", ".join(run.model for run in examples.runs)
    note = (
        f"Hard at the end of training for every model ({models}): ordered by the rank under the model that finds the "
        f"example easiest, {len(examples.runs[0].table):,} = the hardest of all. {score.title}: mean over models. The "
        "models' own label is the one that most trials of all models predict, with the share that do."
    )
    return Section("Most suspicious labels", note, [Row("all classes", items)])


def disputed_section(examples: Examples, disagreements: pd.DataFrame) -> Section:
    """Examples on which each pair of models differs most, from `MatchingResults.disagreements`."""
    rows = []
    for (a, b), table in disagreements.groupby(["a", "b"], sort=True):
        for harder, other, side in ((a, b, table[table["z"] > 0]), (b, a, table[table["z"] < 0])):
            items = [
                examples.describe(
                    row.example_id, f"z {row.z:+.1f}", f"rank {row.rank_a:,} in {a}", f"rank {row.rank_b:,} in {b}"
                )
                for row in side.head(DISPUTED // 2).itertuples()
            ]
            if items:
                rows.append(Row(f"harder for {harder} than for {other}", items))
    note = (
        "Examples on which two models differ most, in standard errors over trials (z). Losses of models have different "
        "scales, so ranks are compared."
    )
    return Section("Most disputed between models", note, rows)


def _number(score: Score, value: float) -> str:
    return f"{value:.3g} {score.unit or score.title}"


def _curve(run: Scores, row: int) -> ScoreCurve:
    moments = len(run.manifest.updates)
    chosen = np.unique(np.linspace(0, moments - 1, min(_MOMENTS, moments)).round().astype(int))
    value, rank = float(run.values_N[row]), int(run.table["rank"].iloc[row])
    unit = run.score.unit or run.score.title
    return ScoreCurve(
        run.model, run.updates_T[chosen], run.trajectory_TN[chosen, row], value, unit, rank, len(run.table)
    )
