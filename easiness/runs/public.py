"""Public calls: the options of a run as keywords, and its messages where they are wanted."""

import dataclasses
import difflib
import functools
import inspect
import logging
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from easiness import tracking
from easiness.commandline import printable
from easiness.runs.checks import typed

LOG = logging.getLogger("easiness")

Result = TypeVar("Result")

# Options of the public call that is at work, with the defaults of those that it was not given.
_ASKED: ContextVar[dict[str, object]] = ContextVar("asked")

_VERBOSE = "verbose : bool\n    Show progress and messages on standard error."


def public(function: Callable[..., Result]) -> Callable[..., Result]:
    """Make the fields of a function's dataclass parameters its own keywords, and add `verbose`.

    Signature and docstring show every keyword, to people and to the command line alike. A list is taken for a tuple,
    and a single value for a tuple of one.
    """
    parameters = inspect.signature(function).parameters
    annotations = {name: parameter.annotation for name, parameter in parameters.items()}
    groups = {name: kind for name, kind in annotations.items() if dataclasses.is_dataclass(kind)}
    keywords: dict[str, inspect.Parameter] = {}
    for name, parameter in parameters.items():
        flat = inspect.signature(groups[name]).parameters.values() if name in groups else [parameter]
        keywords |= {keyword.name: keyword.replace(kind=inspect.Parameter.KEYWORD_ONLY) for keyword in flat}
    keywords["verbose"] = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)

    @functools.wraps(function)
    def call(*, verbose: bool = False, **options: object) -> Result:
        for name in options:
            if name not in keywords:
                near = difflib.get_close_matches(name, keywords, n=3)
                hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(keywords)}"
                raise TypeError(f"{function.__name__}() has no keyword {name!r}; {hint}")
        values = {name: _as_tuple(value, keywords[name].annotation) for name, value in options.items()}
        for name, value in values.items():
            typed(name, value, keywords[name].annotation)
        asked = {name: keyword.default for name, keyword in keywords.items() if name != "verbose"} | values
        for group, kind in groups.items():
            names = values.keys() & {field.name for field in dataclasses.fields(kind)}
            values[group] = kind(**{name: values.pop(name) for name in names})
        token = _ASKED.set(asked)
        try:
            with speaking(verbose):
                return function(**values)
        finally:
            _ASKED.reset(token)

    call.__signature__ = inspect.Signature(
        keywords.values(), return_annotation=inspect.signature(function).return_annotation
    )
    call.__doc__ = _with_keywords(function.__doc__ or "", groups)
    return call


@contextmanager
def logged_run(kind: str, name: str, settled: Collection[str] = ()) -> Iterator[str]:
    """Open a run, as `tracking.tracked_run`, and log the options of the public call that it is made in.

    Those named in `settled` are left to a recipe, which is logged with what became of them, and a dry run opens none.
    """
    settled = {*settled, "dry_run"}
    with tracking.tracked_run(kind, name) as run_id:
        asked = {key: value for key, value in _ASKED.get().items() if key not in settled and _is_said(value)}
        tracking.log_options(run_id, asked)
        yield run_id


def name_dry_run(name: str) -> None:
    """Say of the run that `mlflow run` made before the program began, if there is one, that it has no results."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        tracking.set_tags(run_id, {"mlflow.runName": f"dry run: {name}", "easiness.kind": tracking.DRY_RUN})


def _is_said(value: object) -> bool:
    return value is not None and value != "" and value != ()


def _clean(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True


# Names of classes and files come from strangers, and messages go to terminals.
LOG.addFilter(_clean)


class _Console(logging.Handler):
    """Messages on standard error, above the bars where there are any."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        tqdm.write(prefix + record.getMessage(), file=sys.stderr)


_CONSOLE = _Console()


@contextmanager
def speaking(verbose: bool) -> Iterator[None]:
    """Show the messages of what runs inside; without `verbose`, warnings alone, as Python's logging does."""
    if not verbose or _CONSOLE in LOG.handlers:
        yield
        return
    level, propagate = LOG.level, LOG.propagate
    LOG.addHandler(_CONSOLE)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(_CONSOLE)
        LOG.setLevel(level)
        LOG.propagate = propagate


def say(result: Result) -> Result:
    """Show the summary of a result among the messages; returns the result."""
    LOG.info("%s\n", result.summary())
    return result


def absolute(path: str | Path | None) -> Path | None:
    """Absolute path of a file or folder that a caller names; None stays None."""
    return None if path is None else Path(path).expanduser().absolute()


def _as_tuple(value: object, annotation: object) -> object:
    # Where a tuple is one way among others, as of `data`, a value stands for itself.
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    if value is None or isinstance(value, tuple) or not all(typing.get_origin(kind) is tuple for kind in kinds):
        return value
    return tuple(value) if hasattr(value, "__iter__") and not isinstance(value, str) else (value,)


def _with_keywords(documentation: str, groups: Mapping[str, type]) -> str:
    """Docstring with the attributes of dataclasses in the place of the parameters that hold them."""
    text = inspect.cleandoc(documentation)
    for name, kind in groups.items():
        (attributes,) = re.findall(r"(?s)Attributes\n-+\n(.*?)(?:\n\n|$)", inspect.cleandoc(kind.__doc__))
        text = re.sub(rf"(?m)^{name} : .*(?:\n    .*)+", lambda _, block=attributes: block, text)
    if "Parameters\n" not in text:
        return f"{text}\n\nParameters\n----------\n{_VERBOSE}"
    head, mark, rest = text.partition("\n\nReturns\n")
    if not mark:
        head, mark, rest = text.partition("\n\nRaises\n")
    return f"{head}\n{_VERBOSE}{mark}{rest}"
