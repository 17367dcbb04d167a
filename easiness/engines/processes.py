"""Trials side by side on this machine: a process per core, or per GPU."""

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import wait

import torch

from easiness.engines.errors import picklable
from easiness.trials import Progress, TrialTask, run_trial


def worker_devices(device: torch.device, tasks: int, threads: int) -> list[torch.device]:
    """Device of every worker process: for `tasks` trials the cores that this process may use, or the GPUs.

    Parameters
    ----------
    device : torch.device
        A kind of device; a GPU stands for all GPUs.
    tasks : int
        Number of trials.
    threads : int
        Threads of one trial on the CPU.
    """
    if device.type == "cpu":
        count = len(os.sched_getaffinity(0)) // threads
        return [device] * max(1, min(tasks, count))
    return [torch.device(device.type, k) for k in range(min(tasks, torch.cuda.device_count()))]


def run_in_processes(
    tasks: list[TrialTask],
    device: torch.device,
    report: Callable[[Progress], None],
    finished: Callable[[TrialTask], None],
) -> None:
    """Run trials in worker processes; see `easiness.engines.run_trials`."""
    # A spawned process starts clean; a forked one would inherit torch's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    waiting, news = context.Queue(), context.Queue()
    for task in tasks:
        waiting.put(task)
    by_name = {task.name: task for task in tasks}
    workers = [
        context.Process(target=_work, args=(waiting, news, worker_device), daemon=True)
        for worker_device in worker_devices(device, len(tasks), max(task.recipe.threads for task in tasks))
    ]
    for _ in workers:
        waiting.put(None)
    for worker in workers:
        worker.start()
    try:
        while by_name:
            try:
                item = news.get(timeout=1.0)
            except queue.Empty:
                _check_alive(workers)
                continue
            if isinstance(item, Progress):
                report(item)
            elif isinstance(item, BaseException):
                raise item
            else:
                finished(by_name.pop(item))
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        for channel in (waiting, news):
            channel.close()
            channel.cancel_join_thread()


def _check_alive(workers: list[multiprocessing.Process]) -> None:
    fallen = [worker for worker in workers if worker.exitcode not in (None, 0)]
    if fallen:
        code = fallen[0].exitcode
        cause = "killed by the system, perhaps for memory" if code == -9 else f"exit status {code}"
        raise RuntimeError(
            f"a worker process died ({cause}); finished epochs are kept, so the same command goes on from there"
        )


def _work(waiting: multiprocessing.Queue, news: multiprocessing.Queue, device: torch.device) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        while (task := waiting.get()) is not None:
            run_trial(task, device, news.put)
            news.put(task.name)
    except BaseException as error:
        news.put(picklable(error))


def _leave_with_parent() -> None:
    """End this worker when its parent is gone, even by SIGKILL: an orphan would go on training for nobody."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
