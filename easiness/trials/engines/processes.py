"""Trials side by side on this machine: a process per core, or per GPU."""

import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.util import get_temp_dir
from types import ModuleType

import torch

from easiness.machine import usable_cores
from easiness.trials.engines.errors import picklable
from easiness.trials.trial import Finished, Progress, Report, TrialTask, run_trial

# Workers are forked from a server that imports all they need, once, and never computes: forking a process with running
# threads of torch would copy their locks in any state. Only Linux forks safely; elsewhere each imports for itself.
METHOD = "forkserver" if sys.platform.startswith("linux") else "spawn"

# The path of a socket has at most 107 characters, of which the names below this folder take 40.
_LONGEST_FOLDER = 60


def prepare_workers() -> None:
    """Start the server that forks the workers, in the background; spawned ones need none."""
    if METHOD == "spawn":
        return
    from multiprocessing import forkserver, resource_tracker  # not on Windows

    multiprocessing.get_context(METHOD).set_forkserver_preload([__name__])
    # Ctrl-C is this process's, which ends the others; a blocked signal stays blocked in all that are started here. The
    # tracker would unblock it when it starts.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _main_hidden(), _short_paths():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def worker_devices(device: torch.device, tasks: int, threads: int, per_gpu: int = 1) -> list[torch.device]:
    """Device of each worker: at most one for each trial, and `per_gpu` for each GPU or one for each `threads` cores."""
    if device.type == "cpu":
        count = usable_cores() // threads
        return [device] * max(1, min(tasks, count))
    places = [torch.device(device.type, k) for _ in range(per_gpu) for k in range(torch.cuda.device_count())]
    return places[:tasks]


def run_in_processes(
    tasks: list[TrialTask], device: torch.device, report: Report, finished: Finished, per_gpu: int = 1
) -> None:
    """Run trials in worker processes; see `easiness.trials.engines.run_trials`.

    A thread of this process attends to each worker through a pipe: nothing that is shared by processes (a queue and its
    semaphores) is left behind when all of them are killed, and the death of a worker is known at once.
    """
    prepare_workers()
    waiting: queue.SimpleQueue[TrialTask] = queue.SimpleQueue()
    messages: queue.SimpleQueue[Progress | str | BaseException] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    by_name = {task.name: task for task in tasks}
    workers, context = [], multiprocessing.get_context(METHOD)
    try:
        threads = max(task.recipe.threads for task in tasks)
        for worker_device in worker_devices(device, len(tasks), threads, per_gpu):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, worker_device, dict(os.environ)), daemon=True)
            with _main_hidden():
                worker.start()
            workers.append(worker)
            theirs.close()
            threading.Thread(target=_attend, args=(worker, ours, waiting, messages), daemon=True).start()
        while by_name:
            message = messages.get()
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


def _attend(
    worker: multiprocessing.Process,
    pipe: Connection,
    waiting: "queue.SimpleQueue[TrialTask]",
    messages: "queue.SimpleQueue[Progress | str | BaseException]",
) -> None:
    """Give a worker one waiting trial after another, and pass on all that it says."""
    with pipe:
        try:
            while True:
                task = waiting.get_nowait()
                pipe.send(task)
                message = None
                while message != task.name:
                    message = pipe.recv()
                    messages.put(message)
        except queue.Empty:
            return
        except (EOFError, OSError):
            wait([worker.sentinel])
            messages.put(_death(worker))


def _death(worker: multiprocessing.Process) -> RuntimeError:
    code = worker.exitcode
    cause = "killed by the system, perhaps for memory" if code == -9 else f"exit status {code}"
    return RuntimeError(
        f"a worker process died ({cause}); finished epochs are kept, so the same command goes on from there"
    )


@contextmanager
def _short_paths() -> Iterator[None]:
    """Have sockets in the system's temporary folder where ours has a long path; chosen once, for all of them."""
    place = tempfile.gettempdir()
    try:
        if len(os.fsencode(place)) > _LONGEST_FOLDER:
            tempfile.tempdir = "/tmp"
        get_temp_dir()
        yield
    finally:
        tempfile.tempdir = place


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide `__main__`: each worker would import the user's program again, for nothing, before it begins."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _work(pipe: Connection, device: torch.device, environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the server was started with an earlier one
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        while True:
            task = pipe.recv()
            run_trial(task, device, pipe.send)
            pipe.send(task.name)
    except EOFError:  # there are no more
        return
    except BaseException as error:
        pipe.send(picklable(error))


def _leave_with_parent() -> None:
    """End this worker when its parent is gone, even by SIGKILL; it would go on training for nobody."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
