"""Trained weights: a state_dict read from a file, and taken into a network but for its last layer."""

import functools
import re
import warnings
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path

import torch
from torch import nn

from easiness.architectures import build_model

State = Mapping[str, torch.Tensor]

# Names that are shown of many.
_SHOWN = 3

# Buffer that counts batches; files from before torch 1.0 have none.
_COUNTER = "num_batches_tracked"

# torchvision published its DenseNets when a module's name could have a dot in it.
_DOTTED = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def read_state(file: Path | bytes, name: str) -> dict[str, torch.Tensor]:
    """Read a state_dict as `torch.save` writes it, given as a file or its content; nothing in it is executed.

    A ValueError in one line, which begins with `name`, for a damaged file, for one that holds anything but tensors by
    name, and for values that are NaN or infinite.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of a pickle that is none of torch's, which is refused below
            state = torch.load(
                BytesIO(file) if isinstance(file, bytes) else file, map_location="cpu", weights_only=True
            )
    except Exception as error:  # of torch, pickle, zipfile or the file system
        held = re.search(r"GLOBAL ([\w.]+)", str(error))
        cause = f"it holds {held[1]}, which is not a tensor" if held else "it is damaged, or not of torch.save"
        raise ValueError(
            f"{name} cannot be read as weights: {cause}; save tensors alone: torch.save(model.state_dict(), FILE)"
        ) from error
    if not isinstance(state, Mapping) or not state:
        raise ValueError(f"{name} holds a {type(state).__name__}, and must hold a state_dict: tensors by name")
    wrong = [key for key, value in state.items() if not (isinstance(key, str) and _is_plain(value))]
    if wrong:
        raise ValueError(f"{name} is not a state_dict: {_few(wrong)} is not a tensor; save model.state_dict() alone")
    bad = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise ValueError(f"{name} has values that are NaN or infinite, in {_few(bad)}")
    return {_DOTTED.sub(r"\1\2", key): value for key, value in state.items()}


@functools.lru_cache(maxsize=8)
def head_names(model: str, num_classes: int, image_size: int) -> tuple[str, ...]:
    """Names of the last layer's weights: those whose shape moves with the number of classes.

    A ValueError if there are none.
    """
    one, other = (build_model(model, count, image_size=image_size, seed=0) for count in (num_classes, num_classes + 1))
    shapes = {name: values.shape for name, values in other.state_dict().items()}
    names = tuple(name for name, values in one.state_dict().items() if values.shape != shapes.get(name))
    if not names:
        raise ValueError(f"model {model!r} has no layer whose shape depends on the number of classes")
    return names


def classes_of(state: State, head: Collection[str], name: str) -> int:
    """Number of classes of a state_dict, from the first dimension of its last layer; a ValueError if it has none."""
    sizes = {len(state[key]) for key in head if key in state and state[key].dim()}
    if len(sizes) != 1 or any(key not in state for key in head):
        raise ValueError(f"{name} has no last layer {_few(head)} of this network; give the model that it is of")
    return sizes.pop()


def load_body(model: nn.Module, state: State, new: Collection[str], name: str) -> None:
    """Take the weights of a state_dict into a network in place; those of the names in `new` stay as they are.

    A ValueError in one line, which begins with `name`, if a weight is missing, has another shape or belongs nowhere.
    """
    own = model.state_dict()
    wanted = {key: values for key, values in own.items() if key not in new}
    missing = [key for key in wanted if key not in state and not key.endswith(_COUNTER)]
    foreign = [key for key in state if key not in own]
    shapes = [
        f"{key} ({_shape(state[key])} instead of {_shape(values)})"
        for key, values in wanted.items()
        if key in state and state[key].shape != values.shape
    ]
    problems = {"has no": missing, "has, and the network has not,": foreign, "has other shapes:": shapes}
    found = [f"{problem} {_few(names)}" for problem, names in problems.items() if names]
    if found:
        raise ValueError(f"{name} does not fit the network: it {'; it '.join(found)}; give the model that it is of")
    model.load_state_dict(own | {key: state[key] for key in wanted if key in state})


def _is_plain(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.layout == torch.strided


def _shape(values: torch.Tensor) -> str:
    return "×".join(map(str, values.shape)) or "a number"


def _few(names: Collection[object]) -> str:
    shown = [str(name) for name in names][:_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
