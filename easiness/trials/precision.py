"""Steps of a network: their precision, and whether they run eagerly or are captured once and replayed."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn


class Steps(NamedTuple):
    """Forward passes of a network."""

    # (B, 3, H, W) images and (B,) labels to the mean cross-entropy in float32, ready for `backward`.
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    logits: Callable[[torch.Tensor], torch.Tensor]  # (B, 3, H, W) images to (B, K) float32
    eager_loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # `loss`, and never captured


def settle_precision(precision: str, device: torch.device) -> str:
    """`auto` is bfloat16 on a GPU and float32 on a CPU, most of which compute bfloat16 several times slower."""
    if precision != "auto":
        return precision
    return "bfloat16" if device.type == "cuda" else "float32"


def captures(device: torch.device) -> bool:
    """Whether steps are captured: on a GPU, where a small network in eager mode waits for kernel launches."""
    return device.type == "cuda"


def make_steps(model: nn.Module, device: torch.device, precision: str, *, capture: bool = False) -> Steps:
    """Steps of a network on its device.

    `precision` is `float32`, or `bfloat16` for matrix products and convolutions; weights and loss stay in float32.
    `capture` compiles the steps for each shape of a batch, and on a GPU records them as CUDA graphs. They read the
    weights where they lie: weights may change in place, and another trial may use the same steps. The result of
    `logits` is valid until the next call.
    """
    if device.type == "cuda" and precision == "float32":
        # cuDNN's default for convolutions is TF32, whose products have ten bits.
        torch.backends.cudnn.conv.fp32_precision = "ieee"

    def logits(images_BCHW: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            scores_BK = model(images_BCHW)
        return scores_BK.float()

    def loss(images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits(images_BCHW), labels_B)

    if not capture:
        return Steps(loss, logits, loss)
    return Steps(*(torch.compile(step, mode="reduce-overhead", dynamic=False) for step in (loss, logits)), loss)
