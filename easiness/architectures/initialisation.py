"""Initial weights, the same in the three papers."""

from torch import nn


def he_initialise(model: nn.Module) -> None:
    """Draw all convolution weights from He's normal distribution, in place, and set linear biases to zero.

    The variance is 2 / (output channels × kernel area), as in the code that the authors of wide residual networks,
    DenseNet and ResNeXt published; like them, linear weights keep torch's uniform default.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
