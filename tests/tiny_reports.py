"""Runs for a report that were never trained: score runs with pictures, and an ablation with accuracies of its own."""

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.runs.score.tables import score_table
from easiness.runs.score.thumbnails import shown_rows, write_thumbnails
from easiness.tracking import AblationManifest
from tests.tiny_scores import UPDATES, draw_losses, log_score_run, tiny_settings

STRATEGIES = ("easy", "hard", "random", "stepwise")
RATIOS = (0.3, 0.7)


def log_scores(folder, dataset, model, seed, **manifest):
    """Log a score run of three trials with everything that a report reads; returns the run id."""
    losses_TMN = draw_losses(dataset, seed)
    predicted_MN = np.tile((dataset.labels + 1) % dataset.num_classes, (3, 1))
    table = score_table(dataset, losses_TMN[-1], predicted_MN=predicted_MN)
    recipe = tiny_settings(epochs=2, model=model)
    columns = {name: table[name] for name in table}

    def more(place):
        (place / "preview").mkdir()
        shown = shown_rows(table, losses_TMN[-1].mean(axis=0))
        write_thumbnails(place / "preview" / "thumbnails.npz", dataset, shown)

    return log_score_run(
        folder,
        dataset,
        losses_TMN,
        model=model,
        table=columns,
        predicted_MN=predicted_MN,
        more=more,
        **{"recipe": recipe} | manifest,
    )


def log_ablation(folder, dataset, model, scores):
    """Log an ablation of three seeds in which losing hard examples costs most and stepwise is best."""
    rng = np.random.default_rng(0)
    worth = {"easy": 0.70, "hard": 0.60, "random": 0.72, "stepwise": 0.75}
    rows = [
        {
            "strategy": strategy, "ratio": ratio, "seed": seed, "accuracy": accuracy - ratio / 10,
            "best_accuracy": accuracy, "worst_class_accuracy": accuracy - 0.2, "worst_class": "sun",
            "images": round((1 - ratio) * len(dataset)),
            "updates": 100, "seconds": 10.0, "run_id": "0" * 32,
        }
        for strategy, ratio in [("none", 0.0), *((strategy, ratio) for strategy in STRATEGIES for ratio in RATIOS)]
        for seed in range(3)
        for accuracy in [worth.get(strategy, 0.8) + rng.normal(0, 0.002)]
    ]  # fmt: skip
    removed = [
        {"strategy": strategy, "ratio": ratio, "seed": seed, "grouping": "decile", "group": decile, "share": ratio}
        for strategy in STRATEGIES
        for ratio in RATIOS
        for seed in range(3)
        for decile in range(1, 11)
    ]
    place = folder / "ablation"
    place.mkdir()
    pd.DataFrame(rows).to_csv(place / "accuracy.csv", index=False)
    pd.DataFrame(removed).to_csv(place / "removed.csv", index=False)
    with tracking.tracked_run("ablate", f"ablate {model}") as run_id:
        tags = {"easiness.model": model, "easiness.dataset": dataset.name, "easiness.fingerprint": dataset.fingerprint}
        tracking.set_tags(run_id, tags)
        manifest = AblationManifest(
            run_id=run_id, dataset=dataset.name, fingerprint=dataset.fingerprint, fingerprint_val="cd" * 32,
            class_names=dataset.class_names, recipe={"model": model, "epochs": 4}, scores=(scores,), scores_recipe={},
            score_by="easiness", score_title="easiness", scores_file=None, scores_sha256=None, offset=0.05,
            moment=UPDATES[-1], strategies=STRATEGIES, seeds=3, weighting="inverse", balanced=False, allow_empty=False,
            equal_updates=False, equal_epochs=False,
            seed=0, ratios=RATIOS, summary=("removing 30 %: stepwise costs 5.0 points",), code={},
        )  # fmt: skip
        tracking.log_results(run_id, place, manifest)
    return run_id
