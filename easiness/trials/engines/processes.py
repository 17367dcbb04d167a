"""Trials side by side on this machine: a process per core, or per GPU."""

import multiprocessing
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from types import ModuleType

import torch

from easiness.trials.engines.errors import picklable
from easiness.trials.trial import Progress, TrialTask, run_trial

# Workers are forked from a server that has imported all they need, once, and never computes: a process with threads of
# torch would hand these on in whatever state they are.
_CONTEXT = multiprocessing.get_context("forkserver")

_LOOK_EVERY_S = 1.0


def prepare_workers() -> None:
    """Begin to start the server of the workers, in the background, while this process has other things to do."""
    _CONTEXT.set_forkserver_preload([__name__])
    with _no_program():
        forkserver.ensure_running()


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
    """Run trials in worker processes; see `easiness.trials.engines.run_trials`."""
    prepare_workers()
    waiting, news = _CONTEXT.Queue(), _CONTEXT.Queue()
    for task in tasks:
        waiting.put(task)
    by_name = {task.name: task for task in tasks}
    workers = [
        _CONTEXT.Process(target=_work, args=(waiting, news, worker_device, dict(os.environ)), daemon=True)
        for worker_device in worker_devices(device, len(tasks), max(task.recipe.threads for task in tasks))
    ]
    for _ in workers:
        waiting.put(None)
    with _no_program():
        for worker in workers:
            worker.start()
    looked_at = time.monotonic()
    try:
        while by_name:
            if time.monotonic() > looked_at + _LOOK_EVERY_S:  # by the clock: the others may have news all the time
                _check_alive(workers)
                looked_at = time.monotonic()
            try:
                item = news.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
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


@contextmanager
def _no_program() -> Iterator[None]:
    """Hide the program that runs: each worker would run its file again, for nothing, before it begins."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _check_alive(workers: list[multiprocessing.Process]) -> None:
    fallen = [worker for worker in workers if worker.exitcode not in (None, 0)]
    if fallen:
        code = fallen[0].exitcode
        cause = "killed by the system, perhaps for memory" if code == -9 else f"exit status {code}"
        raise RuntimeError(
            f"a worker process died ({cause}); finished epochs are kept, so the same command goes on from there"
        )


def _work(
    waiting: multiprocessing.Queue, news: multiprocessing.Queue, device: torch.device, environment: dict[str, str]
) -> None:
    os.environ.update(environment)  # the server has that of its start
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
