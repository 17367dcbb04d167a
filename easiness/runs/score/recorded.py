"""What a recorded trial leaves beside its arrays: the training as far as it is known, its examples, some pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.datasets import Dataset
from easiness.datasets.duplicates import mark_duplicates
from easiness.files import Write
from easiness.runs.score.review import EXAMPLES
from easiness.runs.score.thumbnails import StoredPictures, read_thumbnails, shown_rows, write_thumbnails
from easiness.tracking import RecordManifest, RunArtifacts, TrialManifest


def described_files(record: RecordManifest, data: Dataset, early_N: np.ndarray, last_N: np.ndarray) -> dict[str, Write]:
    """Files of a recording beside its arrays.

    Of the pictures those of the hardest at the end, by the (N,) losses `last_N`, and of both ends of every class by
    `early_N`: most of what a page of such trials shows.
    """
    table = pd.DataFrame(
        {
            "example_id": data.example_ids,
            "source": data.sources.astype(object),
            "label": data.labels,
            "digest": [digest.tobytes() for digest in data.digests],
        }
    )
    files: dict[str, Write] = {
        RecordManifest.FILE: lambda path: path.write_text(record.to_json(), encoding="utf-8"),
        RecordManifest.EXAMPLES: lambda path: table.to_parquet(path, index=False),
    }
    if data.images is not None:
        ranked = table.assign(rank=early_N.argsort(kind="stable").argsort())
        hardest = np.argsort(-last_N, kind="stable")[:EXAMPLES]
        rows = np.union1d(shown_rows(ranked, last_N), hardest)
        files[RecordManifest.PICTURES] = lambda path: write_thumbnails(path, data, rows)
    return files


@dataclass(frozen=True, eq=False)
class FinishedTrial:
    """Finished trial, recorded or of a score run, with all that its own scores need."""

    run_id: str
    manifest: TrialManifest
    training: Mapping[str, object]  # fields of `RecordedTraining` that one trial knows
    data: Dataset  # its examples; their images are `StoredPictures`
    fingerprint_val: str | None = None  # of its validation set
    seeds: tuple[object, ...] | None = None  # that its own were spawned from; not known of a recorded one

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"trial {self.manifest.trial} (run {self.run_id})"


def read_recorded(trial: RunArtifacts, manifest: TrialManifest) -> FinishedTrial | None:
    """Recorded trial; None if it was trained here. ValueError if its examples are not those of its fingerprint."""
    read = tracking.read_record(trial)
    if read is None:
        return None
    record, table = read
    ids_N = table["example_id"].to_numpy(np.int64)
    data = Dataset(
        record.dataset,
        "train",
        StoredPictures(ids_N, trial.optional(RecordManifest.PICTURES, read_thumbnails) or {}),
        table["label"].to_numpy(np.int64),
        record.class_names,
        table["source"].to_numpy(str),
        ids_N,
        np.frombuffer(b"".join(table["digest"]), np.uint8).reshape(len(table), -1),
    )
    if data.fingerprint != manifest.fingerprint:
        raise ValueError(f"run {trial.run_id} has examples of another fingerprint than it says; record it again")
    names = ("model", "dataset", "content", "weights", "updates_per_epoch", "schedule_epochs")
    training = {name: getattr(record, name) for name in names}
    return FinishedTrial(trial.run_id, manifest, training, mark_duplicates(data, None) if record.content else data)
