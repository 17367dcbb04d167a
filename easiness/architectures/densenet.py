"""Densely connected networks with bottlenecks and compression (DenseNet-BC) for small images, without dropout.

Source: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017 (arXiv 1608.06993), sections 3 and 4.2.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from easiness.architectures.depth import blocks_per_stage
from easiness.architectures.initialisation import he_initialise


class DenseLayer(nn.Module):
    """A 1×1 bottleneck of 4 × ``growth`` channels and a 3×3 convolution; input and output are concatenated."""

    def __init__(self, channels_in: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_in + growth, H, W)."""
        new = self.conv2(relu(self.norm2(self.conv1(relu(self.norm1(x))))))
        return torch.cat((x, new), dim=1)


class Transition(nn.Module):
    """Half the channels (the paper's compression of 0.5, rounded down) and half the height and width."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = nn.Conv2d(channels_in, channels_in // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_in/2, H/2, W/2)."""
        return avg_pool2d(self.conv(relu(self.norm(x))), 2)


class DenseNetBC(nn.Module):
    """DenseNet-BC (L, k): three stages of dense layers, a transition before the second and before the third.

    ``depth`` is L = 6n+4 for n dense layers (of two convolutions each) per stage; ``growth`` is k, the channels that
    every dense layer adds. On 32×32 images the stages have maps of 32×32, 16×16 and 8×8. DenseNet-BC (100, 12) has
    769,162 parameters with ten classes.
    """

    def __init__(self, depth: int, growth: int, num_classes: int) -> None:
        super().__init__()
        layers = blocks_per_stage("densenet_bc", depth, layers=6, outside=4)
        channels = 2 * growth
        self.stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.stages = nn.Sequential()
        for number in range(3):
            stage = nn.Sequential()
            if number > 0:
                stage.append(Transition(channels))
                channels //= 2
            for _ in range(layers):
                stage.append(DenseLayer(channels, growth))
                channels += growth
            self.stages.append(stage)
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, K)."""
        features = relu(self.norm(self.stages(self.stem(images))))
        return self.classifier(features.mean(dim=(2, 3)))
