"""Doors of data: what is taken for a place that is given alone, and one fingerprint by every door."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import Dataset, open_dataset
from easiness.datasets.opening import is_one_tree, kind_of
from easiness.recipes.recipe import make_recipe, recipe_of


@pytest.mark.parametrize(
    ("files", "data", "kind"),
    [
        (["a/x.png", "b/x.png"], ".", "folder"),
        (["train-0.beton"], ".", "imagenet"),
        (["packed.json"], ".", "imagenet"),
        (["t.CSV"], "t.CSV", "table"),
        (["t.tsv"], "t.tsv", "table"),
        (["t.parquet"], "t.parquet", "table"),
        (["t.csv/a/x.png"], "t.csv", "folder"),
        (["cifar-10-binary.tar.gz"], "cifar-10-binary.tar.gz", "cifar10"),
        (["cifar-10-binary.tar.gz"], ".", "cifar10"),
        (["cifar-10-batches-py/batches.meta"], ".", "cifar10"),
        (["dataset_dict.json"], ".", "hf"),
        (["state.json", "data.arrow"], ".", "hf"),
        ([], ".", "folder"),
        ([], "gone", "folder"),
    ],
)
def test_what_is_taken_for_a_place(tmp_path, files, data, kind):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert kind_of(tmp_path / data) == kind


def test_what_is_taken_for_nothing_and_for_data_in_memory(tmp_path):
    arrays = Dataset.from_arrays(np.zeros((2, 4, 4, 3), np.uint8), ["a", "b"])
    assert (kind_of(None), kind_of(arrays), kind_of((arrays, arrays))) == ("planted", "arrays", "arrays")
    assert kind_of(replace(arrays, kind="cifar10")) == "cifar10", "so that its recipe is the same"
    assert (is_one_tree("arrays", arrays), is_one_tree("arrays", (arrays, arrays))) == (True, False)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="of files only a table .* and the archive of CIFAR-10 are read"):
        kind_of(tmp_path / "notes.txt")


@pytest.mark.parametrize("word", ["table", "arrays", "hf", "hf:me/pets", "mydata:load", "torchvision:Food101"])
def test_all_data_without_a_recipe_have_that_of_a_folder(word):
    assert make_recipe(word, "resnet18").digest() == make_recipe("folder", "resnet18").digest()


@pytest.mark.parametrize("word", ["planted:", ":load", "tabel", "", "torchvision", "table:"])
def test_a_word_that_is_none_is_refused(word):
    with pytest.raises(ValueError, match="unknown dataset"):
        recipe_of(word)


def test_a_long_or_unprintable_name_of_a_folder_is_cut(tmp_path):
    root = tmp_path / ("\x1b[31m" + "x" * 100)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((3, 3 + i, 3), i, np.uint8)).save(root / name / f"{i}.png")
    found = open_dataset(None, root, val_fraction=0)
    assert found.name == "?[31m" + "x" * 54 + "…"


def test_imagenette_is_the_same_data_by_every_door(shared_data, tmp_path):
    root = shared_data / "imagenette-mini"
    found = {"folder": open_dataset(None, root)}
    paths = sorted((root / "train").glob("*/*"))
    labels = [path.parent.name for path in paths]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *zip(paths, labels, strict=True)])
    found["table"] = open_dataset(None, tmp_path / "labels.csv", val_fraction=0)
    found["arrays"] = Dataset.from_arrays([Image.open(path) for path in paths], labels)
    try:
        import datasets
    except ImportError:
        print("without a saved set: datasets is not installed, pip install 'easiness[datasets]'")
    else:
        classes = datasets.ClassLabel(names=list(found["folder"].class_names))
        features = datasets.Features({"image": datasets.Image(), "label": classes})
        columns = {"image": list(map(str, paths)), "label": [classes.str2int(label) for label in labels]}
        datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "saved"))
        found["saved set"] = open_dataset(None, tmp_path / "saved", val_fraction=0)
    assert len({dataset.fingerprint for dataset in found.values()}) == 1, found
    assert len(found["folder"]) == 1200
