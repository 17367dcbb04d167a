"""Errors that travel from a worker to the process that owns the run."""

import pickle
import traceback


def picklable(error: BaseException) -> BaseException:
    """The error with its traceback as a note, or a stand-in of the same words where it cannot travel."""
    error.add_note(traceback.format_exc())
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class of the user's own model, with a constructor of its own
        return RuntimeError(f"{type(error).__name__}: {error}")
