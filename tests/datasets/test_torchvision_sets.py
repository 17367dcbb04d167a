"""torchvision's sets: Fashion-MNIST as it is published, or drawn in its format; what is no classification set."""

import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from easiness.architectures.torchvision_import import import_torchvision
from easiness.datasets import open_dataset
from easiness.datasets import torchvision_sets as sets
from easiness.datasets.lazy import LazyImages
from easiness.recipes.recipe import make_recipe

import_torchvision()

# Where Debian's package dataset-fashion-mnist has its files.
PUBLISHED = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))

PARTS = {"train": "train", "val": "t10k"}


def write_idx(path, array):
    """MNIST's format: a magic number with the number of dimensions, these, and the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes())


def draw(root, counts):
    """Files of Fashion-MNIST with drawn pictures; returns pictures and labels by split."""
    rng = np.random.default_rng(0)
    drawn = {}
    for split, count in counts.items():
        pictures, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        write_idx(root / "FashionMNIST" / "raw" / f"{PARTS[split]}-images-idx3-ubyte", pictures)
        write_idx(root / "FashionMNIST" / "raw" / f"{PARTS[split]}-labels-idx1-ubyte", labels)
        drawn[split] = pictures, labels
    return drawn


@pytest.mark.parametrize("split", ["train", "val"])
def test_fashion_mnist(tmp_path, split):
    pictures, labels = draw(tmp_path, {"train": 40, "val": 20})[split]
    found = open_dataset("torchvision:FashionMNIST", tmp_path, split=split)
    np.testing.assert_array_equal(found.images, np.repeat(pictures[..., None], 3, axis=-1))
    np.testing.assert_array_equal(found.labels, labels)
    assert found.class_names[:2] == ("T-shirt/top", "Trouser")
    assert (found.name, found.kind, found.sources[3]) == (
        "FashionMNIST",
        "torchvision:FashionMNIST",
        f"FashionMNIST/{split}#3",
    )


def test_fashion_mnist_as_it_is_published(tmp_path):
    if not PUBLISHED.is_dir():
        pytest.skip(f"needs Debian's dataset-fashion-mnist in {PUBLISHED}, or FASHION_MNIST=FOLDER")
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        # torchvision looks for the training files, too, and does not read them.
        for file in (name, name.replace("t10k", "train")):
            path = tmp_path / "FashionMNIST" / "raw" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(PUBLISHED / f"{name}.gz") as packed, path.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    found = open_dataset("torchvision:FashionMNIST", tmp_path, split="val")
    assert found.images.shape == (10_000, 28, 28, 3)
    assert np.bincount(found.labels).tolist() == [1000] * 10


def test_small_sets_have_the_recipe_of_cifar10_and_others_that_of_a_folder():
    small, large = (make_recipe(f"torchvision:{name}", "resnet18") for name in ("FashionMNIST", "Food101"))
    assert (small.dataset, small.resolution, small.batch_size) == ("cifar10", 32, 128)
    assert large == make_recipe("folder", "resnet18")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CIFAR1000", "torchvision has no set 'CIFAR1000'; did you mean CIFAR100"),
        ("EMNIST", r"EMNIST needs other arguments than root \(root, split\); write a function"),
        ("FakeData", "FakeData needs other arguments than root"),
        ("wrap_dataset_for_transforms_v2", "torchvision has no set"),
    ],
)
def test_what_is_no_classification_set_is_refused(tmp_path, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_dataset(f"torchvision:{name}", tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_files_say_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="CIFAR100 is not in .*; give its folder with data=FOLDER") as caught:
        open_dataset("torchvision:CIFAR100", tmp_path)
    call = f"torchvision.datasets.CIFAR100('{tmp_path}', download=True)"
    assert str(caught.value).endswith(f'or get it there with: python -c "import torchvision; {call}"')
    assert list(tmp_path.iterdir()) == [], "nothing is downloaded into a folder that a command names"


class Pictures:
    """A set as torchvision makes them: a part by `split`, items of any kind."""

    items = ()

    def __init__(self, root, split="train", download=False):
        if split not in ("trainval", "test"):
            raise ValueError(f"Unknown value '{split}' for argument split. Valid values are ('trainval', 'test').")
        self.split, self.classes = split, ["red", ("light", "blue"), "red"]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]


@pytest.fixture
def pictures(monkeypatch):
    """The set `torchvision:Pictures`, whose items a test chooses."""
    from torchvision import datasets

    monkeypatch.setattr(datasets, "Pictures", Pictures, raising=False)
    monkeypatch.setattr(datasets, "__all__", (*datasets.__all__, "Pictures"))
    return monkeypatch


def rgb(*size):
    from PIL import Image

    return Image.fromarray(np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8))


def test_parts_are_found_under_the_names_that_a_set_has(pictures, tmp_path):
    pictures.setattr(Pictures, "items", [(rgb(4, 5), 0), (rgb(6, 5), 1), (rgb(4, 4), np.int64(2))])
    assert sets.has_val("Pictures")
    found = open_dataset("torchvision:Pictures", tmp_path, split="val")
    assert isinstance(found.images, LazyImages), "pictures of different sizes are not kept in memory"
    np.testing.assert_array_equal(found.images[1], np.asarray(rgb(6, 5)))
    assert found.class_names == ("red (0)", "light, blue", "red (2)")
    assert found.images.take(np.array([2])).sizes.tolist() == [[4, 4]]


def test_items_of_another_kind_are_refused_and_changed_ones_noticed(pictures, tmp_path):
    pictures.setattr(Pictures, "items", [(rgb(4, 5), 0), (rgb(4, 5), {"boxes": 3})])
    with pytest.raises(ValueError, match=r"Pictures/train#1 \(an item is \(Image, dict\), not an image and the number"):
        open_dataset("torchvision:Pictures", tmp_path)
    items = [(rgb(4, 5), 0), (rgb(6, 5), 1), (rgb(4, 4), 2)]
    pictures.setattr(Pictures, "items", items)
    found = open_dataset("torchvision:Pictures", tmp_path)
    items[1] = rgb(6, 6), 1
    with pytest.raises(ValueError, match="image 1 is another than when it was checked"):
        found.images[1]
