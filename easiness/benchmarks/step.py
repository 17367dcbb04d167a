"""Time a training step and a scoring step beside the machine's own matrix product."""

import numpy as np
import torch
from torch import nn

from easiness.architectures import build_model
from easiness.benchmarks.machine import MatrixProduct, count_flops, wait_for
from easiness.benchmarks.timing import interleave, summary
from easiness.loaders.normalization import normalize_images
from easiness.recipes.recipe import cifar10
from easiness.trials.cpu import use_cores
from easiness.trials.evaluation import logit_metrics
from easiness.trials.training import make_optimizer


def bench_step(
    model: str = "wide_resnet_16_4",
    device: torch.device | None = None,
    *,
    batch_size: int = 128,
    resolution: int = 32,
    num_classes: int = 10,
    repeats: int = 5,
    threads: int = 1,
) -> dict[str, object]:
    """Time one training step and one scoring step of this package, eagerly and in float32, on one batch of noise.

    Parameters
    ----------
    model : str
        A name that `build_model` knows.
    device : torch.device, optional
        Where to; the CPU without it.
    batch_size, resolution, num_classes : int
        Size of the task.
    repeats : int
        Times that each is measured, in turns with a matrix product.
    threads : int
        On the CPU.

    Returns
    -------
    dict
        For `train` and `score`: counted `gflop` of a step, summaries of `images_per_s`, `gflops` (10⁹ operations per
        second) and `share_of_sgemm`, the last against the matrix product of the same round.
    """
    device = device or torch.device("cpu")
    use_cores(threads)
    network = build_model(model, num_classes, image_size=resolution, seed=0)
    network = network.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, cifar10(model))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (batch_size, resolution, resolution, 3), np.uint8)
    views = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
    labels = torch.from_numpy(rng.integers(0, num_classes, batch_size)).to(device)

    def train() -> None:
        network.train()
        loss = nn.functional.cross_entropy(network(normalize_images(views)).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        wait_for(device)

    @torch.no_grad()
    def score() -> None:
        network.eval()
        logit_metrics(network(normalize_images(views)).float(), labels)
        wait_for(device)

    product = MatrixProduct(device)
    seconds = interleave({"train": train, "sgemm": product, "score": score}, repeats)
    result: dict[str, object] = {"model": model, "device": str(device), "batch_size": batch_size, "threads": threads}
    for name, step in (("train", train), ("score", score)):
        flop = count_flops(step)
        rates = [flop / taken / 1e9 for taken in seconds[name]]
        ceilings = [product.flops / taken / 1e9 for taken in seconds["sgemm"]]
        result[name] = {
            "gflop": flop / 1e9,
            "images_per_s": summary([batch_size / taken for taken in seconds[name]]),
            "gflops": summary(rates),
            "share_of_sgemm": summary([rate / ceiling for rate, ceiling in zip(rates, ceilings, strict=True)]),
        }
    return result
