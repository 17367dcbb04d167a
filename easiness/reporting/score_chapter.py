"""Chapter on score runs: how easiness is spread, how it came about, which classes it favours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.matching.trials_needed import TARGETS
from easiness.analysis.scores import EASINESS, deciles, rank_correlation
from easiness.reporting.blocks import Block, Chart, Heading, ScoreFile, Table, Text
from easiness.runs.score.reading import Scores
from easiness.runs.score.tables import class_counts

_REPEATED = (
    "reliability",
    "overlap_with_fresh_trials_easy",
    "overlap_with_fresh_trials_hard",
    f"trials_needed_easy_{TARGETS[0]:g}",
    f"trials_needed_hard_{TARGETS[0]:g}",
)

MODELS = "One row per model; {title}, {meaning}, after moment_updates updates, lower = easier."
REPEATED = (
    " Reliability is a correlation over all examples. overlap_with_fresh_trials is the share of a set that as many "
    "fresh trials are expected to find again, trials_needed how many it takes for a share of 0.8 (a dash: more than "
    "100, or it cannot be told)."
)


def score_chapter(key: str, runs: Sequence[Scores]) -> list[Block]:
    """Section on easiness itself, one run per model; `key` names the dataset and begins the names of its files."""
    manifest, score = runs[0].manifest, runs[0].score
    what = f"{score.title[:1].upper()}{score.title[1:]}: {score.meaning}"
    models = MODELS.format(title=score.title, meaning=score.meaning) + REPEATED * (score.name == EASINESS)
    about = (
        f"{manifest.examples:,} training images of {len(manifest.class_names)} classes of **{manifest.dataset}** "
        f"(fingerprint {manifest.fingerprint[:12]}). {what}, over independent trials: **lower = easier**."
    )
    correlations = f"Spearman's rank correlation of {score.title} between models: 1 = the same order."
    counts = "Examples of every class in the easy and in the hard set of each model."
    return [
        Heading("What was measured"),
        Text(about),
        Table(f"{key}_models", models, models_table(runs)),
        *([Table(f"{key}_rank_correlations", correlations, rank_correlations(runs))] if len(runs) > 1 else []),
        *(chart for run in runs for chart in _charts(f"{key}_{run.model}", run)),
        Table(f"{key}_class_counts", counts, class_counts_table(runs), folded=True),
        *(_score_file(f"{key}_{run.model}", run) for run in runs),
    ]


def models_table(runs: Sequence[Scores]) -> pd.DataFrame:
    """One row per score run: how it was made, and how its easiness is spread."""
    areas = ("auc_mislabelled", "auc_minority_or_mislabelled")
    rows = []
    for run in runs:
        repeated = _REPEATED if run.score.name == EASINESS else ()
        manifest, scores, sets = run.manifest, run.table[run.score.column], run.table["set"]
        rows.append(
            {
                "model": run.model,
                "trials": run.trials,
                "epochs": manifest.recipe["epochs"],
                "schedule_epochs": manifest.recipe["schedule_epochs"],
                "moments": len(manifest.updates),
                "moment_updates": manifest.moment,
                f"{run.score.name}_mean": scores.mean(),
                f"{run.score.name}_median": scores.median(),
                "easy_cut": scores[sets == "easy"].max(),
                "hard_cut": scores[sets == "hard"].min(),
                **{name: run.metrics.get(name, np.nan) for name in repeated},
                **{name: run.metrics[name] for name in areas if name in run.metrics and repeated},
                "run_id": run.run_id,
            }
        )
    return pd.DataFrame(rows)


def rank_correlations(runs: Sequence[Scores]) -> pd.DataFrame:
    """Spearman's correlation of the score of each model with each, at the moments of their tables."""
    scores = {run.model: run.values_N for run in runs}
    columns = {b: [rank_correlation(scores[a], scores[b]) for a in scores] for b in scores}
    return pd.DataFrame({"model": list(scores), **columns})


def class_counts_table(runs: Sequence[Scores]) -> pd.DataFrame:
    """Examples of each class in all, and in the easy and hard set of each model."""
    counts = [class_counts(run.table, run.manifest.class_names) for run in runs]
    table = counts[0][["class_name", "examples"]].copy()
    for run, count in zip(runs, counts, strict=True):
        table[f"easy, {run.model}"], table[f"hard, {run.model}"] = count["easy"], count["hard"]
    return table


def _score_file(stem: str, run: Scores) -> ScoreFile:
    """Score of every example at every moment, in columns that are named as the trials' own arrays are."""
    columns = {
        f"updates={int(t):06d}": easiness_N for t, easiness_N in zip(run.updates_T, run.trajectory_TN, strict=True)
    }
    content = pd.DataFrame({"example_id": run.table["example_id"].to_numpy(np.int32)} | columns).astype(
        dict.fromkeys(columns, np.float32)
    )
    title = run.score.title[:1].upper() + run.score.title[1:]
    return ScoreFile(stem, f"{title} of every example under {run.model} after each number of updates.", content)


def _charts(stem: str, run: Scores) -> list[Chart]:
    table, manifest, model, score = run.table, run.manifest, run.model, run.score
    scores, title = run.values_N, f"{run.model}{run.score.by}"
    easy, hard = (scores[table["set"] == name] for name in ("easy", "hard"))
    # Sets that were cut in every class have no common cut.
    cuts = {} if manifest.per_class else {"easy_cut": easy.max(), "hard_cut": hard.min()}
    groups = table["group"].to_numpy() if "group" in table else None
    counts = class_counts(table, manifest.class_names)
    low, median, high = np.quantile(scores, [0.1, 0.5, 0.9])
    first, last = (run.trajectory_TN[t].mean() for t in (0, -1))
    favoured = counts.assign(difference=counts["easy"] - counts["hard"]).sort_values("difference", kind="stable")
    return [
        Chart(
            f"{stem}_histogram",
            f"How {score.title} after {run.moment_name} is spread over the {len(table):,} examples under {model}, with "
            f"the cuts of the easiest and the hardest {manifest.fraction:.0%}.",
            f"Histogram of {score.title}: a tenth of the examples lies below {low:.3g}, half below {median:.3g}, nine "
            f"tenths below {high:.3g}.",
            lambda: figures.easiness_histogram(scores, **cuts, groups_N=groups, axis=score.axis, title=title),
        ),
        Chart(
            f"{stem}_trajectory",
            f"Mean {score.title} of each difficulty decile while {model} trains; deciles are those after "
            f"{run.moment_name}.",
            f"Ten lines of {score.title}: the mean of all examples goes from {first:.3g} after "
            f"{manifest.updates[0]} updates to {last:.3g} after {manifest.updates[-1]}.",
            lambda: figures.trajectory_by_decile(
                run.trajectory_TN, deciles(scores), manifest.updates, axis=score.axis, title=title
            ),
        ),
        Chart(
            f"{stem}_class_counts",
            f"Which classes the easy and the hard set of {model} hold.",
            f"Bars per class: the easy set favours {favoured['class_name'].iloc[-1]} most, the hard set "
            f"{favoured['class_name'].iloc[0]}.",
            lambda: figures.class_counts(counts["easy"], counts["hard"], manifest.class_names, title=title),
        ),
    ]
