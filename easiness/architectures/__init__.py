"""Networks by name: ours for small images, torchvision's, and a user's own.

``build_model`` is the door. Four kinds of name pass it:

- ``wide_resnet_{depth}_{width}``, ``densenet_bc_{depth}_{growth}``, ``resnext{depth}_{groups}x{width}d`` (and
  ``…d_{stem}`` for a stem of other than 64 channels), written for 32×32 but right for other sizes, in every depth
  and width the papers' formulas allow;
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
from easiness.architectures.resnext import ResNeXt, narrow_resnext
from easiness.architectures.sizes import check_image_size
from easiness.architectures.vision import vision_model, vision_names
from easiness.architectures.wide_resnet import WideResNet

__all__ = ["build_model", "model_names"]

# Numbers without leading zeros, so that a model has one name. ResNeXt of depth 50 and 101 is torchvision's.
_FAMILIES = {
    r"wide_resnet_([1-9]\d*)_([1-9]\d*)": WideResNet,
    r"densenet_bc_([1-9]\d*)_([1-9]\d*)": DenseNetBC,
    r"resnext(?!50_|101_)([1-9]\d*)_([1-9]\d*)x([1-9]\d*)d": ResNeXt,
    r"resnext([1-9]\d*)_([1-9]\d*)x([1-9]\d*)d_([1-9]\d*)": narrow_resnext,
}
_PAPER_MODELS = ("wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d")


def model_names() -> tuple[str, ...]:
    """Return the names ``build_model`` knows: the paper's three, then torchvision's classification networks.

    Other depths and widths of the first three work as well, and so does ``package.module:function``.
    """
    return _PAPER_MODELS + vision_names()


def build_model(name: str, num_classes: int, *, image_size: int, seed: int) -> nn.Module:
    """Build a model with fresh weights, on the CPU and in train mode.

    Parameters
    ----------
    name
        One of ``model_names()``, a sibling of the first three in another depth and width, or
        ``package.module:function``.
    num_classes
        K, the number of logits, at least 2.
    image_size
        Height and width in pixels of the images that the model will see.
    seed
        In [0, 2³²). All initial weights are drawn from it by torch's CPU generator: the same seed gives the same
        bits. The global generators are left as they were. (A user's function must not draw from any other.)

    Returns
    -------
    torch.nn.Module
        Maps float images (B, 3, image_size, image_size) to logits (B, K), also in train mode.

    Raises
    ------
    ValueError
        In one line: the name is unknown (with the near matches) or its depth impossible, ``num_classes`` is
        below 2, ``seed`` is out of range, the images are too small (with the smallest size that works), or a
        user's function does not deliver a model.

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
        raise ValueError(f"num_classes={num_classes}: a classifier needs at least 2 classes")
    if not 0 <= seed < 2**32:
        # The generator drops higher bits without a word, and two trials would start from the same weights.
        raise ValueError(f"seed={seed}: a seed for initial weights lies in [0, 2**32)")
    # Weights are drawn on the CPU, so only its generator is seeded and restored. torch.manual_seed would also
    # reseed every GPU.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(int(seed))
        model = _draw(name, num_classes, image_size)
        check_image_size(model, name, num_classes, image_size)
    return model


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
        f"model {name!r} is unknown, {'near are ' + ', '.join(near) if near else 'no name is near'}; "
        "torchvision's classification networks work by their names there, your own as package.module:function"
    )
