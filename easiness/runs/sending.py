"""Calls of a server in a thread of their own, so that whoever makes them goes on at once."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

# Calls that wait for the one that is made: a server slower than the work is waited for.
WAITING = 2


class Sender:
    """A thread that makes one call after another; the first error is raised by the next method of this that is called.

    The thread does not keep a process alive: a call that `leave` does not wait for ends with it.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()  # set by `leave`: calls are to end where they can go on another time
        self._calls: queue.Queue[Callable[[], object] | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sender", daemon=True)

    def put(self, call: Callable[[], object]) -> None:
        """Have a call made after those before it; waits while too many wait."""
        self.check()
        if not self._thread.is_alive():
            self._thread.start()
        self._calls.put(call)

    def check(self) -> None:
        """Raise the error of an earlier call."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait until all calls are made."""
        self.finish()
        self.check()

    def finish(self) -> None:
        """Wait until all calls are made, whatever became of them."""
        self._calls.join()

    def leave(self, seconds: float) -> None:
        """Drop the calls that wait, and give the one that is made so many seconds to end."""
        self.stopped.set()
        with suppress(queue.Full):  # then it looks up without
            self._calls.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None and not self.stopped.is_set():
            try:
                if self._error is None:
                    call()
            except BaseException as error:
                self._error = error
            finally:
                self._calls.task_done()
