"""Page of a match run, as the UI shows it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from easiness.runs import pages
from easiness.runs.match.reading import Matching
from easiness.runs.match.tables import at_last_moment, last_common_moment
from easiness.runs.score.tables import NEEDED, needed_in_words, trials_needed_table

# Rows of each pair in the page's table of disagreement.
_ROWS = 20

RATES = (
    "The matching rate is the share of a set that another set holds, too. Some of it is luck: chance_given_classes is "
    "what random sets with the same class mix share, and corrected is the rate beyond that, **0 = luck alone, 1 = the "
    "same set**. From low to high is the 95 % interval of the rate over trials. The ceiling is what noise would "
    "leave of perfect agreement: what a model's trials share with as many fresh ones of its own."
)
UPDATES = ["updates_a", "updates_b"]  # beside the epoch, too much for a page
SENSITIVITY = (
    "Does it depend on the share that is called easy or hard? Every rate at other fractions, and rank-biased overlap, "
    "which has no cut: the mean over all depths of the share that the beginnings of two rankings have in common, with "
    "weights that fall with depth so that 90 % of the weight of all examples is on the first tenth from that end "
    "(Webber, Moffat and Zobel 2010). Rates of different fractions have different chance levels: **compare the "
    "corrected ones.** No ceiling is known for rank-biased overlap."
)
_SETS = "An easy (hard) set is the share of examples with the lowest (highest) {title}, {meaning}: **lower = easier.** "


def write_page(path: Path, matching: Matching, figures: Mapping[str, Path]) -> None:
    """Write the page, with the figures (png) by name inside."""

    def section(
        title: str, *stems: str, table: pd.DataFrame | None = None, number: str = ".3f", text: str = ""
    ) -> list[str]:
        shown = [figure for name, figure in figures.items() if name.startswith(stems)] if stems else []
        parts = [pages.pictures(shown)] if shown else []
        if table is not None and len(table):
            parts.append(pages.rows(table, number))
        said = [pages.paragraph(text)] if text else []
        return [pages.heading(title), *said, *parts] if parts else []

    trials = ", ".join(f"{run['model']} {run['trials']}" for run in matching.manifest.runs)
    disagreements = matching.disagreements.groupby(["a", "b"], sort=False).head(_ROWS)
    external = None if matching.external is None else at_last_moment(matching.external)
    limits = [
        f"{row.a} and {row.b}: {row.beyond_noise} of {row.n} examples differ by {row.noise_limit:.1f} standard errors "
        f"over trials or more, and {row.by_luck:.1f} when trials are permuted between the two: so many by luck alone"
        for row in matching.beyond_noise.itertuples()
    ]
    needed = needed_in_words(trials_needed_table(matching.repeats))
    sensitivity = last_common_moment(matching.sensitivity).drop(columns=UPDATES)
    parts = [
        pages.paragraph(_SETS.format(title=matching.score.title, meaning=matching.score.meaning) + RATES),
        pages.paragraph(f"Trials: {trials}."),
        pages.listing(matching.sentences),
        *section("Between architectures (Fig. 3)", "fig3_"),
        *section("What sharing is made of", "sharing_"),
        *section("At the last moment", table=at_last_moment(matching.pairs)),
        *section("Sensitivity to the cut", "sensitivity_", table=sensitivity, text=SENSITIVITY),
        *section("Against outside scores", "external_", table=external),
        *section("First moment against the last (Table 1)", table=matching.table1.dropna(axis=1, how="all")),
        *section("Any two moments", "heatmap_"),
        *section("How many trials are needed", "trials_", table=needed, text=NEEDED),
        *section("Easiest and hardest of a class (Fig. 1)", "fig1_"),
        *section("Average images and diversity (Fig. 2)", "fig2_", table=_mean_diversity(matching)),
        *section("Where architectures disagree", "disagreement_", table=disagreements, number=".2f"),
        *([pages.listing(limits)] if limits else []),
    ]
    pages.write_page(path, matching.title, parts)


def _mean_diversity(matching: Matching) -> pd.DataFrame | None:
    """Mean over classes."""
    if matching.diversity is None or matching.diversity.empty:
        return None
    by_set = matching.diversity.groupby(["model", "set"], sort=False)
    return by_set.agg(classes=("class_name", "size"), diversity=("diversity", "mean")).reset_index()
