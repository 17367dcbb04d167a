"""What score runs say of a dataset: how easiness is spread, how it came about, which classes it favours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.scores import deciles, rank_correlation
from easiness.figures.text_fit import file_name
from easiness.reporting.blocks import Block, Chart, Heading, Table, Text
from easiness.reporting.sources import ScoreSource
from easiness.runs.score.tables import class_counts


def score_chapter(key: str, sources: Sequence[ScoreSource]) -> list[Block]:
    """Assemble the section on easiness itself.

    Parameters
    ----------
    key : str
        Of the dataset; begins the names of its files.
    sources : sequence of ScoreSource
        One per model.
    """
    settings = sources[0].settings
    blocks: list[Block] = [
        Heading("What was measured"),
        Text(
            f"{settings['examples']:,} training images of {len(settings['class_names'])} classes of "
            f"**{settings['dataset']}** "
            f"(fingerprint {settings['fingerprint'][:12]}). Easiness is the mean cross-entropy of an example over "
            "independent trials, in nats: **lower = easier**."
        ),
        Table(f"{key}_models", "One row per model; easiness in nats, lower = easier.", models_table(sources)),
    ]
    if len(sources) > 1:
        blocks.append(
            Table(
                f"{key}_rank_correlations",
                "Spearman's rank correlation of easiness between models: 1 = the same order.",
                rank_correlations(sources),
            )
        )
    for source in sources:
        blocks += _charts(f"{key}_{file_name(source.model)}", source)
    blocks.append(
        Table(
            f"{key}_class_counts",
            "Examples of every class in the easy and in the hard set of each model.",
            class_counts_table(sources),
            folded=True,
        )
    )
    return blocks


def models_table(sources: Sequence[ScoreSource]) -> pd.DataFrame:
    """One row per score run: how it was made, and how its easiness is spread."""
    rows = []
    for source in sources:
        scores, settings = source.table["easiness"], source.settings
        numbers = source.run.metrics
        rows.append(
            {
                "model": source.model,
                "trials": source.trials,
                "epochs": settings["recipe"]["epochs"],
                "moments": len(settings["updates"]),
                "moment_updates": settings["moment"],
                "easiness_mean": scores.mean(),
                "easiness_median": scores.median(),
                "easy_cut": scores[source.table["set"] == "easy"].max(),
                "hard_cut": scores[source.table["set"] == "hard"].min(),
                "reliability": numbers.get("reliability", np.nan),
                **{
                    name: numbers[name]
                    for name in ("auc_mislabelled", "auc_minority_or_mislabelled")
                    if name in numbers
                },
                "run_id": source.run.run_id,
            }
        )
    return pd.DataFrame(rows)


def rank_correlations(sources: Sequence[ScoreSource]) -> pd.DataFrame:
    """Spearman's correlation of easiness of each model with each, at the moments of their tables."""
    columns = {
        other.model: [rank_correlation(source.table["easiness"], other.table["easiness"]) for source in sources]
        for other in sources
    }
    return pd.DataFrame({"model": [source.model for source in sources], **columns})


def class_counts_table(sources: Sequence[ScoreSource]) -> pd.DataFrame:
    """Examples of each class in all, and in the easy and hard set of each model."""
    names = tuple(sources[0].settings["class_names"])
    counts = [class_counts(source.table, names) for source in sources]
    table = counts[0][["class_name", "examples"]].copy()
    for source, own in zip(sources, counts, strict=True):
        table[f"easy, {source.model}"], table[f"hard, {source.model}"] = own["easy"], own["hard"]
    return table


def _charts(stem: str, source: ScoreSource) -> list[Chart]:
    table, updates = source.table, source.settings["updates"]
    scores = table["easiness"].to_numpy()
    easy, hard = (table[table["set"] == name] for name in ("easy", "hard"))
    cuts = {"easy_cut": None, "hard_cut": None}
    if not source.settings["per_class"]:  # sets that were cut in every class have no common cut
        cuts = {"easy_cut": easy["easiness"].max(), "hard_cut": hard["easiness"].min()}
    groups = table["group"].to_numpy() if "group" in table else None
    counts = class_counts(table, tuple(source.settings["class_names"]))
    share = f"{source.settings['fraction']:.0%}"
    low, median, high = np.quantile(scores, [0.1, 0.5, 0.9])
    first, last = (source.trajectory_TN[t].mean() for t in (0, -1))
    favoured = counts.assign(difference=counts["easy"] - counts["hard"]).sort_values("difference", kind="stable")
    return [
        Chart(
            f"{stem}_histogram",
            f"How easiness is spread over the {len(table):,} examples under {source.model}, with the cuts of "
            "the easiest "
            f"and the hardest {share}.",
            f"Histogram of easiness: a tenth of the examples lies below {low:.3g} nats, half below {median:.3g}, "
            f"nine tenths below {high:.3g}.",
            lambda: figures.easiness_histogram(scores, **cuts, groups_N=groups, title=source.model),
        ),
        Chart(
            f"{stem}_trajectory",
            f"Mean easiness of each difficulty decile while {source.model} trains; deciles are those of the "
            "moment after "
            f"{source.settings['moment']} updates.",
            f"Ten lines of falling easiness: the mean of all examples goes from {first:.3g} nats after {updates[0]} "
            f"updates to {last:.3g} after {updates[-1]}.",
            lambda: figures.trajectory_by_decile(source.trajectory_TN, deciles(scores), updates, title=source.model),
        ),
        Chart(
            f"{stem}_class_counts",
            f"Which classes the easy and the hard set of {source.model} hold.",
            f"Bars per class: the easy set favours {favoured['class_name'].iloc[-1]} most, the hard set "
            f"{favoured['class_name'].iloc[0]}.",
            lambda: figures.class_counts(
                counts["easy"], counts["hard"], source.settings["class_names"], title=source.model
            ),
        ),
    ]
