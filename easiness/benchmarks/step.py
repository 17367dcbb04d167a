"""Training step and scoring step of a trial, timed beside a plain loop's and the machine's own matrix product."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch

from easiness.architectures import build_model
from easiness.benchmarks.machine import MatrixProduct, count_flops, wait_for
from easiness.benchmarks.plain import plain_scores, plain_step
from easiness.benchmarks.timing import interleave, ratios, summary
from easiness.loaders import Batch
from easiness.loaders.normalization import normalize_images
from easiness.loaders.protocol import score_batch_size
from easiness.recipes.recipe import Recipe, cifar10
from easiness.trials.cpu import use_cores
from easiness.trials.evaluation import evaluate_networks
from easiness.trials.precision import prepare_device, settle_precision
from easiness.trials.steps import Steps, captured_steps, make_optimizer
from easiness.trials.training import training_step

PLAIN = "plain loop"

# Steps of one timing. A step of a GPU is so short that waiting for its end, which a training does not, would count.
_STEPS = {"cpu": 1, "cuda": 20}

# Trains or scores for a number of steps, and waits for the device.
Work = Callable[[int], object]


def bench_step(
    model: str = "wide_resnet_16_4",
    device: torch.device | None = None,
    *,
    batch_size: int = 128,
    resolution: int = 32,
    classes: int = 10,
    repeats: int = 5,
    threads: int = 1,
) -> dict[str, object]:
    """Time the functions that a trial calls for a batch, as a trial calls them on this device, on normalized noise.

    The ways are `captured` (on a GPU), `eager` and `plain loop`, all in the precision of a trial on that device:
    bfloat16 on a GPU that has it, else float32; a CPU (the default) uses `threads` cores.

    For `train` and `score`: `images` and counted `gflop` of a step and, for each way, summaries of `images_per_s`,
    `gflops` (10⁹ operations per second), `share_of_matmul`, against the matrix product of the same round in the same
    precision, and `times_plain_loop`, how many times as fast it is as the plain loop.
    """
    device = device or torch.device("cpu")
    use_cores(threads)
    prepare_device(device)
    precision = settle_precision("auto", device)
    recipe = replace(cifar10(model), batch_size=batch_size, resolution=resolution, precision=precision)
    counts = {"train": batch_size, "score": score_batch_size(device)}
    batches = {name: _noise(count, resolution, classes, device) for name, count in counts.items()}
    works = _works(recipe, classes, batches)
    steps = _STEPS[device.type]
    product = MatrixProduct(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)
    tasks = {f"{name} {way}": partial(work, steps) for name, ways in works.items() for way, work in ways.items()}
    seconds = interleave({"product": product, **tasks}, repeats)
    ceilings = [product.flops / taken / 1e9 for taken in seconds["product"]]
    result: dict[str, object] = {"model": model, "device": str(device), "precision": precision, "threads": threads}
    for name, ways in works.items():
        flop = count_flops(partial(ways["eager"], 1))
        result[name] = {"images": counts[name], "gflop": flop / 1e9}
        for way in ways:
            taken = seconds[f"{name} {way}"]
            rates = [steps * flop / one / 1e9 for one in taken]
            result[name][way] = {
                "images_per_s": summary([steps * counts[name] / one for one in taken]),
                "gflops": summary(rates),
                "share_of_matmul": ratios(rates, ceilings),
                "times_plain_loop": ratios(seconds[f"{name} {PLAIN}"], taken),
            }
    return result


def flops_of_image(recipe: Recipe, classes: int) -> dict[str, float]:
    """Counted operations to `train` and to `score` on one image."""
    count = 2
    batch = _noise(count, recipe.resolution, classes, torch.device("cpu"))
    works = _works(replace(recipe, precision="float32"), classes, {"train": batch, "score": batch})
    return {name: count_flops(partial(ways["eager"], 1)) / count for name, ways in works.items()}


def _works(recipe: Recipe, classes: int, batches: dict[str, Batch]) -> dict[str, dict[str, Work]]:
    """Training and scoring by each way, with a network of its own."""
    device = batches["train"].images.device

    def fresh(**how: object) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        network = build_model(recipe.model, classes, image_size=recipe.resolution, seed=0).to(device, **how)
        return network, make_optimizer(network, recipe)

    eager = Steps(*fresh(memory_format=torch.channels_last), recipe.precision)
    captured = captured_steps("auto", recipe, classes, device)
    ours = {"eager": eager} if captured is None else {"captured": captured, "eager": eager}
    works = {
        "train": {way: partial(_train, steps, recipe.learning_rate, batches["train"]) for way, steps in ours.items()},
        "score": {way: partial(_score, steps, batches["score"]) for way, steps in ours.items()},
    }
    plain = fresh()
    # The usual memory format.
    contiguous = {name: (batch.images.contiguous(), batch.labels) for name, batch in batches.items()}
    works["train"][PLAIN] = partial(_train_plainly, *plain, contiguous["train"], recipe.precision)
    works["score"][PLAIN] = partial(_score_plainly, plain[0], contiguous["score"], recipe.precision)
    return works


def _noise(count: int, resolution: int, classes: int, device: torch.device) -> Batch:
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, resolution, resolution, 3), np.uint8)).to(device)
    labels = torch.from_numpy(rng.integers(0, classes, count)).to(device)
    return Batch(normalize_images(pixels.permute(0, 3, 1, 2)), labels, np.arange(count), count)


def _train(steps: Steps, rate: float, batch: Batch, count: int) -> None:
    steps.model.train()
    for _ in range(count):
        steps.set_rate(rate)
        training_step(batch, steps.update)
    wait_for(batch.images.device)


def _score(steps: Steps, batch: Batch, count: int) -> None:
    loader = SimpleNamespace(count=len(batch.rows), score_batches=lambda _: iter([batch] * count))
    evaluate_networks([steps.model], loader, measures=[steps.measure])


def _train_plainly(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[torch.Tensor, torch.Tensor],
    precision: str,
    count: int,
) -> None:
    for _ in range(count):
        plain_step(network, optimizer, *batch, precision)
    wait_for(batch[0].device)


def _score_plainly(
    network: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor], precision: str, count: int
) -> None:
    plain_scores(network, [batch] * count, precision)
