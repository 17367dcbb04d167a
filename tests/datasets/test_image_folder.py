"""Which files are whose, which split they are in, and what is refused."""

import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import open_dataset
from easiness.datasets.image_folder import name_odd_images, open_image_folder
from easiness.datasets.opening import is_one_tree
from easiness.datasets.splitting import undivided


def save(path, seed=0, size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def make_pair(root, classes=("cat", "dog"), train=3, val=2):
    seed = 0
    for split, count in (("train", train), ("val", val)):
        for name in classes:
            for i in range(count):
                save(root / split / name / f"{i}.png", seed := seed + 1)
    return root


def make_tree(root, counts):
    seed = 0
    for name, count in counts.items():
        for i in range(count):
            save(root / name / f"{i:03}.png", seed := seed + 1)
    return root


def refused(root, kind=ValueError, split="train", **options):
    with pytest.raises(kind) as caught:
        open_image_folder(root, split, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(root) in message
    return message


# --- two trees ----------------------------------------------------------------------------------------


def test_classes_and_files_come_in_the_order_of_their_names(tmp_path):
    pixels = {}
    for name in ("b/2.png", "b/10.png", "B/x.png", "a/z.png", "a/deep/er/y.PNG"):
        pixels[f"train/{name}"] = save(tmp_path / "train" / name, len(pixels), (4 + len(pixels), 6))
        save(tmp_path / "val" / name)
    found = open_image_folder(tmp_path, "train")
    assert found.class_names == ("B", "a", "b")
    assert found.sources.tolist() == [
        "train/B/x.png",
        "train/a/deep/er/y.PNG",
        "train/a/z.png",
        "train/b/10.png",
        "train/b/2.png",
    ]
    assert found.labels.tolist() == [0, 1, 1, 2, 2]
    assert found.labels.dtype == np.int64
    assert found.images.sizes.tolist() == [list(pixels[source].shape[:2]) for source in found.sources]
    for image, source, digest in zip(found.images, found.sources, found.digests, strict=True):
        np.testing.assert_array_equal(image, pixels[source])
        assert digest.tobytes() == hashlib.blake2b(pixels[source].tobytes(), digest_size=16).digest()
    assert found.skipped == ()


def test_hidden_files_and_folders_do_not_count(tmp_path):
    make_pair(tmp_path)
    for name in (".DS_Store", "train/.DS_Store", "train/cat/.hidden.png", "train/cat/.trash/x.png", "train/.x/y.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "notes.csv").touch()
    (tmp_path / "train" / "LICENSE.txt").touch()
    assert len(open_image_folder(tmp_path, "train").labels) == 6


def test_linked_class_folders_are_followed(tmp_path):
    make_pair(tmp_path / "real")
    (tmp_path / "linked" / "train").mkdir(parents=True)
    (tmp_path / "linked" / "val").symlink_to(tmp_path / "real" / "val")
    for name in ("cat", "dog"):
        (tmp_path / "linked" / "train" / name).symlink_to(tmp_path / "real" / "train" / name)
    linked, real = (open_image_folder(tmp_path / name, "train") for name in ("linked", "real"))
    assert linked.sources.tolist() == real.sources.tolist()


def test_links_to_folders_inside_of_a_class_are_named(tmp_path):
    make_pair(tmp_path)
    (tmp_path / "train" / "cat" / "loop").symlink_to(tmp_path / "train")
    assert "1 of 7 files" in refused(tmp_path)
    assert "train/cat/loop (a link to a folder, which is not followed); " in refused(tmp_path)
    found = open_image_folder(tmp_path, "train", skip_bad=True)
    assert len(found) == 6
    assert found.skipped == ("train/cat/loop (a link to a folder, which is not followed)",)


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    make_pair(tmp_path)
    save(tmp_path / "train" / "cat" / "locked" / "x.png")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "train/cat/locked (a folder that cannot be read)" in refused(tmp_path)


def test_a_class_that_is_a_link_to_nothing_is_named(tmp_path):
    make_pair(tmp_path)
    (tmp_path / "train" / "eel").symlink_to(tmp_path / "gone")
    assert "train/eel is a link to nothing" in refused(tmp_path)


def test_odd_pictures_are_named(tmp_path, caplog):
    make_pair(tmp_path)
    for name in ("imageNotFound.png", "photo_unavailable.png"):
        save(tmp_path / "train" / "cat" / name, 5)
    Image.new("RGB", (5, 4), "red").save(tmp_path / "train" / "dog" / "red.png")
    assert len(open_image_folder(tmp_path, "train")) == 9
    assert "3 odd images are used like all others; look at them" in caplog.text
    assert "train/cat/imageNotFound.png (a placeholder by its name)" in caplog.text
    assert "train/dog/red.png (of one colour)" in caplog.text


def test_a_format_that_hardly_any_image_has_is_named(caplog):
    images = {f"{i}.jpg": ("JPEG", "") for i in range(199)}
    name_odd_images(images | {"x.jpg": ("GIF", "")}, "here")
    assert "1 odd images are used like all others; look at them: x.jpg (one of 1 GIF among 200 images)" in caplog.text
    caplog.clear()
    name_odd_images(images, "here")
    assert not caplog.text


def test_real_folder(shared_data):
    root = shared_data / "imagenette-mini"
    counts = {}
    for split, expected in (("train", 1200), ("val", 400)):
        found = open_dataset("folder", root, split=split)
        assert len(found) == expected
        assert found.class_names == tuple(sorted(path.name for path in (root / split).iterdir()))
        counts[split] = np.bincount(found.labels).tolist()
        for i in (0, expected // 2, expected - 1):
            assert found.sources[i].split("/")[:2] == [split, found.class_names[found.labels[i]]]
            with Image.open(root / found.sources[i]) as stored:
                np.testing.assert_array_equal(found.images[i], np.asarray(stored.convert("RGB")))
    assert counts == {"train": [120] * 10, "val": [40] * 10}


def test_tree_of_a_hundred_classes_of_one(shared_data):
    # 116 real pictures, one for each class: nothing is left for the other split.
    message = refused(shared_data / "imagenet-native")
    assert "n01675722" in message
    assert "1 image" in message


# --- one tree -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("val_fraction", "expected"), [(0.2, [4, 2, 1]), (0.5, [10, 4, 1]), (0.01, [1, 1, 1]), (0.99, [19, 8, 1])]
)
def test_one_tree_is_split_by_seed(tmp_path, val_fraction, expected):
    make_tree(tmp_path, counts := {"a": 20, "b": 9, "c": 2})

    def sources(split, seed):
        found = open_image_folder(tmp_path, split, seed=seed, val_fraction=val_fraction)
        assert found.class_names == ("a", "b", "c")
        assert list(found.sources) == sorted(found.sources)
        assert [source.split("/")[0] for source in found.sources] == ["abc"[k] for k in found.labels]
        return found.sources.tolist(), np.bincount(found.labels).tolist()

    everything = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    seen = set()
    for seed in range(4):
        (train, train_counts), (val, val_counts) = sources("train", seed), sources("val", seed)
        assert sorted(train + val) == everything
        assert val_counts == expected
        assert np.add(train_counts, val_counts).tolist() == list(counts.values())
        assert sources("val", seed)[0] == val
        seen.add(tuple(val))
    assert len(seen) > 1


@pytest.mark.parametrize("val_fraction", [1, -0.1, 1.5, float("nan")])
def test_val_fraction_outside(tmp_path, val_fraction):
    make_tree(tmp_path, {"a": 3, "b": 3})
    with pytest.raises(ValueError, match=f"val_fraction is {val_fraction}, and must be at least 0 and below 1"):
        open_image_folder(tmp_path, "train", val_fraction=val_fraction)


def test_one_tree_may_stay_whole(tmp_path, caplog):
    make_tree(tmp_path, {"a": 1, "b": 3})
    caplog.set_level("INFO", "easiness")
    whole = open_image_folder(tmp_path, "train", val_fraction=0)
    assert np.bincount(whole.labels).tolist() == [1, 3]
    assert "one tree of 2 classes, all of it train: a, b" in caplog.text
    with pytest.raises(ValueError, match="val_fraction is 0, which leaves .* without a val; open train alone"):
        open_image_folder(tmp_path, "val", val_fraction=0)


def test_an_undivided_tree_is_the_whole_one(tmp_path):
    make_tree(tmp_path, {"a": 10, "b": 3})
    whole = open_image_folder(tmp_path, "train", val_fraction=0)
    train, val = (open_image_folder(tmp_path, split) for split in ("train", "val"))
    fingerprint, rows = undivided(train, val)
    assert fingerprint == whole.fingerprint
    np.testing.assert_array_equal(whole.sources[rows], train.sources)
    assert undivided(train, val.subset([0, 1]))[0] != whole.fingerprint


@pytest.mark.parametrize(
    ("folders", "name", "expected"),
    [
        (["a", "b"], "folder", True),
        (["a", "b"], "imagenet", True),
        (["train/a", "train/b", "val/a", "val/b"], "folder", False),
        (["a", "b"], "cifar10", False),
    ],
)
def test_one_tree_has_no_val(tmp_path, folders, name, expected):
    for folder in folders:
        save(tmp_path / folder / "0.png", 0)
    assert is_one_tree(name, tmp_path) is expected


def test_packed_data_have_their_val(tmp_path):
    (tmp_path / "packed.json").write_text("{}")
    assert not is_one_tree("imagenet", tmp_path)


def test_one_tree_says_how_many_images_are_not_scored(tmp_path, caplog):
    make_tree(tmp_path, {"a": 10, "b": 3})
    caplog.set_level("INFO", "easiness")
    open_image_folder(tmp_path, "train")
    assert "20% of each is val, by seed 0: 3 images that are not trained on or scored" in caplog.text


def test_classes_may_be_called_train_and_val(tmp_path):
    for i, name in enumerate(("bus", "train", "bus", "train")):
        save(tmp_path / name / f"{i}.png", i)
    assert open_image_folder(tmp_path, "train").class_names == ("bus", "train")


# --- which folders are what ---


@pytest.mark.parametrize(
    ("train", "val"), [("training", "validation"), ("Train", "Val"), ("TRAIN", "valid"), ("train", "Validation")]
)
def test_a_pair_by_other_names(tmp_path, train, val, caplog):
    caplog.set_level("INFO", "easiness")
    make_pair(tmp_path)
    (tmp_path / "train").rename(tmp_path / train)
    (tmp_path / "val").rename(tmp_path / val)
    (tmp_path / "extra").mkdir()
    counts = [len(open_image_folder(tmp_path, split)) for split in ("train", "val")]
    assert counts == [6, 4]
    assert f"train is {train}/, val is {val}/; 2 classes: cat, dog; not used: extra" in caplog.text


def test_one_tree_is_said_to_be_one(tmp_path, caplog):
    caplog.set_level("INFO", "easiness")
    open_image_folder(make_tree(tmp_path, {"a": 5, "b": 5}), "train")
    assert "one tree of 2 classes: a, b; 20% of each is val, by seed 0" in caplog.text


def test_two_folders_for_one_part(tmp_path):
    make_pair(tmp_path)
    shutil.copytree(tmp_path / "val", tmp_path / "Validation")
    assert "has Validation and val, and one of them must be val; rename the other" in refused(tmp_path)


def test_test_is_not_taken_for_val(tmp_path):
    (make_pair(tmp_path) / "val").rename(tmp_path / "test")
    assert "has no folder val; add it or rename test" in refused(tmp_path, FileNotFoundError)


@pytest.mark.parametrize("names", [("training_set", "test_set"), ("my-train", "my-val"), ("test", "dev")])
def test_parts_are_not_classes(tmp_path, names):
    for name in names:
        make_tree(tmp_path / name, {"cat": 2, "dog": 2})
    assert "look like parts, not classes" in refused(tmp_path)


@pytest.mark.parametrize("between", ["", "images/"])
def test_classes_one_level_deeper_are_refused(tmp_path, between):
    for name in ("first", "second"):
        make_tree(tmp_path / "tree" / name / between, {"cat": 2, "dog": 2})
        make_pair(tmp_path / "pairs" / name)
    message = refused(tmp_path / "tree")
    assert "holds folders alone (first: cat, dog), as if the classes were one level deeper" in message
    assert "such as" in message
    assert "holds folders alone (first: train, val)" in refused(tmp_path / "pairs")


def test_one_folder_in_a_class_is_no_level(tmp_path, caplog):
    make_tree(tmp_path, {"cat/images": 3, "dog/images": 3})
    assert open_image_folder(tmp_path, "train").class_names == ("cat", "dog")
    make_tree(tmp_path, {"fox": 3, "owl/barn": 2, "owl/snow": 2})
    assert open_image_folder(tmp_path, "train").class_names == ("cat", "dog", "fox", "owl")
    assert "owl holds folders alone (barn, snow); all of it is one class" in caplog.text


def test_a_level_above_the_data_says_so(tmp_path):
    make_pair(tmp_path / "pets")
    assert (
        f"only the class folder pets; at least 2 classes are needed, one folder each, or give {tmp_path}/pets"
        in refused(tmp_path)
    )


# --- bad files ----------------------------------------------------------------------------------------


def test_odd_images_in_a_folder(shared_data, tmp_path):
    make_tree(tmp_path / "train", {"plain": 2})
    make_pair(tmp_path, ("odd", "plain"), train=0, val=1)
    shutil.copytree(shared_data / "odd-images", tmp_path / "train" / "odd")
    bad = [
        "train/odd/PILLOW_LICENSE (not a known image format)",
        "train/odd/broken.png (not a known image format)",
        "train/odd/broken_data_stream.png (unrecognized data stream contents when reading image file)",
        "train/odd/truncated_image.png (image file is truncated)",
        "train/odd/truncated_jpeg.jpg (image file is truncated (8 bytes not processed))",
    ]
    message = refused(tmp_path)
    assert message.startswith(f"5 of 12 files in {tmp_path} (train) are not readable images: ")
    assert ", ".join(bad) + ";" in message
    assert "skip_bad=true" in message
    found = open_dataset("folder", tmp_path, skip_bad=True)
    assert found.skipped == tuple(bad)
    assert found.sources.tolist() == [
        "train/odd/hopper.png",
        "train/odd/hopper_bad_exif.jpg",
        "train/odd/hopper_gray.jpg",
        "train/odd/imageNotFound.gif",
        "train/odd/pil_sample_cmyk.jpg",
        "train/plain/000.png",
        "train/plain/001.png",
    ]
    assert found.labels.tolist() == [0] * 5 + [1] * 2
    assert found.example_ids.tolist() == list(range(7))
    assert [image.shape[:2] for image in found.images] == [tuple(size) for size in found.images.sizes]
    assert open_dataset("folder", tmp_path, split="val").skipped == ()


def test_many_bad_files_are_counted_and_five_named(tmp_path):
    make_pair(tmp_path)
    for i in range(8):
        (tmp_path / "train" / "dog" / f"bad{i}.png").write_bytes(b"rubbish")
    message = refused(tmp_path)
    assert message.startswith("8 of 14 files")
    assert [f"bad{i}.png" in message for i in range(8)] == [True] * 5 + [False] * 3
    assert "and 3 more;" in message
    assert len(open_image_folder(tmp_path, "train", skip_bad=True).skipped) == 8


def test_a_class_of_bad_files_only(tmp_path):
    make_pair(tmp_path)
    for path in (tmp_path / "train" / "cat").iterdir():
        path.write_bytes(b"rubbish")
    assert "class cat" in refused(tmp_path, skip_bad=True)
    assert "no readable image" in refused(tmp_path, skip_bad=True)


def test_names_that_are_not_utf8_can_be_told(tmp_path):
    make_pair(tmp_path)
    odd = os.fsdecode(b"caf\xe9.png")
    save(tmp_path / "train" / "cat" / odd)
    assert r"train/cat/caf\udce9.png (its name is not UTF-8)" in refused(tmp_path).encode().decode()
    save(tmp_path / "train" / os.fsdecode(b"\xff") / "x.png")
    assert r"only in train: \udcff" in refused(tmp_path).encode().decode()


# --- layouts that are refused -------------------------------------------------------------------------


def test_no_such_folder(tmp_path):
    assert "data=PATH" in refused(tmp_path / "nowhere", FileNotFoundError)


def test_a_file_where_a_folder_is_expected(tmp_path):
    save(tmp_path / "x.png")
    assert "is a file" in refused(tmp_path / "x.png", NotADirectoryError)
    make_pair(tmp_path / "pair")
    shutil.rmtree(tmp_path / "pair" / "val")
    (tmp_path / "pair" / "val").touch()
    assert "val is a file" in refused(tmp_path / "pair", NotADirectoryError)


def test_no_classes_and_one_class(tmp_path):
    assert "no class folders" in refused(tmp_path)
    save(tmp_path / "only" / "x.png")
    assert "only the class folder only" in refused(tmp_path)
    make_pair(tmp_path / "pair", ("lonely",))
    assert "only the class folder lonely" in refused(tmp_path / "pair")


@pytest.mark.parametrize("filling", [None, ".hidden.png", "inner/.hidden.png"])
def test_empty_class(tmp_path, filling):
    make_pair(tmp_path / "pair")
    make_tree(tmp_path / "tree", {"cat": 2, "dog": 2})
    for tree in (tmp_path / "pair" / "train", tmp_path / "pair" / "val", tmp_path / "tree"):
        (tree / "eel").mkdir()
        if filling:
            save(tree / "eel" / filling)
    assert "class eel" in refused(tmp_path / "pair")
    assert "class eel" in refused(tmp_path / "pair", skip_bad=True)
    assert "is empty" in refused(tmp_path / "tree")


def test_train_and_val_with_other_classes(tmp_path):
    make_pair(tmp_path)
    save(tmp_path / "val" / "eel" / "x.png")
    shutil.rmtree(tmp_path / "val" / "cat")
    for split in ("train", "val"):
        assert "only in train: cat, only in val: eel" in refused(tmp_path, split=split)
    for i in range(7):
        save(tmp_path / "val" / f"more{i}" / "x.png")
    assert "eel, more0, more1, more2, more3 and 3 more" in refused(tmp_path)
    shutil.rmtree(tmp_path / "val")
    make_pair(tmp_path, ("cat", "dog", "fox"), train=0)
    assert "only in train: none, only in val: fox" in refused(tmp_path)


@pytest.mark.parametrize("gone", ["train", "val"])
def test_half_a_pair(tmp_path, gone):
    make_pair(tmp_path)
    shutil.rmtree(tmp_path / gone)
    assert f"has no folder {gone}" in refused(tmp_path, FileNotFoundError)


def test_images_at_the_level_of_classes(tmp_path):
    make_pair(tmp_path)
    save(tmp_path / "val" / "stray.png")
    assert "1, such as stray.png" in refused(tmp_path)
    flat = tmp_path / "flat"
    for i in range(3):
        save(flat / "train" / f"{i}.png")
        save(flat / "val" / f"{i}.png")
    assert "3, such as 0.png" in refused(flat)
    assert "3, such as 0.png" in refused(flat / "train")
