"""Trials one by one, each trained by all processes that torchrun started, on one machine or several."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from easiness.trials.distributed import Ranks, local_device
from easiness.trials.trial import Finished, Report, TrialTask, evaluate_jointly, run_trial
from easiness.trials.trial_folder import is_trained

_GRACE_S = 30


def run_under_torchrun(
    tasks: list[TrialTask], device: torch.device, report: Report, finished: Finished, ranks: Ranks
) -> None:
    """Run trials in process 0, and have the others join; see `easiness.trials.engines.run_trials`."""
    for task in tasks:
        if not is_trained(task.folder):
            ranks.broadcast(partial(_join_trial, _with_weights(task), device))
        run_trial(task, local_device(device), report, ranks)
        finished(task)


def evaluate_under_torchrun(tasks: list[TrialTask], device: torch.device, report: Report, ranks: Ranks) -> None:
    """Evaluate joint trials in all processes; see `easiness.trials.trial.evaluate_jointly`."""
    ranks.broadcast(partial(_join_evaluation, tasks, device))
    evaluate_jointly(tasks, local_device(device), report, ranks)


def join_training(ranks: Ranks) -> None:
    """Work along, in every process but process 0, until that one is done."""
    while (join := ranks.receive()) is not None:
        try:
            join(ranks)
        except FloatingPointError:
            return  # all processes get the same loss, and process 0 reports it
        except Exception:
            # torchrun ends all processes as soon as one fails; process 0 may be about to report the error, and to close
            # its runs on the server.
            time.sleep(_GRACE_S)
            raise


def _join_trial(task: TrialTask, device: torch.device, ranks: Ranks) -> None:
    run_trial(task, local_device(device), lambda _: None, ranks)


def _join_evaluation(tasks: list[TrialTask], device: torch.device, ranks: Ranks) -> None:
    evaluate_jointly(tasks, local_device(device), lambda _: None, ranks)


def _with_weights(task: TrialTask) -> TrialTask:
    """Task with the content of its weights: another machine may not have the file."""
    return replace(task, weights=task.weights.read_bytes()) if isinstance(task.weights, Path) else task
