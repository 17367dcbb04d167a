import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import imagenet, open_dataset
from easiness.datasets.beton import BetonWriter, EncodedImage, manifest_path
from easiness.datasets.imagenet import Manifest, list_imagenet, verify_beton
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
                image = np.random.default_rng((k, i)).integers(0, 256, (40 + i, 30 + k, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{split}_{k}{i}.JPEG")
    for split in ("train", "val"):
        files = list_imagenet(root / "images", split, seed=0, val_fraction=0.2)
        pack(root / "images", split, files, root / "packed" / f"{split}.beton", PackOptions())
    return root


@pytest.fixture
def packed(made, tmp_path):
    return shutil.copytree(made / "packed", tmp_path / "packed")


def test_packed_and_plain_hold_the_same_examples(made):
    for split in ("train", "val"):
        plain = open_dataset("imagenet", made / "images", split=split)
        packed = open_dataset("imagenet", made / "packed", split=split)
        assert plain.sources.tolist() == packed.sources.tolist()
        np.testing.assert_array_equal(plain.labels, packed.labels)
        np.testing.assert_array_equal(plain.images.sizes, packed.images.sizes)
        assert plain.name == packed.name == "imagenet"


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
def test_a_flipped_byte_is_refused(packed, verify, where):
    path = packed / "train.beton"
    content = bytearray(path.read_bytes())
    at = {"header": 2200, "image": 8 * 2**20 + 700, "table": len(content) - 30}[where]
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.beton is damaged: 1 of 3 checked blocks .* the first at byte "):
        open_dataset("imagenet", packed, verify=verify)


def test_quick_looks_at_all_tables_and_a_sample_of_the_rest(tmp_path, monkeypatch):
    page, path = 2**21, tmp_path / "a.beton"
    with BetonWriter(path, 60, page) as writer:
        for row in range(60):
            writer.add(EncodedImage(1, 700, 900, bytes([row]) * (700 * 900 * 3)), 0)
        written = writer.finish()
    manifest = Manifest("train", 60, "", ["a"], [], "", {}, "", [], **written._asdict())
    assert len(manifest.blocks) == 62
    looked_at = []
    real = imagenet.block_digest

    def seen(block):
        looked_at.append(block[0] if len(set(block[:100])) == 1 else -1)
        return real(block)

    monkeypatch.setattr(imagenet, "block_digest", seen)
    verify_beton(path, manifest, "quick")
    assert len(looked_at) == 18
    assert looked_at.count(-1) == 2, "header and table are always looked at"
    looked_at.clear()
    verify_beton(path, manifest, "full")
    assert len(looked_at) == 62
    with path.open("r+b") as file:
        file.seek(2 * page + 5)
        file.write(b"x")
    verify_beton(path, manifest, "quick")
    with pytest.raises(ValueError, match="1 of 62 checked blocks"):
        verify_beton(path, manifest, "full")
    with pytest.raises(ValueError, match="verify is 'no', and must be one of quick, full"):
        verify_beton(path, manifest, "no")


@pytest.mark.parametrize("keep", [0, 100, 8 * 2**20 + 5, -1])
def test_a_truncated_beton_is_refused(packed, keep):
    path = packed / "train.beton"
    os.truncate(path, keep if keep >= 0 else path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"train\.beton has [\d,]+ bytes, and had [\d,]+ when packed"):
        open_dataset("imagenet", packed)


def test_an_unfinished_or_missing_half_is_refused(packed):
    manifest = manifest_path(packed / "train.beton")
    content = manifest.read_text()
    manifest.write_text(content[:50])
    with pytest.raises(ValueError, match="is damaged or has another layout"):
        open_dataset("imagenet", packed)
    manifest.write_text(json.dumps(json.loads(content) | {"new_field": 1}))
    with pytest.raises(ValueError, match="has another layout"):
        open_dataset("imagenet", packed)
    manifest.unlink()
    with pytest.raises(ValueError, match=r"has no train\.json beside it, so packing was interrupted"):
        open_dataset("imagenet", packed)
    (packed / "train.beton").unlink()
    with pytest.raises(FileNotFoundError, match=r"has val\.beton but no train\.beton"):
        open_dataset("imagenet", packed)


def test_a_manifest_of_another_file_is_refused(packed, made):
    shutil.copy(made / "packed" / "val.json", packed / "train.json")
    with pytest.raises(ValueError, match="run prepare again"):
        open_dataset("imagenet", packed)


def test_an_empty_folder_and_none_at_all(tmp_path):
    with pytest.raises(ValueError, match="has no class folders; at least 2 classes are needed"):
        open_dataset("imagenet", tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; give the folder"):
        open_dataset("imagenet", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="dataset=imagenet needs the folder of images"):
        open_dataset("imagenet")
