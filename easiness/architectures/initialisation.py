"""The initial weights that the three papers share."""

from torch import nn


def he_initialise(model: nn.Module) -> None:
    """Draw all convolution weights of ``model`` in place from He's normal distribution; zero linear biases.

    The variance is 2 / fan_out, with fan_out = output channels × kernel area, as in the code that the authors
    of wide residual networks, DenseNet and ResNeXt published. Linear weights keep torch's uniform default,
    which is theirs, too. All numbers come from torch's default generator.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
