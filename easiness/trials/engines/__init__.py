"""Engines that run trials: one by one in this process, side by side on this machine, or on a Ray cluster."""

import os
from pathlib import Path

import torch

from easiness.trials.distributed import current_ranks
from easiness.trials.engines.processes import prepare_workers, run_in_processes, worker_devices
from easiness.trials.engines.torchrun import evaluate_under_torchrun, run_under_torchrun
from easiness.trials.trial import Finished, Report, TrialTask, evaluate_jointly, run_trial

ENGINES = ("auto", "processes", "inline", "ray")

# Trials of images of at most so many pixels a side, side by side on a GPU that computes them at once.
_SMALL_TRIALS, _SMALL_SIDE = 4, 64

__all__ = [
    "ENGINES",
    "choose_engine",
    "device_on_cluster",
    "prepare_workers",
    "run_trials",
    "trials_on_gpu",
    "worker_devices",
]


def trials_on_gpu(asked: int | None, resolution: int) -> int:
    """Trials side by side on one GPU; if not asked for, several small ones where the GPU takes them at once.

    Without NVIDIA's multi-process service (MPS), the kernels of two processes take turns.
    """
    if asked is not None:
        return asked
    service = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"), "control")
    return _SMALL_TRIALS if resolution <= _SMALL_SIDE and service.exists() else 1


def choose_engine(engine: str, device: torch.device, tasks: int, per_gpu: int = 1) -> str:
    """Settle `auto`: `processes` where several trials find several cores, GPUs or places on one, else `inline`.

    Under torchrun it is `torchrun`, and any other engine is a ValueError, as is an unknown one.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, and must be one of {', '.join(ENGINES)}")
    if current_ranks().size > 1:
        if engine != "auto":
            raise ValueError(f"engine is {engine!r}, and torchrun has started processes for one training; use auto")
        return "torchrun"
    if engine == "auto":
        several = device.type == "cpu" or torch.cuda.device_count() * per_gpu > 1
        return "processes" if tasks > 1 and several else "inline"
    return engine


def device_on_cluster(address: str) -> torch.device:
    """GPU or CPU, by what the Ray cluster at this address has; the machine that asks may have none."""
    from easiness.trials.engines.ray import cluster_device

    return cluster_device(address)


def run_trials(
    tasks: list[TrialTask],
    *,
    engine: str,
    device: torch.device,
    report: Report,
    finished: Finished,
    address: str = "auto",
    per_gpu: int = 1,
) -> None:
    """Run trials; each leaves its results in its folder.

    The first error of a trial is raised; the other trials are stopped, and resume at their checkpoints next time.

    Tasks have different names, and may have different recipes and data. `engine` comes from `choose_engine`; with
    `processes` and `ray`, each trial gets a GPU where `device` is one, or shares it, `per_gpu` on each. In this
    process, `report` gets every `Progress`, and `finished` every task as soon as its trial is complete. `address` is
    that of the Ray cluster: `auto` finds the one that runs here, `local` starts one for these trials.
    """
    joint = tasks[0].joint
    # Joint trials are completed together, by one scoring pass of this process, or of all that torchrun started.
    trained = (lambda task: None) if joint else finished
    if engine == "inline":
        for task in tasks:
            run_trial(task, device, report)
            trained(task)
    elif engine == "processes":
        run_in_processes(tasks, device, report, trained, per_gpu)
    elif engine == "torchrun":
        run_under_torchrun(tasks, device, report, trained, current_ranks())
    else:
        # Ray is an optional dependency, and takes seconds to import.
        from easiness.trials.engines.ray import run_on_cluster

        run_on_cluster(tasks, device, report, trained, address, per_gpu)
    if joint:
        if engine == "torchrun":
            evaluate_under_torchrun(tasks, device, report, current_ranks())
        else:
            evaluate_jointly(tasks, device, report)
        for task in tasks:
            finished(task)
