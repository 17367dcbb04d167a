"""Data that a caller describes have the fingerprint of the same data, opened."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from easiness.datasets import open_dataset
from easiness.datasets.given import content_digests, given_dataset


def test_the_fingerprint_is_that_of_the_opened_data():
    data = open_dataset("planted", limit=40)
    told = {"ids": data.example_ids, "class_names": data.class_names}
    given_data = given_dataset("mine", data.labels, images=data.images, **told)
    assert given_data.fingerprint == data.fingerprint
    np.testing.assert_array_equal(given_data.digests, data.digests)
    assert given_dataset("mine", data.labels, digests=data.digests, **told).fingerprint == data.fingerprint
    assert given_dataset("mine", data.labels, **told).fingerprint != data.fingerprint


def test_images_may_be_a_list_of_any_sizes_and_of_pillow():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (4, 5 + row, 3)).astype(np.uint8) for row in range(3)]
    digests = content_digests(images)
    assert [digest.tobytes() for digest in digests] == [
        hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images
    ]
    np.testing.assert_array_equal(content_digests([Image.fromarray(image) for image in images]), digests)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_texts_become_sources_and_rows_ids(kind):
    data = given_dataset("mine", [0, 0, 0], ids=kind(["b.png", "a.png", "c.png"]))
    assert data.sources.tolist() == ["b.png", "a.png", "c.png"]
    assert data.example_ids.tolist() == [0, 1, 2]
    assert data.class_names == ("0", "1")


def test_without_content_no_two_examples_are_alike():
    data = given_dataset("mine", [0, 1, 1])
    assert len(np.unique(data.digests, axis=0)) == 3
    assert data.sources.tolist() == ["mine#0", "mine#1", "mine#2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": []}, r"labels are float64 of shape \(0,\)"),
        ({"labels": [[0, 1]]}, r"labels are int64 of shape \(1, 2\)"),
        ({"ids": ["a", "b", "a"]}, "ids has 1 twice or more, the first is a"),
        ({"ids": [1.5, 2.5, 3.5]}, "ids are float64"),
        ({"sources": ["a"]}, "columns of mine differ in length"),
        ({"class_names": ["a"]}, "labels of mine are out of range, the first is 1 at mine#1"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        given_dataset("mine", **{"labels": [0, 1, 1]} | options)
