"""Where trials run: one after another in this process, or side by side, one process per core."""

import multiprocessing
import os
import pickle
import queue
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait

import torch

from easiness.trials import Progress, TrialTask, measure_jointly, run_trial

ENGINES = ("auto", "processes", "inline")


def choose_engine(engine: str, device: torch.device, tasks: int) -> str:
    """Settle `auto`: side by side on a CPU with more than one trial to run, else one after another.

    Raises
    ------
    ValueError
        If there is no such engine, or it does not fit the device.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, and must be one of {', '.join(ENGINES)}")
    if engine == "processes" and device.type != "cpu":
        raise ValueError(f"engine 'processes' runs on the CPU, and the device is {device}; use engine=inline")
    if engine == "auto":
        return "processes" if device.type == "cpu" and tasks > 1 else "inline"
    return engine


def worker_count(tasks: int, threads: int) -> int:
    """Processes that run `tasks` trials of `threads` threads each on the cores this process may use."""
    return max(1, min(tasks, len(os.sched_getaffinity(0)) // threads))


def run_trials(
    tasks: list[TrialTask],
    *,
    engine: str,
    device: torch.device,
    report: Callable[[Progress], None],
    finished: Callable[[TrialTask], None],
) -> None:
    """Run trials; each leaves its results in its own folder.

    Parameters
    ----------
    tasks : list of TrialTask
        No two of one name; each may have its own recipe and data.
    engine : str
        `inline` or `processes`, as `choose_engine` settled it.
    device : torch.device
        Where to train; `processes` wants the CPU.
    report : callable
        Gets every `Progress`, in this process.
    finished : callable
        Gets every task as soon as its trial is complete, in this process.

    Raises
    ------
    Exception
        Whatever the first failing trial raised; the others are stopped, and go on from their checkpoints next time.
    """
    # Joint trials are finished together, by one scoring pass of this process.
    trained = (lambda task: None) if tasks[0].joint else finished
    if engine == "inline":
        for task in tasks:
            run_trial(task, device, report)
            trained(task)
    else:
        _run_in_processes(tasks, report, trained)
    if tasks[0].joint:
        measure_jointly(tasks, device, report)
        for task in tasks:
            finished(task)


def _run_in_processes(
    tasks: list[TrialTask], report: Callable[[Progress], None], finished: Callable[[TrialTask], None]
) -> None:
    # A spawned process starts clean; a forked one would inherit torch's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    waiting, news = context.Queue(), context.Queue()
    for task in tasks:
        waiting.put(task)
    by_name = {task.name: task for task in tasks}
    workers = [
        context.Process(target=_work, args=(waiting, news), daemon=True)
        for _ in range(worker_count(len(tasks), max(task.recipe.threads for task in tasks)))
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


def _work(waiting: multiprocessing.Queue, news: multiprocessing.Queue) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        while (task := waiting.get()) is not None:
            run_trial(task, torch.device("cpu"), news.put)
            news.put(task.name)
    except BaseException as error:
        news.put(_picklable(error))


def _leave_with_parent() -> None:
    """End this worker when its parent is gone, even by SIGKILL: an orphan would go on training for nobody."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _picklable(error: BaseException) -> BaseException:
    error.add_note(traceback.format_exc())
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class of the user's own model, with a constructor of its own
        return RuntimeError(f"{type(error).__name__}: {error}")
