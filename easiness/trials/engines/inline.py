"""Trials one after another in this process: the plainest way, and the best one for a single GPU."""

from collections.abc import Callable

import torch

from easiness.trials.trial import Progress, TrialTask, run_trial


def run_inline(
    tasks: list[TrialTask],
    device: torch.device,
    report: Callable[[Progress], None],
    finished: Callable[[TrialTask], None],
) -> None:
    """Run trials in the order given; see `easiness.trials.engines.run_trials`."""
    for task in tasks:
        run_trial(task, device, report)
        finished(task)
