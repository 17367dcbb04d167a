import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from easiness.runs.score.thumbnails import (
    HARDEST,
    SIDE,
    StoredPictures,
    encode_picture,
    ends_per_class,
    pictured,
    read_thumbnails,
    shown_rows,
    write_thumbnails,
)
from tests.tiny_data import tiny_dataset


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_small_pictures_come_back_to_the_pixel_by_id(tmp_path):
    dataset = tiny_dataset(30)
    rows = np.array([2, 3, 29])
    write_thumbnails(tmp_path / "t.npz", dataset, rows)
    found = read_thumbnails(tmp_path / "t.npz")
    assert list(found) == dataset.example_ids[rows].tolist()
    for row, content in zip(rows, found.values(), strict=True):
        np.testing.assert_array_equal(decoded(content), dataset.images[row])


def test_large_pictures_become_small_and_keep_their_shape():
    image = np.zeros((300, 600, 3), np.uint8)
    image[:, :300] = 255
    small = decoded(encode_picture(image))
    assert small.shape == (SIDE // 2, SIDE, 3)
    assert small[:, 5].min() > 240
    assert small[:, -5].max() < 15


def test_both_ends_of_every_class_and_the_hardest_at_the_end_are_kept():
    count, classes = 5000, 10
    rng = np.random.default_rng(0)
    scores, last = rng.random(count), rng.random(count)
    labels = rng.integers(0, classes, count)
    rank = scores.argsort().argsort() + 1
    rows = set(shown_rows(pd.DataFrame({"label": labels, "rank": rank}), last).tolist())
    expected = set(np.argsort(last)[-HARDEST:].tolist())
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        ordered = members[np.argsort(scores[members])]
        expected |= {*ordered[: ends_per_class(classes)].tolist(), *ordered[-ends_per_class(classes) :].tolist()}
    assert rows == expected


def test_a_class_smaller_than_both_its_ends_is_kept_once():
    table = pd.DataFrame({"label": [0, 0, 1], "rank": [3, 1, 2]})
    np.testing.assert_array_equal(shown_rows(table, np.zeros(3)), [0, 1, 2])


def test_stored_pictures_are_those_that_were_kept(tmp_path):
    data = tiny_dataset(6)
    write_thumbnails(tmp_path / "some.npz", data, [1, 4])
    images = StoredPictures(data.example_ids, read_thumbnails(tmp_path / "some.npz"))
    assert pictured(replace(data, images=images), range(6)) == [1, 4]
    assert pictured(data, range(6)) == list(range(6))
    np.testing.assert_array_equal(images[4], data.images[4])  # a png, since it is small
    with pytest.raises(KeyError):
        images[0]


def test_no_pictures_are_written_and_read(tmp_path):
    write_thumbnails(tmp_path / "none.npz", tiny_dataset(6), [])
    assert read_thumbnails(tmp_path / "none.npz") == {}
