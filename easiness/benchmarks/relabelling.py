"""What a review is worth: flipped labels are looked for, mended where a person would have seen them, and trained on.

    python -m easiness.benchmarks.relabelling --dataset=cifar10 --data=cifar-10-binary.tar.gz --limit=10000

relabels a share of the images wrongly, scores them with folds, lets an oracle look at the most suspicious and mend the
wrong ones among them, and trains whole trainings on the labels before and after. All labels go in as `decisions=`, as
those of a person do.
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.intervals import paired_difference
from easiness.datasets import Dataset, open_dataset
from easiness.datasets.flips import flip_labels
from easiness.runs.score.run import score
from easiness.runs.score.tables import suspicion


def wrong_decisions(dataset: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """Decisions that give these rows of a dataset the label that it has, instead of the one before the flips."""
    names = np.asarray(dataset.class_names, object)
    return pd.DataFrame(
        {
            "example_id": dataset.example_ids[rows],
            "decision": "relabel",
            "label": names[dataset.labels[rows]],
            "given_label": names[dataset.given_labels[rows]],
        }
    )


def seen(table: pd.DataFrame, count: int) -> np.ndarray:
    """Ids of the `count` most suspicious examples of a score table, in the order of its review page."""
    return table["example_id"].to_numpy()[np.argsort(-suspicion(table), kind="stable")[:count]]


def accuracies(trial_runs: Sequence[str]) -> np.ndarray:
    """(M,) share of the validation set that the final network of each trial is right about."""
    return np.array([tracking.read_validation(run_id)[1].mean(dtype=np.float64) for run_id in trial_runs])


def main(arguments: Sequence[str] | None = None) -> None:
    """Score, mend, train twice, and print what was found and what it is worth."""
    parser = argparse.ArgumentParser(prog="python -m easiness.benchmarks.relabelling", description=__doc__)
    parser.add_argument("--dataset", default="planted")
    parser.add_argument("--data", help="archive or folder")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--limit_val", type=int)
    parser.add_argument("--resolution", type=int)
    parser.add_argument("--model", default="wide_resnet_10_1")
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are wrong")
    parser.add_argument("--looked", type=int, default=300, help="examples that the oracle looks at")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10, help="of the scoring")
    parser.add_argument("--epochs", type=int, default=10, help="of the scoring")
    parser.add_argument("--seeds", type=int, default=8, help="whole trainings on the labels before, and after")
    parser.add_argument("--whole", type=int, default=20, help="epochs of a whole training")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    common = {name: getattr(options, name) for name in ("model", "dataset", "data", "limit", "resolution")}
    train = open_dataset(options.dataset, options.data, limit=options.limit)
    flipped = flip_labels(train, options.share, seed=0)
    wrong = np.flatnonzero(flipped.labels != flipped.given_labels)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.csv"), Path(folder, "after.csv")
        before.write_text(tracking.to_csv(wrong_decisions(flipped, wrong)), encoding="utf-8")
        scoring = {"folds": options.folds, "trials": options.trials, "epochs": options.epochs, "log_models": "none"}
        scores = score(**common, **scoring, decisions=before)
        looked = seen(scores.table, options.looked)
        left = wrong[~np.isin(flipped.example_ids[wrong], looked)]
        after.write_text(tracking.to_csv(wrong_decisions(flipped, left)), encoding="utf-8")
        whole = {"folds": 0, "trials": options.seeds, "epochs": options.whole, "schedule_epochs": options.whole}
        whole |= {"score_at": (0,), "moment": 0, "log_models": "none", "limit_val": options.limit_val}
        runs = [score(**common, **whole, decisions=file, allow_outliers=True) for file in (before, after)]
    found = len(wrong) - len(left)
    shares_before, shares_after = (100 * accuracies(run.manifest.trial_runs) for run in runs)
    gain = paired_difference(shares_after, shares_before)
    print(
        f"{found:,} of {len(wrong):,} wrong labels ({found / len(wrong):.1%}) are among the {options.looked:,} most "
        f"suspicious of {len(train):,} (score run {scores.run_id})\n"
        f"validation accuracy of {options.seeds} whole trainings of {options.whole} epochs: before "
        f"{shares_before.mean():.2f} %, after {shares_after.mean():.2f} %; after minus before {gain.mean:+.2f} points "
        f"[{gain.low:+.2f}, {gain.high:+.2f}] (runs {', '.join(run.run_id for run in runs)})"
    )


if __name__ == "__main__":
    main()
