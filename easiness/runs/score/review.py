"""Review page of a score run: the most suspicious labels first, for a person to keep, remove or change.

The page is one file that holds all it shows. Pictures are made smaller, and at last fewer, until it is below
`MOST_BYTES`.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.neighbors import NearestNeighbors

from easiness.datasets import Dataset
from easiness.datasets.dataset import digest_keys
from easiness.runs import pages
from easiness.runs.score.tables import suspicion, suspicion_score
from easiness.runs.score.thumbnails import encode_webp, pictured

EXAMPLES = 2_000
MOST_BYTES = 15_000_000

_NEIGHBOURS, _DUPLICATES = 4, 6
# Neighbours are looked for among so many examples at most.
_CANDIDATES = 50_000
# Longest side in pixels and quality of the pictures, the best first; neighbours have half the side.
_SIZES = ((192, 80), (144, 75), (96, 75), (80, 60), (64, 40), (48, 20), (32, 10))
# Pictures that tell how large all of them will be.
_SAMPLE = 50

_OUT_OF_FOLD = "whose class probabilities, predicted by trials that held them out, are closest"
_ESTIMATED = (
    "whose class probabilities are closest as far as this run tells them: that of the given label from the easiness, "
    "the rest on the label that most trials predict"
)
# Columns that a card shows, with their name and meaning there.
_MEASURES = {
    "heldout_loss": ("held-out loss", "in nats, of trials that did not train on it; higher = more suspicious"),
    "heldout_share": ("held-out agreement", "share of the trials that held it out and predict the given label"),
    "memorization": ("memorization", "held-out loss minus easiness, in nats"),
    "easiness": ("easiness", "mean loss of trials that trained on it, in nats; lower = easier"),
    "el2n": ("EL2N", "mean norm of the error of those trials, 0 to √2; lower = easier"),
    "aum": ("AUM", "area under the margin up to this moment, sign turned: lower = easier"),
    "forgetting": ("forgetting", "mean number of right answers lost up to this moment; lower = easier"),
    "easiness_std": ("spread over trials", "standard deviation of the loss, in nats"),
    "rank": ("rank", "1 = the easiest"),
}


@dataclass(frozen=True, eq=False)
class Suggestions:
    """Label that the trials would give each example: (N,) class, -1 = none, and its (N,) share, 0 to 1."""

    labels_N: NDArray[np.int64]
    shares_N: NDArray[np.float64]


def suspicion_order(table: pd.DataFrame, score_by: str | None = None) -> NDArray[np.int64]:
    """Rows of a table of scores, the most suspicious label first: by a score, or as `suspicion_score` chooses."""
    return np.argsort(-suspicion(table, score_by), kind="stable")


def suggestions(table: pd.DataFrame, class_names: Sequence[str]) -> Suggestions:
    """Suggested labels: out of fold where the table has them, else what most trials predict."""
    if "suggested_label" in table:
        number = {name: k for k, name in reversed(list(enumerate(class_names)))}
        labels_N = table["suggested_label"].map(number).to_numpy(np.int64)
        return Suggestions(labels_N, table["suggested_share"].to_numpy(np.float64))
    if "predicted" in table:
        return Suggestions(table["predicted"].to_numpy(np.int64), table["predicted_share"].to_numpy(np.float64))
    return Suggestions(np.full(len(table), -1), np.full(len(table), np.nan))


def estimated_probabilities(table: pd.DataFrame, suggested: Suggestions, num_classes: int) -> csr_array:
    """(N, K) class probabilities as far as a table without those out of fold tells them.

    exp(-easiness) for the given label; what is missing to one for the suggested label, if it is another.
    """
    rows, given_N = np.arange(len(table)), table["label"].to_numpy()
    own_N = np.exp(-table["easiness"].to_numpy())
    other = rows[(suggested.labels_N >= 0) & (suggested.labels_N != given_N)]
    values = np.concatenate([own_N, 1 - own_N[other]])
    columns = np.concatenate([given_N, suggested.labels_N[other]])
    return csr_array((values, (np.concatenate([rows, other]), columns)), shape=(len(table), num_classes))


def nearest(
    rows: NDArray[np.int64], probabilities_NK: NDArray | csr_array, keys_N: NDArray, count: int
) -> NDArray[np.int64]:
    """Rows of the examples of other content whose class probabilities are nearest (Euclidean): (len(rows), count).

    `keys_N` is equal where the content is. Of more than `_CANDIDATES` examples, evenly spaced ones are looked at.
    Fewer than `count` columns if there are not as many contents.
    """
    contents = np.sort(np.unique(keys_N, return_index=True)[1])
    candidates = contents[:: math.ceil(len(contents) / _CANDIDATES)]
    count = max(0, min(count, len(candidates) - 1))
    if not count:
        return np.empty((len(rows), 0), np.int64)
    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(probabilities_NK[candidates])
    with config_context(working_memory=64):  # MiB
        found = candidates[search.kneighbors(probabilities_NK[rows], return_distance=False)]
    # A stable sort moves the example itself, or its duplicate, behind the others.
    itself = keys_N[found] == keys_N[rows][:, None]
    return np.take_along_axis(found, np.argsort(itself, axis=1, kind="stable"), axis=1)[:, :count]


def write_review(
    path: Path,
    dataset: Dataset,
    table: pd.DataFrame,
    pred_probs: NDArray | None = None,
    *,
    run_id: str,
    title: str,
    parts: Sequence[str] = (),
    score_by: str | None = None,
) -> None:
    """Write the review page, with further `parts` of `pages` below, in less than `MOST_BYTES`.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of scores; with the columns heldout_loss, suggested_label … or without.
    pred_probs : numpy.ndarray, optional
        (N, K) class probabilities out of fold, or `label` and `share` of the greatest; neighbours are found by them.
    score_by : str, optional
        Order of the examples, as in `suspicion_order`.
    """
    suggested = suggestions(table, dataset.class_names)
    order = suspicion_order(table, score_by)[:EXAMPLES]
    keys_N = digest_keys(dataset.digests)
    if pred_probs is None:
        probabilities_NK = estimated_probabilities(table, suggested, dataset.num_classes)
    elif pred_probs.dtype.names:
        shares, labels = (pred_probs[name].ravel() for name in ("share", "label"))
        places = np.repeat(np.arange(len(table)), pred_probs.shape[1]), labels
        # SciPy does not take float16.
        probabilities_NK = csr_array((shares.astype(np.float32), places), (len(table), dataset.num_classes))
    else:
        probabilities_NK = pred_probs.astype(np.float32)
    neighbours = nearest(order, probabilities_NK, keys_N, _NEIGHBOURS)
    general = {
        "run_id": run_id,
        "fingerprint": dataset.fingerprint,
        "classes": dataset.class_names,
        "total": len(dataset),
        "out_of_fold": "suggested_label" in table,
        "by": suspicion_score(table, score_by).title,
        "nearest": _ESTIMATED if pred_probs is None else _OUT_OF_FOLD,
        "measures": [words for name, words in _MEASURES.items() if name in table],
    }

    def render(content: dict) -> bytes:
        return pages.render("review.html", title=title, parts=parts, review=general | content).encode()

    count = len(order)
    while True:
        rows, near = order[:count], neighbours[:count]
        content = _examples(dataset, table, suggested, rows, near, keys_N)
        room = MOST_BYTES - len(render(content | {"pictures": {}}))
        pictures = _pictures(dataset, rows, np.setdiff1d(near, rows), room)
        if pictures is not None or count == 0:
            break
        count //= 2
    path.write_bytes(render(content | {"pictures": pictures or {}}))


def _examples(
    dataset: Dataset,
    table: pd.DataFrame,
    suggested: Suggestions,
    rows: NDArray[np.int64],
    neighbours: NDArray[np.int64],
    keys_N: NDArray,
) -> dict:
    """Cards of some rows, and file and given label of every example that is named on one, by row."""
    alike = np.flatnonzero(np.isin(keys_N, keys_N[rows]))
    rows_of_key = {key: alike[places] for key, places in pd.Series(alike).groupby(keys_N[alike]).indices.items()}
    measures = [table[name].to_numpy() for name in _MEASURES if name in table]
    in_val_N = [False] * len(table)
    if "duplicates" in table:
        in_val_N = table["duplicates"].str.contains("val").tolist()
    examples, named = [], set(rows.tolist()) | set(neighbours.ravel().tolist())
    for row, near in zip(rows.tolist(), neighbours.tolist(), strict=True):
        twins = [twin for twin in rows_of_key[keys_N[row]].tolist() if twin != row]
        # Those under another label first: they say most.
        twins.sort(key=lambda twin: dataset.labels[twin] == dataset.labels[row])
        named |= set(twins[:_DUPLICATES])
        share = suggested.shares_N[row]
        examples.append(
            {
                "row": row,
                "suggested": int(suggested.labels_N[row]),
                "share": "" if np.isnan(share) else f"{100 * share:.0f} %",
                "numbers": [pages.shown(values_N[row].item(), ".3g") for values_N in measures],
                "duplicates": twins[:_DUPLICATES],
                "more_duplicates": max(0, len(twins) - _DUPLICATES),
                "in_val": in_val_N[row],
                "neighbours": near,
            }
        )
    about = {
        row: [int(dataset.example_ids[row]), str(dataset.sources[row]), int(dataset.labels[row])]
        for row in sorted(named)
    }
    return {"examples": examples, "about": about}


def _pictures(
    dataset: Dataset, rows: NDArray[np.int64], neighbours: NDArray[np.int64], room: int
) -> dict[int, str] | None:
    """Pictures in base64 by row, as large as `room` bytes allow; None if they are too many for it."""
    sides = {1: rows, 2: neighbours}
    wanted = [(row, part) for part, shown in sides.items() for row in pictured(dataset, shown.tolist())]
    sample = wanted[:: max(1, len(wanted) // _SAMPLE)]

    def encode(wanted: Sequence[tuple[int, int]], side: int, quality: int) -> dict[int, str]:
        files = ((row, encode_webp(dataset.images[row], side // part, quality)) for row, part in wanted)
        return {row: base64.b64encode(file).decode() for row, file in files}

    def size(pictures: dict[int, str]) -> int:
        return len(json.dumps(pictures))

    for side, quality in _SIZES:
        if size(encode(sample, side, quality)) * len(wanted) <= room * len(sample):
            pictures = encode(wanted, side, quality)
            if size(pictures) <= room:
                return pictures
    return None
