"""Which examples people will want to look at, and what is said of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from easiness.reporting.sources import ScoreSource
from easiness.runs.score.tables import majority_vote
from easiness.runs.score.thumbnails import ends_per_class

SUSPICIOUS = 48
DISPUTED = 24  # of each pair
_MOMENTS = 16  # points of a drawn trajectory


@dataclass(frozen=True, eq=False)
class Course:
    """Easiness of an example under one model while it trained: `easiness_T` nats after `updates_T`; rank of `count`."""

    model: str
    updates_T: np.ndarray
    easiness_T: np.ndarray
    easiness: float
    rank: int
    count: int


@dataclass(frozen=True, eq=False)
class Item:
    """An example in the gallery.

    Attributes
    ----------
    example_id : int
    class_name : str
        Its label.
    lines : tuple of str
        What is said below the picture: easiness, rank, and why it stands here.
    picture : bytes or None
        png or jpeg; None where no run kept it.
    metric_curves : list of Course
        By model.
    """

    example_id: int
    class_name: str
    lines: tuple[str, ...]
    picture: bytes | None
    metric_curves: list[Course]


@dataclass(frozen=True)
class Row:
    """Items in a row, with what they have in common."""

    name: str
    items: list[Item]


@dataclass(frozen=True)
class Section:
    """Rows that are unfolded together; `note` says how they were chosen."""

    title: str
    note: str
    rows: list[Row]


class Examples:
    """All that is known of single examples of one dataset.

    Parameters
    ----------
    sources : sequence of ScoreSource
        One per model, of the same examples in the same order.
    more_thumbnails : dict of bytes
        Pictures that other runs kept.
    """

    def __init__(self, sources: Sequence[ScoreSource], more_thumbnails: dict[int, bytes]) -> None:
        self.sources = sources
        self._pictures = dict(more_thumbnails)
        for source in sources:
            self._pictures |= source.thumbnails
        self._row_of = {each: row for row, each in enumerate(sources[0].table["example_id"].tolist())}

    def item(self, example_id: int, *lines: str) -> Item:
        """Describe one example."""
        row = self._row_of[example_id]
        return Item(
            example_id,
            str(self.sources[0].table["class_name"].iloc[row]),
            lines,
            self._pictures.get(example_id),
            [_course(source, row) for source in self.sources],
        )

    @property
    def has_pictures(self) -> bool:
        """Whether any run kept pictures."""
        return bool(self._pictures)

    @property
    def note_on_pictures(self) -> str:
        """Which score runs kept none, where others did; the sentence begins with a blank."""
        without = [source.model for source in self.sources if not source.thumbnails]
        if not without or not self.has_pictures:
            return ""
        return f" No pictures were kept for {', '.join(without)}: an example has one where another run kept it."


def class_ends(examples: Examples, source: ScoreSource) -> Section:
    """Choose the easiest and the hardest examples of every class under one model."""
    ordered = source.table.sort_values("rank", kind="stable")
    count = ends_per_class(ordered["label"].nunique())
    rows = []
    for _, members in ordered.groupby("label"):
        name = members["class_name"].iloc[0]
        shown = min(count, (len(members) + 1) // 2)
        for end, part in (("easiest", members.head(shown)), ("hardest", members.tail(shown)[::-1])):
            items = [
                examples.item(each.example_id, f"{each.easiness:.3g} nats", f"rank {each.rank:,}")
                for each in part.itertuples()
            ]
            rows.append(Row(f"{name}: {end}", items))
    moment = source.settings["moment"]
    return Section(
        f"Easiest and hardest of every class under {source.model}",
        f"By easiness after {moment} updates, the mean loss of {source.trials} trials. Rank 1 of "
        f"{len(source.table):,} is the easiest.{examples.note_on_pictures}",
        rows,
    )


def suspicious(sources: Sequence[ScoreSource], count: int = SUSPICIOUS) -> pd.DataFrame:
    """Find the labels that look wrong: examples that are hard for every model at the end of training.

    Parameters
    ----------
    sources : sequence of ScoreSource
        One per model, of the same examples in the same order.
    count : int

    Returns
    -------
    pandas.DataFrame
        example_id, source, label, class_name, easiness (mean over the models at the last moment, nats), rank (at the
        last moment under the model that finds it easiest; N = the hardest of all), preferred and preferred_share (class
        that most trials predict at the last moment, and their share, over all trials of the models that kept
        predictions; missing where none did), group where the truth is known. The most suspicious first.
    """
    ranks_AN = np.stack([_ranks(source.trajectory_TN[-1]) for source in sources])
    least_N = ranks_AN.min(axis=0)
    rows = np.lexsort((-ranks_AN.mean(axis=0), -least_N))[:count]
    first = sources[0].table
    found = first.iloc[rows][["example_id", "source", "label", "class_name"]].reset_index(drop=True)
    found["easiness"] = np.mean([source.trajectory_TN[-1, rows] for source in sources], axis=0)
    found["rank"] = least_N[rows]
    predictions = [source.predicted_MN[:, rows] for source in sources if source.predicted_MN is not None]
    if predictions:
        names = np.asarray(sources[0].settings["class_names"], object)
        labels, shares = majority_vote(np.concatenate(predictions), len(names))
        found["preferred"], found["preferred_share"] = names[labels], shares
    if "group" in first:
        found["group"] = first["group"].to_numpy()[rows]
    return found


def suspicious_section(examples: Examples, found: pd.DataFrame) -> Section:
    """Show the labels that look wrong."""
    items = []
    for each in found.itertuples():
        lines = [f"{each.easiness:.3g} nats", f"rank {each.rank:,} or more"]
        if "preferred" in found:
            lines.append(f"models say {each.preferred} ({each.preferred_share:.0%})")
        items.append(examples.item(each.example_id, *lines))
    models = ", ".join(source.model for source in examples.sources)
    note = (
        f"Hard at the end of training for every model ({models}): ordered by the rank under the model that finds the "
        f"example easiest, {len(examples.sources[0].table):,} = the hardest of all. Easiness is the mean over models. "
    )
    silent = [source.model for source in examples.sources if source.predicted_MN is None]
    if "preferred" not in found:
        note += "The models' own label is not known: no run kept what its trials predict."
    else:
        note += "The models' own label is the one that most trials of all models predict, with the share that do."
        if silent:
            note += f" Not counted are those of {', '.join(silent)}, which kept no predictions."
    note += examples.note_on_pictures
    return Section("Most suspicious labels", note, [Row("all classes", items)])


def disputed_section(examples: Examples, disagreement: pd.DataFrame) -> Section:
    """Show the examples on which each pair of models differs most, from `disagreement.csv`."""
    rows = []
    for (a, b), part in disagreement.groupby(["a", "b"], sort=True):
        for harder, other, side in ((a, b, part[part["z"] > 0]), (b, a, part[part["z"] < 0])):
            items = [
                examples.item(
                    each.example_id, f"z {each.z:+.1f}", f"rank {each.rank_a:,} in {a}", f"rank {each.rank_b:,} in {b}"
                )
                for each in side.head(DISPUTED // 2).itertuples()
            ]
            if items:
                rows.append(Row(f"harder for {harder} than for {other}", items))
    note = (
        "Examples on which two models differ most, in standard errors over trials (z). Losses of models have different "
        f"scales, so ranks are compared.{examples.note_on_pictures}"
    )
    return Section("Most disputed between models", note, rows)


def _ranks(easiness_N: np.ndarray) -> np.ndarray:
    ranks_N = np.empty(len(easiness_N), np.int64)
    ranks_N[np.argsort(easiness_N, kind="stable")] = np.arange(1, len(easiness_N) + 1)
    return ranks_N


def _course(source: ScoreSource, row: int) -> Course:
    updates_T = np.asarray(source.settings["updates"])
    chosen = np.unique(np.linspace(0, len(updates_T) - 1, min(_MOMENTS, len(updates_T))).round().astype(int))
    return Course(
        source.model,
        updates_T[chosen],
        source.trajectory_TN[chosen, row],
        float(source.table["easiness"].iloc[row]),
        int(source.table["rank"].iloc[row]),
        len(source.table),
    )
