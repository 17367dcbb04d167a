"""Trials and the tracking server together: take what is finished, run what is missing, log each as it ends."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from easiness import tracking
from easiness.datasets import Dataset
from easiness.engines import choose_engine, run_trials
from easiness.loaders import Staged, stage_resident
from easiness.measuring import MEASURES
from easiness.progress import TrialDisplay
from easiness.randomness import trial_seeds
from easiness.recipes import Recipe
from easiness.tracking import TrackingError
from easiness.trials import Progress, TrialTask, in_use, load_model, work_in_trial

# Everything that is not on the tracking server yet; git ignores it.
WORK = Path(".easiness")

# How long to wait for a server that went away, before the results are left on disk for the next call.
_PATIENCE_S = (5, 15, 40)

LOG_MODELS = ("last", "all", "none")


@dataclass(frozen=True)
class TrackedTrial:
    """A finished trial on the tracking server.

    Attributes
    ----------
    trial : int
        Its number.
    run_id : str
        Its run.
    digest : str
        Name by which it is known: recipe, data and seeds.
    """

    trial: int
    run_id: str
    digest: str


def tracked_trials(
    recipe: Recipe,
    train: Dataset,
    val: Dataset,
    *,
    run_id: str,
    numbers: Sequence[int],
    device: torch.device,
    engine: str = "auto",
    address: str = "auto",
    log_models: str = "last",
    as_children: bool = True,
) -> list[TrackedTrial]:
    """Have trials of a recipe on the tracking server.

    Finished ones are taken from there; cut-off ones go on from their last checkpoint; the rest starts.

    Parameters
    ----------
    recipe : Recipe
        How to train and when to measure.
    train, val : Dataset
        Training and validation set.
    run_id : str
        Run that new trials become children of.
    numbers : sequence of int
        Which trials of the recipe, from 0.
    device : torch.device
        Where to train.
    engine : str
        `auto`, `inline`, `processes` or `ray`.
    address : str
        Of the Ray cluster, for engine `ray`.
    log_models : str
        Of which trials to log the final network: `last`, `all` or `none`.
    as_children : bool
        False logs a single trial on the run itself.

    Returns
    -------
    list of TrackedTrial
        In the order of `numbers`.

    Raises
    ------
    DivergedError
        If a trial's loss became NaN or infinite.
    TrackingError
        If the server went away; finished trials stay on disk, and the same call uploads them.
    """
    if log_models not in LOG_MODELS:
        raise ValueError(f"log_models is {log_models!r}, and must be one of {', '.join(LOG_MODELS)}")
    fingerprints = (train.fingerprint, val.fingerprint)
    digests = {trial: recipe.trial_digest(trial, fingerprints) for trial in numbers}
    found = tracking.find_trials(run_id, digests.values())
    for trial, digest in digests.items():
        if digest in found:
            print(f"trial {trial}  found finished in run {found[digest]}", file=sys.stderr)
    missing = [trial for trial, digest in digests.items() if digest not in found]
    if missing:
        folders = {trial: WORK / "trials" / digests[trial][:16] for trial in missing}
        busy = [trial for trial in missing if in_use(folders[trial])]
        if busy:
            raise ValueError(f"trial {busy[0]} of this recipe is running in another process; wait for it")
        tracking.close_cut_off(run_id, [digests[trial] for trial in missing])
        engine = choose_engine(engine, device, len(missing))
        with _staged(train, val, recipe, in_files=engine == "processes") as (staged_train, staged_val):
            tasks = [TrialTask(recipe, trial, staged_train, staged_val, folders[trial]) for trial in missing]
            models = {"last": {numbers[-1]}, "all": set(missing), "none": set()}[log_models]
            log = _TrialLog(run_id, train.fingerprint, digests, models, as_children)
            images = work_in_trial(recipe, len(train), len(val))
            with TrialDisplay(missing, images, recipe.epochs) as display, log:

                def report(progress: Progress) -> None:
                    display.report(progress)
                    log.report(progress)

                run_trials(tasks, engine=engine, device=device, report=report, finished=log.finished, address=address)
                log.send_waiting(patience=_PATIENCE_S)
        found |= log.run_ids
    return [TrackedTrial(trial, found[digest], digest) for trial, digest in digests.items()]


class _TrialLog:
    """Runs of trials below one run. A server that goes away delays them, and loses nothing: results wait on disk."""

    def __init__(
        self, parent_id: str, fingerprint: str, digests: dict[int, str], models: set[int], as_children: bool
    ) -> None:
        self._parent_id, self._fingerprint, self._digests, self._models = parent_id, fingerprint, digests, models
        self._as_children = as_children
        self._open: dict[int, str] = {}
        self._waiting: list[TrialTask] = []
        self._quiet_until = 0.0
        self.run_ids: dict[str, str] = {}

    def __enter__(self) -> "_TrialLog":
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
            run_id = self._child(progress.trial)
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
                    numbers = ", ".join(str(task.trial) for task in self._waiting)
                    raise TrackingError(
                        f"{error}; trials {numbers} are finished and kept in {WORK / 'trials'}: the same command "
                        "uploads them"
                    ) from error
                time.sleep(pause)

    def _child(self, trial: int) -> str:
        if trial not in self._open:
            tags = {
                "easiness.trial": str(trial),
                "easiness.trial_digest": self._digests[trial],
                "easiness.fingerprint": self._fingerprint,
            }
            if self._as_children:
                self._open[trial] = tracking.start_child(self._parent_id, "trial", f"trial {trial}", tags)
            else:
                tracking.set_tags(self._parent_id, tags | {"easiness.kind": "trial"})
                self._open[trial] = self._parent_id
        return self._open[trial]

    def _send(self, task: TrialTask) -> None:
        run_id = self._child(task.trial)
        send_trial(run_id, task, with_model=task.trial in self._models)
        if self._as_children:
            tracking.end_child(run_id, "FINISHED")
        self.run_ids[self._digests[task.trial]] = run_id
        del self._open[task.trial]
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
    tracking.log_epochs(run_id, json.loads((task.folder / "metrics.json").read_text()))
    for measure in MEASURES:
        tracking.log_folder(run_id, task.folder / measure, measure)
    if with_model:
        example = next(iter(task.val.open(torch.device("cpu")).score_batches())).images[:2].numpy()
        tracking.log_model(run_id, load_model(task), example)


@contextmanager
def _staged(train: Dataset, val: Dataset, recipe: Recipe, *, in_files: bool) -> Iterator[tuple[Staged, Staged]]:
    if not in_files:
        yield stage_resident(train, val, recipe, None)
        return
    WORK.mkdir(exist_ok=True)
    for left_behind in WORK.glob("staged-*"):
        if not _alive(int(left_behind.name.split("-")[1])):
            shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix=f"staged-{os.getpid()}-") as folder:
        yield stage_resident(train, val, recipe, Path(folder))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
