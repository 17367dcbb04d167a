"""Plain PyTorch loops that a user would otherwise write, which give the same metrics of every example.

`score_with_loaders` is the usual one: a dataset of Pillow images, torchvision's transforms, a `DataLoader` for training
and a second one for the scores. `score_resident` keeps the pixels in one tensor on the device and augments whole
batches, but is otherwise as plain. Both are eager, train one trial after another, and keep torch's usual memory format;
their precision is that of the recipe.
"""

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from easiness.architectures import build_model
from easiness.architectures.torchvision_import import import_torchvision
from easiness.loaders.normalization import normalize_images
from easiness.recipes.recipe import Recipe
from easiness.trials.evaluation import logit_metrics
from easiness.trials.precision import forward, settle_precision
from easiness.trials.steps import make_optimizer

# torch's names of the paddings.
_MODE = {"zero": "constant", "reflect": "reflect"}


class _PillowImages(Dataset):
    """Pillow images one by one, transformed, as torchvision's CIFAR10 gives them."""

    def __init__(self, pixels_NHWC: np.ndarray, labels_N: np.ndarray, transform: nn.Module) -> None:
        self._pixels, self._labels, self._transform = pixels_NHWC, labels_N, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[row])), int(self._labels[row])


def _normalize_contrast(image_CHW: torch.Tensor) -> torch.Tensor:
    return (image_CHW - image_CHW.mean()) / image_CHW.std(correction=0)


def score_with_loaders(
    recipe: Recipe, pixels_NHWC: np.ndarray, labels_N: np.ndarray, trials: int, device: torch.device, workers: int
) -> np.ndarray:
    """Train and score with Pillow images, transforms and two loaders of `workers` processes.

    Pixels are uint8, labels int64; the result is (M, 5, N) float32: the rows of `logit_metrics` for each of M trials.
    """
    transforms = import_torchvision().transforms
    clean = [transforms.ToTensor(), transforms.Lambda(_normalize_contrast)]
    moved = [
        transforms.RandomCrop(recipe.resolution, padding=recipe.shift, padding_mode=_MODE[recipe.padding]),
        transforms.RandomHorizontalFlip(),
    ]
    pinned, precision = device.type == "cuda", settle_precision(recipe.precision, device)
    common = {"batch_size": recipe.batch_size, "num_workers": workers, "pin_memory": pinned}
    metrics_MCN = []
    for trial in range(trials):
        network, optimizer = _network(recipe, int(labels_N.max()) + 1, trial, device)
        views = _PillowImages(pixels_NHWC, labels_N, transforms.Compose([*moved, *clean]))
        loader = DataLoader(views, shuffle=True, **common)
        for _ in range(recipe.epochs):
            for images, labels in loader:
                images = images.to(device, non_blocking=pinned)
                plain_step(network, optimizer, images, labels.to(device), precision)
        plain = DataLoader(_PillowImages(pixels_NHWC, labels_N, transforms.Compose(clean)), **common)
        batches = ((images.to(device), labels.to(device)) for images, labels in plain)
        metrics_MCN.append(plain_scores(network, batches, precision))
    return np.stack(metrics_MCN)


def score_resident(
    recipe: Recipe, pixels_NHWC: np.ndarray, labels_N: np.ndarray, trials: int, device: torch.device
) -> np.ndarray:
    """Train and score with the pixels in one tensor; parameters and result as in `score_with_loaders`."""
    pixels = torch.from_numpy(pixels_NHWC).to(device).permute(0, 3, 1, 2).contiguous()
    padded = nn.functional.pad(pixels.float(), (recipe.shift,) * 4, mode=_MODE[recipe.padding])
    labels, precision = torch.from_numpy(labels_N).to(device), settle_precision(recipe.precision, device)
    metrics_MCN = []
    for trial in range(trials):
        network, optimizer = _network(recipe, int(labels_N.max()) + 1, trial, device)
        for _ in range(recipe.epochs):
            for rows in torch.randperm(len(labels), device=device).split(recipe.batch_size):
                images = normalize_images(_move(padded[rows], recipe))
                plain_step(network, optimizer, images, labels[rows], precision)
        batches = zip(pixels.split(recipe.batch_size), labels.split(recipe.batch_size), strict=True)
        normalized = ((normalize_images(images), targets) for images, targets in batches)
        metrics_MCN.append(plain_scores(network, normalized, precision))
    return np.stack(metrics_MCN)


def _move(padded_BCHW: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Random crop of every padded image, and a mirror image of half of them."""
    count, side = len(padded_BCHW), torch.arange(recipe.resolution, device=padded_BCHW.device)
    top, left = torch.randint(0, 2 * recipe.shift + 1, (2, count, 1), device=padded_BCHW.device)
    batch = torch.arange(count, device=padded_BCHW.device)[:, None, None]
    cut = padded_BCHW.permute(0, 2, 3, 1)[batch, (top + side)[:, :, None], (left + side)[:, None, :]]
    mirrored = torch.rand(count, 1, 1, 1, device=padded_BCHW.device) < 0.5
    return torch.where(mirrored, cut.flip(2), cut).permute(0, 3, 1, 2).contiguous()


def _network(
    recipe: Recipe, num_classes: int, trial: int, device: torch.device
) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = build_model(recipe.model, num_classes, image_size=recipe.resolution, seed=trial).to(device)
    return network, make_optimizer(network, recipe)


def plain_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images_BCHW: torch.Tensor,
    labels_B: torch.Tensor,
    precision: str,
) -> None:
    """One update on a batch."""
    network.train()
    loss = nn.functional.cross_entropy(forward(network, images_BCHW, precision), labels_B)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def plain_scores(
    network: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]], precision: str
) -> np.ndarray:
    """(5, N) `logit_metrics` of all examples in batches of images and labels."""
    network.eval()
    parts = [logit_metrics(forward(network, images, precision), labels).cpu().numpy() for images, labels in batches]
    return np.concatenate(parts, axis=1)
