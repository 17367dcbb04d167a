"""Loaders timed beside what a user would otherwise write: ImageFolder with Pillow and torchvision's transforms."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch

from easiness.architectures.torchvision_import import import_torchvision
from easiness.benchmarks.timing import take_turns
from easiness.datasets import Dataset
from easiness.datasets.class_folders import files_by_class
from easiness.datasets.image_folder import open_tree
from easiness.datasets.packed import open_part
from easiness.datasets.packing import PackOptions, pack_part
from easiness.loaders import stage
from easiness.loaders.ffcv import why_no_ffcv
from easiness.recipes.randomness import trial_seeds
from easiness.recipes.recipe import Recipe, make_recipe

# All other loaders are compared with this one.
BASELINE = "ImageFolder with Pillow"
MAX_SIDE = 400  # longest side in pixels of the images packed for FFCV; the others read the files as they are

# Endless batches of floats; closing it ends its workers.
Batches = Generator[torch.Tensor, None, None]


def bench_loaders(
    folder: str | Path,
    *,
    resolution: int = 224,
    images: int = 1000,
    repeats: int = 3,
    batch_size: int = 64,
    workers: int = 2,
) -> dict[str, dict[str, object]]:
    """Time training batches, cropped, mirrored, normalized and as floats on the CPU, of each loader in turn.

    `folder` holds one folder per class, itself or in `train`. A repeat takes `images` images, those of a smaller folder
    several times. `resolution` is the side of the views in pixels; `workers` are decoding threads, of ImageFolder
    processes. Compiling, packing and starting workers are not in the time.

    By loader: data (the folder's name), loader, ``images_per_second`` (median), its ``least`` and ``most`` over the
    repeats, ``ratio`` to ImageFolder; ``images_per_cpu_second`` (median) and ``cpu_ratio``, which do not count the time
    that other programs took.
    """
    folder = Path(folder)
    recipe = make_recipe("imagenet", "resnet18", resolution=resolution, batch_size=batch_size, threads=workers)
    with tempfile.TemporaryDirectory() as packed_folder:
        passes = _passes(folder, Path(packed_folder), images, recipe)
        try:
            # ImageFolder, the last, comes first here: its workers are forked, and must be before there are threads.
            for batches in reversed(passes.values()):
                next(batches)
            measured = take_turns({name: partial(_time, batches, images) for name, batches in passes.items()}, repeats)
        finally:
            for batches in passes.values():
                batches.close()
    base_wall, base_cpu = np.median(measured[BASELINE], axis=0)
    rows = {}
    for name, seconds in measured.items():
        wall, cpu = np.median(seconds, axis=0)
        rows[name] = {
            "data": folder.name,
            "loader": name,
            "images_per_second": float(1 / wall),
            "least": float(1 / np.max(seconds, axis=0)[0]),
            "most": float(1 / np.min(seconds, axis=0)[0]),
            "ratio": float(base_wall / wall),
            "images_per_cpu_second": float(1 / cpu),
            "cpu_ratio": float(base_cpu / cpu),
        }
    return rows


def _time(batches: Batches, images: int) -> tuple[float, float]:
    """Seconds and processor seconds per image."""
    # Batches decoded ahead while another loader was timed do not count.
    for _ in range(8):
        next(batches)
    seen, started, used = 0, time.perf_counter(), _cpu_seconds()
    while seen < images:
        seen += len(next(batches))
    return (time.perf_counter() - started) / seen, (_cpu_seconds() - used) / seen


def _cpu_seconds() -> float:
    """Processor time of this process and of the workers that it started."""
    ticks = 0
    for child in multiprocessing.active_children():
        after_name = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _passes(folder: Path, packed_folder: Path, images: int, recipe: Recipe) -> dict[str, Batches]:
    """Endless batches of every loader; for FFCV, the images are packed into `packed_folder`."""
    tree = folder / "train" if (folder / "train").is_dir() else folder
    files_of = files_by_class(tree)
    plain = open_tree(tree, "train", files_of, skip_bad=False)
    passes = {}
    if not why_no_ffcv():
        for mode in ("jpg", "raw"):
            options = PackOptions(max_side=MAX_SIDE, mode=mode)
            part = pack_part(tree, "train", files_of, packed_folder, options, workers=recipe.threads).part
            packed = open_part(packed_folder, "train", part, "quick")
            passes[f"FFCV {mode}"] = _ours(packed, images, replace(recipe, loader="ffcv"))
    passes["torchvision loader"] = _ours(plain, images, replace(recipe, loader="torchvision"))
    passes[BASELINE] = image_folder_batches(tree, images, recipe)
    return passes


def repeated(dataset: Dataset, images: int) -> Dataset:
    """At least so many examples: those of a smaller dataset several times."""
    rows = np.tile(np.arange(len(dataset)), -(-images // len(dataset)))
    return replace(
        dataset,
        images=dataset.images.take(rows),
        labels=dataset.labels[rows],
        sources=dataset.sources[rows],
        example_ids=np.arange(len(rows)),
        digests=dataset.digests[rows],
        tree_keys=None,
    )


def _ours(dataset: Dataset, images: int, recipe: Recipe) -> Batches:
    staged, _ = stage(repeated(dataset, images), dataset, recipe, None)
    opened, seeds = staged.open(torch.device("cpu")), trial_seeds(0, "", 0)
    for epoch in count():
        for batch in opened.train_batches(epoch, seeds):
            yield batch.images


def image_folder_batches(tree: Path, images: int, recipe: Recipe) -> Batches:
    """Endless batches of a tree of class folders by `recipe.threads` processes, as a user would otherwise write it."""
    import_torchvision()
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [
        transforms.RandomResizedCrop(recipe.resolution),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    dataset = ImageFolder(str(tree), transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(
        dataset,
        recipe.batch_size,
        sampler=torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=max(images, recipe.batch_size)),
        num_workers=recipe.threads,
        persistent_workers=True,
    )
    while True:
        for views, _ in loader:
            yield views
