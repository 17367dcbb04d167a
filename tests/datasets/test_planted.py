"""The drawn dataset: shapes, shares and wrong labels as promised, and to be seen in the pixels."""

import hashlib

import numpy as np
import pytest

from easiness.datasets.planted import CLASS_NAMES, draw_planted

# Of images, labels, true labels and groups in turn; they change only when the drawing does, and with it every
# score of the planted dataset that was ever published.
DIGESTS = {
    ("train", 0): "2a69a5bf660a02a842be38da9550977c8e87e788773f87fab98772f5d4e401c0",
    ("val", 0): "803badc5704746138a50617985d3156a1ee6bf680e42196486afbd63a28688f5",
    ("val", 7): "b860f2f3fd3ab923798203fe890218356faa91247f1a51b720207a171bb8b74a",
}


@pytest.fixture(scope="module")
def train():
    return draw_planted("train")


@pytest.fixture(scope="module")
def val():
    return draw_planted("val")


def digest(planted):
    """SHA-256 of everything, with byte order and string width fixed."""
    parts = (
        planted.images.tobytes(),
        planted.labels.astype("<i8").tobytes(),
        planted.true_labels.astype("<i8").tobytes(),
        "\n".join(planted.groups).encode(),
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()


def class_counts(labels):
    return np.bincount(labels, minlength=10).tolist()


@pytest.mark.parametrize(("split", "seed"), list(DIGESTS))
def test_same_bytes_everywhere(split, seed):
    assert digest(draw_planted(split, seed=seed)) == DIGESTS[split, seed]


@pytest.mark.parametrize(("split", "N"), [("train", 2000), ("val", 600)])
def test_shapes_and_dtypes(split, N):
    planted = draw_planted(split)
    assert planted.images.shape == (N, 64, 64, 3)
    assert planted.images.dtype == np.uint8
    assert planted.labels.shape == planted.true_labels.shape == planted.groups.shape == (N,)
    assert planted.labels.dtype == planted.true_labels.dtype == np.int64
    assert planted.groups.dtype.kind == "U"
    assert planted.images.flags.c_contiguous
    assert planted.class_names == CLASS_NAMES
    assert len(set(planted.class_names)) == 10


def test_classes_are_balanced(train, val):
    assert class_counts(train.labels) == class_counts(train.true_labels) == [200] * 10
    assert class_counts(val.labels) == class_counts(val.true_labels) == [60] * 10


def test_group_shares_of_every_class(train, val):
    for k in range(10):
        names, counts = np.unique(train.groups[train.true_labels == k], return_counts=True)
        assert dict(zip(names, counts, strict=True)) == {"majority": 162, "minority": 29, "mislabelled": 9}
        names, counts = np.unique(val.groups[val.true_labels == k], return_counts=True)
        assert dict(zip(names, counts, strict=True)) == {"majority": 51, "minority": 9}


def test_labels_are_wrong_exactly_where_said(train, val):
    assert np.array_equal(train.labels != train.true_labels, train.groups == "mislabelled")
    assert np.array_equal(val.labels, val.true_labels)


def test_every_class_lends_one_picture_to_every_other(train):
    wrong = train.groups == "mislabelled"
    pairs = np.zeros((10, 10), int)
    np.add.at(pairs, (train.true_labels[wrong], train.labels[wrong]), 1)
    assert np.array_equal(pairs, 1 - np.eye(10, dtype=int))


def test_order_tells_nothing(train):
    # In an order that cycled through classes or groups, neighbours would agree never or nearly always.
    same_class = np.mean(train.true_labels[1:] == train.true_labels[:-1])
    assert 0.07 < same_class < 0.13
    halves = [np.mean(half == "majority") for half in np.split(train.groups, 2)]
    assert abs(halves[0] - halves[1]) < 0.06


def test_no_two_pictures_are_the_same(train, val):
    splits = (train, val, draw_planted("val", seed=1))
    pictures = {image.tobytes() for planted in splits for image in planted.images}
    assert len(pictures) == 2000 + 600 + 600


def test_another_seed_draws_other_pictures_of_the_same_kinds(val):
    other = draw_planted("val", seed=1)
    assert not np.array_equal(other.images, val.images)
    assert not np.array_equal(other.labels, val.labels)
    for k in range(10):
        mean, other_mean = (p.images[(p.labels == k) & (p.groups == "majority")].mean(axis=0) for p in (val, other))
        assert np.abs(mean - other_mean).mean() < 8


def test_global_random_state_is_left_alone():
    np.random.seed(3)  # noqa: NPY002 – this is the state that must not move
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_planted("val")
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def small_pictures(planted):
    """Each picture as 16×16 block means, (N, 768)."""
    blocks = planted.images.reshape(-1, 16, 4, 16, 4, 3).mean(axis=(2, 4))
    return blocks.reshape(len(blocks), -1)


def test_groups_can_be_seen_in_the_pixels(train, val):
    small, small_val = small_pictures(train), small_pictures(val)
    majority = train.groups == "majority"
    centres = np.stack([small[majority & (train.labels == k)].mean(axis=0) for k in range(10)])
    distances = np.linalg.norm(small[:, None] - centres, axis=2)
    nearest = distances.argmin(axis=1)

    # A majority lies at its class's centre; a minority of every class lies farther out, in either split.
    assert np.mean(nearest[majority] == train.true_labels[majority]) > 0.99
    for planted, pictures in ((train, small), (val, small_val)):
        for k in range(10):
            spread = np.linalg.norm(pictures - centres[k], axis=1)
            of_class = planted.true_labels == k
            near = spread[of_class & (planted.groups == "majority")]
            far = spread[of_class & (planted.groups == "minority")]
            assert np.quantile(near, 0.95) < np.quantile(far, 0.05)

    # Eight in nine wrong labels hide a majority's look: they lie at the centre of the true class.
    wrong = train.groups == "mislabelled"
    assert np.mean(nearest[wrong] == train.true_labels[wrong]) > 0.85
    assert np.mean(nearest[wrong] == train.labels[wrong]) < 0.05


def test_minorities_are_their_own_class_by_their_own_signs(train, val):
    """Not impossible: centres of the rare looks alone tell unseen rare pictures apart."""
    small, small_val = small_pictures(train), small_pictures(val)
    rare, rare_val = train.groups == "minority", val.groups == "minority"
    distances = np.linalg.norm(small_val[rare_val][:, None] - small[rare], axis=2)
    guesses = train.labels[rare][distances.argmin(axis=1)]
    assert np.mean(guesses == val.labels[rare_val]) > 0.8


@pytest.mark.parametrize("split", ["test", "", "Train", "training"])
def test_unknown_split(split):
    with pytest.raises(ValueError, match=rf"unknown split '{split}'.*'train', 'val'"):
        draw_planted(split)


def test_negative_seed():
    with pytest.raises(ValueError, match="seed is -1, and must be at least 0"):
        draw_planted("val", seed=-1)
