"""Scores in the formats of other programs: csv, cleanlab, FiftyOne, Dataset Cartography."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

# What Dataset Cartography writes for an example that was never right.
NEVER_LEARNT = 1000


def cleanlab_table(table: pd.DataFrame) -> pd.DataFrame:
    """Label quality as cleanlab means it: in (0, 1], **higher = better**, the lowest first to be looked at.

    The quality is exp(-easiness): the geometric mean over trials of the probability that a network gives to the label,
    which for one trial is cleanlab's self-confidence.

    Parameters
    ----------
    table : pandas.DataFrame
        Of a score run.

    Returns
    -------
    pandas.DataFrame
        In the order of the dataset: example_id, source, given_label, label_quality and, where the run kept predictions,
        predicted_label.

    Examples
    --------
    >>> table = pd.DataFrame({"example_id": [7], "source": ["a.png"], "label": [2], "easiness": [0.0]})
    >>> cleanlab_table(table)["label_quality"].tolist()
    [1.0]
    """
    found = pd.DataFrame(
        {
            "example_id": table["example_id"],
            "source": table["source"],
            "given_label": table["label"],
            "label_quality": np.exp(-table["easiness"]),
        }
    )
    if "predicted" in table:
        found["predicted_label"] = table["predicted"]
    return found


def fiftyone_fields(table: pd.DataFrame, paths: Sequence[str]) -> dict[str, object]:
    """Fields for FiftyOne's `Dataset.set_values(name, values, key_field="filepath")`.

    Parameters
    ----------
    table : pandas.DataFrame
        Of a score run, N rows.
    paths : sequence of str
        N absolute paths of the images.

    Returns
    -------
    dict
        key_field, polarity, and fields: by name a float for each path, or a word.
    """
    columns = {"easiness": "easiness", "easiness_std": "easiness_std", "easiness_rank": "rank", "easiness_set": "set"}
    fields = {
        field: {
            path: None if isinstance(value, float) and np.isnan(value) else value
            for path, value in zip(paths, table[column].tolist(), strict=True)
        }
        for field, column in columns.items()
    }
    return {"key_field": "filepath", "polarity": "lower easiness = easier", "fields": fields}


def cartography_lines(example_ids: Sequence[int], losses_TMN: np.ndarray, correct_TMN: np.ndarray) -> list[str]:
    """Training dynamics as the lines of Dataset Cartography's `td_metrics.jsonl`.

    Each measure is taken of each trial over its T scored moments, as Cartography does over epochs, and averaged over
    the trials: confidence (mean probability of the label), variability (its standard deviation), correctness (moments
    at which the network was right), forgetfulness (times that a right answer was lost; 1000 where it was never right in
    any trial) and threshold_closeness (confidence times 1 - confidence).

    Parameters
    ----------
    example_ids : sequence of int
        N.
    losses_TMN, correct_TMN : numpy.ndarray
        (T, M, N) cross-entropy in nats, and 1 where a network was right.

    Returns
    -------
    list of str
        N lines of json, without their ends.

    Notes
    -----
    Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing Datasets with Training Dynamics" (2020).
    """
    probability_TMN = np.exp(-losses_TMN.astype(np.float64))
    confidence_N = probability_TMN.mean(axis=(0, 1))
    variability_N = probability_TMN.std(axis=0).mean(axis=0)
    right_TMN = correct_TMN > 0
    correctness_N = right_TMN.sum(axis=0).mean(axis=0)
    forgetfulness_N = (right_TMN[:-1] & ~right_TMN[1:]).sum(axis=0).mean(axis=0)
    forgetfulness_N[~right_TMN.any(axis=(0, 1))] = NEVER_LEARNT
    return [
        json.dumps(
            {
                "guid": int(example_id),
                "index": index,
                "threshold_closeness": float(confidence_N[index] * (1 - confidence_N[index])),
                "confidence": float(confidence_N[index]),
                "variability": float(variability_N[index]),
                "correctness": float(correctness_N[index]),
                "forgetfulness": float(forgetfulness_N[index]),
            }
        )
        for index, example_id in enumerate(example_ids)
    ]
