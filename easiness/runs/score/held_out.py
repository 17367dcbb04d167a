"""Artifacts of a score run with folds: columns of the table, class probabilities, and what may be wrong with them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from easiness.tracking import ScoreManifest

# Columns of the table of scores that a run with folds has besides those of every run.
HELD_OUT_COLUMNS = ("fold", "heldout_loss", "heldout_share", "memorization", "suggested_label", "suggested_share")

# Class probabilities are float16, so that their sum is not quite one.
_ROUNDING = 1e-2


def write_probabilities(folder: Path, probabilities: np.ndarray) -> None:
    """Write class probabilities as `pred_probs.npy`, or the greatest of each example as `pred_probs_top5.npz`."""
    if probabilities.dtype.names:
        np.savez(folder / "pred_probs_top5.npz", labels=probabilities["label"], values=probabilities["share"])
    else:
        np.save(folder / "pred_probs.npy", probabilities)


def read_greatest(path: Path) -> np.ndarray:
    """Read `pred_probs_top5.npz` back."""
    with np.load(path) as file:
        labels, values = file["labels"], file["values"]
    found = np.empty(labels.shape, [("label", "<i4"), ("share", "<f2")])
    found["label"], found["share"] = labels, values
    return found


def fold_problems(manifest: ScoreManifest, table: pd.DataFrame) -> Iterator[str]:
    """What contradicts the contract in the folds of a run, in words."""
    folds = manifest.folds
    if not folds:
        return
    if [trial["fold"] for trial in manifest.trials] != [m % folds for m in range(len(manifest.trials))]:
        yield f"its {len(manifest.trials)} trials did not leave out each of {folds} folds in turn"
    missing = [name for name in HELD_OUT_COLUMNS if name not in table]
    if missing:
        yield f"scores/easiness.parquet has no column {', '.join(missing)}"
        return
    if table["fold"].dtype.kind not in "iu" or not table["fold"].between(0, folds - 1).all():
        yield f"scores/easiness.parquet has fold of type {table['fold'].dtype}, and must have 0 to {folds - 1}"
    for name in ("heldout_loss", "heldout_share", "memorization", "suggested_share"):
        if table[name].dtype.kind != "f" or not np.isfinite(table[name]).all():
            yield f"scores/easiness.parquet has {name} of type {table[name].dtype}, NaN or infinite"
    if not table["suggested_label"].isin(manifest.class_names).all():
        yield "scores/easiness.parquet has a suggested_label that is not a class"


def probability_problems(found: np.ndarray, count: int, classes: int) -> Iterator[str]:
    """What is wrong with class probabilities of `count` examples, in words."""
    whole = not found.dtype.names
    shape = (count, classes if whole else found.shape[-1])
    if found.shape != shape or (whole and found.dtype != np.float16):
        yield f"have {found.dtype} of shape {found.shape}, and must have {count} rows of {classes} float16"
        return
    if not whole and not (found["label"].min() >= 0 and found["label"].max() < classes):
        yield f"have labels from {found['label'].min()} to {found['label'].max()} of {classes} classes"
    shares = (found if whole else found["share"]).astype(np.float32)
    sums_N = shares.sum(axis=1)
    # The greatest alone may sum up to less; NaN is not below anything.
    least = 1 - _ROUNDING if whole else 0
    if not (shares.min() >= 0 and sums_N.min() >= least and sums_N.max() <= 1 + _ROUNDING):
        yield f"have values from {shares.min():.3g}, which sum to {sums_N.min():.3g} to {sums_N.max():.3g}, not to one"
