"""Page of a match run, as the UI shows it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from easiness.runs import pages
from easiness.runs.match.reading import Matching
from easiness.runs.match.tables import at_last_moment

# Rows of each pair in the page's table of disagreement.
_ROWS = 20

RATES = (
    "The matching rate is the share of a set that another set holds, too. Some of it is luck: chance_given_classes is "
    "what random sets with the same class mix share, and corrected is the rate beyond that, **0 = luck alone, 1 = the "
    "same set**. From low to high is the 95 % interval of the rate over trials. The ceiling is what noise would "
    "leave of perfect agreement: what a model's trials share with as many fresh ones of its own."
)
_SETS = "An easy (hard) set is the share of examples with the lowest (highest) mean loss: **lower easiness = easier.** "


def write_page(path: Path, matching: Matching, figures: Mapping[str, Path]) -> None:
    """Write the page, with the figures (png) by name inside."""

    def section(title: str, *stems: str, table: pd.DataFrame | None = None, number: str = ".3f") -> list[str]:
        shown = [figure for name, figure in figures.items() if name.startswith(stems)] if stems else []
        parts = [pages.pictures(shown)] if shown else []
        if table is not None and len(table):
            parts.append(pages.rows(table, number))
        return [pages.heading(title), *parts] if parts else []

    trials = ", ".join(f"{run['model']} {run['trials']}" for run in matching.manifest.runs)
    disagreements = matching.disagreements.groupby(["a", "b"], sort=False).head(_ROWS)
    external = None if matching.external is None else at_last_moment(matching.external)
    limits = [
        f"{row.a} and {row.b}: {row.beyond_noise} of {row.n} examples differ by {row.noise_limit:.1f} standard errors "
        "over trials or more, which luck alone lets about one do"
        for row in matching.beyond_noise.itertuples()
    ]
    parts = [
        pages.paragraph(_SETS + RATES),
        pages.paragraph(f"Trials: {trials}."),
        pages.listing(matching.sentences),
        *section("Between architectures (Fig. 3)", "fig3_"),
        *section("What sharing is made of", "sharing_"),
        *section("At the last moment", table=at_last_moment(matching.pairs)),
        *section("Against outside scores", "external_", table=external),
        *section("First moment against the last (Table 1)", table=matching.table1.dropna(axis=1, how="all")),
        *section("Any two moments", "heatmap_"),
        *section("How reliable the scores are", "reliability_"),
        *section("Easiest and hardest of a class (Fig. 1)", "fig1_"),
        *section("Average images and diversity (Fig. 2)", "fig2_", table=matching.diversity, number=".0f"),
        *section("Where architectures disagree", "disagreement_", table=disagreements, number=".2f"),
        *([pages.listing(limits)] if limits else []),
    ]
    pages.write_page(path, matching.title, parts)
