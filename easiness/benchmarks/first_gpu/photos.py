"""Speed of a network for photos that are read from files."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from easiness.architectures import build_model
from easiness.benchmarks.first_gpu.size import Size
from easiness.benchmarks.loaders import image_folder_batches, repeated
from easiness.benchmarks.machine import draw_photo, wait_for
from easiness.benchmarks.plain import plain_step
from easiness.benchmarks.timing import seconds_of
from easiness.datasets import Dataset
from easiness.datasets.class_folders import files_by_class
from easiness.datasets.image_folder import open_tree
from easiness.datasets.packed import open_part
from easiness.datasets.packing import PackOptions, pack_part
from easiness.loaders import stage
from easiness.loaders.ffcv import why_no_ffcv
from easiness.machine import usable_cores
from easiness.recipes.recipe import Recipe, make_recipe
from easiness.trials.evaluation import evaluate_examples
from easiness.trials.precision import prepare_device, settle_precision
from easiness.trials.steps import Steps, captured_steps, make_optimizer
from easiness.trials.training import train

CLASSES = 1000  # of the last layer


def photos(size: Size) -> dict[str, object]:
    """Images per second of the network for photos from files: ours by each loader, and a plain loop."""
    device = size.where
    recipe = make_recipe("imagenet", size.photo_model, resolution=size.photo_resolution, batch_size=size.photo_batch)
    recipe = replace(recipe, epochs=2, threads=1, precision=settle_precision("auto", device))
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place, "photos")
        _draw_photos(tree, size.photo_files)
        # First, because its workers are forked: there are no threads yet.
        result["plain loop"] = _plain_rate(tree, recipe, size)
        opened = {"torchvision": lambda: open_tree(tree, "train", files_by_class(tree), skip_bad=False)}
        if why_no_ffcv():
            result["ffcv"] = why_no_ffcv()
        else:
            opened["ffcv"] = lambda: _packed(tree, Path(place, "packed"))
        for loader, open_photos in opened.items():
            result[loader] = _rates(open_photos(), replace(recipe, loader=loader), size)
    return result | {"model": recipe.model, "resolution": recipe.resolution, "batch_size": recipe.batch_size}


def _draw_photos(tree: Path, files: int) -> None:
    for name in ("one", "two"):
        (tree / name).mkdir(parents=True)

    def write(number: int) -> None:
        (tree / ("one", "two")[number % 2] / f"{number}.jpg").write_bytes(draw_photo(number))

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(write, range(files)))


def _packed(tree: Path, folder: Path) -> Dataset:
    part = pack_part(tree, "train", files_by_class(tree), folder, PackOptions()).part
    return open_part(folder, "train", part, "quick")


def _rates(data: Dataset, recipe: Recipe, size: Size) -> dict[str, float]:
    """Images per second: decoded alone, trained on in a second epoch, and scored."""
    device, seeds = size.where, recipe.trial_seeds(0)
    loader = stage(repeated(data, size.photos), data, recipe, None)[0].open(device)
    steps = captured_steps("auto", recipe, CLASSES, device)
    if steps is None:
        network = build_model(recipe.model, CLASSES, image_size=recipe.resolution, seed=0)
        network = network.to(device, memory_format=torch.channels_last)
        steps = Steps(network, make_optimizer(network, recipe), recipe.precision)

    def decode() -> None:
        for _ in loader.train_batches(0, seeds):
            pass
        wait_for(device)

    rates = {"decoded": loader.count / seconds_of(decode)}
    *_, last = train(steps, loader, recipe, seeds)
    rates["trained"] = last.images / last.seconds
    score = partial(evaluate_examples, steps.model, loader, measure=steps.measure)
    return rates | {"scored": loader.count / seconds_of(score)}


def _plain_rate(tree: Path, recipe: Recipe, size: Size) -> dict[str, float]:
    """Images per second of a plain loop over ImageFolder, with a process on each core to decode."""
    batches = image_folder_batches(tree, size.photos, replace(recipe, threads=usable_cores()))
    try:
        next(batches)
        prepare_device(size.where)
        network = build_model(recipe.model, CLASSES, image_size=recipe.resolution, seed=0).to(size.where)
        optimizer = make_optimizer(network, recipe)
        labels = torch.zeros(recipe.batch_size, dtype=torch.int64, device=size.where)

        def step_through(count: int) -> int:
            seen = 0
            for _ in range(count):
                images = next(batches).to(size.where)
                plain_step(network, optimizer, images, labels[: len(images)], recipe.precision)
                seen += len(images)
            wait_for(size.where)
            return seen

        step_through(2)
        started = time.perf_counter()
        return {"trained": step_through(size.photos // recipe.batch_size) / (time.perf_counter() - started)}
    finally:
        batches.close()
