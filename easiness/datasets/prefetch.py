"""Threads that work ahead of whoever takes their results, in order, and that cannot make him wait for ever."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# An item that takes longer will never be finished. Items are small: a handful of images.
STALLED_AFTER_S = 45.0


class StalledError(RuntimeError):
    """A worker has been at one item for too long."""


class _Task:
    """One item on its way through a worker."""

    def __init__(self, item: object) -> None:
        self.item = item
        self.done = threading.Event()
        self.started = 0.0
        self.result: object = None
        self.error: BaseException | None = None


def map_ahead(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    workers: int,
    ahead: int,
    describe: Callable[[Item], str] = str,
) -> Generator[Result, None, None]:
    """Yield `work(item)` for every item, in the order of the items.

    Parameters
    ----------
    items : iterable
        Taken a few ahead of what was yielded.
    work : callable
        Runs in a thread; should leave the interpreter's lock most of the time.
    workers : int
        Threads. They end with the generator, be it exhausted or closed.
    ahead : int
        Items that are in work or waiting to be yielded.
    describe : callable
        What a message calls an item that a worker got stuck in.

    Yields
    ------
    object
        Results.

    Raises
    ------
    StalledError
        If an item takes more than `STALLED_AFTER_S` seconds.
    Exception
        Whatever `work` raised, in the place of that item's result.
    """
    todo: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
    stopped = threading.Event()

    def serve() -> None:
        while (task := todo.get()) is not None:
            task.started = time.monotonic()
            if not stopped.is_set():
                try:
                    task.result = work(task.item)
                except BaseException as error:
                    task.error = error
            task.done.set()

    # A thread that is stuck in foreign code must not keep the process from ending.
    threads = [threading.Thread(target=serve, name="crew", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    waiting: deque[_Task] = deque()
    stuck = False
    try:
        for item in items:
            waiting.append(_Task(item))
            todo.put(waiting[-1])
            if len(waiting) >= ahead:
                yield _result_of(waiting, describe)
        while waiting:
            yield _result_of(waiting, describe)
    except StalledError:
        stuck = True
        raise
    finally:
        stopped.set()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join(0 if stuck else STALLED_AFTER_S)


def _result_of(waiting: deque[_Task], describe: Callable[[Item], str]) -> Result:
    task = waiting.popleft()
    while not task.done.wait(0.2):
        # What waits for a worker has not started; the one that keeps it waiting comes first and has.
        if task.started and time.monotonic() - task.started > STALLED_AFTER_S:
            raise StalledError(f"{describe(task.item)} takes more than {STALLED_AFTER_S:g} seconds; is the disk there?")
    if task.error is not None:
        raise task.error
    return task.result
