"""Scores as tables: one row per example, ready for parquet, csv and people."""

import numpy as np
import pandas as pd

from easiness.analysis.reliability import reliability
from easiness.analysis.scores import easiness, roc_auc, tie_keys
from easiness.analysis.sets import easiest, hardest
from easiness.datasets import Dataset


def score_table(
    dataset: Dataset,
    losses_MN: np.ndarray,
    *,
    fraction: float = 0.1,
    per_class: bool = False,
    seed: int = 0,
    predicted_MN: np.ndarray | None = None,
) -> pd.DataFrame:
    """Table of the easiness of every example, in the order of the dataset. Lower easiness and lower rank = easier.

    Parameters
    ----------
    losses_MN, predicted_MN : numpy.ndarray
        (M, N) cross-entropy in nats of every trial at one moment; label that every trial predicts then.
    fraction, per_class : float, bool
        Share of the examples, or of every class, in the easy set and in the hard set.
    seed : int
        Decides the order among equal scores.

    Returns
    -------
    pandas.DataFrame
        Columns example_id, source, label, class_name, easiness (nats), easiness_std (between trials; NaN for one
        trial), rank (1 = easiest), set (`easy`, `hard` or empty); with predictions predicted (the label that most
        trials predict, the lowest of several) and predicted_share (of the trials); group where the truth is known.
    """
    scores = easiness(losses_MN)
    count = len(scores)
    labels = dataset.labels if per_class else None
    rank = np.empty(count, np.int64)
    rank[np.lexsort((tie_keys(count, seed), scores))] = np.arange(1, count + 1)
    membership = np.full(count, "", dtype=object)
    membership[easiest(scores, fraction, seed=seed, labels_N=labels)] = "easy"
    membership[hardest(scores, fraction, seed=seed, labels_N=labels)] = "hard"
    columns = {
        "example_id": dataset.example_ids,
        "source": dataset.sources.astype(object),
        "label": dataset.labels,
        "class_name": np.asarray(dataset.class_names, object)[dataset.labels],
        "easiness": scores,
        "easiness_std": _spread(losses_MN),
        "rank": rank,
        "set": membership,
    }
    if predicted_MN is not None:
        columns["predicted"], columns["predicted_share"] = majority_vote(predicted_MN, dataset.num_classes)
    if dataset.groups is not None:
        columns["group"] = dataset.groups.astype(object)
    return pd.DataFrame(columns)


def score_metrics(table: pd.DataFrame, losses_MN: np.ndarray) -> dict[str, float]:
    """Numbers of a score run; areas under the ROC curve are there where the truth is known (`planted`)."""
    metrics = {"easiness_mean": float(table["easiness"].mean()), "trials": len(losses_MN)}
    if len(losses_MN) > 1:
        metrics["reliability"] = reliability(losses_MN)
    if "group" in table:
        scores, groups = table["easiness"].to_numpy(), table["group"].to_numpy()
        kinds = {"mislabelled": groups == "mislabelled", "minority_or_mislabelled": groups != "majority"}
        # A list of kept examples may leave none of a kind.
        metrics |= {f"auc_{name}": roc_auc(scores, rows) for name, rows in kinds.items() if 0 < rows.sum() < len(rows)}
    return metrics


def majority_vote(predicted_MN: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Label that most trials predict for each example (the lowest of several), and the share of the trials that do.

    Examples
    --------
    >>> majority_vote(np.array([[2, 0], [2, 1], [0, 1]]), 3)
    (array([2, 1]), array([0.66666667, 0.66666667]))
    """
    trials, count = predicted_MN.shape
    labels_N, votes_N = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for label in range(num_classes):
        for_label_N = (predicted_MN == label).sum(axis=0)
        better_N = for_label_N > votes_N
        labels_N[better_N], votes_N[better_N] = label, for_label_N[better_N]
    return labels_N, votes_N / trials


def class_counts(table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Examples of every class, in all and in the easy and hard sets: columns class_name, examples, easy, hard."""
    labels = table["label"].to_numpy()

    def count(rows: np.ndarray) -> np.ndarray:
        return np.bincount(labels[rows], minlength=len(class_names))

    everything = np.ones(len(table), bool)
    easy, hard = ((table["set"] == name).to_numpy() for name in ("easy", "hard"))
    counts = {"examples": count(everything), "easy": count(easy), "hard": count(hard)}
    return pd.DataFrame({"class_name": class_names, **counts})


def _spread(losses_MN: np.ndarray) -> np.ndarray:
    trials, count = losses_MN.shape
    if trials == 1:
        return np.full(count, np.nan)
    return losses_MN.std(axis=0, ddof=1, dtype=np.float64)
