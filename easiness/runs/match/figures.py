"""Figures of a matching, by the name of their file."""

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import SCOPES
from easiness.analysis.matching.trials_needed import TARGETS
from easiness.analysis.sets import corrected
from easiness.datasets import Dataset
from easiness.figures import Figure
from easiness.figures.text_fit import file_name
from easiness.runs.match.tables import MatchingResults, last_common_moment
from easiness.runs.score.tables import repeat_curves

# Half-width in standard deviations of the band around the chance line.
_BAND = 1.96

# Examples of each side on the sheets of disagreement.
_PICTURES = 12

_TITLES = {"global": "sets cut from all images", "per_class": "sets cut from every class"}


def matching_figures(results: MatchingResults, x: str, by: str = "") -> dict[str, Figure]:
    """Fig. 3, other cuts, outside scores, trials needed, heat maps of moments; `x` is what the moments count.

    `by` is what titles say of the score, see `Score.by`.
    """
    charts = {}
    tables = {"fig3": ("Shared by architectures", results.pairs), "external": ("Outside scores", results.external)}
    for stem, (title, table) in tables.items():
        for scope in SCOPES if table is not None and len(table) else ():
            charts[f"{stem}_{scope}"] = _curves(table[table["scope"] == scope], x, f"{title}{by}: {_TITLES[scope]}")
    charts |= _sharing(results, x, by)
    charts |= _sensitivity(results, x, by)
    repeats = results.repeats[results.repeats["scope"] == "global"]
    for model, table in repeats.groupby("model", sort=False):
        if table["overlap"].notna().any():
            title = f"{model}: trials needed{by}, {_TITLES['global']}"
            curves = repeat_curves(table, "epoch", x)
            charts[f"trials_{file_name(model)}"] = figures.repeat_curves(curves, targets=TARGETS, title=title)
    for scope, by_model in results.overlaps.items():
        for model, overlaps in by_model.items():
            updates_T = results.updates[model]
            for kind in KINDS if len(updates_T) > 1 else ():
                title = f"{model} at any two moments{by}: {kind} {_TITLES[scope]}"
                name = f"heatmap_{scope}_{kind}_{file_name(model)}"
                charts[name] = figures.overlap_heatmap(overlaps[kind], updates_T, title=title)
    return charts


def disagreement_figures(disagreements: pd.DataFrame, dataset: Dataset, by: str = "") -> dict[str, Figure]:
    """Examples on which each pair of models differs most, with their pictures."""
    charts = {}
    row_of = {example_id: row for row, example_id in enumerate(dataset.example_ids.tolist())}
    for (a, b), table in disagreements.groupby(["a", "b"], sort=False):
        sides = {a: table[table["z"] > 0].head(_PICTURES), b: table[table["z"] < 0].head(_PICTURES)}
        pictures = {
            model: (
                [dataset.images[row_of[example_id]] for example_id in side["example_id"]],
                [f"{row.class_name}\n#{row.example_id}\nz = {row.z:+.1f}" for row in side.itertuples()],
            )
            for model, side in sides.items()
        }
        if any(map(len, sides.values())):
            title = f"Where {a} and {b} disagree most{by}"
            charts[f"disagreement_{file_name(a)}_{file_name(b)}"] = figures.harder_for_either(pictures, title)
    return charts


def _sharing(results: MatchingResults, x: str, by: str) -> dict[str, Figure]:
    """What sharing is made of, for every pair and scope."""
    charts = {}
    columns = {"epochs": "epoch", "chance": "chance", "class_chance": "chance_given_classes", "rate": "rate"}
    columns |= {"low": "low", "high": "high", "ceiling": "ceiling"}
    control = {"common": "rate", "common_low": "low", "common_high": "high"}
    for (scope, a, b), table in results.pairs.groupby(["scope", "a", "b"], sort=False):
        lines = {
            kind: {name: rows[column].to_numpy() for name, column in columns.items()}
            for kind, rows in table.groupby("set", sort=False)
        }
        common = results.common
        if common is not None:
            common = common[(common["scope"] == scope) & (common["a"] == a) & (common["b"] == b)]
            for kind, rows in common.groupby("set", sort=False):
                at_epochs = rows.set_index("epoch").reindex(lines[kind]["epochs"])
                lines[kind] |= {name: at_epochs[column].to_numpy() for name, column in control.items()}
        title = f"What sharing is made of{by}: {a} and {b}, {_TITLES[scope]}"
        charts[f"sharing_{scope}_{file_name(a)}_{file_name(b)}"] = figures.sharing_lines(lines, x=x, title=title)
    return charts


def _sensitivity(results: MatchingResults, x: str, by: str) -> dict[str, Figure]:
    """Every pair at every cut, at the last moment that all pairs have."""
    table, charts = last_common_moment(results.sensitivity), {}
    for scope, rows in table.groupby("scope", sort=False):
        cuts = list(rows[["measure", "fraction"]].drop_duplicates().itertuples(index=False, name=None))
        points = {
            kind: [
                {
                    "name": f"{a} – {b}",
                    "rate": pair["corrected"].to_numpy(),
                    "ceiling": _corrected_ceiling(pair),
                }
                for (a, b), pair in of_set.groupby(["a", "b"], sort=False)
            ]
            for kind, of_set in rows.groupby("set", sort=False)
        }
        names = [
            f"{fraction:.3g}" if measure == "matching rate" else "rank-biased\noverlap" for measure, fraction in cuts
        ]
        title = f"Sensitivity to the cut{by} at {x} {rows['epoch'].iloc[0]}: {_TITLES[scope]}"
        charts[f"sensitivity_{scope}"] = figures.sensitivity_points(points, names, title=title)
    return charts


def _corrected_ceiling(rows: pd.DataFrame) -> np.ndarray:
    pairs = zip(rows["ceiling"], rows["chance_given_classes"], strict=True)
    return np.array([corrected(ceiling, chance) for ceiling, chance in pairs])


def _curves(table: pd.DataFrame, x: str, title: str) -> Figure:
    columns = {"epochs": "epoch", "rate": "rate", "low": "low", "high": "high", "ceiling": "ceiling"}
    columns["class_chance"] = "chance_given_classes"
    curves_by_set = {
        kind: [
            {"name": f"{a} – {b}", **{name: rows[column].to_numpy() for name, column in columns.items()}}
            for (a, b), rows in table[table["set"] == kind].groupby(["a", "b"], sort=False)
        ]
        for kind in KINDS
    }
    mean, sd = table["chance"].iloc[0], table["chance_sd"].iloc[0]
    band = (mean, max(0.0, mean - _BAND * sd), mean + _BAND * sd)
    return figures.matching_curves(curves_by_set, chance=band, x=x, title=title)
