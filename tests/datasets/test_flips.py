"""Labels flipped on purpose: how many, to what, and that the labels before are kept."""

import numpy as np
import pytest

from easiness.datasets.flips import flip_labels
from tests.tiny_data import tiny_dataset


def test_so_many_labels_are_another_class_and_the_others_stay():
    data = tiny_dataset(200, classes=5)
    before = data.labels.copy()
    found = flip_labels(data, 0.1, seed=0)
    flipped = found.labels != before
    assert flipped.sum() == 20
    np.testing.assert_array_equal(found.given_labels, before)
    np.testing.assert_array_equal(data.labels, before)
    assert found.labels.min() >= 0
    assert found.labels.max() < 5


def test_the_seed_decides_and_the_fingerprint_tells():
    data = tiny_dataset(60)
    first, again, other = (flip_labels(data, 0.2, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint
    assert len({data.fingerprint, first.fingerprint, other.fingerprint}) == 3


def test_uniform_flips_meet_every_other_class_alike():
    data = tiny_dataset(30_000, size=1, classes=4)
    found = flip_labels(data, 0.4, seed=0)
    flipped = found.labels != data.labels
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (data.labels[flipped], found.labels[flipped]), 1)
    off = counts[~np.eye(4, dtype=bool)]
    assert counts.trace() == 0
    np.testing.assert_allclose(off, 1000, atol=5 * np.sqrt(1000))


def test_confused_flips_follow_the_predictions():
    data = tiny_dataset(30_000, size=1, classes=3)
    confusion_KK = np.array([[100, 3, 1], [0, 50, 0], [0, 9, 7]])  # nothing is taken for class 1 but class 1
    found = flip_labels(data, 0.3, seed=0, confusion_KK=confusion_KK)
    counts = np.zeros((3, 3), int)
    flipped = found.labels != data.labels
    np.add.at(counts, (data.labels[flipped], found.labels[flipped]), 1)
    share = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share, [[0, 0.75, 0.25], [0.5, 0, 0.5], [0, 1, 0]], atol=0.05)
    assert confusion_KK[0, 0] == 100


def test_a_flipped_picture_of_known_truth_is_mislabelled():
    data = tiny_dataset(50)
    data = type(data)(**vars(data) | {"groups": np.array(["majority", "minority"] * 25)})
    found = flip_labels(data, 0.2, seed=0)
    flipped = found.labels != data.labels
    assert set(found.groups[flipped]) == {"mislabelled"}
    np.testing.assert_array_equal(found.groups[~flipped], data.groups[~flipped])


def test_given_labels_go_with_their_examples():
    found = flip_labels(tiny_dataset(30), 0.5, seed=0)
    rows = np.array([4, 2, 29])
    np.testing.assert_array_equal(found.subset(rows).given_labels, found.given_labels[rows])


@pytest.mark.parametrize(("share", "classes"), [(0.001, 3), (0.999, 3), (0.5, 1)])
def test_what_cannot_be_flipped_is_refused(share, classes):
    with pytest.raises(ValueError, match=f"flip_labels is {share:g}, .*; flip one or more, not all"):
        flip_labels(tiny_dataset(20, classes=classes), share, seed=0)
