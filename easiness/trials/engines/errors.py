"""Errors on their way from a worker to the process that owns the run."""

import pickle
import traceback


def picklable(error: BaseException) -> BaseException:
    """Error with its traceback as a note; a RuntimeError with the same words where it cannot be pickled."""
    error.add_note(traceback.format_exc())
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # an exception class of the user's model, with a constructor that takes other arguments
        return RuntimeError(f"{type(error).__name__}: {error}")
