"""Scores in the formats of other programs: csv, cleanlab, FiftyOne, Dataset Cartography."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.runs.checks import existing, one_of, unused
from easiness.runs.public import absolute, public
from easiness.runs.score.reading import Scores, load_scores

# File of each format.
FORMATS = {
    "csv": "easiness.csv",
    "cleanlab": "label_quality.csv",
    "fiftyone": "fields.json",
    "cartography": "td_metrics.jsonl",
}

# What Dataset Cartography writes for an example that was never right.
NEVER_LEARNT = 1000


@dataclass(frozen=True)
class Export:
    """Scores written for another program: an artifact of the run, and a file at `path` if one was asked for."""

    run_id: str
    path: Path | None

    def summary(self) -> str:
        """Where the file is."""
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
        `csv` (the whole table; lower easiness = easier), `cleanlab` (label quality; higher = better), `fiftyone`
        (fields by filepath) or `cartography` (jsonl of training dynamics). All say that the scores are in-sample: of
        networks that were trained on these examples.
    out : path, optional
        File to write; the export run's artifacts alone if not given.
    data : path, optional
        Folder of the images, for `fiftyone`.
    """
    if run is None:
        raise ValueError("run is not given; say which score run to export, with run=ID")
    one_of("to", to, tuple(FORMATS))
    if to == "fiftyone":
        existing("data", data)
    else:
        unused("data", data, "only to=fiftyone names files")
    path = absolute(out)
    if path is not None and path.is_dir():
        raise IsADirectoryError(f"out is {path}, and is a folder; name a file in it")
    text = exported_text(load_scores(run), to, data)
    with tracking.tracked_run("export", f"export {to}") as run_id:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, FORMATS[to]).write_text(text, encoding="utf-8")
            tracking.log_folder(run_id, Path(folder))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return Export(run_id, path)


def exported_text(scores: Scores, to: str, data: str | Path | None) -> str:
    """Content of the file."""
    table = scores.table
    origin = {"updates": scores.manifest.moment, "in_sample": True}
    if to == "csv":
        return tracking.to_csv(table.assign(polarity=scores.manifest.polarity, **origin))
    if to == "cleanlab":
        return tracking.to_csv(cleanlab_table(table).assign(polarity="higher_is_better", **origin))
    if to == "fiftyone":
        return json.dumps(fiftyone_fields(table, image_paths(scores, data)) | origin, indent=1) + "\n"
    lines = cartography_lines(table["example_id"].tolist(), scores.losses_TMN, scores.measure("correct"))
    return "".join(f"{line}\n" for line in lines)


def image_paths(scores: Scores, data: str | Path | None) -> list[str]:
    """Absolute path of every image, for data that are files, in the folder that the command names."""
    manifest, folder = scores.manifest, absolute(data)
    if manifest.dataset not in ("folder", "imagenet"):
        raise ValueError(f"fiftyone knows images by their files, and {manifest.dataset} has none; use to=csv")
    if folder is None:
        raise ValueError(f"data is not given; say data=FOLDER of the images, which were scored at {manifest.source}")
    sources = [PurePath(source) for source in scores.table["source"].tolist()]
    for source in sources:
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
    """Fields of a score table, for FiftyOne's `Dataset.set_values(name, values, key_field="filepath")`."""
    columns = {"easiness": "easiness", "easiness_std": "easiness_std", "easiness_rank": "rank", "easiness_set": "set"}
    fields = {
        field: {
            path: None if isinstance(value, float) and np.isnan(value) else value
            for path, value in zip(paths, table[column].tolist(), strict=True)
        }
        for field, column in columns.items()
    }
    polarity = "lower easiness (nats, 0 or more) and lower easiness_rank (1 = easiest) = easier"
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
