"""What a user would otherwise write: the plain loop of PyTorch, with the same output for every example.

Two of them. `score_with_loaders` is the usual one: a dataset of Pillow images, torchvision's transforms, a `DataLoader`
for training and a second one for the scores. `score_resident` keeps the pixels in one tensor on the device and augments
whole batches, but is otherwise as plain: eager, one trial after another, memory in torch's usual order of dimensions.
"""

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
from easiness.trials.training import make_optimizer


class _PillowImages(Dataset):
    """Pixels as torchvision's own CIFAR10 hands them out: an image each, and a transform."""

    def __init__(self, pixels_NHWC: np.ndarray, labels_N: np.ndarray, transform: nn.Module) -> None:
        self._pixels, self._labels, self._transform = pixels_NHWC, labels_N, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[row])), int(self._labels[row])


class _NormalizeContrast(nn.Module):
    def forward(self, image_CHW: torch.Tensor) -> torch.Tensor:
        return (image_CHW - image_CHW.mean()) / image_CHW.std(correction=0)


def score_with_loaders(
    recipe: Recipe, pixels_NHWC: np.ndarray, labels_N: np.ndarray, trials: int, device: torch.device, workers: int
) -> np.ndarray:
    """Train and score with Pillow images, transforms and two loaders.

    Parameters
    ----------
    recipe : Recipe
        Model, epochs, batch size and rate.
    pixels_NHWC : numpy.ndarray
        (N, H, W, 3) uint8.
    labels_N : numpy.ndarray
        (N,) int64.
    trials : int
        M, one after another.
    device : torch.device
        Where to train.
    workers : int
        Processes of each loader.

    Returns
    -------
    numpy.ndarray
        (M, 4, N) float32: losses, EL2N, margin, correct.
    """
    transforms = import_torchvision().transforms
    clean = [transforms.ToTensor(), _NormalizeContrast()]
    moved = [
        transforms.RandomCrop(recipe.resolution, padding=recipe.shift, padding_mode="reflect"),
        transforms.RandomHorizontalFlip(),
    ]
    pinned = device.type == "cuda"
    common = {"batch_size": recipe.batch_size, "num_workers": workers, "pin_memory": pinned}
    measured = []
    for trial in range(trials):
        network, optimizer = _network(recipe, int(labels_N.max()) + 1, trial, device)
        views = _PillowImages(pixels_NHWC, labels_N, transforms.Compose([*moved, *clean]))
        loader = DataLoader(views, shuffle=True, **common)
        for _ in range(recipe.epochs):
            for images, labels in loader:
                _step(network, optimizer, images.to(device, non_blocking=pinned), labels.to(device))
        plain = DataLoader(_PillowImages(pixels_NHWC, labels_N, transforms.Compose(clean)), **common)
        measured.append(_score(network, ((images.to(device), labels.to(device)) for images, labels in plain)))
    return np.stack(measured)


def score_resident(
    recipe: Recipe, pixels_NHWC: np.ndarray, labels_N: np.ndarray, trials: int, device: torch.device
) -> np.ndarray:
    """Train and score with the pixels in one tensor; parameters and result as in `score_with_loaders`."""
    pixels = torch.from_numpy(pixels_NHWC).to(device).permute(0, 3, 1, 2).contiguous()
    padded = nn.functional.pad(pixels.float(), (recipe.shift,) * 4, mode="reflect")
    labels = torch.from_numpy(labels_N).to(device)
    measured = []
    for trial in range(trials):
        network, optimizer = _network(recipe, int(labels_N.max()) + 1, trial, device)
        for _ in range(recipe.epochs):
            for rows in torch.randperm(len(labels), device=device).split(recipe.batch_size):
                _step(network, optimizer, normalize_images(_move(padded[rows], recipe)), labels[rows])
        parts = (slice(start, start + recipe.batch_size) for start in range(0, len(labels), recipe.batch_size))
        measured.append(_score(network, ((normalize_images(pixels[part]), labels[part]) for part in parts)))
    return np.stack(measured)


def _move(padded_BCHW: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Cut every padded image at a place of its own, and mirror half of them."""
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


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    network.train()
    loss = nn.functional.cross_entropy(network(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def _score(network: nn.Module, batches: object) -> np.ndarray:
    network.eval()
    parts = [logit_metrics(network(images), labels).cpu().numpy() for images, labels in batches]
    return np.concatenate(parts, axis=1)
