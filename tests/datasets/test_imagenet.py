import dataclasses
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import open_dataset
from easiness.datasets.beton import MANIFEST, BetonFile, BetonWriter, EncodedImage
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.packed import Part, read_manifest, verify_beton, write_manifest
from easiness.datasets.packing import PackOptions, pack


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with train and val, as images and as packed."""
    root = tmp_path_factory.mktemp("imagenet")
    for split, count in (("train", 4), ("val", 3)):
        for k, name in enumerate(("n01", "n02", "n03")):
            folder = root / "images" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.random.default_rng((k, i, count)).integers(0, 256, (40 + i, 30 + k, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{split}_{k}{i}.JPEG")
    files = {split: list_imagenet(root / "images", split, seed=0, val_fraction=0.2) for split in ("train", "val")}
    pack(root / "images", files, root / "packed", PackOptions())
    return root


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made / "packed", tmp_path / "packed")


def beton(folder, split="train"):
    return folder / read_manifest(folder / MANIFEST)[split].file


def test_packed_and_plain_hold_the_same_examples(made):
    for split in ("train", "val"):
        plain = open_dataset("imagenet", made / "images", split=split)
        packed = open_dataset("imagenet", made / "packed", split=split)
        assert plain.sources.tolist() == packed.sources.tolist()
        np.testing.assert_array_equal(plain.labels, packed.labels)
        np.testing.assert_array_equal(plain.images.sizes, packed.images.sizes)
        assert (plain.kind, plain.name, packed.kind, packed.name) == ("imagenet", "images", "imagenet", "packed")


def test_subsets_and_limits_keep_their_ids(made):
    whole = open_dataset("imagenet", made / "packed")
    some = open_dataset("imagenet", made / "packed", limit=6)
    assert len(some) == 6
    for row, example_id in enumerate(some.example_ids):
        np.testing.assert_array_equal(some.images[row], whole.images[example_id])
        assert some.sources[row] == whole.sources[example_id]
    assert some.fingerprint != whole.fingerprint


@pytest.mark.parametrize("verify", ["quick", "full"])
@pytest.mark.parametrize("where", ["header", "image", "table"])
def test_a_flipped_byte_is_refused(folder, verify, where):
    path = beton(folder)
    content = bytearray(path.read_bytes())
    at = {"header": 2200, "image": 8 * 2**20 + 700, "table": len(content) - 30}[where]
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"\.beton is damaged: 1 of 3 checked blocks .* the first at byte "):
        open_dataset("imagenet", folder, verify=verify)


def test_quick_looks_at_all_tables_and_a_sample_of_the_rest(tmp_path, monkeypatch):
    page, path = 2**21, tmp_path / "a.beton"
    with BetonWriter(path, 60, page) as writer:
        for row in range(60):
            writer.add(EncodedImage(1, 700, 900, bytes([row]) * (700 * 900 * 3)), 0)
        written = writer.finish()
    part = Part("a.beton", 60, "", ["a", "b"], ["x"] * 60, *["00" * 16 * 60] * 2, {}, "", [], **written._asdict())
    assert len(part.blocks) == 62
    looked_at = []
    real = BetonFile.digest

    def seen(self, start, length):
        looked_at.append(start // page)
        return real(self, start, length)

    monkeypatch.setattr(BetonFile, "digest", seen)
    verify_beton(BetonFile(path), part, "quick")
    assert len(looked_at) == 18
    assert {0, 61} < set(looked_at), "header and table are always looked at"
    looked_at.clear()
    verify_beton(BetonFile(path), part, "full")
    assert sorted(looked_at) == list(range(62))
    with path.open("r+b") as file:
        file.seek(2 * page + 5)
        file.write(b"x")
    verify_beton(BetonFile(path), part, "quick")
    with pytest.raises(ValueError, match="1 of 62 checked blocks"):
        verify_beton(BetonFile(path), part, "full")


@pytest.mark.parametrize("keep", [0, 100, 8 * 2**20 + 5, -1])
def test_a_truncated_beton_is_refused(folder, keep):
    path = beton(folder)
    os.truncate(path, keep if keep >= 0 else path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"train-.*\.beton has [\d,]+ bytes, and had [\d,]+ when packed"):
        open_dataset("imagenet", folder)


def test_what_is_missing_is_named(folder):
    beton(folder, "val").unlink()
    for split in ("train", "val"):
        with pytest.raises(FileNotFoundError, match=r"val-.*\.beton is missing, and packed\.json names it; run"):
            open_dataset("imagenet", folder, split=split)
    (folder / MANIFEST).unlink()
    with pytest.raises(ValueError, match=r"has train-.*\.beton and no packed\.json, so packing was interrupted"):
        open_dataset("imagenet", folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{\n"schema"', "", "Extra data|Expecting"),
        ('{\n"schema"', "[" * 100_000, "recursion"),
        ('"schema": 1', '"schema": 2', "another layout than schema 1"),
        ('"schema": 1', '"schema": 1, "x": 1', "another layout than schema 1"),
        ('"examples": 12', '"examples": true', "examples is bool, not int"),
        ('"examples": 12', '"examples": 11', "11 examples have 12 sources"),
        ('"file": "', '"file": "../', "file is '../train-.*, not the name of a .beton"),
        ('"size":', '"new": 1,\n"size":', "a part has other fields"),
        ('"n02"', '"n01"', "class_names has fewer than two names, or one of them twice"),
        ('"n02"', "2", "class_names has items that are not text"),
        ('"digests": "', '"digests": "00', "12 examples have 12 sources and other digests"),
        ("train_00.JPEG", "train_99.JPEG", "its digest is another"),
        ('"block_size": 8388608', '"block_size": 0', "blocks of 0 bytes"),
    ],
)
def test_a_damaged_manifest_is_refused(folder, old, new, message):
    text = (folder / MANIFEST).read_text()
    assert old in text
    (folder / MANIFEST).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=rf"packed\.json is damaged or has another layout \(.*({message})"):
        open_dataset("imagenet", folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["n01", "n03", "n02"]}, "other classes, or another order: 'n03' and 'n02'"),
        ({"class_names": ["n01", "n02", "n03", "n04"]}, "have 4 and 3 classes"),
        ({"class_names": ["n01", "n02"]}, "have 2 and 3 classes"),
        ({"fingerprint": "0" * 64}, "has fingerprint [0-9a-f]{12}, and its manifest says 000000000000; run prepare"),
        ({"digests": "00" * 16 * 12}, "has fingerprint [0-9a-f]{12}, and its manifest says"),
        ({"stored": "00" * 16 * 12}, "image 0 of .* is damaged: its bytes differ from what was packed"),
        ({"blocks": ["00" * 16] * 3}, "is damaged: 3 of 3 checked blocks"),
        (
            {"examples": 2, "sources": ["a", "b"], "digests": "01" * 32, "stored": "01" * 32},
            "has 12 examples, and its manifest 2",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder, changes, message):
    parts = read_manifest(folder / MANIFEST)
    write_manifest(folder / MANIFEST, parts | {"train": dataclasses.replace(parts["train"], **changes)})
    with pytest.raises(ValueError, match=message):
        open_dataset("imagenet", folder)


def test_exchanged_files_are_refused(folder):
    train, val = beton(folder), beton(folder, "val")
    train.rename(folder / "x")
    val.rename(train)
    (folder / "x").rename(val)
    for split in ("train", "val"):
        with pytest.raises(ValueError, match="run prepare again"):
            open_dataset("imagenet", folder, split=split)


def test_val_made_of_training_images_is_refused(folder):
    parts = read_manifest(folder / MANIFEST)
    write_manifest(folder / MANIFEST, {"train": parts["train"], "val": parts["train"]})
    with pytest.raises(ValueError, match="every image of val of .* is in train, too; pack another folder val"):
        open_dataset("imagenet", folder)


def test_the_manifest_of_one_part_is_refused(folder):
    write_manifest(folder / MANIFEST, {"val": read_manifest(folder / MANIFEST)["val"]})
    with pytest.raises(ValueError, match=r"packed\.json describes val, not train and val"):
        open_dataset("imagenet", folder, split="val")


def test_options_that_do_nothing_are_refused(made):
    with pytest.raises(ValueError, match="verify is 'none', and must be one of quick, full"):
        open_dataset("planted", verify="none")
    with pytest.raises(ValueError, match="verify is 'full', which is for files of images, and dataset=planted is not"):
        open_dataset("planted", verify="full")
    with pytest.raises(
        ValueError, match="skip_bad is True, and does nothing here: dataset=planted has no files to skip"
    ):
        open_dataset("planted", skip_bad=True)


def test_an_empty_folder_and_none_at_all(tmp_path):
    with pytest.raises(ValueError, match="has no class folders; at least 2 classes are needed"):
        open_dataset("imagenet", tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; give the folder"):
        open_dataset("imagenet", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="dataset=imagenet needs the folder of images"):
        open_dataset("imagenet")
