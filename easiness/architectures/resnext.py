"""Residual networks of aggregated transformations (ResNeXt) for small images.

Source: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017
(arXiv 1611.05431), section 5.3, and the authors' code for it.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from easiness.architectures.depth import blocks_per_stage
from easiness.architectures.initialisation import he_initialise


class ResNeXtBlock(nn.Module):
    """1×1, grouped 3×3 and 1×1 convolution, each normalized, added to the shortcut before the last ReLU.

    If the shape changes, the shortcut is a normalized 1×1 convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, groups: int, group_width: int) -> None:
        super().__init__()
        inner = groups * group_width
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels_out, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential()
        if channels_in != channels_out or stride != 1:
            self.shortcut.append(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H/stride, W/stride)."""
        residual = relu(self.norm1(self.conv1(x)))
        residual = relu(self.norm2(self.conv2(residual)))
        return relu(self.norm3(self.conv3(residual)) + self.shortcut(x))


class ResNeXt(nn.Module):
    """ResNeXt-depth, cardinality × width d: three stages with 4, 8 and 16 times as many channels as the stem.

    ``depth`` is 9n+2 for n blocks per stage; ``cardinality`` is the number of groups of the 3×3 convolutions, ``width``
    the channels of a group in the first stage, doubled in every further stage. The paper's ``stem`` has 64 channels;
    fewer make a small sibling. On 32×32 images the stages have maps of 32×32, 16×16 and 8×8. ResNeXt-29, 8×64d has
    34.4 million parameters, 16×64d 68.1 million (the paper's), 4×64d 17.6 million.
    """

    def __init__(self, depth: int, cardinality: int, width: int, num_classes: int, stem: int = 64) -> None:
        super().__init__()
        blocks = blocks_per_stage("resnext", depth, layers=9, outside=2)
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        self.stages = nn.Sequential()
        channels = stem
        for factor, stride in ((1, 1), (2, 2), (4, 2)):
            stage = nn.Sequential()
            for number in range(blocks):
                out, step = 4 * stem * factor, stride if number == 0 else 1
                stage.append(ResNeXtBlock(channels, out, step, cardinality, width * factor))
                channels = out
            self.stages.append(stage)
        self.classifier = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, K)."""
        return self.classifier(self.stages(self.stem(images)).mean(dim=(2, 3)))
