"""A whole scoring, training included, timed beside the plain loops that a user would otherwise write."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from easiness.benchmarks.plain import score_resident, score_with_loaders
from easiness.benchmarks.timing import interleave, ratios, summary
from easiness.datasets import Dataset
from easiness.loaders import stage_resident
from easiness.machine import usable_cores
from easiness.recipes.recipe import Recipe
from easiness.trials.engines import choose_engine, run_trials
from easiness.trials.trial import TrialTask


def bench_score(recipe: Recipe, train: Dataset, device: torch.device, *, repeats: int = 5) -> dict[str, object]:
    """Time `recipe.trials` trials with their scores, from images in memory to arrays of every example.

    All three ways train the same network on the same images (which need no scaling) for the same epochs at the same
    batch size, and evaluate every example once, at the end. This package starts its worker processes within the time,
    the plain loop the workers of its loaders; all may use all cores.

    The result holds summaries of `seconds` by way (`ours`, `plain loop`, `plain loop, resident`) and of `times_ours`,
    how many times as long each takes, round by round; and the size of the task.
    """
    cores = usable_cores()
    arguments = (recipe, train.images, train.labels, recipe.trials, device)
    before = torch.get_num_threads()

    def plain_loop(score: Callable[..., object], **more: int) -> None:
        torch.set_num_threads(cores)
        score(*arguments, **more)

    tasks = {
        "ours": lambda: score_untracked(recipe, train, device, choose_engine("auto", device, recipe.trials)),
        "plain loop": lambda: plain_loop(score_with_loaders, workers=cores),
        "plain loop, resident": lambda: plain_loop(score_resident),
    }
    try:
        seconds = interleave(tasks, repeats)
    finally:
        torch.set_num_threads(before)
    return {
        "seconds": {name: summary(taken) for name, taken in seconds.items()},
        "times_ours": {name: ratios(taken, seconds["ours"]) for name, taken in seconds.items() if name != "ours"},
        "model": recipe.model,
        "examples": len(train),
        "trials": recipe.trials,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "device": str(device),
        "cores": cores,
    }


def score_untracked(recipe: Recipe, train: Dataset, device: torch.device, engine: str) -> None:
    """Run all trials of a recipe without a tracking server; two images are the validation set and take no time."""
    with tempfile.TemporaryDirectory() as trials_folder:
        folder = Path(trials_folder)
        staged = stage_resident(train, train.subset(range(2)), recipe, folder if engine == "processes" else None)
        tasks = [TrialTask(recipe, trial, *staged, folder / str(trial)) for trial in range(recipe.trials)]
        run_trials(tasks, engine=engine, device=device, report=lambda _: None, finished=lambda _: None)
