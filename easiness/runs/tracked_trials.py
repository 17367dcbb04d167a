"""Trials and the tracking server together: take what is finished, run what is missing, log each as it ends."""

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace

import torch

from easiness import tracking
from easiness.datasets import Dataset
from easiness.files import locked, own_folder, work_folder
from easiness.loaders import Staged, part_of, restage, stage
from easiness.recipes.schedule import scored_updates
from easiness.runs.options import RunOptions
from easiness.runs.progress import TrialDisplay
from easiness.runs.trial_log import PATIENCE_S, Trial, TrialLog, TrialOptions, TrialRecord
from easiness.runs.weights import weights_path
from easiness.trials.distributed import on_one_machine
from easiness.trials.engines import choose_engine, run_trials, trials_on_gpu
from easiness.trials.trial import Progress, TrialTask, work_in_trial
from easiness.trials.trial_folder import remove_folder

LOG = logging.getLogger("easiness")

SCORE_PASSES = ("each", "joint")


class SharedData:
    """Training and validation set, staged when first needed and once for any number of trials; a context manager.

    Of trials with folds, the training set is both.
    """

    def __init__(self, train: Dataset, val: Dataset) -> None:
        self.train, self.val = train, val
        self._folders = ExitStack()
        self._staged: dict[tuple[str, int, bool], tuple[Staged, Staged]] = {}

    def __enter__(self) -> "SharedData":
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.close()

    def staged(self, trial: Trial, *, in_files: bool) -> dict[str, Staged]:
        """What a trial trains on, validates on, and measures; `in_files` where other processes open them."""
        recipe = trial.recipe
        key = (recipe.loader, recipe.resolution, in_files)
        if key not in self._staged:
            folder = self._folders.enter_context(own_folder(work_folder(), "staged")) if in_files else None
            self._staged[key] = stage(self.train, self.val, recipe, folder)
        if trial.held_out is None:
            return dict(zip(("train", "val"), restage(*self._staged[key], recipe, trial.rows), strict=True))
        whole, _ = restage(*self._staged[key], recipe)
        return {"train": part_of(whole, trial.rows), "val": part_of(whole, trial.held_out), "scored": whole}

    def count(self, trial: Trial) -> int:
        """Number of training examples of a trial."""
        return len(self.train) if trial.rows is None else len(trial.rows)

    def work(self, trial: Trial) -> int:
        """Images that a trial trains on and evaluates."""
        holds_out = trial.held_out is not None
        val_count = len(trial.held_out) if holds_out else len(self.val)
        return work_in_trial(trial.recipe, self.count(trial), val_count, holds_out=holds_out)

    def record(self, trial: Trial) -> TrialRecord:
        """Record of a trial on these data, which is nowhere yet."""
        fingerprint = self.train.fingerprint if trial.rows is None else self.train.fingerprint_of(trial.rows)
        digest = trial.recipe.trial_digest(trial.number, (fingerprint, self.val.fingerprint))
        updates = scored_updates(trial.recipe, self.count(trial))
        if trial.held_out is not None:
            fingerprint = self.train.fingerprint
        return TrialRecord(trial, digest, fingerprint, updates, self.train.class_names)


def run_tracked_trials(
    trials: Sequence[Trial],
    data: SharedData,
    run_id: str,
    device: torch.device,
    run: RunOptions,
    options: TrialOptions,
) -> list[TrialRecord]:
    """Run the trials that the tracking server lacks, in one pool, the longest first; returns all records in order.

    A trial that was cut off resumes at its last checkpoint, and equal ones (recipe, number, examples) are trained
    once: by another command in this folder that is at it, too, which is waited for. New ones become children of the
    run. When the server goes away, finished trials stay on disk, and the same call uploads them.
    """
    if options.score_pass == "joint" and device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("score_pass is 'joint', which scores in this process, and torch finds no GPU here; use each")
    records = [data.record(trial) for trial in trials]
    unique: dict[str, TrialRecord] = {}
    for record in records:
        unique.setdefault(record.digest, record)
    waiting = _find(run_id, list(unique.values()), options.measures)
    for record in unique.values():
        if record.run_id and record.folder.is_dir():  # of a command that was killed after its upload
            with suppress(BlockingIOError), _claimed(record, timeout=0):
                remove_folder(record.folder)
    with ExitStack() as claims:
        # In one order, so that no two commands wait for each other.
        for record in sorted(waiting, key=lambda record: record.digest):
            claims.enter_context(_claimed(record))
        # By now another command may have finished them.
        if waiting := _find(run_id, waiting, options.measures):
            _run(waiting, data, run_id, device, run, options)
    for record in records:
        twin = unique[record.digest]
        record.run_id, record.arrays = twin.run_id, twin.arrays
    return records


def _run(
    waiting: Sequence[TrialRecord],
    data: SharedData,
    run_id: str,
    device: torch.device,
    run: RunOptions,
    options: TrialOptions,
) -> None:
    """Run trials in one pool, the longest first, and log them."""
    per_gpu = trials_on_gpu(run.trials_per_gpu, max(record.trial.recipe.resolution for record in waiting))
    engine = choose_engine(run.engine, device, len(waiting), per_gpu)
    joint = options.score_pass == "joint"
    tasks = [replace(task, capture=run.capture) for task in _staged_tasks(waiting, data, engine, joint)]
    images = {record.trial.name: data.work(record.trial) for record in waiting}
    tasks.sort(key=lambda task: -images[task.name])
    log = TrialLog(run_id, waiting, options)
    with TrialDisplay(images, {task.name: task.recipe.epochs for task in tasks}) as display, log:

        def report(progress: Progress) -> None:
            display.report(progress)
            log.report(progress)

        def finished(task: TrialTask) -> None:
            display.finished(task.name)
            log.finished(task)

        where = {"engine": engine, "device": device, "address": run.address, "per_gpu": per_gpu}
        run_trials(tasks, report=report, finished=finished, **where)
        log.send_waiting(patience=PATIENCE_S)


def names_with_model(trials: Sequence[Trial], log_models: str) -> set[str]:
    """Names of the trials whose final network is to be logged: of the `last` one, of `all` or of `none`."""
    names = [trial.name for trial in trials]
    return set({"last": names[-1:], "all": names, "none": []}[log_models])


def _find(run_id: str, records: Sequence[TrialRecord], measures: Sequence[str]) -> list[TrialRecord]:
    """Give records the run that holds their trial, if all of it is as it was written; returns those without one."""
    found: dict[str, list[str]] = {}
    for kind in {record.trial.kind for record in records}:
        found |= tracking.find_trials(run_id, [record.digest for record in records], kind)
    for record in records:
        for candidate in found.get(record.digest, ()):
            try:
                record.arrays = tracking.verify_trial(candidate, record.digest, record.files, measures)
            except (ValueError, FileNotFoundError) as error:
                LOG.warning("%s  set aside, and made again: %s", record.trial.name, error)
                tracking.set_tags(candidate, {tracking.DAMAGED: str(error)})
                continue
            record.run_id = candidate
            LOG.info("%s  found finished in run %s", record.trial.name, candidate)
            break
    return [record for record in records if not record.run_id]


def _claimed(record: TrialRecord, timeout: float = math.inf) -> AbstractContextManager:
    """Claim of a trial for this command, from the search on the server to the end of the upload.

    Another command in this folder that has it is waited for; BlockingIOError when time is up.
    """

    def waiting() -> None:
        LOG.warning("%s  another command in this folder is at it; waiting, to share its result", record.trial.name)

    return locked(record.claim, timeout=timeout, waiting=waiting)


def _staged_tasks(waiting: Sequence[TrialRecord], data: SharedData, engine: str, joint: bool) -> list[TrialTask]:
    tasks = []
    for record in waiting:
        trial = record.trial
        in_files = engine == "processes" or (engine == "torchrun" and on_one_machine())
        staged = data.staged(trial, in_files=in_files)
        weights = weights_path(trial.recipe.weights_sha256) if trial.recipe.weights_sha256 else None
        about = {"folder": record.folder, "name": trial.name, "joint": joint, "weights": weights}
        tasks.append(TrialTask(trial.recipe, trial.number, **staged, **about))
    return tasks
