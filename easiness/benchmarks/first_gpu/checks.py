"""Whether trials on a device give what they must: captured, resumed after a kill, several side by side."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from easiness.benchmarks.first_gpu.size import Size, recipe_for, training_set
from easiness.benchmarks.scaling import noise
from easiness.benchmarks.timing import seconds_of
from easiness.loaders import stage_resident
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import updates_per_epoch
from easiness.trials.engines import run_trials
from easiness.trials.precision import settle_precision
from easiness.trials.trial import Progress, TrialTask, run_trial
from easiness.trials.trial_folder import read_measure

# Differences of losses, in nats, that another order of the same additions may make in a few updates.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}


def equality(size: Size) -> dict[str, object]:
    """Losses of captured steps against eager ones, and of eager ones against themselves, after few updates."""
    result: dict[str, object] = {}
    captured = "true" if size.where.type == "cuda" else "auto"  # where it fails, not to compare eager ones
    ways = {"eager": "false", "eager again": "false", "captured": captured, "captured again": captured}
    for precision in dict.fromkeys(("float32", settle_precision("auto", size.where))):
        recipe = recipe_for(size.model, precision=precision)
        with _checked_task(size, recipe) as make:
            losses = {name: _losses_of(make(name, capture), size) for name, capture in ways.items()}
        result[precision] = {
            name: _compare(losses[name], losses["eager"], losses["eager again"], precision)
            for name in ("captured", "captured again")
        }
    return result | {"holds": all(one["holds"] for compared in result.values() for one in compared.values())}


def resume(size: Size) -> dict[str, object]:
    """Losses of a trial whose process was killed in its third epoch and that went on, against whole ones."""
    recipe = recipe_for(size.model, epochs=3)
    with _checked_task(size, recipe) as make:
        context, cut_off = multiprocessing.get_context("spawn"), make("cut off", "auto")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_train_and_tell, args=(theirs, cut_off, size.where))
        process.start()
        theirs.close()
        try:
            ours.recv()
        finally:
            process.kill()
            process.join()
        resumed: list[int] = []

        def report(progress: Progress) -> None:
            if progress.resumed:
                resumed.append(progress.images)

        run_trial(cut_off, size.where, report)
        whole, again = (_losses_of(make(name, "auto"), size) for name in ("whole", "whole again"))
        precision = settle_precision(recipe.precision, size.where)
        compared = _compare(read_measure(cut_off.folder, "losses", _updates(recipe, size)), whole, again, precision)
    return compared | {"images_not_repeated": sum(resumed), "holds": compared["holds"] and sum(resumed) > 0}


def several_trials(size: Size) -> dict[str, object]:
    """Seconds of four trials, one by one in this process, and side by side on the device, processes' start included.

    On a CPU as many are side by side as it has cores.
    """
    recipe = recipe_for(size.model, trials=4)
    data, seconds = training_set(size), {}
    with tempfile.TemporaryDirectory() as place:
        staged = stage_resident(data, data.subset(range(2)), recipe, Path(place))
        for name, engine, per_gpu in (("1", "inline", 1), ("2", "processes", 2), ("4", "processes", 4)):
            tasks = [TrialTask(recipe, trial, *staged, Path(place, name, str(trial))) for trial in range(recipe.trials)]
            how = {"engine": engine, "device": size.where, "per_gpu": per_gpu}
            run = partial(run_trials, tasks, report=lambda _: None, finished=lambda _: None, **how)
            seconds[name] = seconds_of(run)
            for task in tasks:
                if not np.isfinite(read_measure(task.folder, "losses", (updates_per_epoch(len(data), 128),))).all():
                    raise FloatingPointError(f"{task.name}, {name} side by side, has a loss that is not finite")
    return {"seconds_by_trials_side_by_side": seconds, "trials": recipe.trials, "examples": len(data)}


def _updates(recipe: Recipe, size: Size) -> tuple[int, ...]:
    """After the last update of the compared examples."""
    return (recipe.epochs * updates_per_epoch(size.checked, recipe.batch_size),)


@contextmanager
def _checked_task(size: Size, recipe: Recipe) -> Iterator[Callable[[str, str], TrialTask]]:
    """Makes one and the same trial in a folder of this name, with this way to capture."""
    data = noise(size.checked, 32, 10)
    staged = stage_resident(data, data.subset(range(2)), recipe, None)
    with tempfile.TemporaryDirectory() as place:
        yield lambda name, capture: TrialTask(recipe, 0, *staged, Path(place, name), capture=capture)


def _losses_of(task: TrialTask, size: Size) -> np.ndarray:
    run_trial(task, size.where, lambda _: None)
    return read_measure(task.folder, "losses", _updates(task.recipe, size))


def _compare(losses: np.ndarray, expected: np.ndarray, again: np.ndarray, precision: str) -> dict[str, object]:
    """Differences of losses beside what the same computation differs by when it is repeated."""
    greatest, noise_of = (float(np.abs(one - expected).max()) for one in (losses, again))
    return {
        "same_bits": bool(np.array_equal(losses, expected)),
        "greatest_difference": greatest,
        "difference_when_repeated": noise_of,
        "holds": greatest <= max(_TOLERANCE[precision], 3 * noise_of),
    }


def _train_and_tell(pipe: Connection, task: TrialTask, device: torch.device) -> None:
    """Train, and tell the end of the second epoch, when the checkpoint of the first is on the disk."""

    def report(progress: Progress) -> None:
        if progress.metrics and progress.metrics["epoch"] == 2:
            pipe.send("two epochs")

    run_trial(task, device, report)
