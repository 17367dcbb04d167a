"""Preview of a score run in the MLflow UI: figures, two small tables, and a page to judge labels on."""

from pathlib import Path

import numpy as np
import pandas as pd

from easiness import figures, tracking
from easiness.analysis.matching.trials_needed import TARGETS
from easiness.analysis.scores import deciles
from easiness.datasets import Dataset
from easiness.runs import pages
from easiness.runs.score.reading import Scores
from easiness.runs.score.review import write_review
from easiness.runs.score.tables import NEEDED, class_counts, needed_in_words, repeat_curves, trials_needed_table
from easiness.runs.score.thumbnails import pictured

# Examples at each end: in the picture, and as rows of the table.
_PICTURES, _ROWS = 24, 50


def write_preview(
    folder: Path,
    dataset: Dataset,
    scores: Scores,
    title: str,
    *,
    repeats: pd.DataFrame,
    pred_probs: np.ndarray | None = None,
    score_by: str | None = None,
) -> None:
    """Write the preview of a score run: `index.html` with the review of labels, png and csv.

    `repeats` is from `repeat_table`, `pred_probs` and `score_by` as for `write_review`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = scores.table
    easiness_N = table["easiness"].to_numpy()
    counts = class_counts(table, dataset.class_names)
    ordered = table.sort_values("rank")
    ends_shown = [
        examples.loc[pictured(dataset, examples.index)]
        for examples in (ordered.head(_PICTURES), ordered.tail(_PICTURES)[::-1])
    ]
    in_easy, in_hard = (table[table["set"] == name] for name in ("easy", "hard"))
    # Sets that were cut in every class have no common cut to be drawn.
    cut_as_one = in_easy["rank"].max() == len(in_easy)
    groups = table["group"].to_numpy() if "group" in table else None
    drawn = {
        "histogram": figures.easiness_histogram(
            easiness_N,
            easy_cut=in_easy["easiness"].max() if cut_as_one else None,
            hard_cut=in_hard["easiness"].min() if cut_as_one else None,
            groups_N=groups,
            title=title,
        ),
        "trajectory": figures.trajectory_by_decile(
            scores.trajectory_TN, deciles(easiness_N), repeats["updates"].unique(), title=title
        ),
        "class_counts": figures.class_counts(counts["easy"], counts["hard"], dataset.class_names, title=title),
    }
    if all(map(len, ends_shown)):
        pictures = (([dataset.images[row] for row in ends.index], _captions(ends)) for ends in ends_shown)
        drawn["easiest_and_hardest"] = figures.easiest_and_hardest(*pictures, title=title)
    if repeats["overlap"].notna().any():
        drawn["trials_needed"] = figures.repeat_curves(
            repeat_curves(repeats, "updates", "updates"), targets=TARGETS, title=title
        )
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.png")
    ends = pd.concat([ordered.head(_ROWS), ordered.tail(_ROWS)]).drop_duplicates()
    if "predicted" in ends:
        ends["predicted"] = [dataset.class_names[label] for label in ends["predicted"]]
    needed = trials_needed_table(repeats)
    for name, rows in {"easiest_and_hardest": ends, "class_counts": counts, "trials_needed": needed}.items():
        (folder / f"{name}.csv").write_text(tracking.to_csv(rows), encoding="utf-8")
    parts = [
        pages.paragraph(
            "Easiness is the mean cross-entropy over trials, in nats. **Lower = easier.** Rank 1 is the easiest."
        ),
        pages.pictures([folder / f"{name}.png" for name in drawn]),
        pages.heading("Trials needed"),
        pages.paragraph(NEEDED),
        pages.rows(needed_in_words(needed)),
        pages.heading("Class counts of both sets"),
        pages.rows(counts),
        pages.heading(f"The {_ROWS} easiest and the {_ROWS} hardest examples"),
        pages.rows(ends),
    ]
    page = folder / "index.html"
    about = {"run_id": scores.run_id, "title": title, "parts": parts, "score_by": score_by}
    write_review(page, dataset, table, pred_probs, **about)


def _captions(examples: pd.DataFrame) -> list[str]:
    return [f"{row.class_name}\n#{row.example_id}  {row.easiness:.3g}" for row in examples.itertuples()]
