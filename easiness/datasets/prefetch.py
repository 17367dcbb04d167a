"""Ordered parallel map with bounded look-ahead and a stall timeout."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items are small, a handful of images: one that takes longer will never be finished.
STALLED_AFTER_S = 45.0


class StalledError(RuntimeError):
    """A worker takes too long for one item."""


class _Task(Future):
    """One item with its future result, and the time when a worker started on it."""

    def __init__(self, item: object) -> None:
        super().__init__()
        self.item, self.started = item, 0.0


def map_ahead(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    workers: int,
    ahead: int,
    describe: Callable[[Item], str] = str,
) -> Generator[Result, None, None]:
    """Yield `work(item)`, or raise its exception, for every item in the order of the items.

    Items are read at most `ahead` items before their results are yielded. `work` runs in `workers` threads, which end
    with the generator; it should release the interpreter's lock most of the time. If an item takes more than
    `STALLED_AFTER_S` seconds, a StalledError names it by `describe`.
    """
    todo: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()

    def serve() -> None:
        while (task := todo.get()) is not None:
            task.started = time.monotonic()
            if task.set_running_or_notify_cancel():
                try:
                    task.set_result(work(task.item))
                except BaseException as error:
                    task.set_exception(error)

    # Not a ThreadPoolExecutor: Python joins its threads at exit, for ever if one is stuck reading from a dead disk.
    threads = [threading.Thread(target=serve, name="prefetch", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    tasks: deque[_Task] = deque()
    patience = STALLED_AFTER_S
    try:
        for item in items:
            tasks.append(_Task(item))
            todo.put(tasks[-1])
            if len(tasks) >= ahead:
                yield _result(tasks.popleft(), describe)
        while tasks:
            yield _result(tasks.popleft(), describe)
    except StalledError:
        patience = 0
        raise
    finally:
        for task in tasks:
            task.cancel()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join(patience)


def _result(task: _Task, describe: Callable[[Item], str]) -> Result:
    while not wait([task], 0.2).done:
        # A task may wait for a free worker; the tasks that occupy the workers come first and are watched.
        if task.started and time.monotonic() - task.started > STALLED_AFTER_S:
            raise StalledError(f"{describe(task.item)} takes more than {STALLED_AFTER_S:g} seconds; is the disk there?")
    return task.result()
