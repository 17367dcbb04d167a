"""Wide residual networks for small images.

Source: Zagoruyko & Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv 1605.07146), table 1; no dropout.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from easiness.architectures.depth import blocks_per_stage
from easiness.architectures.initialisation import he_initialise


class WideBlock(nn.Module):
    """Two 3×3 convolutions, each after normalization and ReLU, added to the shortcut.

    If the shape changes, the shortcut is a 1×1 convolution of the activated input, as in the authors' code.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        same = channels_in == channels_out and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H/stride, W/stride)."""
        activated = relu(self.norm1(x))
        residual = self.conv2(relu(self.norm2(self.conv1(activated))))
        return residual + (x if self.shortcut is None else self.shortcut(activated))


class WideResNet(nn.Module):
    """WRN-depth-width: three stages of pre-activation blocks with 16, 32 and 64 × ``width`` channels.

    ``depth`` is 6n+4 for n blocks per stage. On 32×32 images the stages have maps of 32×32, 16×16 and 8×8. WRN 16-4 has
    2.75 million parameters.
    """

    def __init__(self, depth: int, width: int, num_classes: int) -> None:
        super().__init__()
        blocks = blocks_per_stage("wide_resnet", depth, layers=6, outside=4)
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stages = nn.Sequential()
        channels = 16
        for base, stride in ((16, 1), (32, 2), (64, 2)):
            stage = nn.Sequential(WideBlock(channels, base * width, stride))
            channels = base * width
            stage.extend(WideBlock(channels, channels, 1) for _ in range(blocks - 1))
            self.stages.append(stage)
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, K)."""
        features = relu(self.norm(self.stages(self.stem(images))))
        return self.classifier(features.mean(dim=(2, 3)))
