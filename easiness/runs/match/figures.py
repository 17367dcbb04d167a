"""Figures of a matching, by the name of their file."""

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.matching.resampling import KINDS
from easiness.analysis.matching.sides import SCOPES
from easiness.analysis.reliability import TARGET_RELIABILITY
from easiness.datasets import Dataset
from easiness.figures import Figure
from easiness.figures.lettering import file_name
from easiness.runs.match.results import MatchingResults

# Half-width in standard deviations of the band around the chance line.
_BAND = 1.96

# Examples of each side on the sheets of disagreement.
_PICTURES = 12

_TITLES = {"global": "sets cut from all images", "per_class": "sets cut from every class"}


def matching_figures(results: MatchingResults, x: str) -> dict[str, Figure]:
    """Draw Fig. 3, outside scores, heat maps of moments and reliability.

    Parameters
    ----------
    results : MatchingResults
    x : str
        What the moments are numbered by.
    """
    drawn = {}
    tables = {"fig3": ("Shared by architectures", results.pairs), "external": ("Outside scores", results.external)}
    for stem, (title, table) in tables.items():
        if table is None or table.empty:
            continue
        for scope in SCOPES:
            drawn[f"{stem}_{scope}"] = _curves(table[table["scope"] == scope], x, f"{title}: {_TITLES[scope]}")
    for model, curve in results.reliability.items():
        if len(curve.trials) > 1:
            drawn[f"reliability_{file_name(model)}"] = figures.reliability_curve(
                curve.trials,
                curve.reliability,
                target=TARGET_RELIABILITY,
                trials_needed=float(np.ceil(curve.trials_needed)),
                title=f"{model}: reliability at its last moment",
            )
    for scope, by_model in results.overlaps.items():
        for model, overlaps in by_model.items():
            updates_T = results.updates[model]
            for kind in KINDS:
                if len(updates_T) > 1:
                    drawn[f"heatmap_{scope}_{kind}_{file_name(model)}"] = figures.overlap_heatmap(
                        overlaps[kind], updates_T, title=f"{model} at any two moments: {kind} {_TITLES[scope]}"
                    )
    return drawn


def disagreement_figures(disagreements: pd.DataFrame, dataset: Dataset) -> dict[str, Figure]:
    """Draw the examples on which each pair of models differs most, with their pictures."""
    drawn = {}
    row_of = {example_id: row for row, example_id in enumerate(dataset.example_ids.tolist())}
    for (a, b), part in disagreements.groupby(["a", "b"], sort=False):
        sides = [part[part["z"] > 0].head(_PICTURES), part[part["z"] < 0].head(_PICTURES)]
        if not any(map(len, sides)):
            continue
        drawn[f"disagreement_{file_name(a)}_{file_name(b)}"] = figures.harder_for_either(
            a,
            b,
            *([dataset.images[row_of[each]] for each in side["example_id"]] for side in sides),
            *([_caption(row) for row in side.itertuples()] for side in sides),
            title=f"Where {a} and {b} disagree most",
        )
    return drawn


def _caption(row: tuple) -> str:
    return f"{row.class_name}\n#{row.example_id}\nz = {row.z:+.1f}"


def _curves(table: pd.DataFrame, x: str, title: str) -> Figure:
    curves_by_set = {}
    for kind in KINDS:
        rows = table[table["set"] == kind]
        curves_by_set[kind] = [
            {
                "name": f"{a} – {b}",
                "epochs": part["epoch"].to_numpy(),
                "rate": part["rate"].to_numpy(),
                "low": part["low"].to_numpy(),
                "high": part["high"].to_numpy(),
                "ceiling": part["ceiling"].to_numpy(),
                "class_chance": part["chance_given_classes"].to_numpy(),
            }
            for (a, b), part in rows.groupby(["a", "b"], sort=False)
        ]
    mean, sd = table["chance"].iloc[0], table["chance_sd"].iloc[0]
    band = (mean, max(0.0, mean - _BAND * sd), mean + _BAND * sd)
    return figures.matching_curves(curves_by_set, chance=band, x=x, title=title)
