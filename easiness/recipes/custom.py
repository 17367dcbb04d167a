"""Functions of the user's own, by ``package.module:function``: networks and data that a command names.

Only what a command names is imported, never what an artifact names.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path


def caller_folder() -> Path:
    """Folder in which the command was typed, or the call made; `run.sh` changes into the checkout."""
    return Path(os.environ.get("EASINESS_CALLED_FROM") or os.getcwd())


def import_function(word: str, option: str) -> Callable[..., object]:
    """Import the function that ``package.module:function`` points to; `option` names it in messages.

    It is looked for where Python looks, `PYTHONPATH` included, and at last in the caller's folder. A ValueError in one
    line if that fails.
    """
    module_name, _, attribute = word.partition(":")
    _look_in_caller_folder()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        own = os.environ.get("PYTHONPATH") or "which is not set"
        raise ValueError(
            f"{option} {word!r}: cannot import {module_name!r} ({first_line(error)}); looked in {caller_folder()} and "
            f"on PYTHONPATH ({own}): run the command in the folder of {module_name.partition('.')[0]}, or set "
            "PYTHONPATH to that folder"
        ) from error
    function = getattr(module, attribute, None)
    if function is None:
        raise ValueError(f"{option} {word!r}: module {module_name!r} has no {attribute!r}")
    if not callable(function):
        raise ValueError(f"{option} {word!r}: {attribute!r} is a {type(function).__name__}, not callable")
    return function


def source_digest(word: str) -> str | None:
    """SHA-256 (hex) of the file that defines a function; None if there is none, which `import_function` reports."""
    _look_in_caller_folder()
    try:
        spec = importlib.util.find_spec(word.partition(":")[0])
        return None if spec is None else hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    except (ImportError, ValueError, OSError, TypeError):
        return None


def first_line(error: Exception) -> str:
    """Kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _look_in_caller_folder() -> None:
    # Last, so that no file there hides an installed package.
    folder = str(caller_folder())
    if folder not in sys.path:
        sys.path.append(folder)
