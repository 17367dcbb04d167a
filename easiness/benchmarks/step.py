"""Training step and scoring step of a trial, timed beside the machine's own matrix product."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch

from easiness.architectures import build_model
from easiness.benchmarks.machine import MatrixProduct, count_flops, wait_for
from easiness.benchmarks.timing import interleave, ratios, summary
from easiness.loaders import Batch
from easiness.loaders.normalization import normalize_images
from easiness.loaders.protocol import score_batch_size
from easiness.recipes.recipe import cifar10
from easiness.trials.cpu import use_cores
from easiness.trials.evaluation import evaluate_networks
from easiness.trials.precision import prepare_device, settle_precision
from easiness.trials.steps import KEPT, Kind, Steps, captures, make_optimizer
from easiness.trials.training import training_step

CLASSES = 10  # as CIFAR-10


def bench_step(
    model: str = "wide_resnet_16_4",
    device: torch.device | None = None,
    *,
    batch_size: int = 128,
    resolution: int = 32,
    repeats: int = 5,
    threads: int = 1,
) -> dict[str, object]:
    """Time the functions that a trial calls for a batch, as a trial calls them on this device, on normalized noise.

    On a GPU that is in bfloat16, captured; on a CPU (the default) eagerly in float32, on `threads` cores.

    For `train` and `score`: `images` and counted `gflop` of a step, summaries of `images_per_s`, `gflops` (10⁹
    operations per second) and `share_of_sgemm`, the last against the matrix product of the same round, in the step's
    precision.
    """
    device = device or torch.device("cpu")
    use_cores(threads)
    prepare_device(device)
    precision = settle_precision("auto", device)
    network = build_model(model, CLASSES, image_size=resolution, seed=0)
    network = network.to(device, memory_format=torch.channels_last).train()
    recipe = replace(cifar10(model), batch_size=batch_size, resolution=resolution, precision=precision)
    eager = Steps(network, make_optimizer(network, recipe), precision)
    steps = KEPT.steps(Kind.of(recipe, CLASSES, device), recipe) if captures("auto", device) else eager
    rng = np.random.default_rng(0)

    def noise_batch(count: int) -> Batch:
        pixels = torch.from_numpy(rng.integers(0, 256, (count, resolution, resolution, 3), np.uint8)).to(device)
        labels = torch.from_numpy(rng.integers(0, CLASSES, count)).to(device)
        return Batch(normalize_images(pixels.permute(0, 3, 1, 2)), labels, np.arange(count), count)

    counts = {"train": batch_size, "score": score_batch_size(device)}
    batch, scored = map(noise_batch, counts.values())
    loader = SimpleNamespace(count=counts["score"], score_batches=lambda _: iter([scored]))

    def train_on(steps: Steps) -> None:
        steps.set_rate(recipe.learning_rate)
        training_step(batch, steps.update)
        wait_for(device)

    def score_on(steps: Steps) -> None:
        evaluate_networks([network], loader, measures=[steps.measure])

    product = MatrixProduct(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    seconds = interleave(
        {"train": partial(train_on, steps), "sgemm": product, "score": partial(score_on, steps)},
        repeats,
        warm_up=1,
    )
    result: dict[str, object] = {"model": model, "device": str(device), "batch_size": batch_size, "threads": threads}
    for name, task in (("train", train_on), ("score", score_on)):
        flop = count_flops(partial(task, eager))
        rates = [flop / taken / 1e9 for taken in seconds[name]]
        ceilings = [product.flops / taken / 1e9 for taken in seconds["sgemm"]]
        result[name] = {
            "images": counts[name],
            "gflop": flop / 1e9,
            "images_per_s": summary([counts[name] / taken for taken in seconds[name]]),
            "gflops": summary(rates),
            "share_of_sgemm": ratios(rates, ceilings),
        }
    return result
