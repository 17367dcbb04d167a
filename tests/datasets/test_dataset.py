"""Datasets: fingerprints move with the data and with nothing else, subsets keep ids, limits keep shares."""

import dataclasses
import hashlib
import json
import re
import shutil
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from easiness.datasets import Dataset, open_dataset, stratified_rows
from easiness.datasets.image_files import ImageFiles


@pytest.fixture(scope="module")
def planted():
    return open_dataset("planted")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name in ("ant", "bee", "cow"):
            (tmp_path / "folder" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (4 + i, 5, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "folder" / split / name / f"{i}.png")
    return tmp_path / "folder"


def small(**changes):
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    digests = [list(hashlib.blake2b(image.tobytes(), digest_size=16).digest()) for image in images]
    columns = {
        "name": "folder",
        "split": "train",
        "images": images,
        "labels": np.array([0, 1, 1, 0]),
        "class_names": ("ant", "bee"),
        "sources": np.array(["a", "b", "c", "d"]),
        "example_ids": np.array([0, 3, 5, 2**40]),
        "digests": np.array(digests, np.uint8),
    }
    return Dataset(**columns | changes)


# --- Dataset ------------------------------------------------------------------------------------------


def test_fingerprint_by_hand():
    dataset = small()
    digest = hashlib.sha256(b'["ant", "bee"]')
    for i in range(4):
        digest.update(struct.pack("<qq", dataset.example_ids[i], dataset.labels[i]))
        digest.update(hashlib.blake2b(dataset.images[i].tobytes(), digest_size=16).digest())
    assert dataset.fingerprint == digest.hexdigest()


def test_fingerprint_moves_with_each_thing_it_covers():
    digests = small().digests.copy()
    digests[2, 7] ^= 1
    variants = [
        small(),
        small(labels=np.array([0, 1, 1, 1])),
        small(class_names=("ant", "bees")),
        small(class_names=("bee", "ant")),
        small(class_names=("ant", "bee", "cow")),
        small(class_names=("ant, bee", "")),
        small(example_ids=np.array([0, 3, 5, 7])),
        small(digests=digests),
        small().subset([1, 0, 2, 3]),
        small().subset([0, 1, 2]),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)


def test_fingerprint_does_not_move_with_names_places_or_types():
    expected = small().fingerprint
    for change in (
        {"sources": np.array(list("wxyz"))},
        {"name": "planted", "split": "val"},
        {"labels": np.array([0, 1, 1, 0], np.int32)},
        {"skipped": ("train/ant/x.png (truncated)",)},
    ):
        assert small(**change).fingerprint == expected


def test_columns_of_other_length():
    with pytest.raises(ValueError, match=r"differ in length: .*'sources': 3"):
        small(sources=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="'groups': 1"):
        small(groups=np.array(["majority"]))


@pytest.mark.parametrize(("label", "source"), [(2, "c"), (-1, "c")])
def test_labels_out_of_range(label, source):
    with pytest.raises(ValueError, match=f"1 labels of folder .* {label} at {source}; 2 classes .* 0 to 1"):
        small(labels=np.array([0, 1, label, 0]))


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        small().labels = np.zeros(4)


# --- subset -------------------------------------------------------------------------------------------


@given(st.data())
def test_subset_of_a_subset_is_a_subset(data):
    dataset = small(groups=np.array(["majority", "minority", "minority", "mislabelled"]))
    outer = data.draw(st.lists(st.integers(0, 3), unique=True))
    inner = data.draw(st.lists(st.integers(0, max(len(outer) - 1, 0)), unique=True)) if outer else []
    found = dataset.subset(outer).subset(inner)
    rows = [outer[i] for i in inner]
    assert len(found) == len(rows)
    for column in ("images", "labels", "sources", "example_ids", "digests", "groups"):
        np.testing.assert_array_equal(getattr(found, column), getattr(dataset, column)[rows])
    assert found.fingerprint == dataset.subset(rows).fingerprint == dataset.fingerprint_of(np.array(rows, int))


def test_subset_of_files_stays_lazy(folder):
    dataset = open_dataset("folder", folder)
    chosen = dataset.subset(np.array([17, 0, 9]))
    assert isinstance(chosen.images, ImageFiles)
    assert chosen.example_ids.tolist() == [17, 0, 9]
    assert chosen.sources.tolist() == ["train/cow/5.png", "train/ant/0.png", "train/bee/3.png"]
    assert chosen.images.sizes.tolist() == [[9, 5], [4, 5], [7, 5]]
    np.testing.assert_array_equal(chosen.images[2], dataset.images[9])


def test_whole_subset_is_the_same_data(planted, folder):
    assert planted.subset(range(len(planted))).fingerprint == planted.fingerprint
    dataset = open_dataset("folder", folder)
    assert dataset.subset(range(18)).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([0, 4], "0 to 4 are outside 0 to 3"),
        ([-1, 2], "-1 to 2 are outside 0 to 3"),
        ([0, 1, 0], "1 rows are given twice"),
        (np.array([True, False, True, True]), "not a mask"),
        ([0.0, 1.0], "not a mask"),
        ([[0, 1]], r"shape \(1, 2\)"),
    ],
)
def test_rows_that_are_refused(rows, match):
    with pytest.raises(ValueError, match=match):
        small().subset(rows)


# --- limit --------------------------------------------------------------------------------------------

counts_of_classes = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def apportion_slowly(counts, limit):
    """Largest remainder with a floor of one, in exact fractions, one seat at a time."""
    from fractions import Fraction

    lifted = set()
    while True:
        left = limit - len(lifted)
        total = sum(count for k, count in enumerate(counts) if k not in lifted)
        quotas = {k: Fraction(left * n, total) for k, n in enumerate(counts) if k not in lifted}
        small_ones = {k for k, quota in quotas.items() if quota < 1}
        if not small_ones:
            break
        lifted |= small_ones
    seats = {k: 1 for k in lifted} | {k: int(quota) for k, quota in quotas.items()}
    while sum(seats.values()) < limit:
        k = max(quotas, key=lambda k: (quotas[k] - int(quotas[k]), -k))
        seats[k] += 1
        quotas.pop(k)
    return [seats[k] for k in range(len(counts))]


@given(counts_of_classes, st.data(), st.integers(0, 2**32))
def test_stratified_rows(counts, data, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    limit = data.draw(st.integers(len(counts), sum(counts)))
    rows = stratified_rows(labels, limit, seed=seed)
    assert len(rows) == limit
    assert (np.diff(rows) > 0).all()
    found = np.bincount(labels[rows], minlength=len(counts)).tolist()
    assert found == apportion_slowly(counts, limit)
    np.testing.assert_array_equal(rows, stratified_rows(labels, limit, seed=seed))


@given(counts_of_classes, st.integers(0, 50))
def test_limit_of_everything_or_more(counts, more):
    labels = np.repeat(np.arange(len(counts)), counts)
    np.testing.assert_array_equal(stratified_rows(labels, len(labels) + more, seed=0), np.arange(len(labels)))


def test_every_example_of_a_class_is_as_likely():
    labels = np.repeat([0, 1], [12, 6])
    times = np.zeros(18)
    for seed in range(600):
        times[stratified_rows(labels, 6, seed=seed)] += 1
    # 600 draws of one third: mean 200, standard deviation 11.5.
    assert abs(times - 200).max() < 5 * 11.5


@pytest.mark.parametrize("name", ["planted", "folder"])
def test_limited_dataset_is_the_subset_of_the_whole(name, folder, planted):
    root, whole = (None, planted) if name == "planted" else (folder, open_dataset("folder", folder))
    limit = 2 * whole.num_classes
    limited = open_dataset(name, root, limit=limit)
    assert np.bincount(limited.labels).tolist() == [2] * whole.num_classes
    assert (np.diff(limited.example_ids) > 0).all()
    assert limited.fingerprint == whole.subset(limited.example_ids).fingerprint
    assert limited.fingerprint == whole.subset(stratified_rows(whole.labels, limit, seed=0)).fingerprint
    for i, row in enumerate(limited.example_ids):
        np.testing.assert_array_equal(limited.images[i], whole.images[row])


def test_limit_beyond_the_whole(folder):
    assert open_dataset("folder", folder, limit=10**6).fingerprint == open_dataset("folder", folder).fingerprint
    with pytest.raises(ValueError, match="limit is 2, and must be at least 3, one example per class"):
        open_dataset("folder", folder, limit=2)


def test_seed_decides_which(folder):
    ids = {tuple(open_dataset("folder", folder, limit=6, seed=seed).example_ids) for seed in range(5)}
    assert len(ids) > 1


@pytest.mark.parametrize("limit", [9, 1, 0, -5, 2.5, "20", float("nan")])
def test_limit_that_is_refused(limit):
    with pytest.raises(ValueError, match=re.escape(f"limit is {limit!r}, and must be ")) as caught:
        stratified_rows(np.arange(100) % 10, limit, seed=0)
    assert "\n" not in str(caught.value)


# --- the data sets ------------------------------------------------------------------------------------


def test_planted(planted):
    assert planted.images.shape == (len(planted), 64, 64, 3)
    assert planted.images.dtype == np.uint8
    assert planted.num_classes == 10
    assert set(planted.groups) == {"majority", "minority", "mislabelled"}
    assert planted.sources[12] == "planted/train#12"
    assert planted.example_ids.tolist() == list(range(len(planted)))
    assert planted.digests[5].tobytes() == hashlib.blake2b(planted.images[5].tobytes(), digest_size=16).digest()
    val = open_dataset("planted", split="val")
    assert val.class_names == planted.class_names
    assert not set(map(bytes, val.digests)) & set(map(bytes, planted.digests))
    assert open_dataset("planted", split="val", seed=1).fingerprint != val.fingerprint


def test_planted_reads_no_data(tmp_path):
    with pytest.raises(ValueError, match="dataset=folder or cifar10"):
        open_dataset("planted", tmp_path)


def test_folder_needs_a_place():
    with pytest.raises(ValueError, match="data=PATH"):
        open_dataset("folder")


def test_folder_columns(folder):
    dataset = open_dataset("folder", str(folder), split="val")
    assert (dataset.name, dataset.split, len(dataset)) == ("folder", "val", 6)
    assert dataset.class_names == ("ant", "bee", "cow")
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.groups is None


def test_fingerprint_of_a_folder_follows_content_and_not_names(folder, tmp_path):
    before = open_dataset("folder", folder).fingerprint
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "again")
    (moved / "train" / "bee" / "0.png").rename(moved / "train" / "bee" / "00.png")
    assert open_dataset("folder", moved).fingerprint == before

    def changed_by(change):
        place = shutil.copytree(folder, tmp_path / change.__name__)
        change(place / "train")
        return open_dataset("folder", place).fingerprint

    def pixel(tree):
        with Image.open(tree / "bee" / "0.png") as image:
            image.putpixel((1, 1), (*image.getpixel((1, 1))[:2], image.getpixel((1, 1))[2] ^ 1))
            image.save(tree / "bee" / "0.png")

    def label(tree):
        (tree / "bee" / "5.png").rename(tree / "cow" / ".5.png")
        (tree / "cow" / ".5.png").rename(tree / "cow" / "!.png")

    def order(tree):
        (tree / "bee" / "0.png").rename(tree / "bee" / "9.png")

    def class_name(tree):
        for split in (tree, tree.parent / "val"):
            (split / "bee").rename(split / "bees")

    fingerprints = {changed_by(change) for change in (pixel, label, order, class_name)}
    assert len(fingerprints | {before}) == 5


@pytest.mark.parametrize(
    ("name", "near"),
    [("cifar", "did you mean cifar10?"), ("planed", "did you mean planted?"), ("xyz", "'xyz'; there are cifar10,")],
)
def test_unknown_dataset(name, near):
    with pytest.raises(ValueError, match="unknown dataset") as caught:
        open_dataset(name)
    assert near in str(caught.value)
    assert "there are cifar10, planted, folder, imagenet, table, torchvision:NAME" in str(caught.value)


def test_unknown_split():
    with pytest.raises(ValueError, match="unknown split 'test'; there are train, val"):
        open_dataset("planted", split="test")


def test_class_names_enter_the_fingerprint_unambiguously():
    names = [("a", "b"), ("a,b", ""), ('a", "b', "c"), ("ä", "b")]
    assert len({small(class_names=pair).fingerprint for pair in names}) == len(names)
    assert json.loads(json.dumps(names[2])) == list(names[2])
