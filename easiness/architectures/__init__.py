"""Networks by name: ours for small images, torchvision's, and a user's.

``build_model`` takes four kinds of name:

- ``wide_resnet_{depth}_{width}``, ``densenet_bc_{depth}_{growth}``, ``resnext{depth}_{groups}x{width}d`` (and
  ``…d_{stem}`` for a stem of other than 64 channels), written for 32×32 but right for other sizes, in every depth
  and width that the papers' formulas allow;
- torchvision's classification networks (``alexnet``, ``resnet50`` …; torchvision is imported only then);
- ``package.module:function``, called as ``function(num_classes=K)``.

Every model maps float images (B, 3, H, W) to logits (B, K).
"""

import difflib
import re

import torch
from torch import nn

from easiness.architectures.custom import custom_model
from easiness.architectures.densenet import DenseNetBC
from easiness.architectures.resnext import ResNeXt
from easiness.architectures.sizes import check_image_size
from easiness.architectures.vision import vision_model, vision_names
from easiness.architectures.wide_resnet import WideResNet
from easiness.recipes.custom import import_function

__all__ = ["build_model", "check_model", "model_names"]

# No leading zeros, so that a model has one name. ResNeXt of depth 50 and 101 is torchvision's.
_FAMILIES = {
    r"wide_resnet_([1-9]\d*)_([1-9]\d*)": WideResNet,
    r"densenet_bc_([1-9]\d*)_([1-9]\d*)": DenseNetBC,
    r"resnext(?!50_|101_)([1-9]\d*)_([1-9]\d*)x([1-9]\d*)d": ResNeXt,
    r"resnext([1-9]\d*)_([1-9]\d*)x([1-9]\d*)d_([1-9]\d*)": lambda depth, groups, width, stem, num_classes: ResNeXt(
        depth, groups, width, num_classes, stem
    ),
}
_PAPER_MODELS = ("wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d")


def model_names() -> tuple[str, ...]:
    """Names for ``build_model``: the paper's three, then torchvision's classification networks.

    Other depths and widths of the first three work, too, and so does ``package.module:function``.
    """
    return _PAPER_MODELS + vision_names()


def build_model(name: str, num_classes: int, *, image_size: int, seed: int) -> nn.Module:
    """Build a model with fresh weights, on the CPU and in train mode.

    ``name`` is of one of the four kinds above, ``num_classes`` at least 2, ``image_size`` the height and width in
    pixels. All initial weights are drawn from ``seed``, in [0, 2³²), by torch's CPU generator, so the same seed gives
    the same bits; a user's function must not draw from another generator. The global generators are not changed.

    A ValueError in one line for an unknown name (with near matches), an impossible depth, too small images (with the
    smallest size that works), or a user's function that does not return a model.

    Examples
    --------
    >>> model = build_model("wide_resnet_10_1", 10, image_size=32, seed=0)
    >>> tuple(model(torch.zeros(2, 3, 32, 32)).shape)
    (2, 10)
    >>> build_model("alexnet", 10, image_size=32, seed=0)
    Traceback (most recent call last):
    ValueError: model 'alexnet' does not work on images of 32×32 pixels: the smallest size that does is 63×63
    """
    if num_classes < 2:
        raise ValueError(f"num_classes={num_classes}, and must be at least 2")
    if not 0 <= seed < 2**32:
        # The generator silently drops higher bits, and two trials would start from the same weights.
        raise ValueError(f"seed={seed}, and must be in [0, 2**32)")
    # Weights are drawn on the CPU, so only its generator is seeded and restored; torch.manual_seed would reseed GPUs.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(int(seed))
        model = _draw(name, num_classes, image_size)
        check_image_size(model, name, num_classes, image_size)
    return model


def check_model(name: str, image_size: int) -> None:
    """Refuse, before the number of classes is known, what cannot become a model; a user's function is not called."""
    if ":" in name:
        import_function(name, "model")
    else:
        build_model(name, 2, image_size=image_size, seed=0)


def _draw(name: str, num_classes: int, image_size: int) -> nn.Module:
    if ":" in name:
        return custom_model(name, num_classes)
    for pattern, family in _FAMILIES.items():
        if numbers := re.fullmatch(pattern, name):
            return family(*map(int, numbers.groups()), num_classes)
    if name in vision_names():
        return vision_model(name, num_classes, image_size)
    near = difflib.get_close_matches(name.lower(), model_names(), n=4)
    raise ValueError(
        f"unknown model {name!r}; {'did you mean ' + ' or '.join(near) + '? ' if near else ''}"
        "torchvision's classification networks have their torchvision names, yours is package.module:function"
    )
