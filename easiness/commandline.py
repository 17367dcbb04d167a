"""Command line of an entry point: words to typed values, near matches, one line for an error."""

import difflib
import inspect
import os
import re
import signal
import sys
import threading
import traceback
import types
import typing
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from easiness.machine import STOP_SIGNALS, wait_for_end

# Exit status of a failed entry point; fire and argparse use the same for wrong arguments.
FAILURE = 2

# An option without dashes: model=alexnet.
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

# Words for a value that is not given.
_NOTHING = ("", "auto", "None")


def command(function: Callable[..., object], words: Sequence[str] | None = None) -> None:
    """Call a function with the options of the command line, and print the `summary()` of its result unless it is None.

    `words` are those of this process if not given. Every parameter of `function` is an option `name=value` or
    `--name=value`, read by its annotation: `int`, `float`, `str`, `bool`,
    `Path`, a `tuple` of numbers or words separated by commas, or one of these `| None`. `auto` and the empty value
    stand for None or for an empty tuple. A parameter `verbose` is not an option: it is always true.

    An error ends the process with status 2 and one line on standard error; `--debug=true` adds the traceback.
    """
    debug = False
    before = _stop_on_signals()
    _end_with(os.environ.get("EASINESS_LAUNCHER"))
    try:
        options = _read_words(function, sys.argv[1:] if words is None else words)
        debug = _parse("debug", options.pop("debug", "false"), bool)
        if not debug:
            warnings.simplefilter("ignore")
        arguments = parse_options(function, options)
        if "verbose" in inspect.signature(function).parameters:
            arguments["verbose"] = True
        result = function(**arguments)
        if result is not None:
            print(printable(result.summary()))
    except KeyboardInterrupt:
        sys.exit("stopped; finished epochs are kept, and the same command resumes there")
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(FAILURE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_on_signals() -> dict[int, object]:
    """Close runs when a scheduler, container or terminal ends this process, as for Ctrl-C; returns the old handlers."""
    # What a shell has told a background job to ignore stays ignored.
    numbers = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, _stop) for number in numbers}


def _stop(*_: object) -> None:
    # One stop may be told twice, to the group and by the parent; closing is cut short by a second Ctrl-C alone.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with(launcher: str | None) -> None:
    """Stop when the process that started this one is gone, even by SIGKILL; its number is that of run.sh."""

    def wait() -> None:
        wait_for_end(int(launcher))
        os.kill(os.getpid(), signal.SIGTERM)

    if launcher is not None:
        threading.Thread(target=wait, daemon=True).start()


def _read_words(function: Callable[..., object], words: Sequence[str]) -> dict[str, str]:
    import fire  # here, because the rooms that this one serves have no use for it

    if any(word in ("-h", "--help") for word in words):
        print(f"{inspect.cleandoc(function.__doc__ or '')}\n\nEach parameter is given as name=value.")
        sys.exit(0)
    words = [f"--{word}" if _ASSIGNMENT.match(word) else word for word in words]
    _check_words(words, function)
    read: list[dict[str, str]] = []

    # Fire calls a function before it rejects arguments that are left over, so it gets one that takes any argument. It
    # must not guess types either: it would read a folder `2019#1` as 2019, and `a,b` as a tuple.
    def collect(**options: str) -> None:
        read.append(options)

    fire.Fire(fire.decorators.SetParseFn(str)(collect), command=words, name=function.__name__)
    return read[0]


def _check_words(words: Sequence[str], function: Callable[..., object]) -> None:
    """Refuse what Fire would take for something else: an option without a value, a word that is none."""
    known, is_value = options_of(function), False
    for word, following in pairwise([*words, "--"]):
        name, equals, _ = word.removeprefix("--").replace("-", "_").partition("=")
        if is_value:
            is_value = False
            continue
        if not (word.startswith("--") and name.isidentifier()):
            raise ValueError(f"unexpected argument {word!r}; use name=value")
        is_value = not equals and not following.startswith("-")
        if not (equals or is_value or name == "debug"):
            if name not in known:
                raise ValueError(unknown("parameter", name, tuple(known)))
            if known[name].annotation is not bool:
                raise ValueError(f"{name} is given without a value; use --{name}=value")


def parse_options(function: Callable[..., object], options: dict[str, str]) -> dict[str, object]:
    """Typed keyword arguments for a function; ValueError for an unknown name or a value of another type."""
    known = options_of(function)
    for name in options:
        if name not in known:
            raise ValueError(unknown("parameter", name, tuple(known)))
    return {name: _parse(name, text, known[name].annotation) for name, text in options.items()}


def options_of(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """Parameters that are options of the command line, by name."""
    parameters = inspect.signature(function).parameters
    return {name: parameter for name, parameter in parameters.items() if name != "verbose"}


def unknown(kind: str, name: object, known: tuple[str, ...]) -> str:
    """Message for an unknown name, with similar known names.

    Examples
    --------
    >>> unknown("model", "alexnett", ("alexnet", "resnet18"))
    "unknown model 'alexnett'; did you mean alexnet?"
    >>> unknown("set", "x", ("easy", "hard"))
    "unknown set 'x'; known are easy, hard"
    """
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def printable(text: str) -> str:
    r"""Text without what a terminal would obey instead of showing: control characters appear as their code.

    Examples
    --------
    >>> printable("a\x1b[31m b\n\u202e")
    'a\\x1b[31m b\n\\u202e'
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def caller_path(text: str) -> Path:
    """Absolute path for a path typed in the caller's folder (`run.sh` changes into the checkout)."""
    return Path(os.environ.get("EASINESS_CALLED_FROM", "."), Path(text).expanduser()).absolute()


def _parse(name: str, text: str, annotation: object) -> object:
    if isinstance(annotation, types.UnionType):
        kinds = typing.get_args(annotation)
        if text in _NOTHING and types.NoneType in kinds:
            return None
        return _parse(name, text, Path if Path in kinds else kinds[0])
    if typing.get_origin(annotation) is tuple:
        kind = typing.get_args(annotation)[0]
        items = [] if text in _NOTHING else text.strip("()[] ").removesuffix(",").split(",")
        return tuple(_parse(name, item.strip(), kind) for item in items)
    if annotation is bool:
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if text.lower() not in words:
            raise ValueError(f"{name} is {text!r}, and must be true or false")
        return words[text.lower()]
    if annotation is str:
        return text
    if annotation is Path:
        return caller_path(text)
    try:
        return _whole(text) if annotation is int else float(text)
    except (ValueError, OverflowError):
        what = "a whole number" if annotation is int else "a number"
        raise ValueError(f"{name} is {text!r}, and must be {what}") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # 1e3 and 4.0 are whole, too; a seed above 2**53 would not survive as a float
        number = float(text)
        if number != int(number):
            raise
        return int(number)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = str(error).strip()
    line = printable(" ".join(text.split())) or "no message"
    expected = (ValueError, OSError, ArithmeticError, ImportError)
    if isinstance(error, expected) or type(error) is RuntimeError:
        return line
    return f"{type(error).__name__}: {line} (debug=true shows where)"
