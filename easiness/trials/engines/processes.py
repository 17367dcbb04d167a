"""Trials side by side on this machine: a process per core, or per GPU."""

import multiprocessing
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from types import ModuleType

import torch

from easiness.trials.engines.errors import picklable
from easiness.trials.trial import Finished, Progress, Report, TrialTask, run_trial

# Workers are forked from a server that imports all they need, once, and never computes: forking a process with running
# threads of torch would copy their locks in any state.
_CONTEXT = multiprocessing.get_context("forkserver")

_CHECK_EVERY_S = 1.0


def prepare_workers() -> None:
    """Start the server that forks the workers, in the background."""
    _CONTEXT.set_forkserver_preload([__name__])
    with _main_hidden():
        forkserver.ensure_running()


def worker_devices(device: torch.device, tasks: int, threads: int) -> list[torch.device]:
    """Device of each worker: at most one worker for each trial, and for each GPU or each `threads` cores."""
    if device.type == "cpu":
        count = len(os.sched_getaffinity(0)) // threads
        return [device] * max(1, min(tasks, count))
    return [torch.device(device.type, k) for k in range(min(tasks, torch.cuda.device_count()))]


def run_in_processes(tasks: list[TrialTask], device: torch.device, report: Report, finished: Finished) -> None:
    """Run trials in worker processes; see `easiness.trials.engines.run_trials`."""
    prepare_workers()
    waiting, messages = _CONTEXT.Queue(), _CONTEXT.Queue()
    for task in tasks:
        waiting.put(task)
    by_name = {task.name: task for task in tasks}
    workers = [
        _CONTEXT.Process(target=_work, args=(waiting, messages, worker_device, dict(os.environ)), daemon=True)
        for worker_device in worker_devices(device, len(tasks), max(task.recipe.threads for task in tasks))
    ]
    for _ in workers:
        waiting.put(None)
    with _main_hidden():
        for worker in workers:
            worker.start()
    checked_at = time.monotonic()
    try:
        while by_name:
            if time.monotonic() > checked_at + _CHECK_EVERY_S:  # by the clock: the queue may never be empty
                _check_alive(workers)
                checked_at = time.monotonic()
            try:
                message = messages.get(timeout=_CHECK_EVERY_S)
            except queue.Empty:
                continue
            if isinstance(message, Progress):
                report(message)
            elif isinstance(message, BaseException):
                raise message
            else:
                finished(by_name.pop(message))
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        for channel in (waiting, messages):
            channel.close()
            channel.cancel_join_thread()


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide `__main__`: each worker would import the user's program again, for nothing, before it begins."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _check_alive(workers: list[multiprocessing.Process]) -> None:
    dead = [worker for worker in workers if worker.exitcode not in (None, 0)]
    if dead:
        code = dead[0].exitcode
        cause = "killed by the system, perhaps for memory" if code == -9 else f"exit status {code}"
        raise RuntimeError(
            f"a worker process died ({cause}); finished epochs are kept, so the same command goes on from there"
        )


def _work(
    waiting: multiprocessing.Queue, messages: multiprocessing.Queue, device: torch.device, environment: dict[str, str]
) -> None:
    os.environ.update(environment)  # the server was started with an earlier one
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        while (task := waiting.get()) is not None:
            run_trial(task, device, messages.put)
            messages.put(task.name)
    except BaseException as error:
        messages.put(picklable(error))


def _leave_with_parent() -> None:
    """End this worker when its parent is gone, even by SIGKILL; it would go on training for nobody."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
