"""Check that a model works on images of a size, and search for the smallest size that works."""

import bisect

import torch
from torch import nn
from torch.func import functional_call

LARGEST_TRIED = 1024


def check_image_size(model: nn.Module, name: str, num_classes: int, image_size: int) -> None:
    """Pass two blank images through ``model``, in train and eval mode; a ValueError if they do not give logits (2, K).

    The pass computes shapes only (on torch's meta device), so it is cheap for large models, too. A model that reads
    values (``.item()``) fails there and gets real images. Weights and running statistics do not change; the model is
    left in train mode.
    """
    try:
        if image_size < 1:
            raise ValueError("an image has at least one pixel")
        try:
            outputs = _outputs(model, image_size, "meta")
        except Exception:
            outputs = _outputs(model, image_size, "cpu")
    except Exception as error:
        works_from = _smallest_size(model, image_size)
        if works_from is None:
            reason = str(error).partition("\n")[0] or type(error).__name__
            advice = f"no larger size up to {LARGEST_TRIED} works, either ({reason})"
        else:
            advice = f"the smallest size that does is {works_from}×{works_from}"
        raise ValueError(
            f"model {name!r} does not work on images of {image_size}×{image_size} pixels: {advice}"
        ) from error
    for mode, output in outputs.items():
        if not isinstance(output, torch.Tensor):
            result = f"a {type(output).__name__}"
        elif output.shape != (2, num_classes):
            result = f"a tensor of shape {tuple(output.shape)}"
        else:
            continue
        raise ValueError(
            f"model {name!r} returns {result} in {mode} mode for two images, not logits (2, {num_classes})"
        )


def _outputs(model: nn.Module, image_size: int, device: str) -> dict[str, object]:
    """Output for two blank images in each mode, computed with copies of the model's tensors."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    copies = {key: tensor.detach().to(device, copy=True) for key, tensor in tensors}
    images = torch.zeros(2, 3, image_size, image_size, device=device)
    outputs = {}
    try:
        with torch.no_grad():
            for mode in ("train", "eval"):
                model.train(mode == "train")
                outputs[mode] = functional_call(model, copies, images)
    finally:
        model.train()
    return outputs


def _works(model: nn.Module, image_size: int) -> bool:
    try:
        _outputs(model, image_size, "meta")
    except Exception:
        return False
    return True


def _smallest_size(model: nn.Module, fails: int) -> int | None:
    """Smallest size that works, given one that fails; None if none is found.

    Bisection, because in convolutional networks every size above a working one works.
    """
    sizes = range(max(fails, 0) + 1, LARGEST_TRIED + 1)
    index = bisect.bisect_left(sizes, True, key=lambda size: _works(model, size))
    return sizes[index] if index < len(sizes) else None
