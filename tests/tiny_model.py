"""Networks that train in no time, for tests of everything around them."""

from torch import nn


def build(num_classes):
    """Three layers; dropout, so that a resumed trial must restore what the network draws itself."""
    return _layers(num_classes, width=8)


def build_wide(num_classes):
    """Another architecture, where two are needed."""
    return _layers(num_classes, width=16)


def _layers(num_classes, width):
    return nn.Sequential(
        nn.Conv2d(3, width, 5, stride=4),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * width, num_classes),
    )
