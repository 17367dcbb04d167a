"""Trials on the tracking server: a run for each, its epochs while it runs, its results when it ends."""

import json
import shutil
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from easiness import tracking
from easiness.recipes.randomness import trial_seeds
from easiness.recipes.recipe import Recipe
from easiness.tracking import TrackingError
from easiness.trials.evaluation import MEASURES
from easiness.trials.trial import Progress, TrialTask, load_model

# Everything that is not on the tracking server yet; git ignores it.
WORK = Path(".easiness")


@dataclass(frozen=True, eq=False)
class Job:
    """A trial that is wanted.

    Attributes
    ----------
    recipe : Recipe
        How to train and when to measure.
    trial : int
        Number of the trial, from 0.
    rows : numpy.ndarray or None
        Rows of the training set to train on, ascending; None = all.
    name : str
        What its run is called, unlike any other of one call; "trial 3" if nothing is given.
    kind : str
        The tag `easiness.kind` of its run.
    tags : dict of str
        More tags of its run.
    """

    recipe: Recipe
    trial: int
    rows: np.ndarray | None = None
    name: str = ""
    kind: str = "trial"
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"trial {self.trial}")


@dataclass(frozen=True)
class WaitingJob:
    """A job that is not on the server: its digest, and the fingerprint of what it trains on."""

    job: Job
    digest: str
    fingerprint: str

    @property
    def folder(self) -> Path:
        """Where the trial works, and its results wait."""
        return WORK / "trials" / self.digest[:16]


class TrialLog:
    """Runs of trials below one run. A server that goes away delays them, and loses nothing: results wait on disk."""

    def __init__(
        self, parent_id: str, jobs: dict[str, WaitingJob], with_model: Collection[str], as_children: bool
    ) -> None:
        self._parent_id, self._jobs, self._with_model = parent_id, jobs, with_model
        self._as_children = as_children
        self._open: dict[str, str] = {}
        self._waiting: list[TrialTask] = []
        self._quiet_until = 0.0
        self.run_ids: dict[str, str] = {}

    def __enter__(self) -> "TrialLog":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if not self._as_children:
            return
        status = "KILLED" if kind is KeyboardInterrupt else "FAILED"
        for run_id in self._open.values():
            try:
                tracking.end_child(run_id, status)
            except TrackingError:
                return

    def report(self, progress: Progress) -> None:
        """Show an epoch in the UI while the trial runs; all of them are logged again, for good, at its end."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            run_id = self._child(progress.name)
            if progress.metrics:
                tracking.log_epochs(run_id, [progress.metrics])
        except TrackingError as error:
            self._quiet_until = time.monotonic() + 60
            print(f"warning: {error}; training goes on, results wait on disk", file=sys.stderr)

    def finished(self, task: TrialTask) -> None:
        """Upload a finished trial, or keep it for later."""
        self._waiting.append(task)
        if time.monotonic() >= self._quiet_until:
            self.send_waiting()

    def send_waiting(self, patience: Sequence[float] = ()) -> None:
        """Upload what waits; with patience, try again after so many seconds, and raise when all is in vain."""
        for pause in (*patience, None):
            try:
                while self._waiting:
                    self._send(self._waiting[0])
                    del self._waiting[0]
                return
            except TrackingError as error:
                if not patience:
                    self._quiet_until = time.monotonic() + 60
                    return
                if pause is None:
                    names = ", ".join(task.name for task in self._waiting)
                    raise TrackingError(
                        f"{error}; {names} are finished and kept in {WORK / 'trials'}: the same command uploads them"
                    ) from error
                time.sleep(pause)

    def _child(self, name: str) -> str:
        if name not in self._open:
            waiting = self._jobs[name]
            job = waiting.job
            tags = {
                **job.tags,
                "easiness.trial": str(job.trial),
                "easiness.trial_digest": waiting.digest,
                "easiness.fingerprint": waiting.fingerprint,
            }
            if self._as_children:
                self._open[name] = tracking.start_child(self._parent_id, job.kind, name, tags)
            else:
                tracking.set_tags(self._parent_id, tags | {"easiness.kind": job.kind})
                self._open[name] = self._parent_id
        return self._open[name]

    def _send(self, task: TrialTask) -> None:
        run_id = self._child(task.name)
        send_trial(run_id, task, with_model=task.name in self._with_model)
        if self._as_children:
            tracking.end_child(run_id, "FINISHED")
        self.run_ids[self._jobs[task.name].digest] = run_id
        del self._open[task.name]
        shutil.rmtree(task.folder)


def send_trial(run_id: str, task: TrialTask, *, with_model: bool) -> None:
    """Log a finished trial on its run: settings, metrics of all epochs, arrays of all moments, network.

    Parameters
    ----------
    run_id : str
        Of the trial.
    task : TrialTask
        Finished; its folder holds the results.
    with_model : bool
        Whether to log the final network.
    """
    recipe = task.recipe
    seeds = trial_seeds(recipe.seed, task.trial)
    tracking.log_settings(
        run_id, recipe.settings() | {"trial": task.trial} | {f"seed_{k}": v for k, v in vars(seeds).items()}
    )
    tracking.log_epochs(run_id, json.loads((task.folder / "validation" / "epochs.json").read_text()))
    for name in (*MEASURES, "validation"):
        if (task.folder / name).is_dir():  # a recipe may measure nothing but the validation set
            tracking.log_folder(run_id, task.folder / name, name)
    if with_model:
        example = next(iter(task.val.open(torch.device("cpu")).score_batches())).images[:2].numpy()
        tracking.log_model(run_id, load_model(task), example)
