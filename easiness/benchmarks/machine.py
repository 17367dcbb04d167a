"""Ceilings of this machine: matrix products, copies, decoded images."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from easiness.benchmarks.timing import interleave, summary
from easiness.trials.cpu import use_cores

_COPIED = 2**28  # bytes, far beyond any cache
_PHOTO = (375, 500)  # height and width in pixels, those of a typical image of ImageNet
_PHOTOS = 20


class MatrixProduct:
    """A product of two square matrices: the ceiling of everything that multiplies. Call it to compute it once."""

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        size = 1024 if device.type == "cpu" else 8192
        # Not zeros: a GPU draws less power for them, and clocks higher than it could in earnest.
        self._a, self._b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        self._product = torch.empty_like(self._a)
        self.flops = 2 * size**3

    def __call__(self) -> None:
        """Compute it, and wait for it."""
        torch.mm(self._a, self._b, out=self._product)
        wait_for(self._a.device)


def wait_for(device: torch.device) -> None:
    """Let a GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_flops(work: Callable[[], object]) -> int:
    """Floating point operations of matrix products and convolutions in a call; a multiplication and an addition are 2.

    >>> a = torch.ones(3, 5)
    >>> count_flops(lambda: a @ a.T)
    90
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def bench_machine(device: torch.device, *, repeats: int = 5, threads: int = 1) -> dict[str, object]:
    """Measure the ceilings of a device, in turns; images are decoded on the CPU.

    Summaries of `sgemm_gflops` (10⁹ operations per second of a float32 product; on a GPU also `bf16_gflops`),
    `copy_gb_per_s` (10⁹ bytes read and written per second), `decode_images_per_s` (JPEG of 500×375 by one core).
    """
    use_cores(threads)
    products = {"sgemm_gflops": MatrixProduct(device)}
    if device.type == "cuda":
        products["bf16_gflops"] = MatrixProduct(device, torch.bfloat16)
    source = torch.ones(_COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    photo = draw_photo()

    def copy() -> None:
        target.copy_(source)
        wait_for(device)

    def decode() -> None:
        for _ in range(_PHOTOS):
            Image.open(io.BytesIO(photo)).convert("RGB").load()

    seconds = interleave({**products, "copy_gb_per_s": copy, "decode_images_per_s": decode}, repeats)
    amounts = {name: product.flops / 1e9 for name, product in products.items()}
    amounts |= {"copy_gb_per_s": 2 * _COPIED / 1e9, "decode_images_per_s": _PHOTOS}
    return {name: summary([amounts[name] / taken for taken in seconds[name]]) for name in seconds}


def draw_photo(seed: int = 0) -> bytes:
    """JPEG of smooth noise, which compresses to about the size of a photo (some 60 kB)."""
    height, width = _PHOTO
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 6, width // 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
