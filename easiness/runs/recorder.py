"""Recorder of the losses of every example in a training loop of the user's own, logged as a trial."""

import hashlib
import json
import logging
import os
import re
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import distributed

from easiness import tracking
from easiness.datasets.given import given_dataset
from easiness.files import Write, checksum, work_folder, write_whole
from easiness.recipes.schedule import early_update
from easiness.runs.checks import at_least, typed
from easiness.runs.score.recorded import described_files
from easiness.runs.trial_log import PATIENCE_S
from easiness.tracking import DataDescription, RecordManifest, TrackingError, TrialManifest
from easiness.trials.distributed import current_ranks
from easiness.trials.evaluation import MEASURES, ExampleMetrics, logit_metrics, require_finite
from easiness.trials.trial_folder import EPOCHS, array_file, measure_file, metrics_files, remove_folder

LOG = logging.getLogger("easiness")

# Losses that were seen in training mode, of augmented views, by a network that changed meanwhile: never easiness.
TRAINING_LOSSES = "training_losses"

_NAMED = 5


@dataclass(eq=False, repr=False)
class Recorder:
    """Record of every training example's loss in a loop of your own, as a trial that `collect` makes scores of.

    For each moment: `update` with the logits of every example in eval mode, in any order, then `checkpoint`. `finish`
    logs the trial; a `with` block does, and ends the run as FAILED where the loop fails. Under `torch.distributed`
    every process has a Recorder and updates its part, and the first process writes.

    Attributes
    ----------
    labels : array of int
        (N,) labels from 0 to K - 1, in the order in which all arrays are stored.
    ids : array of int or str, optional
        (N,) names of the examples, each once; the rows 0 to N - 1 if not given. They are part of the fingerprint.
    class_names : sequence of str, optional
        Names of the K classes; their numbers if not given. They are part of the fingerprint.
    sources : sequence of str, optional
        Origin of every example, such as its file.
    images : sequence, optional
        (N, H, W, 3) uint8 RGB, or N such images of any size: then the fingerprint covers them, and some are kept for
        the pages.
    digests : array of uint8, optional
        (N, 16) BLAKE2b-128 of the content instead, as `Dataset.digests` has it.
    name : str
        Name of the data.
    model : str
        Name of the network.
    trial : int
        Number of the trial; it changes nothing.
    weights : str
        Name of the trained weights that the training starts from, or `none`; `match` says so.
    updates_per_epoch, schedule_epochs : int, optional
        Updates of an epoch, and epochs of the whole training, for the names of moments.
    """

    labels: ArrayLike
    _: KW_ONLY
    ids: ArrayLike | None = None
    class_names: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    images: Sequence | None = None
    digests: np.ndarray | None = None
    name: str = "recorded"
    model: str = "own model"
    trial: int = 0
    weights: str = "none"
    updates_per_epoch: int | None = None
    schedule_epochs: int | None = None
    run_id: str | None = field(default=None, init=False)  # of the trial's run; None in all processes but the first
    updates: tuple[int, ...] = field(default=(), init=False)  # moments at which all examples were measured

    def __post_init__(self) -> None:
        for name in ("name", "model", "weights"):
            typed(name, getattr(self, name), str)
        for name in ("trial", "updates_per_epoch", "schedule_epochs"):
            typed(name, getattr(self, name), int | None)
            at_least(name, getattr(self, name), int(name != "trial"))
        given = {name: getattr(self, name) for name in ("ids", "class_names", "sources", "images", "digests")}
        self.dataset = given_dataset(self.name, self.labels, **given)
        self.ids = self.dataset.example_ids if self.ids is None else np.asarray(self.ids)
        self._labels, self._rows = torch.from_numpy(self.dataset.labels), pd.Index(self.ids)
        # Of this process: (rows, (5, B) measures) of every update since the last checkpoint, in eval and training mode.
        self._seen: dict[bool, list[tuple[np.ndarray, torch.Tensor]]] = {False: [], True: []}
        self._passes: list[dict[str, float]] = []
        self._last, self._done = -1, False
        self._live = True  # whether the server answers
        self._ranks = current_ranks()
        if not self._ranks.is_main:
            return
        tags = {"easiness.model": self.model, "easiness.dataset": self.name, "easiness.recorded": "true"}
        tags |= {"easiness.trial": str(self.trial), "easiness.fingerprint": self.fingerprint}
        self.run_id = tracking.start_run("trial", f"record {self.model} on {self.name}, trial {self.trial}", tags)
        # A Recorder that nobody finished, since its loop failed or the program ended, leaves no run open.
        self._closing = weakref.finalize(self, _close, self.run_id, "FAILED", self._folder, os.getpid())

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.fail("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    @property
    def fingerprint(self) -> str:
        """Fingerprint of ids, labels and class names, and of the content where it is known."""
        return self.dataset.fingerprint

    @torch.no_grad()
    def update(self, ids: ArrayLike, logits: ArrayLike, *, training: bool = False) -> None:
        """Take the logits of some examples, (B, K) or (K,) of one, for the next checkpoint.

        They may be of any library and float type; measures are computed in float32, by the function that `score` uses.
        Of an example that comes twice before a checkpoint, the last logits count. With `training`, they are of the
        network in training mode: their losses are stored apart, as `training_losses`, and are no easiness.
        """
        if self._done:
            raise ValueError("the Recorder is finished; make another one for another trial")
        if isinstance(ids, torch.Tensor):
            ids = ids.cpu()
        ids_B = np.atleast_1d(np.asarray(ids))
        if not isinstance(logits, torch.Tensor):
            logits = torch.from_numpy(np.array(logits, np.float32))
        logits_BK = logits.detach().float()
        logits_BK = logits_BK[None] if logits_BK.ndim == 1 else logits_BK
        shape = (len(ids_B), self.dataset.num_classes)
        if logits_BK.shape != shape or ids_B.ndim != 1:
            raise ValueError(
                f"logits have shape {tuple(logits_BK.shape)} for ids of shape {ids_B.shape}, and must have {shape}: a "
                f"row for each id, a column for each of {shape[1]} classes"
            )
        rows_B = self._rows.get_indexer(ids_B)
        if len(unknown := ids_B[rows_B < 0]):
            raise ValueError(f"{len(unknown)} of {len(ids_B)} ids are not among those of the Recorder: {_few(unknown)}")
        metrics = logit_metrics(logits_BK, self._labels[rows_B].to(logits_BK.device))
        # They stay on the device until the checkpoint, so that the device does not wait.
        self._seen[training].append((rows_B, metrics))

    def checkpoint(self, updates: int, *, epoch: int | None = None, **metrics: float) -> None:
        """Close a pass: every example was updated since the last checkpoint, after so many updates of the weights.

        `updates` grow from checkpoint to checkpoint; `metrics`, such as `val_accuracy=0.9`, are logged with them, by
        `epoch`, which follows from `updates_per_epoch` if not given, or is the number of the checkpoint.
        ValueError for examples without logits, with their number and the first five: they may be updated, and the
        checkpoint closed again. FloatingPointError for losses that are NaN or infinite, at which `score` ends a trial,
        too. After `update(training=True)` alone, only the losses of training mode are stored, and some may be missing.
        """
        typed("updates", updates, int)
        if self._done or updates <= self._last:
            said = "the Recorder is finished" if self._done else f"must be above {self._last}, the last checkpoint's"
            raise ValueError(f"updates is {updates}, and {said}")
        found = {training: self._gathered(seen) for training, seen in self._seen.items()}
        files: dict[str, Write] = {}
        if epoch is None:
            epoch = round(updates / self.updates_per_epoch) if self.updates_per_epoch else len(self._passes) + 1
        # MLflow refuses other characters.
        entry = {re.sub(r"[^/\w. -]", "_", name): float(value) for name, value in metrics.items()}
        entry |= {"epoch": epoch, "update": updates, "time": time.time_ns() // 1_000_000}
        if found[False] is not None or found[True] is None:
            measured = self._whole_pass(found[False])
            files |= metrics_files(updates, measured)
            entry["recorded_loss"] = float(measured.losses.mean(dtype=np.float64))
            entry["recorded_accuracy"] = float(measured.correct.mean(dtype=np.float64))
        if found[True] is not None:
            rows, values = found[True]
            losses_N = np.full(len(self.dataset), np.nan, np.float32)
            losses_N[rows] = values[0]
            self._require_finite(losses_N[np.unique(rows)], np.unique(rows))
            files[measure_file(TRAINING_LOSSES, updates)] = array_file(losses_N)
        if self._ranks.is_main:
            write_whole(self._folder, files)
        self._passes.append(entry)
        self._last = updates
        self.updates += (updates,) if measure_file("losses", updates) in files else ()
        self._seen = {False: [], True: []}
        if self._ranks.is_main and self._live:
            try:
                tracking.log_epochs(self.run_id, self._passes[-1:])
            except TrackingError as error:
                self._live = False
                LOG.warning("%s; recording goes on, and is logged at its end", error)

    def finish(self) -> str | None:
        """Log the trial and end its run; returns the run id, in the first process.

        Where the server is gone, the arrays stay on the disk, and `finish` may be called again.
        """
        if self._done or not self._ranks.is_main:
            self._done = True
            return self.run_id
        if not self.updates:
            self.fail()
            raise ValueError(
                "no pass over all examples in eval mode was closed by checkpoint, so there is nothing to log; losses "
                "in training mode are no easiness"
            )
        if self._seen[False]:
            LOG.warning("the updates after the last checkpoint are left out")
        self._write_description()
        self._closing.detach()  # from here on nothing is dropped
        for pause in (*PATIENCE_S, None):
            try:
                self._send()
                break
            except TrackingError as error:
                if pause is None:
                    kept = f"the recording is kept in {self._folder}: call finish() again"
                    raise TrackingError(f"{error}; {kept}") from error
                time.sleep(pause)
        self._done = True
        remove_folder(self._folder)
        return self.run_id

    def fail(self, status: str = "FAILED") -> None:
        """End the run as FAILED or KILLED, and drop what was recorded."""
        self._done = True
        if self._ranks.is_main and self._closing.detach():
            _close(self.run_id, status, self._folder, os.getpid())

    def _send(self) -> None:
        tracking.log_data(self.run_id, self._description)
        tracking.log_settings(self.run_id, {name: getattr(self, name) for name in ("model", "weights", "trial")})
        tracking.log_epochs(self.run_id, self._passes)
        tracking.log_folder(self.run_id, self._folder)
        tracking.log_manifest(self.run_id, self._manifest())
        tracking.set_tags(self.run_id, {"easiness.trial_digest": self._digest})
        tracking.end_child(self.run_id, "FINISHED")

    @property
    def _folder(self) -> Path:
        return work_folder() / "recorded" / self.run_id

    @property
    def _digest(self) -> str:
        """Name of this recording, unlike that of any trial of a recipe."""
        content = {"recorded": self.run_id, "data": self.fingerprint, "model": self.model, "trial": self.trial}
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def _description(self) -> DataDescription:
        data = self.dataset
        return DataDescription(self.name, "train", "recorded", self.fingerprint, len(data), data.num_classes)

    def _gathered(self, seen: list[tuple[np.ndarray, torch.Tensor]]) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows and (5, n) measures of this pass in all processes, in the order of their ranks; None if there are none.

        Every process gets all, so that all refuse an incomplete pass.
        """
        rows = [rows for rows, _ in seen]
        values = [metrics.cpu().numpy() for _, metrics in seen]
        parts = [(np.concatenate(rows), np.concatenate(values, axis=1))] if seen else []
        if self._ranks.size > 1:
            gathered: list = [None] * self._ranks.size
            distributed.all_gather_object(gathered, parts)
            parts = [part for of_rank in gathered for part in of_rank]
        if not parts:
            return None
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([values for _, values in parts], axis=1)

    def _whole_pass(self, found: tuple[np.ndarray, np.ndarray] | None) -> ExampleMetrics:
        """Measures of all examples; a ValueError names those that are missing."""
        count = len(self.dataset)
        values = np.full((len(MEASURES), count), np.nan, np.float32)
        has_N = np.zeros(count, bool)
        if found is not None:
            values[:, found[0]] = found[1]
            has_N[found[0]] = True
        if not has_N.all():
            missing = self.ids[~has_N]
            raise ValueError(
                f"{len(missing):,} of {count:,} examples have no logits in eval mode since the last checkpoint: "
                f"{_few(missing)}; update them, and call checkpoint again"
            )
        self._require_finite(values[0], np.arange(count))
        return ExampleMetrics(*values)

    def _require_finite(self, losses_n: np.ndarray, rows_n: np.ndarray) -> None:
        try:
            require_finite(losses_n)
        except FloatingPointError as error:
            bad = self.ids[rows_n[~np.isfinite(losses_n)]]
            raise FloatingPointError(f"{error}: {_few(bad)}") from error

    def _write_description(self) -> None:
        """Write what is known of the training, its examples and some of their pictures."""
        per_epoch = self.updates_per_epoch
        record = RecordManifest(
            dataset=self.name,
            class_names=self.dataset.class_names,
            content=self.images is not None or self.digests is not None,
            model=self.model,
            weights=self.weights,
            updates_per_epoch=per_epoch,
            schedule_epochs=self.schedule_epochs,
        )
        moments = self.updates[-1] if per_epoch is None else early_update(self.updates, per_epoch), self.updates[-1]
        early_N, last_N = (np.load(self._folder / measure_file("losses", moment)) for moment in moments)
        epochs = json.dumps(self._passes, indent=1) + "\n"
        files = described_files(record, self.dataset, early_N, last_N)
        write_whole(self._folder, files | {EPOCHS: lambda path: path.write_text(epochs)})

    def _manifest(self) -> TrialManifest:
        files = [path for path in sorted(self._folder.rglob("*")) if path.is_file()]
        return TrialManifest(
            checksums={path.relative_to(self._folder).as_posix(): checksum(path) for path in files},
            digest=self._digest,
            trial=self.trial,
            fingerprint=self.fingerprint,
            updates=self.updates,
        )


def _close(run_id: str, status: str, folder: Path, process: int) -> None:
    """End a run whose recording is dropped; not from a process that inherited the Recorder."""
    if os.getpid() == process:
        with suppress(TrackingError):
            tracking.end_child(run_id, status)
        remove_folder(folder)


def _few(values: np.ndarray) -> str:
    """First five of some ids, and how many more there are."""
    more = f" and {len(values) - _NAMED:,} more" * (len(values) > _NAMED)
    return ", ".join(map(str, values[:_NAMED].tolist())) + more
