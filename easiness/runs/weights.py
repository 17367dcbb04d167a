"""Weights that all trials of a run start from: found by name, kept by their SHA-256, fitted to a network and data."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from easiness import tracking
from easiness.architectures import build_model
from easiness.architectures.pretrained import State, classes_of, head_names, load_body, read_state
from easiness.architectures.published import PublishedWeights, timm_weights, vision_weights
from easiness.commandline import caller_path
from easiness.files import checksum, work_folder, write_whole
from easiness.loaders.normalization import IMAGENET, WHITE
from easiness.recipes.recipe import Recipe
from easiness.runs.checks import existing, typed
from easiness.tracking import WeightsManifest

LOG = logging.getLogger("easiness")

NONE, RUN, TIMM = "none", "runs:/", "timm:"
SUFFIXES = (".pt", ".pth")

# Class names that are shown of each side.
_SHOWN = 2


@dataclass(frozen=True)
class Start:
    """Trained weights, kept in this folder, with what they tell about the images that they know."""

    name: str  # as runs and pages show it, without a path of this machine
    sha256: str
    state: State
    images: dict[str, object] = field(default_factory=dict)  # fields of a recipe: resolution, normalization, colours
    class_names: tuple[str, ...] | None = None  # None: not known, they may be the same


def open_start(weights: str, model: str) -> Start | None:
    """Find trained weights, and keep them for workers; None for `none`.

    Parameters
    ----------
    weights : str
        `none`, a file (.pt), `runs:/RUN_ID`, `timm:NAME`, or the name of weights of torchvision.
    model : str
        Network that they are for.

    Raises
    ------
    ValueError, OSError, ImportError
        In one line, with the next step: there are none of that name, they are damaged, hold more than tensors, are of
        another network, or cannot be fetched.
    """
    if weights == NONE:
        return None
    if weights.startswith(RUN):
        return _of_run(weights, model)
    if weights.startswith(TIMM):
        return _published(timm_weights(weights.removeprefix(TIMM)))
    if "/" in weights or Path(weights).suffix in (*SUFFIXES, ".safetensors"):
        file = existing("weights", caller_path(weights), SUFFIXES)
        return _kept(file.name, file.read_bytes())
    return _published(vision_weights(model, weights))


def start_fields(start: Start, asked: Mapping[str, object]) -> dict[str, object]:
    """Fields of a recipe that starts from weights; a resolution or normalization that is asked for wins, and is said.

    `asked` has both, None where nothing is asked for.
    """
    images = dict(start.images)
    for name, value in asked.items():
        if value is None or value == images.get(name, value):
            continue
        LOG.warning("%s is %s, as asked for; %s comes with %s", name, value, start.name, images[name])
        colours = ("colour_mean", "colour_std") if name == "normalization" else ()
        images = {key: value for key, value in images.items() if key not in (name, *colours)}
    return images | {"weights": start.name, "weights_sha256": start.sha256}


def fit_start(start: Start, recipe: Recipe, class_names: Sequence[str]) -> tuple[Recipe, str]:
    """Recipe that says whether the last layer is new, and a line about the start; a ValueError if it does not fit.

    The last layer is new where the number of classes differs, or their names do, as far as they are known.
    """
    count, size = len(class_names), recipe.resolution
    head = head_names(recipe.model, count, size)
    before = classes_of(start.state, head, start.name)
    known = start.class_names or tuple(class_names)
    new = before != count or known != tuple(class_names)
    fresh = build_model(recipe.model, count, image_size=size, seed=0)
    load_body(fresh, start.state, head if new else (), start.name)
    if before != count:
        last = f"new: {count} classes instead of {before}"
    elif new:
        last = f"new: {_few(class_names)} instead of {_few(known)}"
    else:
        last = f"kept: {count} classes"
    said = f"starts from {start.name} (sha256 {start.sha256[:12]}); last layer {last}"
    if not start.images:
        said += f"; {size} pixels and normalization {recipe.normalization} are the recipe's, the file says nothing"
    return replace(recipe, new_head=new), said


def weights_path(sha256: str) -> Path:
    """File that keeps weights for the workers of this folder."""
    return work_folder() / "weights" / f"{sha256}.pt"


def _kept(name: str, content: bytes, **knows: object) -> Start:
    """Read weights, and keep their file under its checksum, by which workers and resumed trials know it."""
    state = read_state(content, name)
    sha256 = hashlib.sha256(content).hexdigest()
    path = weights_path(sha256)
    if not path.exists() or checksum(path)["sha256"] != sha256:
        write_whole(path.parent, {path.name: lambda part: part.write_bytes(content)})
    return Start(name, sha256, state, **knows)


def _published(weights: PublishedWeights) -> Start:
    images: dict[str, object] = {"resolution": weights.resolution, "normalization": "imagenet"}
    if (weights.mean, weights.std) != IMAGENET:
        mean, std = (tuple(WHITE * share for share in shares) for shares in (weights.mean, weights.std))
        images |= {"normalization": "fixed", "colour_mean": mean, "colour_std": std}
    return _kept(weights.name, weights.content, images=images)


def _of_run(weights: str, model: str) -> Start:
    named = re.fullmatch(f"{RUN}([0-9a-f]{{32}})", weights)
    if not named:
        raise ValueError(f"weights is {weights!r}, and must be runs:/RUN_ID, with the id of a run of train")
    (run,) = tracking.runs_by_id([named[1]])
    if run.kind not in ("trial", "arm"):
        raise ValueError(
            f"weights is {weights}, a run of kind {run.kind!r}; give a finished run of train, or a trial of score"
        )
    try:
        network, content = tracking.read_weights(run.run_id, Path.read_bytes)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"weights is {weights}, and {error}; train another trial with log_model=true, or score with log_models=all"
        ) from error
    _check(network, run.run_id)
    if network.model != model:
        raise ValueError(f"weights is {weights}, a network {network.model!r}, and model is {model!r}; give the same")
    names = ("resolution", "normalization", "colour_mean", "colour_std")
    images = {name: getattr(network, name) for name in names}
    return _kept(weights, content, images=images, class_names=network.class_names)


def _check(network: WeightsManifest, run_id: str) -> None:
    """Refuse what a recipe could not take; the server's content may be a stranger's."""
    kinds = {"model": str, "class_names": tuple[str, ...], "resolution": int, "normalization": str}
    kinds |= {"colour_mean": tuple[float, ...], "colour_std": tuple[float, ...]}
    try:
        for name, kind in kinds.items():
            typed(name, getattr(network, name), kind)
    except ValueError as error:
        raise ValueError(f"{network.FILE} of run {run_id}: {error}") from None


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
