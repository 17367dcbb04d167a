"""Hugging Face's data sets: saved ones and folders, the columns that are found, and what is refused."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import open_dataset


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (6 + number % 2, 8, 3)).astype(np.uint8)


@pytest.fixture
def library():
    return pytest.importorskip("datasets", reason="needs Hugging Face's datasets: pip install 'easiness[datasets]'")


def encoded(number, **options):
    file = io.BytesIO()
    Image.fromarray(picture(number)).save(file, "PNG", **options)
    return {"bytes": file.getvalue(), "path": None}


def rows(library, numbers, labels, feature, **more):
    features = {"image": library.Image(), "label": feature} | {name: library.Value("string") for name in more}
    columns = {"image": [encoded(number) for number in numbers], "label": labels} | more
    return library.Dataset.from_dict(columns, features=library.Features(features))


def saved(library, folder, **splits):
    library.DatasetDict(splits).save_to_disk(str(folder))
    return folder


@pytest.fixture
def animals(library):
    return library.ClassLabel(names=["cat", "dog"])


def test_a_saved_set_is_the_same_data_as_a_folder(library, animals, tmp_path):
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        for number in numbers:
            (tmp_path / "tree" / split / ("cat", "dog")[number % 2]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(number)).save(
                tmp_path / "tree" / split / ("cat", "dog")[number % 2] / f"{number}.png"
            )
    train = rows(library, (0, 2, 1, 3), [0, 0, 1, 1], animals)
    saved(library, tmp_path / "saved", train=train, validation=rows(library, (4, 5), [0, 1], animals))
    for split in ("train", "val"):
        folder = open_dataset("folder", tmp_path / "tree", split=split)
        for found in (
            open_dataset(None, tmp_path / "saved", split=split),
            open_dataset(f"hf:{tmp_path / 'saved'}", split=split),
        ):
            assert found.fingerprint == folder.fingerprint
            assert (found.name, found.split) == ("saved", split)
            np.testing.assert_array_equal(found.images[1], folder.images[1])


def test_a_folder_of_parquet_files_is_opened(library, animals, tmp_path, monkeypatch):
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "pets").mkdir()
    rows(library, range(4), [0, 1, 0, 1], animals).to_parquet(tmp_path / "pets" / "train.parquet")
    found = open_dataset(f"hf:{tmp_path / 'pets'}", val_fraction=0)
    assert (len(found), found.class_names) == (4, ("cat", "dog"))


def test_without_a_validation_split_it_is_split_by_seed(library, animals, tmp_path):
    rows(library, range(10), [0, 1] * 5, animals, id=list("abcdefghij")).save_to_disk(str(tmp_path / "s"))
    train, val = (open_dataset("hf", tmp_path / "s", split=split) for split in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    assert sorted([*train.ids, *val.ids]) == list("abcdefghij")


def test_labels_that_are_text_are_numbered_for_all_splits_alike(library, tmp_path):
    text = library.Value("string")
    train, test = rows(library, range(3), ["b", "c", "a"], text), rows(library, (3, 4), ["c", "b"], text)
    saved(library, tmp_path / "s", train=train, test=test)
    assert open_dataset(None, tmp_path / "s").labels.tolist() == [1, 2, 0]
    assert open_dataset(None, tmp_path / "s", split="val").labels.tolist() == [2, 1]


def test_bad_rows_are_named(library, animals, tmp_path):
    train = rows(library, range(3), [0, 1, -1], animals)
    saved(library, tmp_path / "s", train=train, test=train)
    with pytest.raises(ValueError, match=r"s/train#2 \(its label is -1, which is not a class\)"):
        open_dataset(None, tmp_path / "s")
    assert len(open_dataset(None, tmp_path / "s", skip_bad=True)) == 2


def test_two_columns_of_classes_are_refused_by_their_names(library, animals, tmp_path):
    features = library.Features({"img": library.Image(), "fine": animals, "coarse": animals})
    columns = {"img": [encoded(0)], "fine": [0], "coarse": [1]}
    library.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "s"))
    said = r"s has columns img \(Image\), fine \(ClassLabel\), coarse \(ClassLabel\): 1 of images and 2 of classes"
    with pytest.raises(ValueError, match=said):
        open_dataset("hf", tmp_path / "s")


def test_a_place_that_is_not_there_is_one_line(library, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "load_dataset", lambda _: pytest.fail("a saved set is read from the disk"))

    def offline(name):
        raise ConnectionError(f"Couldn't reach {name}\non the hub")

    monkeypatch.setattr(library, "load_dataset", offline)
    monkeypatch.setenv("EASINESS_CALLED_FROM", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=f"hf:me/pets cannot be opened .*and there is no folder {tmp_path}/me/pets"
    ):
        open_dataset("hf:me/pets")


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"needs the library datasets .*: pip install 'easiness\[datasets\]'"):
        open_dataset("hf:me/pets")
