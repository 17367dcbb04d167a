"""Signals that arrive amid a call of the store, held until the call is over."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from easiness.machine import STOP_SIGNALS

# Containers grant ten seconds from SIGTERM to SIGKILL; a call that takes longer than this is left.
_HELD_S = 3.0

_holding = False


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold the signals that stop this process: amid a database write, they leave its lock and pages of traceback.

    A second signal acts at once, and the first one after three seconds.
    """
    global _holding
    if _holding or threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: handler for number in STOP_SIGNALS if callable(handler := signal.getsignal(number))}
    held: list[int] = []
    again = threading.Timer(_HELD_S, lambda: os.kill(os.getpid(), held[0]))
    again.daemon = True

    def release() -> None:
        global _holding
        _holding = False
        again.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        if len(held) == 1:
            again.start()
        else:
            release()
            handlers[number](number, frame)

    _holding = True
    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        release()
        if len(held) == 1:
            signal.raise_signal(held[0])


def is_stopping() -> bool:
    """Whether this is called while a signal ends the process, to close what is open."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
