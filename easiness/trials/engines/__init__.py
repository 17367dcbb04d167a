"""Where trials run: one after another in this process, side by side on this machine, or on a Ray cluster."""

from collections.abc import Callable

import torch

from easiness.trials.distributed import current_ranks
from easiness.trials.engines.inline import run_inline
from easiness.trials.engines.processes import prepare_workers, run_in_processes
from easiness.trials.engines.torchrun import run_under_torchrun
from easiness.trials.trial import Progress, TrialTask, evaluate_jointly

ENGINES = ("auto", "processes", "inline", "ray")

__all__ = ["ENGINES", "choose_engine", "prepare_workers", "run_trials"]


def choose_engine(engine: str, device: torch.device, tasks: int) -> str:
    """Settle `auto`: side by side where a machine has several cores or GPUs for several trials, else one by one.

    Raises
    ------
    ValueError
        If there is no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, and must be one of {', '.join(ENGINES)}")
    if current_ranks().size > 1:
        if engine != "auto":
            raise ValueError(f"engine is {engine!r}, and torchrun has started processes for one training; use auto")
        return "torchrun"
    if engine == "auto":
        return "processes" if tasks > 1 and (device.type == "cpu" or torch.cuda.device_count() > 1) else "inline"
    return engine


def run_trials(
    tasks: list[TrialTask],
    *,
    engine: str,
    device: torch.device,
    report: Callable[[Progress], None],
    finished: Callable[[TrialTask], None],
    address: str = "auto",
) -> None:
    """Run trials; each leaves its results in its own folder.

    Parameters
    ----------
    tasks : list of TrialTask
        No two of one name; each may have its own recipe and data.
    engine : str
        `inline`, `processes`, `ray` or `together`, as `choose_engine` settled it.
    device : torch.device
        Where to train; `processes` and `ray` give each trial a GPU of its own where it is one.
    report : callable
        Gets every `Progress`, in this process.
    finished : callable
        Gets every task as soon as its trial is complete, in this process.
    address : str
        Of the Ray cluster: `auto` finds the one that runs here, `local` starts one for these trials.

    Raises
    ------
    Exception
        Whatever the first failing trial raised; the others are stopped, and go on from their checkpoints next time.
    """
    joint = tasks[0].joint
    # Joint trials are finished together, by one scoring pass of this process.
    trained = (lambda task: None) if joint else finished
    if engine == "inline":
        run_inline(tasks, device, report, trained)
    elif engine == "processes":
        run_in_processes(tasks, device, report, trained)
    elif engine == "torchrun":
        run_under_torchrun(tasks, device, report, trained, current_ranks())
    else:
        # Ray is an optional dependency, and takes seconds to import.
        from easiness.trials.engines.ray import run_on_cluster

        run_on_cluster(tasks, device, report, trained, address)
    if joint:
        evaluate_jointly(tasks, device, report)
        for task in tasks:
            finished(task)
