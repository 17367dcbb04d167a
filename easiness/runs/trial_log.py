"""Log of trials on the tracking server: a run for each, its epochs while it trains, its results when it ends."""

import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from easiness import tracking
from easiness.architectures.torchvision_import import import_torchvision
from easiness.files import Checksum, DamagedError, work_folder, write_whole
from easiness.recipes.recipe import Recipe
from easiness.runs.sending import Sender
from easiness.tracking import TrackingError, TrialManifest, WeightsManifest
from easiness.trials.evaluation import MEASURES
from easiness.trials.trial import Progress, TrialTask, example_batch, load_model
from easiness.trials.trial_folder import EPOCHS, HELD_OUT, MODEL, Ledger, artifact_files, read_measure, remove_folder

LOG = logging.getLogger("easiness")

# How long to wait for a server that went away, before the results are left on disk for the next call.
PATIENCE_S = (5, 15, 40)

# How long an upload may go on when a signal stops this process, which has some ten seconds.
_LEAVING_S = 3.0


@dataclass(frozen=True, eq=False)
class Trial:
    """Description of a trial that is wanted."""

    recipe: Recipe  # how to train and when to measure
    number: int  # number of the trial, from 0
    rows: np.ndarray | None = None  # rows of the training set to train on, ascending; None = all
    name: str = ""  # name of its run, unlike any other of one call; "trial 3" if nothing is given
    kind: str = "trial"  # the tag `easiness.kind` of its run
    tags: dict[str, str] = field(default_factory=dict)  # more tags of its run
    # The other rows, ascending: it measures all, and these are its validation set; None = a validation set apart.
    held_out: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"trial {self.number}")


@dataclass(eq=False)
class TrialRecord:
    """Record of where a trial is: in a folder of this machine until its run on the server holds it."""

    trial: Trial
    digest: str  # name by which it is known: recipe, number and data
    fingerprint: str  # fingerprint of the examples that it measures
    updates: tuple[int, ...]  # T scored moments
    class_names: tuple[str, ...]
    run_id: str = ""  # run that holds the finished trial; empty while there is none
    # (T, N) of the measures that were asked for, where the trial was finished or verified on this machine.
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder in which the trial works, and its results wait."""
        return work_folder() / "trials" / self.digest[:16]

    @property
    def claim(self) -> Path:
        """File that the command which works on this trial keeps locked."""
        return work_folder() / "claims" / self.digest[:16]

    @property
    def files(self) -> list[str]:
        """Paths of the artifacts of the finished trial."""
        return artifact_files(self.updates, held_out=self.trial.held_out is not None)

    def measure(self, name: str) -> np.ndarray:
        """(T, N) float32 of a measure; fetched from the server where the trial was not finished here."""
        if name not in self.arrays:
            self.arrays[name] = tracking.read_trials([self.run_id], name, self.updates, self.fingerprint)[:, 0]
        return self.arrays[name]


@dataclass(frozen=True)
class TrialOptions:
    """Logging and scoring of trials; a joint pass is for trials of the same recipe and examples."""

    with_model: Collection[str] = ()  # names of the trials whose final network is logged
    # `each`: every trial measures as it goes; `joint`: one pass over the data for all trials of a moment, at the end.
    score_pass: str = "each"
    as_children: bool = True  # False logs a single trial on the run itself
    measures: Sequence[str] = ()  # measures to keep in memory of trials that are finished here


class TrialLog:
    """Runs of trials below one run. A server that goes away delays them, and loses nothing: results wait on disk.

    A record gets its run id when its trial is uploaded: by a thread, while the next one trains. A trial whose network
    is logged is uploaded by the caller, since drawing and exporting a network use torch's global generators.
    """

    def __init__(self, parent_id: str, records: Sequence[TrialRecord], options: TrialOptions) -> None:
        self._parent_id, self._options = parent_id, options
        self._records = {record.trial.name: record for record in records}
        self._open: dict[str, str] = {}
        self._waiting: list[TrialTask] = []
        self._quiet_until = 0.0
        self._sender = Sender()

    def __enter__(self) -> "TrialLog":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is not KeyboardInterrupt:
                self._sender.finish()
        finally:
            self._sender.leave(_LEAVING_S)
            self._close("KILLED" if kind is KeyboardInterrupt else "FAILED")

    def report(self, progress: Progress) -> None:
        """Show an epoch in the UI while the trial runs; all of them are logged again, for good, at its end."""
        self._sender.check()
        if time.monotonic() < self._quiet_until:
            return
        try:
            run_id = self._child(progress.name)
            if progress.metrics:
                tracking.log_epochs(run_id, [progress.metrics])
        except TrackingError as error:
            self._quiet_until = time.monotonic() + 60
            LOG.warning("%s; training goes on, results wait on disk", error)

    def finished(self, task: TrialTask) -> None:
        """Upload a finished trial, or keep it for later."""
        if self._has_model(task):
            self._sender.wait()
        self._waiting.append(task)
        if time.monotonic() < self._quiet_until:
            return
        if any(map(self._has_model, self._waiting)):
            self.send_waiting()
        else:
            self._sender.put(self._send_waiting)

    def send_waiting(self, patience: Sequence[float] = ()) -> None:
        """Upload what waits; with patience, try again after so many seconds, and raise when all is in vain."""
        self._sender.wait()
        self._send_waiting(patience)

    def _send_waiting(self, patience: Sequence[float] = ()) -> None:
        for pause in (*patience, None):
            try:
                while self._waiting and not self._sender.stopped.is_set():
                    self._send(self._waiting[0])
                    del self._waiting[0]
                return
            except TrackingError as error:
                if not patience:
                    self._quiet_until = time.monotonic() + 60
                    return
                if pause is None:
                    names, kept = ", ".join(task.name for task in self._waiting), work_folder() / "trials"
                    raise TrackingError(
                        f"{error}; {names} are finished and kept in {kept}: the same command uploads them"
                    ) from error
                time.sleep(pause)

    def _close(self, status: str) -> None:
        """End the runs of trials that are not uploaded."""
        if not self._options.as_children:
            return
        for run_id in list(self._open.values()):
            try:
                tracking.end_child(run_id, status)
            except TrackingError:
                return

    def _has_model(self, task: TrialTask) -> bool:
        return task.name in self._options.with_model

    def _child(self, name: str) -> str:
        if name not in self._open:
            record = self._records[name]
            tags = {
                **record.trial.tags,
                "easiness.trial": str(record.trial.number),
                "easiness.trial_digest": record.digest,
                "easiness.fingerprint": record.fingerprint,
            }
            if self._options.as_children:
                with tracking.signals_held():  # a run that was made is known here, and closed
                    self._open[name] = tracking.start_child(self._parent_id, record.trial.kind, name, tags)
            else:
                tracking.set_tags(self._parent_id, tags | {"easiness.kind": record.trial.kind})
                self._open[name] = self._parent_id
        return self._open[name]

    def _send(self, task: TrialTask) -> None:
        run_id, record = self._child(task.name), self._records[task.name]
        manifest = _manifest(task, record)
        _log_results(run_id, task, self._sender.stopped)
        if self._sender.stopped.is_set():
            return
        if self._has_model(task):
            import_torchvision()  # MLflow's way to torch imports Lightning where it is, and this torchvision
            tracking.log_model(run_id, load_model(task), example_batch(task))
            manifest = replace(manifest, checksums=manifest.checksums | _log_weights(run_id, task, record))
        tracking.log_manifest(run_id, manifest)
        if self._options.as_children:
            tracking.end_child(run_id, "FINISHED")
        if record.updates:
            record.arrays = {name: read_measure(task.folder, name, record.updates) for name in self._options.measures}
        record.run_id = run_id
        del self._open[task.name]
        remove_folder(task.folder)


def _manifest(task: TrialTask, record: TrialRecord) -> TrialManifest:
    """Manifest of a finished trial; DamagedError if its folder does not hold all of it as it was written."""
    ledger, names = Ledger(task.folder), record.files
    missing = [f"{name} is missing" for name in names if name not in ledger.files]
    if ledger.damage or missing:
        raise DamagedError(f"{task.name}: {ledger.damage or missing[0]}; the same command trains it again")
    return TrialManifest(
        checksums={name: ledger.files[name] for name in names},
        digest=record.digest,
        trial=record.trial.number,
        fingerprint=record.fingerprint,
        updates=record.updates,
    )


def _log_weights(run_id: str, task: TrialTask, record: TrialRecord) -> dict[str, Checksum]:
    """Log the final weights of a trial, for others to start from; the checksums of the files."""
    recipe = task.recipe
    colours = recipe.normalization, recipe.colour_mean, recipe.colour_std
    if recipe.normalization == "channel":  # of these images, which the weights know
        colours = "fixed", *(tuple(map(float, values)) for values in (task.train.mean_C, task.train.std_C))
    network = WeightsManifest(
        model=recipe.model,
        class_names=record.class_names,
        resolution=recipe.resolution,
        **dict(zip(("normalization", "colour_mean", "colour_std"), colours, strict=True)),
    )
    with tempfile.TemporaryDirectory() as folder:
        files = {
            WeightsManifest.WEIGHTS: lambda path: shutil.copyfile(task.folder / MODEL, path),
            WeightsManifest.FILE: lambda path: path.write_text(network.to_json(), encoding="utf-8"),
        }
        written = write_whole(Path(folder), files)
        tracking.log_folder(run_id, Path(folder))
    return written


def _log_results(run_id: str, task: TrialTask, stopped: threading.Event) -> None:
    """Log a finished trial on its run, or less if stopped: settings, metrics of all epochs, arrays of all moments."""
    seeds = {f"seed_{name}": seed for name, seed in vars(task.recipe.trial_seeds(task.trial)).items()}
    tracking.log_settings(run_id, task.recipe.settings() | {"trial": task.trial} | seeds)
    tracking.log_epochs(run_id, json.loads((task.folder / EPOCHS).read_text()))
    for name in (*MEASURES, HELD_OUT, "validation"):
        if (task.folder / name).is_dir():  # a recipe may measure nothing but the validation set
            tracking.log_folder(run_id, task.folder / name, name, stopped)
