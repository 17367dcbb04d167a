"""Parts of a measurement, each in a process of its own: what one breaks, hangs in or leaves behind, no other sees."""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

# Of a process that has sent its result.
_LEAVING_S = 10.0


def guarded(part: Callable[..., object], arguments: tuple[object, ...], limit: float) -> dict[str, object]:
    """Call a function in a new process: its `result`, or the `error` it ended by; and the `seconds` it took.

    An error is its last line and, where there is one, the `traceback`; also the death of the process, and the end of
    its time, `limit` in seconds. All can be pickled.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, part, arguments))
    started = time.monotonic()
    process.start()
    theirs.close()
    try:
        outcome = ours.recv() if ours.poll(limit) else {"error": f"not done after {limit:.0f} seconds"}
        if "result" in outcome:
            process.join(_LEAVING_S)
    except EOFError:
        process.join(_LEAVING_S)
        outcome = {"error": f"its process died, exit status {process.exitcode}"}
    finally:
        process.kill()
        process.join()
    return {"seconds": time.monotonic() - started} | outcome


def _work(pipe: Connection, part: Callable[..., object], arguments: tuple[object, ...]) -> None:
    # The workers of a plain loop are forked, as a user's are: they would be spawned like this process.
    multiprocessing.set_start_method(None, force=True)
    try:
        outcome = {"result": part(*arguments)}
    except BaseException as error:
        outcome = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    with pipe:
        pipe.send(outcome)
