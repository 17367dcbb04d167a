"""Scores as tables: one row per example, ready for parquet, csv and people."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from easiness.analysis.matching.trials_needed import COUNTS, TARGETS, Repeat, overlap_of, trials_needed
from easiness.analysis.reliability import reliability
from easiness.analysis.scores import (
    EASINESS,
    OTHER_SCORES,
    SCORES,
    Score,
    easiness,
    roc_auc,
    tie_keys,
    trial_scores,
)
from easiness.analysis.sets import easiest, hardest
from easiness.datasets import Dataset

NEEDED = (
    "How much of a set would fresh trials find again? Overlap is the share of the easy (hard) set of the measured "
    "trials that as many fresh ones are expected to find, too; beside it stands how many trials a share of 0.8 and of "
    "0.9 would take, with the range of the prediction. **Fewer than four trials cannot tell**, and nothing is said of "
    "more than 100."
)

_REPEAT = ("model", "updates", "epoch", "scope", "set", "measured")
_ENDS = {"overlap": "", "low": "_low", "high": "_high"}


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
        Columns example_id, id (where the data name their examples), source, label, class_name, easiness (nats),
        easiness_std (between trials; NaN for one trial), rank (1 = easiest), set (`easy`, `hard` or empty); with
        predictions predicted (the label that most trials predict, the lowest of several) and predicted_share (of the
        trials); where labels were flipped on purpose flipped (bool) and given_label (name of the class before);
        duplicates (where the same content is, too) where there are any; group where the truth is known.
    """
    scores = easiness(losses_MN)
    rank, membership = ranks_and_sets(scores, fraction, dataset.labels if per_class else None, seed)
    columns = {
        "example_id": dataset.example_ids,
        **({} if dataset.ids is None else {"id": dataset.ids.astype(object)}),
        "source": dataset.sources.astype(object),
        "label": dataset.labels,
        "class_name": np.asarray(dataset.class_names, object)[dataset.labels],
        "easiness": scores,
        "easiness_std": _spread(losses_MN),
        "rank": rank,
        "set": membership,
    }
    if predicted_MN is not None:
        columns["predicted"], columns["predicted_share"] = majority_vote(predicted_MN)
    if dataset.given_labels is not None:
        columns["flipped"] = dataset.labels != dataset.given_labels
        columns["given_label"] = np.asarray(dataset.class_names, object)[dataset.given_labels]
    if dataset.duplicates is not None and dataset.duplicates.any():
        columns["duplicates"] = dataset.duplicates.astype(object)
    if dataset.groups is not None:
        columns["group"] = dataset.groups.astype(object)
    return pd.DataFrame(columns)


def ranks_and_sets(
    values_N: np.ndarray, fraction: float, labels_N: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) rank by a score, 1 = easiest, and set: `easy`, `hard` or empty, of all or with labels of every class."""
    count = len(values_N)
    rank_N, set_N = np.empty(count, np.int64), np.full(count, "", dtype=object)
    rank_N[np.lexsort((tie_keys(count, seed), values_N))] = np.arange(1, count + 1)
    set_N[easiest(values_N, fraction, seed=seed, labels_N=labels_N)] = "easy"
    set_N[hardest(values_N, fraction, seed=seed, labels_N=labels_N)] = "hard"
    return rank_N, set_N


def other_scores(measure_TMN: Callable[[str], Iterable[np.ndarray]]) -> dict[str, np.ndarray]:
    """Columns `OTHER_SCORES` of a table, at the last of the moments; higher = harder in all, AUM with its sign turned.

    `measure_TMN` gives the (M, N) of a measure after each scored moment, by its name.
    """
    columns = {}
    for name in OTHER_SCORES:
        *_, last_MN = trial_scores(name, measure_TMN(SCORES[name].measure))
        columns[name] = easiness(last_MN)
    return columns


def suspicion_score(table: pd.DataFrame, name: str | None = None) -> Score:
    """Score by which labels are suspicious: the one of that name, or held-out loss, without folds easiness."""
    return SCORES[name or ("heldout" if "heldout_loss" in table else EASINESS)]


def suspicion(table: pd.DataFrame, name: str | None = None) -> np.ndarray:
    """Suspicion of every label of a score table by `suspicion_score`, higher = more likely wrong."""
    return table[suspicion_score(table, name).column].to_numpy()


def score_metrics(table: pd.DataFrame, losses_MN: np.ndarray, needed: pd.DataFrame) -> dict[str, float]:
    """Numbers of a score run; areas under the ROC curve are there where the truth is known (`planted`).

    `needed` holds the rows of `trials_needed_table` for the moment of the table; what cannot be told, or is more than
    100 trials, is left out.
    """
    metrics = {"easiness_mean": float(table["easiness"].mean()), "trials": len(losses_MN)}
    if len(losses_MN) > 1:
        metrics["reliability"] = reliability(losses_MN)
    for row in needed.to_dict("records"):
        numbers = {f"overlap_with_fresh_trials_{row['set']}": row["overlap"]}
        numbers |= {f"trials_needed_{row['set']}_{target:g}": row[f"needed_{target:g}"] for target in TARGETS}
        metrics |= {name: value for name, value in numbers.items() if math.isfinite(value)}
    if "group" in table:
        scores, groups = table["easiness"].to_numpy(), table["group"].to_numpy()
        wrong, rare = groups == "mislabelled", groups == "minority"
        kinds = {"mislabelled": wrong, "minority_or_mislabelled": wrong | rare}
        # A list of kept examples may leave none of a kind.
        metrics |= {f"auc_{name}": roc_auc(scores, rows) for name, rows in kinds.items() if 0 < rows.sum() < len(rows)}
    return metrics


def repeat_table(repeats: Sequence[Repeat]) -> pd.DataFrame:
    """What so many trials share with as many fresh ones: one row per model, moment, scope, set and number of trials.

    Columns model, updates, epoch, scope, set, measured (trials behind the prediction), trials, overlap, and low to
    high, the range of the prediction.
    """
    tables = [
        pd.DataFrame(
            {name: getattr(row, name) for name in _REPEAT}
            | {"trials": COUNTS, "overlap": row.overlap_G, "low": row.low_G, "high": row.high_G}
        )
        for row in repeats
    ]
    return pd.concat(tables, ignore_index=True)


def trials_needed_table(repeats: pd.DataFrame) -> pd.DataFrame:
    """One row per curve of `repeat_table`: the overlap of the measured trials with as many fresh ones, and the need.

    Columns model to measured as there, overlap, overlap_low, overlap_high; for each of `TARGETS` needed_0.8,
    needed_0.8_low, needed_0.8_high …: the smallest number of trials that reaches it. Infinite = more than 100 trials;
    NaN = cannot be told.
    """
    rows = []
    for key, curve in repeats.groupby(list(_REPEAT), sort=False):
        row = dict(zip(_REPEAT, key, strict=True))
        row |= {f"overlap{end}": overlap_of(row["measured"], curve[name]) for name, end in _ENDS.items()}
        for target in TARGETS:
            # The higher the overlap, the fewer trials are needed.
            needed = {name: trials_needed(curve[name].to_numpy(), target) for name in _ENDS}
            names = (f"needed_{target:g}{end}" for end in _ENDS.values())
            row |= dict(zip(names, (needed[name] for name in ("overlap", "high", "low")), strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def needed_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers of `trials_needed_table` for people: `17 (14 to 22)`, `more than 100`, `cannot be told`."""
    words = table[[*_REPEAT, "overlap"]].copy()
    for target in TARGETS:
        ends = table[[f"needed_{target:g}{end}" for end in _ENDS.values()]].itertuples(index=False)
        words[f"trials for {target:g}"] = [_needed(*numbers) for numbers in ends]
    return words


def repeat_curves(repeats: pd.DataFrame, moment: str, unit: str) -> dict[str, list[dict]]:
    """Curves of one model and scope for `figures.repeat_curves`, by set; the column `moment` numbers the moments."""
    return {
        kind: [
            {"name": f"{unit} {name:,}", "measured": int(curve["measured"].iloc[0])}
            | {column: curve[column].to_numpy() for column in ("trials", "overlap", "low", "high")}
            for name, curve in rows.groupby(moment, sort=False)
        ]
        for kind, rows in repeats.groupby("set", sort=False)
    }


def _needed(number: float, low: float, high: float) -> str:
    if math.isnan(number):
        return "cannot be told"
    most = f"more than {COUNTS[-1]}"
    said, *ends = (f"{value:.0f}" if math.isfinite(value) else most for value in (number, low, high))
    return said if ends[0] == ends[1] else f"{said} ({ends[0]} to {ends[1]})"


def majority_vote(predicted_MN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label that most trials predict for each example (the lowest of several), and the share of the trials that do.

    Examples
    --------
    >>> majority_vote(np.array([[2, 0], [2, 1], [0, 1]]))
    (array([2, 1]), array([0.66666667, 0.66666667]))
    """
    trials, count = predicted_MN.shape
    # In order, equal votes are neighbours: nothing is done for every class.
    sorted_MN = np.sort(predicted_MN, axis=0).astype(np.int64)
    labels_N, most_N = sorted_MN[0].copy(), np.ones(count, np.int64)
    run_N = most_N.copy()
    for before_N, label_N in itertools.pairwise(sorted_MN):
        run_N = np.where(label_N == before_N, run_N + 1, 1)
        more_N = run_N > most_N
        labels_N[more_N], most_N[more_N] = label_N[more_N], run_N[more_N]
    return labels_N, most_N / trials


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
