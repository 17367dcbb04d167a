"""Trials one after another, each trained by all processes that torchrun started."""

import time
from collections.abc import Callable

import torch

from easiness.trials.distributed import Ranks, own_device
from easiness.trials.trial import Progress, TrialTask, run_trial
from easiness.trials.trial_folder import is_trained

_GRACE_S = 30


def run_under_torchrun(
    tasks: list[TrialTask],
    device: torch.device,
    report: Callable[[Progress], None],
    finished: Callable[[TrialTask], None],
    ranks: Ranks,
) -> None:
    """Run trials in the first process, with the help of the others; see `easiness.trials.engines.run_trials`."""
    for task in tasks:
        if not is_trained(task.folder):
            ranks.broadcast((task, device))
        run_trial(task, own_device(device), report, ranks)
        finished(task)


def join_training(ranks: Ranks) -> None:
    """In every process but the first: train along until the first one is done."""
    while (message := ranks.receive()) is not None:
        task, device = message
        try:
            run_trial(task, own_device(device), lambda _: None, ranks)
        except FloatingPointError:
            return  # all processes meet the same loss, and the first one says so
        except Exception:
            # torchrun ends all processes as soon as one fails; the first one may be about to say why, and to close its
            # runs on the server.
            time.sleep(_GRACE_S)
            raise
