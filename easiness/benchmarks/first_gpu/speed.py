"""Ceilings of a machine, and the speed of steps and of whole scorings on it."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import partial

import torch

from easiness import tracking
from easiness.benchmarks.first_gpu.size import Size, recipe_for, training_set, validation_set
from easiness.benchmarks.machine import MatrixProduct, bench_machine
from easiness.benchmarks.plain import score_resident, score_with_loaders
from easiness.benchmarks.score import score_untracked
from easiness.benchmarks.step import bench_step, flops_of_image
from easiness.benchmarks.timing import seconds_of
from easiness.loaders.ffcv import why_no_ffcv
from easiness.machine import usable_cores
from easiness.runs.score.run import score
from easiness.trials.engines import trials_on_gpu
from easiness.trials.precision import settle_precision


def machine(size: Size) -> dict[str, object]:
    """What the machine has, and its ceilings."""
    about = {"torch": torch.__version__, "python": platform.python_version(), "cores": usable_cores()}
    if size.where.type == "cuda":
        properties = torch.cuda.get_device_properties(size.where)
        about |= {"gpu": properties.name, "gpus": torch.cuda.device_count()}
        about |= {"gib": properties.total_memory / 2**30, "capability": f"{properties.major}.{properties.minor}"}
        about |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    about |= {"precision": settle_precision("auto", size.where), "trials_per_gpu": trials_on_gpu(None, 32)}
    about |= {"ffcv": why_no_ffcv() or "usable"}
    return about | bench_machine(size.where, repeats=size.repeats, threads=usable_cores())


def steps(size: Size) -> dict[str, object]:
    """Steps of the network for small images; see `bench_step`."""
    return bench_step(size.model, size.where, repeats=size.repeats)


def deep_steps(size: Size) -> dict[str, object]:
    """Steps of the deep network for small images."""
    return bench_step(size.deep_model, size.where, repeats=size.repeats)


def photo_steps(size: Size) -> dict[str, object]:
    """Steps of the network for photos, on drawn pixels."""
    sizes = {"batch_size": size.photo_batch, "resolution": size.photo_resolution, "classes": 1000}
    return bench_step(size.photo_model, size.where, repeats=size.repeats, **sizes)


def scoring(size: Size) -> dict[str, object]:
    """A whole scoring with the network for small images."""
    return _scoring(size, size.model)


def deep_scoring(size: Size) -> dict[str, object]:
    """A whole scoring with the deep network."""
    return _scoring(size, size.deep_model)


def _scoring(size: Size, model: str) -> dict[str, object]:
    """Seconds of M trials of an epoch with their scores: bare, cold and warm, and as a run; and of one plain trial."""
    recipe, data, val = recipe_for(model, trials=size.trials), training_set(size), validation_set(size)
    bare = partial(score_untracked, recipe, data, size.where, "inline")
    seconds = {"bare, cold": seconds_of(bare), "bare": seconds_of(bare)}
    flops = flops_of_image(recipe, data.num_classes)
    tflops = sum(flops.values()) * len(data) * recipe.trials / 1e12 / seconds["bare"]
    precision = settle_precision("auto", size.where)
    product = MatrixProduct(size.where, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    product()
    ceiling = product.flops / 1e12 / seconds_of(product)
    with _own_store():
        with tracking.tracked_run("bench", "makes the store"):
            pass
        settled = ("resolution", "batch_size", "shift", "schedule_epochs", "epochs", "trials")
        options = {name: getattr(recipe, name) for name in settled}
        run = {"model": model, "device": size.where.type, "engine": "inline", "allow_outliers": True}
        seconds["whole"] = seconds_of(lambda: score(data=(data, val), **options, **run))
    arguments = (recipe, data.images, data.labels, 1, size.where)
    plain = {"resident": partial(score_resident, *arguments)}
    plain |= {"loaders": partial(score_with_loaders, *arguments, workers=usable_cores())}
    plain["resident"]()
    return {
        "model": model,
        "examples": len(data),
        "trials": recipe.trials,
        "precision": precision,
        "seconds": seconds,
        "tflops": tflops,
        "share_of_matmul": tflops / ceiling,
        "plain_seconds_of_one_trial": {name: seconds_of(task) for name, task in plain.items()},
    }


@contextmanager
def _own_store() -> Iterator[None]:
    """Have runs, and what is not on a server yet, in a folder that is removed."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("MLFLOW_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as place, chdir(place):
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "EASINESS_WORK": f"{place}/work"}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before
