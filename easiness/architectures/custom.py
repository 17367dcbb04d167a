"""A user's network, by ``package.module:function``."""

import importlib
from collections.abc import Callable

from torch import nn


def custom_function(name: str) -> Callable[..., nn.Module]:
    """Import the function that ``name`` points to; a ValueError if that fails."""
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"model {name!r}: cannot import {module_name!r} ({_first_line(error)}); is it on PYTHONPATH?"
        ) from error
    function = getattr(module, attribute, None)
    if function is None:
        raise ValueError(f"model {name!r}: module {module_name!r} has no {attribute!r}")
    return function


def custom_model(name: str, num_classes: int) -> nn.Module:
    """Network of a user's function; a ValueError if the call fails, or the result is not a ``torch.nn.Module``."""
    function = custom_function(name)
    try:
        model = function(num_classes=num_classes)
    except Exception as error:
        raise ValueError(f"model {name!r} fails with num_classes={num_classes} ({_first_line(error)})") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"model {name!r}: returns a {type(model).__name__}, not a torch.nn.Module")
    return model


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
