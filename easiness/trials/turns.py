"""Waiting for process 0 while it works alone: as long as that takes, and no longer than it lives.

It reads data, talks to a server, writes and draws; the others' next message may be hours away. Messages themselves
have a time-out of minutes, so they are begun only when process 0 has come to them, too.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from torch import distributed

# Process 0 shows that it lives every so many seconds, and is given up when it did not for so long.
_BEAT_S = 10.0
_PATIENCE_S = 300.0

# Between two looks for a call; the second is longer than the first, and so on.
_SHORTEST_S, _LONGEST_S = 0.001, 0.5

_BEAT = "beat"


class Turns:
    """Calls of process 0 to the others, through the store by which the processes found each other."""

    def __init__(self, store: distributed.Store) -> None:
        self._store = store
        self._numbers = count()

    def call(self) -> None:
        """Let the others come; in process 0."""
        self._store.set(f"turn {next(self._numbers)}", "1")

    def wait(self) -> None:
        """Wait for the next call of process 0; a RuntimeError if it lives no more."""
        turn, beat = f"turn {next(self._numbers)}", b""
        heard, pause = time.monotonic(), _SHORTEST_S
        # Asked for again and again: the store's own way to wait warns each time that it was in vain.
        while not self._store.check([turn]):
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_S)
            if time.monotonic() - heard > _PATIENCE_S:
                if (last := self._store.get(_BEAT)) == beat:
                    raise RuntimeError(
                        f"process 0 has given no sign for {_PATIENCE_S / 60:g} minutes; finished epochs are kept, so "
                        "the same command goes on from there"
                    )
                beat, heard = last, time.monotonic()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Show that process 0 lives, from a thread of its own."""
        ended = threading.Event()

        def beat() -> None:
            for number in count(1):
                if ended.wait(_BEAT_S):
                    return
                self._store.set(_BEAT, str(number))

        self._store.set(_BEAT, "0")
        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
