"""What a matching leaves behind: tables, figures, a summary for programs, and the page that the UI shows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from easiness import figures
from easiness.analysis.matching.sides import MatchOptions
from easiness.figures import Figure
from easiness.runs import pages
from easiness.runs.match.pictures import ClassDiversity, diversity_table
from easiness.runs.match.results import MatchingResults, at_last_moment, plain, verdict
from easiness.tracking import SCHEMA, Scores

# Rows of each pair in the page's table of disagreement.
_ROWS = 20

_INTRODUCTION = (
    "An easy (hard) set is the share of examples with the lowest (highest) mean loss: **lower easiness = easier.** "
    "The matching rate is the share of a set that another set holds, too. Some of it is luck: chance_given_classes is "
    "what random sets with the same class mix share, and corrected is the rate beyond that, 0 = luck alone, 1 = the "
    "same set. From low to high is the 95 % interval of the rate over trials. The ceiling is how well halves of one "
    "model's own trials match each other."
)


def write_matching(
    folder: Path,
    results: MatchingResults,
    drawn: Mapping[str, Figure],
    measured: Mapping[str, ClassDiversity],
    summary: Mapping[str, object],
    title: str,
) -> None:
    """Write the artifacts of a matching.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; made if it is missing.
    results : MatchingResults
    drawn : mapping of Figure
        By the name of their file.
    measured : mapping of ClassDiversity
        By model; empty without pictures.
    summary : mapping
        From `matching_summary`.
    title : str
        Of the page.
    """
    (folder / "figures").mkdir(parents=True)
    (folder / "preview").mkdir()
    tables = {
        "matching": results.pairs,
        "moments": results.moments,
        "table1": results.table1,
        "external": results.external,
        "disagreement": results.disagreements,
        "diversity": diversity_table(measured) if measured else None,
    }
    for name, table in tables.items():
        if table is not None:
            table.to_csv(folder / f"{name}.csv", index=False)
    if measured:
        tests = {model: {"class_name": each.class_name, **each.test._asdict()} for model, each in measured.items()}
        _write_json(folder / "diversity.json", tests)
    _write_json(folder / "matching.json", summary)
    pictures = {name: figures.save(figure, folder / "figures" / f"{name}.png") for name, figure in drawn.items()}
    pages.write_page(folder / "preview" / "index.html", title, _page(results, pictures, tables, summary))


def matching_summary(results: MatchingResults, options: MatchOptions, scores: Sequence[Scores]) -> dict[str, object]:
    """Summarize a matching for programs: what `matching.json` holds."""
    manifest = scores[0].manifest
    runs = [
        {"run_id": each.run_id, "model": model, "updates": updates, "trials": len(each.manifest.trials)}
        for each, (model, updates) in zip(scores, results.updates.items(), strict=True)
    ]
    return {
        "schema": SCHEMA,
        "kind": "match",
        **{name: getattr(manifest, name) for name in ("dataset", "fingerprint", "class_names")},
        "fraction": options.fraction,
        "seed": options.seed,
        "draws": options.draws,
        "runs": runs,
        "reliability": {
            model: {
                "trials": curve.trials,
                "reliability": curve.reliability,
                "trials_needed": curve.trials_needed,
            }
            for model, curve in results.reliability.items()
        },
        # The first keeps the place that it had when it stood alone.
        "moment_overlaps": results.overlaps["global"],
        "moment_overlaps_per_class": results.overlaps["per_class"],
        "verdict": verdict(results.pairs),
        "beyond_noise": results.beyond_noise.to_dict("records"),
    }


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _page(
    results: MatchingResults,
    pictures: Mapping[str, Path],
    tables: Mapping[str, pd.DataFrame | None],
    summary: Mapping[str, object],
) -> list[str]:
    def section(title: str, *stems: str, table: pd.DataFrame | None = None, number: str = ".3f") -> list[str]:
        shown = [path for name, path in pictures.items() if name.startswith(stems)] if stems else []
        parts = [pages.pictures(shown)] if shown else []
        if table is not None and len(table):
            parts.append(pages.rows(table, number))
        return [pages.heading(title), *parts] if parts else []

    trials = ", ".join(f"{run['model']} {run['trials']}" for run in summary["runs"])
    disagreements = results.disagreements.groupby(["a", "b"], sort=False).head(_ROWS)
    external = None if results.external is None else at_last_moment(results.external)
    limits = [
        f"{row.a} and {row.b}: {row.beyond_noise} of {row.n} examples differ by {row.noise_limit:.1f} standard errors "
        "over trials or more, which luck alone lets about one do"
        for row in results.beyond_noise.itertuples()
    ]
    return [
        pages.paragraph(_INTRODUCTION),
        pages.paragraph(f"Trials: {trials}."),
        pages.listing([entry["sentence"] for entry in summary["verdict"]]),
        *section("Between architectures (Fig. 3)", "fig3_"),
        *section("At the last moment", table=at_last_moment(results.pairs)),
        *section("Against outside scores", "external_", table=external),
        *section("First moment against the last (Table 1)", table=results.table1.dropna(axis=1, how="all")),
        *section("Any two moments", "heatmap_"),
        *section("How reliable the scores are", "reliability_"),
        *section("Easiest and hardest of a class (Fig. 1)", "fig1_"),
        *section("Average images and diversity (Fig. 2)", "fig2_", table=tables["diversity"], number=".0f"),
        *section("Where architectures disagree", "disagreement_", table=disagreements, number=".2f"),
        *([pages.listing(limits)] if limits else []),
    ]
