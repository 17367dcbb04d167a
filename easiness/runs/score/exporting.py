"""Scores in the formats of other programs: csv, cleanlab, FiftyOne, Dataset Cartography."""

import io
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.scores import OTHER_SCORES
from easiness.datasets.image_folder import source_of
from easiness.datasets.opening import IN_FILES
from easiness.datasets.table import TABLE_SUFFIXES, read_table
from easiness.runs.checks import existing, one_of, unused
from easiness.runs.public import absolute, logged_run, public
from easiness.runs.score.reading import Scores, load_scores

LOG = logging.getLogger("easiness")

FORMATS = ("csv", "cleanlab", "fiftyone", "cartography")

# Column that a run with folds has.
_HELD_OUT = "heldout_loss"

# What Dataset Cartography writes for an example that was never right.
NEVER_LEARNT = 1000


@dataclass(frozen=True)
class Export:
    """Scores written for another program: artifacts of the run, and a file or folder `path` if one was asked for."""

    run_id: str
    path: Path | None

    def summary(self) -> str:
        """Where it is."""
        written = "" if self.path is None else f"written    {self.path}\n"
        return written + tracking.whereabouts(self.run_id)


@public
def export(
    run: str | None = None, to: str = "csv", out: str | Path | None = None, data: str | Path | None = None
) -> Export:
    """Write the scores of a run as csv, or as cleanlab, FiftyOne or Dataset Cartography read them.

    Parameters
    ----------
    run : str
        Id of a score run.
    to : str
        `csv` (the whole table, with names of classes; lower easiness = easier), `cleanlab` (held-out class
        probabilities and labels; of a run without folds label quality, higher = better), `fiftyone` (fields by
        filepath) or `cartography` (jsonl of training dynamics). What is in-sample, of networks that were trained on
        these examples, says so.
    out : path, optional
        File to write, for `cleanlab` a folder; the export run's artifacts alone if not given.
    data : path, optional
        Folder of the images, or their table, for `fiftyone`.
    """
    if run is None:
        raise ValueError("run is not given; say which score run to export, with run=ID")
    one_of("to", to, FORMATS)
    if to == "fiftyone":
        existing("data", data)
    else:
        unused("data", data, "only to=fiftyone names files")
    path = absolute(out)
    if path is not None and path.exists() and path.is_dir() != (to == "cleanlab"):
        raise ValueError(f"out is {path}, a {'folder; name a file in it' if path.is_dir() else 'file; name a folder'}")
    files = exported_files(load_scores(run), to, data)
    with logged_run("export", f"export {to}") as run_id:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            tracking.log_folder(run_id, Path(folder))
        if path is not None:
            places = {path / name if to == "cleanlab" else path: content for name, content in files.items()}
            for place, content in places.items():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
    return Export(run_id, path)


def exported_files(scores: Scores, to: str, data: str | Path | None) -> dict[str, bytes]:
    """Contents by name of file."""
    table = scores.table
    origin = {"updates": scores.manifest.moment, "in_sample": True}
    if to == "cleanlab" and _HELD_OUT in table:
        return cleanlab_files(scores)
    if to == "cleanlab":
        LOG.warning(
            "run %s was made without folds, so these are qualities by networks that were trained on the examples; "
            "score with folds=5 for pred_probs, which cleanlab asks for",
            scores.run_id,
        )
        quality = cleanlab_table(table).assign(polarity="higher_is_better", **origin)
        return {"label_quality.csv": tracking.to_csv(quality).encode()}
    if to == "csv":
        named = with_names(table, scores.manifest.class_names)
        return {"easiness.csv": tracking.to_csv(named.assign(polarity=scores.manifest.polarity, **origin)).encode()}
    if to == "fiftyone":
        fields = fiftyone_fields(with_names(table, scores.manifest.class_names), image_paths(scores, data))
        return {"fields.json": (json.dumps(fields | origin, indent=1) + "\n").encode()}
    lines = cartography_lines(table["example_id"].tolist(), scores.losses_TMN, scores.measure("correct"))
    return {"td_metrics.jsonl": "".join(f"{line}\n" for line in lines).encode()}


def with_names(table: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """Table of scores with the names of classes instead of their numbers, in `label` and `predicted`."""
    names = np.asarray(class_names, object)
    numbered = [name for name in ("label", "predicted") if name in table]
    return table.assign(**{name: names[table[name].to_numpy()] for name in numbered}).drop(columns="class_name")


def cleanlab_files(scores: Scores) -> dict[str, bytes]:
    """Held-out predictions of a run with folds, as cleanlab's `Datalab` reads them, in the order of the table.

    `pred_probs.npy` (N, K) float32, every row summing to 1; `labels.csv` with example_id, file, label (0 to K - 1) and
    class_name; `class_names.json`, in the order of the columns and numbers. A ValueError where the run kept the
    greatest probabilities alone.
    """
    found, table = scores.pred_probs, scores.table
    if found.dtype.names:
        raise ValueError(
            f"run {scores.run_id} has the greatest class probabilities alone, since all of "
            f"{len(scores.manifest.class_names)} classes would be too many; use to=csv, which has the suggested labels"
        )
    pred_probs_NK = found.astype(np.float32)
    pred_probs_NK /= pred_probs_NK.sum(axis=1, keepdims=True)
    content = io.BytesIO()
    np.save(content, pred_probs_NK)
    labels = table[["example_id", "source", "label", "class_name"]].rename(columns={"source": "file"})
    return {
        "pred_probs.npy": content.getvalue(),
        "labels.csv": tracking.to_csv(labels).encode(),
        "class_names.json": (json.dumps(list(scores.manifest.class_names)) + "\n").encode(),
    }


def image_paths(scores: Scores, data: str | Path | None) -> list[str]:
    """Absolute path of every image, for data that are files, in the folder that the command names."""
    manifest, folder = scores.manifest, absolute(data)
    if manifest.opened_as not in IN_FILES:
        raise ValueError(f"fiftyone knows images by their files, and {manifest.dataset} has none; use to=csv")
    if folder is None:
        raise ValueError(f"data is not given; say data=PATH of the images, which were scored at {manifest.source}")
    sources = scores.table["source"].tolist()
    if folder.suffix.lower() in TABLE_SUFFIXES and folder.is_file():
        listed = {source_of(path, folder.parent): path for path in read_table(folder).paths}
        strange = [source for source in sources if source not in listed]
        if strange:
            raise ValueError(f"run {scores.run_id} has an image {strange[0]}, which {folder} does not list")
        paths = [Path(listed[source]) for source in sources]
    else:
        for source in map(PurePath, sources):
            if source.is_absolute() or ".." in source.parts:
                raise ValueError(f"run {scores.run_id} has an image {source}, which is not in the folder {folder}")
        paths = [folder / source for source in sources]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(paths)} images are not there, the first is {missing[0]}; say with data=PATH where "
            "they are now"
        )
    return [str(path) for path in paths]


def cleanlab_table(table: pd.DataFrame) -> pd.DataFrame:
    """Label quality as cleanlab reads it: in [0, 1], **higher = better**, one row per example of a score table.

    The quality is exp(-easiness), 0 where easiness is above 745 nats: the geometric mean over trials of the probability
    that a network gives to the label. For one trial it is cleanlab's self-confidence, but in-sample: cleanlab asks for
    probabilities of networks that did not see the example. The predicted label is of the same moment.

    Examples
    --------
    >>> table = pd.DataFrame({"example_id": [7], "source": ["a.png"], "label": [2], "easiness": [0.0]})
    >>> cleanlab_table(table)["label_quality"].tolist()
    [1.0]
    """
    quality = pd.DataFrame(
        {
            "example_id": table["example_id"],
            "source": table["source"],
            "given_label": table["label"],
            "label_quality": np.exp(-table["easiness"]),
        }
    )
    if "predicted" in table:
        quality["predicted_label"] = table["predicted"]
    return quality


def fiftyone_fields(table: pd.DataFrame, paths: Sequence[str]) -> dict[str, object]:
    """Fields of a score table with names, for FiftyOne's `Dataset.set_values(name, values, key_field="filepath")`.

    The predicted label and its share are held-out where the run has folds, beside `heldout_loss` (nats); easiness is
    in-sample.
    """
    columns = {"easiness": "easiness", "easiness_std": "easiness_std", "easiness_rank": "rank", "easiness_set": "set"}
    columns |= {name: name for name in OTHER_SCORES if name in table}
    if _HELD_OUT in table:
        columns |= {_HELD_OUT: _HELD_OUT, "predicted_label": "suggested_label", "predicted_share": "suggested_share"}
    elif "predicted" in table:
        columns |= {"predicted_label": "predicted", "predicted_share": "predicted_share"}
    fields = {
        field: {
            path: None if isinstance(value, float) and np.isnan(value) else value
            for path, value in zip(paths, table[column].tolist(), strict=True)
        }
        for field, column in columns.items()
    }
    polarity = "lower easiness (nats, 0 or more), easiness_rank (1 = easiest), el2n, aum and forgetting = easier"
    return {"key_field": "filepath", "polarity": polarity, "fields": fields}


def cartography_lines(example_ids: Sequence[int], losses_TMN: np.ndarray, correct_TMN: np.ndarray) -> list[str]:
    """Training dynamics as the lines of Dataset Cartography's `td_metrics.jsonl`, from losses in nats and 0 or 1.

    Each measure is taken of each trial over its T scored moments, as Cartography does over epochs, and averaged over
    the trials: confidence (mean probability of the label), variability (its standard deviation), correctness (moments
    at which the network was right), forgetfulness (times that a right answer was lost; 1000 where it was never right in
    any trial) and threshold_closeness (confidence times 1 - confidence). `in_sample` is ours, and true.

    Source: Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing Datasets with Training Dynamics" (2020).
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
                "in_sample": True,
            }
        )
        for index, example_id in enumerate(example_ids)
    ]
