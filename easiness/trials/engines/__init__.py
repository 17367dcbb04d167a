"""Engines that run trials: one by one in this process, side by side on this machine, or on a Ray cluster."""

import torch

from easiness.trials.distributed import current_ranks
from easiness.trials.engines.processes import prepare_workers, run_in_processes
from easiness.trials.engines.torchrun import run_under_torchrun
from easiness.trials.trial import Finished, Report, TrialTask, evaluate_jointly, run_trial

ENGINES = ("auto", "processes", "inline", "ray")

__all__ = ["ENGINES", "choose_engine", "prepare_workers", "run_trials"]


def choose_engine(engine: str, device: torch.device, tasks: int) -> str:
    """Settle `auto`: `processes` where a machine has several cores or GPUs for several trials, else `inline`.

    Under torchrun it is `torchrun`, and any other engine is a ValueError, as is an unknown one.
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
    report: Report,
    finished: Finished,
    address: str = "auto",
) -> None:
    """Run trials; each leaves its results in its folder.

    The first error of a trial is raised; the other trials are stopped, and resume at their checkpoints next time.

    Tasks have different names, and may have different recipes and data. `engine` comes from `choose_engine`; with
    `processes` and `ray`, each trial gets a GPU to itself where `device` is one. In this process, `report` gets every
    `Progress`, and `finished` every task as soon as its trial is complete. `address` is that of the Ray cluster: `auto`
    finds the one that runs here, `local` starts one for these trials.
    """
    joint = tasks[0].joint
    # Joint trials are completed together, by one scoring pass of this process.
    trained = (lambda task: None) if joint else finished
    if engine == "inline":
        for task in tasks:
            run_trial(task, device, report)
            trained(task)
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
