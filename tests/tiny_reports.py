"""Runs for a report that were never trained: score runs with pictures, and an ablation with accuracies of its own."""

import json

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.runs.score.tables import score_table
from easiness.runs.score.thumbnails import shown_rows, write_thumbnails
from tests.tiny_scores import UPDATES, draw_losses, log_score_run

STRATEGIES = ("easy", "hard", "random", "stepwise")
RATIOS = (0.3, 0.7)


def log_scores(folder, dataset, model, seed, *, pictures=True, predictions=True, **manifest):
    """Log a score run of three trials with everything that a report reads; returns the run id."""
    losses_TMN = draw_losses(dataset, seed)
    predicted_MN = np.tile((dataset.labels + 1) % dataset.num_classes, (3, 1)) if predictions else None
    table = score_table(dataset, losses_TMN[-1], predicted_MN=predicted_MN)
    recipe = {"seed": 0, "resolution": 64, "score_at": [], "epochs": 2, "model": model}
    columns = {name: table[name] for name in table}
    run_id = log_score_run(
        folder,
        dataset,
        losses_TMN,
        model=model,
        table=columns,
        predicted_MN=predicted_MN,
        **{"recipe": recipe} | manifest,
    )
    if pictures:
        place = folder / run_id / "preview"
        place.mkdir()
        write_thumbnails(place / "thumbnails.npz", dataset, shown_rows(table, losses_TMN[-1].mean(axis=0)))
        tracking.log_folder(run_id, place, "preview")
    return run_id


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
        content = {
            "kind": "ablate", "dataset": dataset.name, "fingerprint": dataset.fingerprint,
            "recipe": {"model": model, "epochs": 4}, "scores": scores, "moment": UPDATES[-1],
            "strategies": list(STRATEGIES), "seeds": 3,
            "weighting": "inverse", "balanced": False, "equal_updates": False,
        }  # fmt: skip
        (place / "ablation.json").write_text(json.dumps(tracking.make_manifest(run_id, content)))
        tracking.log_folder(run_id, place)
    return run_id
