"""Precision of a network's products, and the settings of a device that decide it."""

from collections.abc import Callable

import torch


def settle_precision(precision: str, device: torch.device) -> str:
    """`auto` is bfloat16 on a GPU whose units compute it, else float32: most CPUs take several times as long."""
    if precision != "auto":
        return precision
    supported = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if supported else "float32"


def prepare_device(device: torch.device) -> None:
    """Make a GPU this process's own: its kernels chosen by trial, and float32 in full.

    The defaults would compute convolutions in TF32, whose products have ten bits. All settings of that family are made
    by their common switches: one of them alone makes every later reading of the others an error.
    """
    if device.type != "cuda":
        return
    if device.index is not None:  # without a number it is the current one, which torch does not take here
        torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True  # every batch but the last of an epoch has the same shape
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def forward(network: Callable[[torch.Tensor], torch.Tensor], images_BCHW: torch.Tensor, precision: str) -> torch.Tensor:
    """(B, K) float32 logits; with `bfloat16`, products and convolutions are in it, and weights stay in float32."""
    with torch.autocast(images_BCHW.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits_BK = network(images_BCHW)
    return logits_BK.float()
