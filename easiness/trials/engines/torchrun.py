"""Trials one by one, each trained by all processes that torchrun started."""

import time

import torch

from easiness.trials.distributed import Ranks, local_device
from easiness.trials.trial import Finished, Report, TrialTask, run_trial
from easiness.trials.trial_folder import is_trained

_GRACE_S = 30


def run_under_torchrun(
    tasks: list[TrialTask], device: torch.device, report: Report, finished: Finished, ranks: Ranks
) -> None:
    """Run trials in process 0, and have the others join; see `easiness.trials.engines.run_trials`."""
    for task in tasks:
        if not is_trained(task.folder):
            ranks.broadcast((task, device))
        run_trial(task, local_device(device), report, ranks)
        finished(task)


def join_training(ranks: Ranks) -> None:
    """Train along, in every process but process 0, until that one is done."""
    while (message := ranks.receive()) is not None:
        task, device = message
        try:
            run_trial(task, local_device(device), lambda _: None, ranks)
        except FloatingPointError:
            return  # all processes get the same loss, and process 0 reports it
        except Exception:
            # torchrun ends all processes as soon as one fails; process 0 may be about to report the error, and to close
            # its runs on the server.
            time.sleep(_GRACE_S)
            raise
