"""Checks of single options: each refusal says which option it is, what it is, and what it may be."""

import math
import os
import types
import typing
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from easiness.datasets import Dataset
from easiness.machine import usable_cores

# What a keyword of that annotation takes, and what it is called.
_KINDS = {
    bool: (lambda value: isinstance(value, (bool, np.bool_)), "true or false"),
    int: (lambda value: isinstance(value, Integral) and not isinstance(value, bool), "a whole number"),
    float: (
        lambda value: isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value),
        "a finite number",
    ),
    str: (lambda value: isinstance(value, str) and "\0" not in value, "text"),
    Dataset: (lambda value: isinstance(value, Dataset), "a Dataset, or a pair of them"),
    Path: (lambda value: isinstance(value, Path) and "\0" not in str(value), "a path"),
    types.NoneType: (lambda value: value is None, "None"),
}


def typed(name: str, value: object, annotation: object) -> None:
    """Refuse a value that its annotation does not allow.

    Examples
    --------
    >>> typed("epochs", "three", int | None)
    Traceback (most recent call last):
    ValueError: epochs is 'three', and must be a whole number
    """
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    if not any(_fits(value, kind) for kind in kinds):
        words = dict.fromkeys(_KINDS[_item(kind)][1] for kind in kinds if kind is not types.NoneType)
        raise ValueError(f"{name} is {value!r}, and must be {' or '.join(words)}")


def _item(kind: object) -> type:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind


def _fits(value: object, kind: object) -> bool:
    if typing.get_origin(kind) is tuple:
        count = len(typing.get_args(kind))  # of items, but for one kind and an ellipsis
        if Ellipsis not in typing.get_args(kind) and isinstance(value, tuple) and len(value) != count:
            return False
        return isinstance(value, tuple) and all(_fits(item, _item(kind)) for item in value)
    return _KINDS[kind][0](value)


def one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Refuse a value that is not among those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, and must be one of {', '.join(map(str, allowed))}")


def at_least(name: str, value: float | None, least: float, why: str = "") -> None:
    """Refuse a number below the least; None is not given."""
    if value is not None and value < least:
        raise ValueError(f"{name} is {value}, and must be at least {least}{why and f': {why}'}")


def at_most(name: str, value: float | None, most: float, why: str = "") -> None:
    """Refuse a number above the most; None is not given."""
    if value is not None and value > most:
        raise ValueError(f"{name} is {value}, and must be at most {most}{why and f': {why}'}")


def processors(name: str, count: int | None) -> None:
    """Refuse fewer threads than one, and more than this machine has processors."""
    at_least(name, count, 1)
    at_most(name, count, usable_cores(), "the processors that this process may use")


def unused(name: str, value: object, why: str) -> None:
    """Refuse an option that was given and would do nothing; None and False are not given."""
    if value is not None and value is not False:
        raise ValueError(f"{name} is {value if isinstance(value, Path) else repr(value)}, and does nothing here: {why}")


def existing(name: str, path: str | Path | None, suffixes: Sequence[str] = ()) -> Path | None:
    """Absolute path of a file or folder that an option names; with suffixes, of a file of such a name."""
    if path is None:
        return None
    place = Path(path).expanduser().absolute()
    if suffixes and place.suffix not in suffixes:
        raise ValueError(f"{name} is {place}, and must be a file of {', '.join(suffixes)}")
    if not os.path.lexists(place):
        raise FileNotFoundError(f"{name} is {place}, and there is no such file or folder")
    if not place.is_file() and (suffixes or not place.is_dir()):
        raise ValueError(f"{name} is {place}, and is not a {'file' if suffixes else 'file or folder'} that can be read")
    return place
