"""Section on data whose truth is known: what was planted in them, and how much of it the scores found."""

from collections.abc import Sequence

import pandas as pd

from easiness.analysis.scores import roc_auc
from easiness.reporting.blocks import Block, Gallery, Heading, Table, Text
from easiness.reporting.gallery import Examples, Row, Section, describe_suspects, suspicious
from easiness.runs.score.reading import Scores

# What the groups of a dataset are in words.
WORDS = {"mislabelled": "wrong label", "minority": "rare look", "majority": "common look"}
_PLANTED = ("mislabelled", "minority")
_SHOWN = 24

CAPTION = (
    "Planted images among the hardest and the easiest tenth. by_luck is how many random sets of that size would hold; "
    "auc is the share of pairs of a planted and another image in which the planted one is harder: 0.5 = luck, 1 = all."
)


def planted_section(title: str, key: str, runs: Sequence[Scores]) -> list[Block]:
    """What was planted and how much of it is among the hardest; nothing where the truth is not known."""
    runs = [run for run in runs if "group" in run.table and run.table["group"].isin(_PLANTED).any()]
    if not runs:
        return []
    found = planted_table(runs)
    suspects = suspicious(runs, _SHOWN)
    kinds = suspects["group"].map(WORDS).fillna(suspects["group"])
    items = describe_suspects(Examples(runs, {}), suspects, [f"in truth: a {kind}" for kind in kinds])
    wrong = int((suspects["group"] == "mislabelled").sum())
    note = (
        f"The {len(suspects)} images that every network finds hardest at the end of its training, with the label that "
        f"it was given: {wrong} of these labels are wrong."
    )
    return [
        Heading("What was planted, and what was found" + f": {title}" * (title != runs[0].manifest.dataset), 2),
        Text(_story(runs[0].table, found)),
        Table(f"{key}_planted", CAPTION, found),
        Gallery([Section("Hardest for all networks", note, [Row("the hardest first", items)])]),
    ]


def planted_table(runs: Sequence[Scores]) -> pd.DataFrame:
    """One row per model and kind of planted image: how many there are, and how many are among hardest and easiest.

    Columns model, planted (in words), images, among_hardest, among_easiest, by_luck (expected of the hardest), auc.
    """
    rows = []
    for run in runs:
        groups, sets = run.table["group"], run.table["set"]
        for group in _PLANTED:
            of_group = groups == group
            if of_group.any():
                rows.append(
                    {
                        "model": run.model,
                        "planted": WORDS[group],
                        "images": int(of_group.sum()),
                        "among_hardest": int((of_group & (sets == "hard")).sum()),
                        "among_easiest": int((of_group & (sets == "easy")).sum()),
                        "by_luck": of_group.mean() * (sets == "hard").sum(),
                        "auc": roc_auc(run.values_N, of_group.to_numpy()),
                    }
                )
    return pd.DataFrame(rows)


def _story(table: pd.DataFrame, found: pd.DataFrame) -> str:
    counts = found.drop_duplicates("planted").set_index("planted")
    planted = " and ".join(f"{row.images:,} have a {kind}" for kind, row in counts.iterrows())
    sentences = [
        f"These pictures were drawn, so the truth is known, and no network was told it: of {len(table):,} training "
        f"images, {planted}; all but those with a wrong label have the right one."
    ]
    for kind, of_kind in found.groupby("planted", sort=False):
        first = of_kind.iloc[0]
        each = ", ".join(f"{row.among_hardest} under {row.model}" for row in of_kind.itertuples())
        sentences.append(
            f"Of the {first['images']:,} with a {kind}, **among the hardest {(table['set'] == 'hard').sum():,}** are "
            f"{each}; luck would leave {first['by_luck']:.1f}."
        )
    return " ".join(sentences)
