"""Trials and the tracking server together: take what is finished, run what is missing, log each as it ends."""

import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from easiness import tracking
from easiness.datasets import Dataset
from easiness.loaders import Staged, restage, stage
from easiness.recipes.recipe import Recipe
from easiness.runs.progress import TrialDisplay
from easiness.runs.trial_log import WORK, Job, TrialLog, WaitingJob
from easiness.tracking.host import HOST, is_alive
from easiness.trials.engines import choose_engine, run_trials
from easiness.trials.trial import Progress, TrialTask, work_in_trial
from easiness.trials.trial_folder import in_use

# How long to wait for a server that went away, before the results are left on disk for the next call.
_PATIENCE_S = (5, 15, 40)

LOG_MODELS = ("last", "all", "none")
SCORE_PASSES = ("each", "joint")


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


class SharedData:
    """Training and validation set, staged when first needed and once for any number of jobs; a context manager.

    Parameters
    ----------
    train, val : Dataset
        Training and validation set.
    """

    def __init__(self, train: Dataset, val: Dataset) -> None:
        self.train, self.val = train, val
        self._folders = ExitStack()
        self._staged: dict[tuple[str, int, bool], tuple[Staged, Staged]] = {}

    def __enter__(self) -> "SharedData":
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.close()

    def staged(self, recipe: Recipe, rows: np.ndarray | None, *, in_files: bool) -> tuple[Staged, Staged]:
        """Training examples of a job, and the validation set; `in_files` where other processes open them."""
        key = (recipe.loader, recipe.resolution, in_files)
        if key not in self._staged:
            folder = self._folders.enter_context(_work_folder()) if in_files else None
            self._staged[key] = stage(self.train, self.val, recipe, folder)
        return restage(*self._staged[key], recipe, rows)

    def fingerprints(self, rows: np.ndarray | None) -> tuple[str, str]:
        """Of the training examples of a job, and of the validation set."""
        return self.train.fingerprint if rows is None else self.train.fingerprint_of(rows), self.val.fingerprint


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
    score_pass: str = "each",
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
    score_pass : str
        `each`: every trial measures as it goes; `joint`: one pass over the data for all trials of a moment, at the end.
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
    jobs = [Job(recipe, trial) for trial in numbers]
    models = names_with_model(jobs, log_models)
    with SharedData(train, val) as data:
        return tracked_jobs(
            jobs,
            data,
            run_id=run_id,
            device=device,
            engine=engine,
            address=address,
            with_model=models,
            score_pass=score_pass,
            as_children=as_children,
        )


def names_with_model(jobs: Sequence[Job], log_models: str) -> set[str]:
    """Names of the jobs whose final network is to be logged: of the `last` one, of `all` or of `none`."""
    if log_models not in LOG_MODELS:
        raise ValueError(f"log_models is {log_models!r}, and must be one of {', '.join(LOG_MODELS)}")
    names = [job.name for job in jobs]
    return set({"last": names[-1:], "all": names, "none": []}[log_models])


def tracked_jobs(
    jobs: Sequence[Job],
    data: SharedData,
    *,
    run_id: str,
    device: torch.device,
    engine: str = "auto",
    address: str = "auto",
    with_model: Collection[str] = (),
    score_pass: str = "each",
    as_children: bool = True,
) -> list[TrackedTrial]:
    """Have trials of any recipes and subsets on the tracking server, all in one pool, the longest first.

    Parameters
    ----------
    jobs : sequence of Job
        What is wanted; equal ones (recipe, number, examples) are trained once.
    data : SharedData
        What the jobs' rows are rows of.
    run_id, device, engine, address, score_pass, as_children
        As in `tracked_trials`; a joint pass is for jobs of the same recipe and examples.
    with_model : collection of str
        Names of the jobs whose final network is logged.

    Returns
    -------
    list of TrackedTrial
        In the order of the jobs.

    Raises
    ------
    DivergedError, TrackingError
        As `tracked_trials`.
    """
    if score_pass not in SCORE_PASSES:
        raise ValueError(f"score_pass is {score_pass!r}, and must be one of {', '.join(SCORE_PASSES)}")
    if score_pass == "joint" and device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("score_pass is 'joint', which scores in this process, and torch finds no GPU here; use each")
    fingerprints = [data.fingerprints(job.rows) for job in jobs]
    digests = [job.recipe.trial_digest(job.trial, own) for job, own in zip(jobs, fingerprints, strict=True)]
    found = {}
    for kind in {job.kind for job in jobs}:
        found |= tracking.find_trials(run_id, digests, kind)
    waiting: dict[str, WaitingJob] = {}
    for job, digest, (fingerprint, _) in zip(jobs, digests, fingerprints, strict=True):
        if digest in found:
            print(f"{job.name}  found finished in run {found[digest]}", file=sys.stderr)
        elif digest not in {other.digest for other in waiting.values()}:
            waiting[job.name] = WaitingJob(job, digest, fingerprint)
    if waiting:
        busy = [name for name, each in waiting.items() if in_use(each.folder)]
        if busy:
            raise ValueError(f"{busy[0]} of this recipe is running in another process; wait for it")
        engine = choose_engine(engine, device, len(waiting))
        images = {
            name: work_in_trial(job.recipe, len(data.train) if job.rows is None else len(job.rows), len(data.val))
            for name, job in ((name, each.job) for name, each in waiting.items())
        }
        tasks = []
        for name in sorted(waiting, key=images.get, reverse=True):
            job = waiting[name].job
            staged = data.staged(job.recipe, job.rows, in_files=engine in ("processes", "together"))
            tasks.append(TrialTask(job.recipe, job.trial, *staged, waiting[name].folder, name, score_pass == "joint"))
        epochs = {task.name: task.recipe.epochs for task in tasks}
        log = TrialLog(run_id, waiting, with_model, as_children)
        with TrialDisplay(images, epochs) as display, log:

            def report(progress: Progress) -> None:
                display.report(progress)
                log.report(progress)

            def finished(task: TrialTask) -> None:
                display.finished(task.name)
                log.finished(task)

            run_trials(tasks, engine=engine, device=device, report=report, finished=finished, address=address)
            log.send_waiting(patience=_PATIENCE_S)
        found |= log.run_ids
    return [TrackedTrial(job.trial, found[digest], digest) for job, digest in zip(jobs, digests, strict=True)]


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Make a folder for staged images, and remove those of processes that were killed."""
    WORK.mkdir(exist_ok=True)
    prefix = f"staged-{HOST}-"
    for left_behind in WORK.glob(f"{prefix}*-*"):
        if not is_alive(int(left_behind.name.removeprefix(prefix).split("-")[0])):
            shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix=f"{prefix}{os.getpid()}-") as folder:
        yield Path(folder)
