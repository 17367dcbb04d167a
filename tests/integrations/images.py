"""500 drawn images as a training set of torch, for callbacks."""

import numpy as np
import torch

import easiness
from easiness.datasets import Dataset

COUNT = 500


def drawn() -> Dataset:
    return easiness.open_dataset("planted", limit=COUNT)


class Pictures(torch.utils.data.Dataset):
    """Images of 16 pixels in grey levels around 0, with their labels; augmented ones are noisy."""

    def __init__(self, data, *, augmented):
        pixels = np.asarray(data.images)[:, ::4, ::4].transpose(0, 3, 1, 2)
        self.pixels = torch.from_numpy(pixels.astype(np.float32) / 255 - 0.5)
        self.labels = torch.from_numpy(data.labels)
        self.augmented = augmented

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        noise = 0.1 * torch.randn(3, 16, 16) if self.augmented else 0.0
        return self.pixels[row] + noise, self.labels[row]


def network():
    """A small network with dropout, so that a pass that draws random numbers would change the training."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=2),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(8 * 36, 10),
    )


def told(data):
    """Options of a Recorder for these data."""
    return {"ids": data.example_ids, "class_names": data.class_names, "images": data.images, "name": data.name}
