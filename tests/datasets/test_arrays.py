"""Images and labels in memory: which shapes and types are taken, and that nothing else is."""

import numpy as np
import pytest
from PIL import Image

import easiness
from easiness.datasets import Dataset
from easiness.datasets.opening import open_in_memory
from easiness.datasets.splitting import one_side, undivided, with_classes_of

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (6, 5, 7, 3)).astype(np.uint8)
LABELS = [1, 0, 1, 0, 1, 0]


def test_one_door_for_arrays_lists_and_pictures():
    made = [
        easiness.Dataset.from_arrays(images, labels, names)
        for images in (PICTURES, list(PICTURES), [Image.fromarray(image) for image in PICTURES])
        for labels, names in (
            (LABELS, ["cat", "dog"]),
            (np.array(LABELS, np.int32), ("cat", "dog")),
            (np.array(["cat", "dog"])[LABELS], None),
        )
    ]
    assert len({dataset.fingerprint for dataset in made}) == 1
    assert repr(made[0]) == "Dataset('arrays', 'train', 6 images of 2 classes)"
    assert made[0].sources[2] == "arrays#2"


def test_grey_is_red_green_and_blue():
    grey = PICTURES[..., :1]
    found = Dataset.from_arrays(grey, LABELS, ["a", "b"])
    np.testing.assert_array_equal(found.images, np.repeat(grey, 3, axis=-1))
    assert found.fingerprint == Dataset.from_arrays(grey[..., 0], LABELS, ["a", "b"]).fingerprint


def test_images_of_different_sizes_stay_a_list():
    images = [PICTURES[0], PICTURES[1, :3], PICTURES[2, :, :4]]
    found = Dataset.from_arrays(images, ["x", "y", "x"]).subset([2, 1])
    assert found.images.sizes.tolist() == [[5, 4], [3, 7]]
    np.testing.assert_array_equal(found.images[0], images[2])


@pytest.mark.parametrize(
    ("images", "labels", "names", "message"),
    [
        (PICTURES / 255, LABELS, None, "images are float64, and must be uint8: grey levels of 0 to 255"),
        (PICTURES.transpose(0, 3, 1, 2), LABELS, None, r"shape \(6, 3, 5, 7\), and must be \(N, height, width, 3\)"),
        ([PICTURES[0], PICTURES[1] / 1.0], [0, 1], None, "image 1 is float64"),
        ([PICTURES[0][..., :2]] * 2, [0, 1], None, r"image 0 is of shape \(5, 7, 2\), and must be \(height, width, 3"),
        (PICTURES, [0, 1], None, "differ in length"),
        (PICTURES, [0.5] * 6, None, "labels are float64, and must be whole numbers or names"),
        (PICTURES, ["a"] * 5 + [""], None, "label 5 is empty"),
        (PICTURES, np.array(["a"] * 5 + [None], object), None, "label 5 is missing"),
        (PICTURES, np.array(["a"] * 4 + [float("nan"), "b"], object), None, "label 4 is missing"),
        (PICTURES, LABELS, ["a"], "at least 2 classes"),
        (PICTURES, LABELS, ["a", "a"], "each with a name of its own"),
        (PICTURES, [5, *LABELS[1:]], ["a", "b"], "1 labels of arrays are out of range, the first is 5"),
        (PICTURES, ["c", "a", "b", "a", "a", "a"], ["a", "b"], "label 'c' is not among the classes a, b"),
        (PICTURES, [[0]] * 6, None, r"labels are of shape \(6, 1\)"),
    ],
)
def test_anything_else_is_refused(images, labels, names, message):
    with pytest.raises(ValueError, match=message) as caught:
        Dataset.from_arrays(images, labels, names)
    assert "\n" not in str(caught.value)


def test_an_id_is_given_once():
    assert Dataset.from_arrays(PICTURES, LABELS, ids=range(6)).ids.tolist() == list("012345")
    with pytest.raises(ValueError, match="id 'x' is given twice"):
        Dataset.from_arrays(PICTURES, LABELS, ids=["x", "y", "x", "a", "b", "c"])


def test_a_single_set_is_split_by_seed_and_put_together_again():
    whole = Dataset.from_arrays(RNG.integers(0, 256, (20, 4, 4, 3)).astype(np.uint8), [0, 1, 1, 0] * 5, ["a", "b"])
    train, val = (one_side(whole, split, seed=3, val_fraction=0.2) for split in ("train", "val"))
    assert np.bincount(val.labels).tolist() == [2, 2]
    assert val.example_ids.tolist() == list(range(4))
    fingerprint, rows = undivided(train, val)
    assert fingerprint == whole.fingerprint
    np.testing.assert_array_equal(whole.sources[rows], train.sources)
    assert open_in_memory(whole, "val", limit=None, seed=3, val_fraction=0.2).fingerprint == val.fingerprint


def test_classes_of_the_validation_set_are_found_by_their_names():
    train = Dataset.from_arrays(PICTURES, list("abcabc"))
    val = with_classes_of(train, Dataset.from_arrays(PICTURES[:2], ["c", "b"]))
    assert (val.labels.tolist(), val.class_names) == ([2, 1], ("a", "b", "c"))
    with pytest.raises(ValueError, match="has 1 classes that the training set has not, such as d"):
        with_classes_of(train, Dataset.from_arrays(PICTURES[:2], ["c", "d"]))
