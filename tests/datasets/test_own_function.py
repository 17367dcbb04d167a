"""Data of a user's function: its protocol, and what is said of one that does not keep it."""

import sys

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import open_dataset

OWN = """
import numpy as np
import easiness

def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3)).astype(np.uint8)

def both(split):
    count = {"train": 8, "val": 4}[split]
    return pictures(count), [k % 2 for k in range(count)], ["cat", "dog"]

def alone():
    return pictures(10), ["cat", "dog"] * 5

def whole():
    return easiness.Dataset.from_arrays(pictures(6), [0, 1] * 3, ids=list("abcdef"))

def files(split):
    return [f"{split}/{i}.png" for i in range(4)], ["cat", "dog"] * 2

def nothing():
    return None

def raises(split):
    raise KeyError("no such table\\nsecond line")

def floats():
    return pictures(4) / 255, [0, 1, 0, 1]

number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The module `owndata` in the caller's folder."""
    (tmp_path / "owndata.py").write_text(OWN)
    (tmp_path / "broken_data.py").write_text("import no_such_package_here\n")
    monkeypatch.setenv("EASINESS_CALLED_FROM", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("owndata", None)


def test_images_labels_and_names_by_split(own):
    train, val = (open_dataset("owndata:both", split=split) for split in ("train", "val"))
    assert (len(train), len(val), train.class_names) == (8, 4, ("cat", "dog"))
    assert (train.kind, train.name, val.split) == ("owndata:both", "both", "val")
    np.testing.assert_array_equal(train.images[3], np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3))[3])


def test_a_function_that_asks_for_no_split_has_no_validation_set(own):
    assert [len(open_dataset("owndata:alone", split=split)) for split in ("train", "val")] == [8, 2]
    assert len(open_dataset("owndata:alone", val_fraction=0)) == 10


def test_it_may_return_a_dataset(own):
    assert open_dataset("owndata:whole", val_fraction=0).ids.tolist() == list("abcdef")


def test_it_may_return_paths_from_the_callers_folder(own):
    (own / "val").mkdir()
    for i in range(4):
        Image.fromarray(np.full((3, 3 + i, 3), 40 * i, np.uint8)).save(own / "val" / f"{i}.png")
    found = open_dataset("owndata:files", split="val")
    assert found.images.sizes.tolist() == [[3, 3 + i] for i in range(4)]
    with pytest.raises(
        ValueError, match=r"4 of 4 files in owndata:files \(train\) .*train/0.png .there is no such file"
    ):
        open_dataset("owndata:files")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("owndata:nothing", "nothing returns a NoneType, and must return images, labels"),
        ("owndata:raises", "raises.split='train'. fails .KeyError: 'no such table"),
        ("owndata:floats", "dataset 'owndata:floats': images are float64, and must be uint8"),
        ("owndata:number", "dataset 'owndata:number': 'number' is a int, not callable"),
        ("owndata:absent", "module 'owndata' has no 'absent'"),
        ("broken_data:f", "cannot import 'broken_data' .ModuleNotFoundError: No module named 'no_such_package_here'"),
        ("nowhere_to_be_found:f", "run the command in the folder of nowhere_to_be_found, or set PYTHONPATH"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(own, word, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_dataset(word)
    assert "\n" not in str(caught.value)


def test_a_message_says_where_was_looked(own, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/my/code")
    with pytest.raises(ValueError, match=f"looked in {own} and on PYTHONPATH ./my/code.: "):
        open_dataset("nowhere_to_be_found:f")


def test_a_place_beside_it_is_refused(own):
    with pytest.raises(ValueError, match="dataset=owndata:both says itself where its data are"):
        open_dataset("owndata:both", own)
