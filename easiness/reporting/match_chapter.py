"""What a match run says of a dataset: how much is shared between architectures, moments and trials."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from easiness.analysis.reliability import ReliabilityCurve
from easiness.reporting.blocks import Block, Chart, Heading, Picture, Table, Text
from easiness.reporting.claims import span
from easiness.reporting.sources import MatchSource
from easiness.runs.match.figures import matching_figures
from easiness.runs.match.results import MatchingResults, at_last_moment

_RATES = (
    "The matching rate is the share of a set that another set holds, too. Some of it is luck: "
    "chance_given_classes is what "
    "random sets with the same class mix share, and corrected is the rate beyond that, **0 = luck alone, 1 = the same "
    "set**. From low to high is the 95 % interval over trials. The ceiling is how well halves of one model's "
    "own trials "
    "match each other."
)


def match_chapter(key: str, source: MatchSource, x: str) -> list[Block]:
    """Assemble the sections on what is shared.

    Parameters
    ----------
    key : str
        Of the dataset; begins the names of its files.
    source : MatchSource
    x : str
        What the moments are numbered by.
    """
    tables = source.tables
    charts = _charts(key, source, x)
    pictures = _pictures(key, source)
    blocks: list[Block] = []
    if len(tables["matching"]):  # a single model makes no pairs
        blocks += [
            Heading("Shared between architectures (Fig. 3)"),
            Text(_RATES),
            *charts["fig3"],
            Table(f"{key}_matching", "Matching rates at each pair's last moment.", at_last_moment(tables["matching"])),
            Table(f"{key}_matching_all", "Matching rates at all moments.", tables["matching"], folded=True),
        ]
    if "table1" in tables:
        caption = "Matching rate of each model's own sets at its first and its last moment"
        if tables["table1"]["paper"].notna().any():
            caption += "; paper is what Table 1 of the paper prints for a network of that family, after 300 epochs"
        blocks += [
            Heading("From the beginning of training to its end (Table 1)"),
            Table(f"{key}_table1", f"{caption}.", tables["table1"]),
            *charts["heatmap"],
        ]
    blocks += _section("How reliable the scores are", charts["reliability"], _reliability_table(key, source))
    blocks += _section("Easiest and hardest of a class (Fig. 1)", pictures["fig1"], [])
    diversity = []
    if "diversity" in tables:
        caption = (
            "Diversity of the images of a class: mean per-pixel variance in squared grey levels; higher = more diverse."
        )
        diversity = [Table(f"{key}_diversity", caption, tables["diversity"])]
    blocks += _section("Average images and diversity (Fig. 2)", pictures["fig2"], diversity)
    external = []
    if "external" in tables:
        caption = "Matching rates with scores made elsewhere, at each model's last moment."
        external = [Table(f"{key}_external", caption, at_last_moment(tables["external"]))]
    blocks += _section("Against scores made elsewhere", charts["external"], external)
    disagreement = []
    if "disagreement" in tables:
        caption = "Examples on which two models differ most: z in standard errors over trials, positive = harder for a."
        disagreement = [Table(f"{key}_disagreement", caption, tables["disagreement"], folded=True)]
    if source.settings["beyond_noise"]:
        caption = (
            "Examples (of n) on which two models differ by more than noise_limit standard errors over "
            "trials, which about one "
            "reaches by luck alone."
        )
        noise = pd.DataFrame(source.settings["beyond_noise"])
        disagreement.insert(0, Table(f"{key}_beyond_noise", caption, noise))
    blocks += _section("Where architectures disagree", pictures["disagreement"], disagreement)
    return blocks


def _section(title: str, drawn: list[Block], tables: list[Block]) -> list[Block]:
    return [Heading(title), *drawn, *tables] if drawn or tables else []


def _charts(key: str, source: MatchSource, x: str) -> dict[str, list[Block]]:
    """Figures drawn again from the numbers, by the beginning of their names."""
    results = _results(source)
    charts: dict[str, list[Block]] = {stem: [] for stem in ("fig3", "external", "reliability", "heatmap")}
    for name, figure in matching_figures(results, x).items():
        stem = name.split("_")[0]
        caption, alt = _words(name, results, x)
        charts[stem].append(Chart(f"{key}_{name}", caption, alt, lambda figure=figure: figure))
    return charts


def _words(name: str, results: MatchingResults, x: str) -> tuple[str, str]:
    """Caption and alternative text of a figure."""
    stem, rest = name.split("_", 1)
    cut = "every class" if rest.startswith("per_class") else "all images"
    if stem in ("fig3", "external"):
        table = results.pairs if stem == "fig3" else results.external
        rows = table[table["scope"] == rest]
        whom = "of two architectures" if stem == "fig3" else "of a model and scores made elsewhere"
        said = "; ".join(
            f"{kind} sets from {span(rows.loc[(rows['set'] == kind) & (rows['epoch'] == epoch), 'rate'])} at "
            f"{x} {epoch}"
            for kind in ("easy", "hard")
            for epoch in sorted({rows["epoch"].min(), rows["epoch"].max()})
        )
        return (
            f"Matching rate {whom} by {x}; sets cut from {cut}. The paper's chance line is 0.1.",
            f"Lines of matching rates: {said}; chance is {rows['chance'].iloc[0]:.3f}.",
        )
    if stem == "reliability":
        return (
            f"Reliability of {rest}: the correlation that easiness over so many trials has with a repetition.",
            "A line that rises with the number of trials towards 1, with the trials that reach 0.9.",
        )
    return (
        f"Overlap of one model's own sets at any two moments; sets cut from {cut}.",
        f"A square of matching rates of sets cut from {cut}, 1 on the diagonal.",
    )


def _pictures(key: str, source: MatchSource) -> dict[str, list[Block]]:
    words = {
        "fig1": (
            "Easiest and hardest examples of a class.",
            "Sheet of pictures: the easiest above, the hardest below.",
        ),
        "fig2": (
            "Average of the easy, random and hard images of a class, and how diverse each set is; the more uniform an "
            "average, the more diverse its images.",
            "Three average images, and the diversity of the three sets with intervals.",
        ),
        "disagreement": (
            "Examples on which two models differ most.",
            "Two sheets of pictures: harder for the one model, harder for the other.",
        ),
    }
    pictures: dict[str, list[Block]] = {stem: [] for stem in words}
    for name, content in source.pictures.items():
        stem, whose = name.split("_", 1)
        caption, alt = words[stem]  # whose it is stands above the picture, in the picture
        pictures[stem].append(Picture(f"{key}_{name}", caption, f"{alt} ({whose})", content))
    return pictures


def _reliability_table(key: str, source: MatchSource) -> list[Block]:
    rows = [
        {
            "model": model,
            "trials": trials,
            "reliability": np.nan if value is None else value,
            "trials_needed_for_0.9": np.nan if curve["trials_needed"] is None else curve["trials_needed"],
        }
        for model, curve in source.settings["reliability"].items()
        for trials, value in zip(curve["trials"], curve["reliability"], strict=True)
    ]
    if not rows:
        return []
    caption = "Reliability of easiness by number of trials, and the trials that reach 0.9."
    return [Table(f"{key}_reliability", caption, pd.DataFrame(rows), folded=True)]


def _results(source: MatchSource) -> MatchingResults:
    """The results as they were when the run wrote them."""
    summary, tables = source.settings, source.tables
    empty = pd.DataFrame()
    return MatchingResults(
        updates={run["model"]: tuple(run["updates"]) for run in summary["runs"]},
        pairs=tables["matching"],
        moments=tables["moments"],
        external=tables.get("external"),
        table1=tables.get("table1", empty),
        disagreements=tables.get("disagreement", empty),
        beyond_noise=pd.DataFrame(summary["beyond_noise"]),
        reliability={model: _curve(each) for model, each in summary["reliability"].items()},
        overlaps={
            "global": _matrices(summary["moment_overlaps"]),
            # Runs of an earlier version have none of these.
            "per_class": _matrices(summary.get("moment_overlaps_per_class", {})),
        },
    )


def _matrices(by_model: Mapping[str, Mapping[str, list]]) -> dict[str, dict[str, np.ndarray]]:
    return {
        model: {kind: np.asarray(matrix, np.float64) for kind, matrix in each.items()}
        for model, each in by_model.items()
    }


def _curve(entry: Mapping[str, object]) -> ReliabilityCurve:
    values = np.array([np.nan if each is None else each for each in entry["reliability"]])
    needed = entry["trials_needed"]
    return ReliabilityCurve(np.asarray(entry["trials"], np.int64), values, np.nan if needed is None else needed)
