"""Tables of a finished ablate run, read back from a tracking server."""

from dataclasses import dataclass, field

import pandas as pd

from easiness import tracking
from easiness.analysis.removal import OFFSET
from easiness.analysis.scores import EASINESS
from easiness.runs.pages import result_html
from easiness.tracking import AblationManifest, RunArtifacts

# Tables beside the accuracies; one without a row is left out when it is read.
_OTHERS = ("removed", "differences", "costs", "class_accuracy", "group_accuracy")


@dataclass(frozen=True, eq=False)
class Ablation:
    """Accuracy after removing easy, hard or random examples.

    Attributes
    ----------
    run_id, manifest
        Ablate run, and its data, recipes, strategies and ratios.
    tables : dict of pandas.DataFrame
        By name, as in `easiness.runs.ablate.tables`: accuracy, class_accuracy, removed, differences, costs, and
        group_accuracy where the truth is known.
    hashes : dict of str
        SHA-256 of every artifact that was read, by its path.
    """

    run_id: str
    manifest: AblationManifest
    tables: dict[str, pd.DataFrame]
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        """Weights of the draw and length of training, which differ between ablations of one model and data."""
        flags = [name.replace("_", " ") for name in ("balanced", "equal_updates") if getattr(self.manifest, name)]
        flags += ["scored anew after equal epochs"] * self.manifest.equal_epochs
        flags += [f"offset {self.manifest.offset:g}"] * (self.manifest.offset != OFFSET)
        return ", ".join([f"{self.manifest.weighting} weights", *flags]) + self.by

    @property
    def by(self) -> str:
        """Words that a title adds where the score is not easiness."""
        return "" if self.manifest.score_by == EASINESS else f", by {self.manifest.score_title}"

    @property
    def scored(self) -> str:
        """Score that examples were removed by: which, when, and where it is from."""
        manifest = self.manifest
        if not manifest.scores:
            return f"{manifest.score_title} of the file {manifest.scores_file}"
        runs = f"score run{'s' * (len(manifest.scores) > 1)} {', '.join(manifest.scores)}"
        return f"{manifest.score_title} after {manifest.moment} updates, from {runs}" + (
            ", one for each seed" * (len(manifest.scores) > 1)
        )

    @property
    def name(self) -> str:
        """Name of the run: what differs between such runs first, since lists cut names."""
        manifest = self.manifest
        model, strategies = manifest.recipe["model"], ", ".join(manifest.strategies)
        return f"{model} on {manifest.dataset}{self.by}, without {strategies}"

    @property
    def title(self) -> str:
        """Model and variant."""
        return f"{self.manifest.recipe['model']}, {self.variant}"

    def mean_accuracy(self) -> pd.DataFrame:
        """Accuracy (a fraction), mean over seeds: one row per ratio, one column per strategy."""
        means = _by_ratio(self.tables["accuracy"], ["strategy"], "accuracy")
        return means.reset_index().rename_axis(None, axis="columns")

    def summary(self) -> str:
        """Mean accuracies and costs, for a terminal."""
        means = _percent(_by_ratio(self.tables["accuracy"], ["strategy"], "accuracy"))
        sections = [f"accuracy in percent, mean of {self.manifest.seeds} seeds:\n{means}"]
        if "group_accuracy" in self.tables:
            keys = ["strategy", "group"]
            sections.append(f"by group:\n{_percent(_by_ratio(self.tables['group_accuracy'], keys, 'accuracy'))}")
            removed = self.tables["removed"]
            removed = removed[removed["grouping"] == "group"]
            sections.append(f"share removed of each group, in percent:\n{_percent(_by_ratio(removed, keys, 'share'))}")
        costs = "\n".join(self.manifest.summary)
        sections.append(f"cost against nothing removed, in percentage points (± half of the 95 % interval):\n{costs}")
        return "\n" + "\n\n".join([*sections, tracking.whereabouts(self.run_id)])

    def _repr_html_(self) -> str:
        manifest = self.manifest
        numbers = {"seeds": manifest.seeds, "removed by": self.scored, "run": self.run_id}
        title = f"Accuracy after removing examples of {manifest.dataset}: {self.title}"
        return result_html(title, numbers, self.mean_accuracy(), manifest.summary)


def read_ablation(run_id: str, tracking_uri: str | None = None) -> Ablation:
    """Read a finished ablate run back from a tracking server; errors are as in `load_scores`."""
    tracking.run_of_kind(run_id, "ablate", tracking_uri)
    artifacts = RunArtifacts(run_id, tracking_uri)
    manifest = artifacts.manifest(AblationManifest)
    tables = {"accuracy": artifacts.read("accuracy.csv", tracking.read_table)}
    others = {name: artifacts.optional(f"{name}.csv", tracking.read_table) for name in _OTHERS}
    tables |= {name: table for name, table in others.items() if table is not None and len(table)}
    return Ablation(run_id, manifest, tables, artifacts.hashes)


def _by_ratio(table: pd.DataFrame, columns: list[str], values: str) -> pd.DataFrame:
    return table.pivot_table(index="ratio", columns=columns, values=values, sort=False).sort_index()


def _percent(shares: pd.DataFrame) -> str:
    return shares.map(lambda share: "" if pd.isna(share) else f"{100 * share:.1f}").to_string()
