"""Chapter on a match run: how much is shared between architectures, moments and trials."""

import pandas as pd

from easiness.figures.text_fit import file_name
from easiness.reporting.blocks import Block, Chart, Heading, Picture, Table, Text
from easiness.reporting.claims import span
from easiness.runs.match.figures import matching_figures
from easiness.runs.match.page import RATES, SENSITIVITY, UPDATES
from easiness.runs.match.reading import Matching
from easiness.runs.match.tables import at_last_moment, last_common_moment
from easiness.runs.score.tables import NEEDED, needed_in_words, trials_needed_table

SHARING = (
    "Of what could be shared, how much is shared: two architectures with seeds of their own, against one architecture "
    "with other trials of its own (the ceiling). Two architectures with common seeds share luck, too: that line is a "
    "control, and is there only where it was asked for."
)

CUTS = {"global": "all images", "per_class": "every class"}


def match_chapter(key: str, matching: Matching) -> list[Block]:
    """Sections on what is shared; `key` names the dataset and begins the names of its files."""

    def table(name: str, caption: str, content: pd.DataFrame | None, *, folded: bool = False) -> list[Block]:
        return [] if content is None or content.empty else [Table(f"{key}_{name}", caption, content, folded)]

    def section(title: str, *blocks: Block) -> list[Block]:
        return [Heading(title), *blocks] if blocks else []

    x = matching.manifest.numbered_by
    charts, pictures = _charts(key, matching), _pictures(key, matching)
    shared: list[Block] = []
    if len(matching.pairs):  # a single model makes no pairs
        last = at_last_moment(matching.pairs)
        shared += table("matching", "Matching rates at each pair's last moment.", last)
        shared += table("matching_all", "Matching rates at all moments.", matching.pairs, folded=True)
        shared += table("common", "Control: the same pairs with common random numbers.", matching.common, folded=True)
        shared = section("Shared between architectures (Fig. 3)", Text(RATES), *charts["fig3"], *shared)
        shared += section("What sharing is made of", Text(SHARING), *charts["sharing"])
        cuts = last_common_moment(matching.sensitivity)
        every = (
            f"Sensitivity to the cut at {x} {cuts['epoch'].iloc[0]}: every pair at every fraction, and by rank-biased "
        )
        shared += section(
            "Sensitivity to the cut",
            Text(SENSITIVITY),
            *charts["sensitivity"],
            *table("sensitivity", f"{every}overlap.", cuts.drop(columns=UPDATES)),
            *table("sensitivity_all", f"Sensitivity to the cut at every {x}.", matching.sensitivity, folded=True),
        )
    changes = "Matching rate of each model's own sets at its first and its last moment"
    if matching.table1["paper"].notna().any():
        changes += "; paper is what Table 1 of the paper prints for a network of that family, after 300 epochs"
    needed = needed_in_words(trials_needed_table(matching.repeats))
    epochs = f"{x} {needed['epoch'].min()}" + (f" to {needed['epoch'].max()}" if needed["epoch"].nunique() > 1 else "")
    trials = f"Share of each set found again by fresh trials, and the trials needed for more, from {epochs}."
    diversity = (
        "Diversity of the images of every class: one less the mean correlation of two images of a set, which contrast "
        "and brightness do not move; higher = more diverse. Intervals are over images."
    )
    outside = None if matching.external is None else at_last_moment(matching.external)
    noise = (
        "Examples (of n) on which two models differ by noise_limit standard errors over trials or more; by_luck is how "
        "many do when trials are permuted between the two."
    )
    apart = "Examples on which two models differ most: z in standard errors over trials, positive = harder for a."
    return [
        *shared,
        *section(
            "From the beginning of training to its end (Table 1)",
            *table("table1", f"{changes}.", matching.table1),
            *charts["heatmap"],
        ),
        *section(
            "How many trials are needed",
            Text(NEEDED),
            *charts["trials"],
            *table("trials_needed", trials, needed),
        ),
        *section("Easiest and hardest of a class (Fig. 1)", *pictures["fig1"]),
        *section(
            "Average images and diversity (Fig. 2)",
            *pictures["fig2"],
            *table("diversity", diversity, matching.diversity, folded=True),
        ),
        *section(
            "Against scores made elsewhere",
            *charts["external"],
            *table("external", "Matching rates with scores made elsewhere, at each model's last moment.", outside),
        ),
        *section(
            "Where architectures disagree",
            *pictures["disagreement"],
            *table("beyond_noise", noise, matching.beyond_noise),
            *table("disagreement", apart, matching.disagreements, folded=True),
        ),
    ]


def _charts(key: str, matching: Matching) -> dict[str, list[Block]]:
    """Figures drawn again from the numbers, by the beginning of their names."""
    charts: dict[str, list[Block]] = {
        stem: [] for stem in ("fig3", "sharing", "sensitivity", "external", "trials", "heatmap")
    }
    for name, figure in matching_figures(matching, matching.manifest.numbered_by, matching.score.by).items():
        caption, alt = _words(name, matching)
        charts[name.split("_")[0]].append(
            Chart(f"{key}_{name}", caption, alt, lambda figure=figure: figure, _choice(name, matching))
        )
    return charts


def _choice(name: str, matching: Matching) -> str:
    """What is chosen of many figures of a kind: the pair whose sharing is shown, or the model and cut of a heat map."""
    for scope, cut in CUTS.items():
        for a, b in matching.pairs[["a", "b"]].drop_duplicates().itertuples(index=False):
            if name == f"sharing_{scope}_{file_name(a)}_{file_name(b)}":
                return f"{a} – {b}"
        for model in matching.updates:
            if name.startswith(f"heatmap_{scope}_") and name.endswith(f"_{file_name(model)}"):
                return f"{model}, sets cut from {cut}"
    return ""


def _words(name: str, matching: Matching) -> tuple[str, str]:
    """Caption and alternative text of a figure."""
    stem, rest = name.split("_", 1)
    x = matching.manifest.numbered_by
    cut = CUTS["per_class" if rest.startswith("per_class") else "global"]
    if stem in ("fig3", "external"):
        table = matching.pairs if stem == "fig3" else matching.external
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
    if stem == "sharing":
        return (
            f"What sharing is made of, by {x}; sets cut from {cut}.",
            f"Lines of matching rates of sets cut from {cut}: chance, chance given the class mix, two architectures "
            "with seeds of their own, one architecture with other trials, two architectures with common seeds.",
        )
    if stem == "sensitivity":
        rows = last_common_moment(matching.sensitivity)
        rows = rows[rows["scope"] == rest]
        moment = f"{x} {rows['epoch'].iloc[0]}"
        said = "; ".join(
            f"{kind} sets from {span(of_set['corrected'])} over all pairs and cuts"
            for kind, of_set in rows.groupby("set", sort=False)
        )
        return (
            f"What two architectures share at {moment}, corrected for luck and class mix, when the easy and the hard "
            f"set are cut smaller or larger, and by rank-biased overlap; sets cut from {cut}. The marks above are what "
            "noise would leave of perfect agreement.",
            f"Points of corrected rates at {moment}: {said}.",
        )
    if stem == "trials":
        epochs = matching.repeats["epoch"]
        return (
            f"Share of the easy and of the hard set of {rest} that fresh trials would find again, by the number of "
            f"trials, from {x} {epochs.min()} to {x} {epochs.max()}; sets cut from all images. The bands are the range "
            "of the prediction.",
            "Lines that rise with the number of trials towards 1, one for each moment, with the targets 0.8 and 0.9.",
        )
    return (
        f"Overlap of one model's own sets at any two moments; sets cut from {cut}.",
        f"A square of matching rates of sets cut from {cut}, 1 on the diagonal.",
    )


def _pictures(key: str, matching: Matching) -> dict[str, list[Block]]:
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
    for name, content in matching.pictures.items():
        stem, whose = name.split("_", 1)
        caption, alt = words[stem]  # whose it is stands above the picture, in the picture
        pictures[stem].append(Picture(f"{key}_{name}", caption, f"{alt} ({whose})", content))
    return pictures
