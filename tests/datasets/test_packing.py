import hashlib
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import open_dataset, packed
from easiness.datasets.beton import JPEG, MANIFEST, RAW
from easiness.datasets.chosen import Chosen
from easiness.datasets.image_files import decode, decode_image
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.packed import claimed, read_manifest
from easiness.datasets.packing import PackOptions, encode_image, pack

OPTIONS = PackOptions(max_side=40)
SKIPPING = replace(OPTIONS, skip_bad=True)


@pytest.fixture
def tree(tmp_path):
    """Two classes of five pictures for training, two for validation; no two of one size."""
    root = tmp_path / "images"
    for split, count in (("train", 5), ("val", 2)):
        for k, name in enumerate(("n01", "n02")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                rng = np.random.default_rng((k, i, split == "val"))
                image = rng.integers(0, 256, (30 + 9 * i, 50 - 3 * k, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{i}.JPEG", quality=95)
    return root


def listed(root):
    return {split: list_imagenet(root, split, seed=0, val_fraction=0.2) for split in ("train", "val")}


def both(root, folder, options=OPTIONS, **more):
    return pack(root, listed(root), folder, options, **more)


def run(root, folder, options=OPTIONS, **more):
    return both(root, folder, options, **more)["train"]


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("mode", ["jpg", "raw", "proportion"])
def test_packed_images_are_the_images(tree, tmp_path, mode):
    options = PackOptions(max_side=40, quality=90 if mode == "raw" else 95, mode=mode)
    both(tree, tmp_path / "out", options)
    plain = open_dataset("folder", tree)
    packed = open_dataset("imagenet", tmp_path / "out", verify="full")
    assert packed.sources.tolist() == plain.sources.tolist()
    assert packed.class_names == plain.class_names
    np.testing.assert_array_equal(packed.labels, plain.labels)
    modes = packed.images.records["mode"]
    assert {"jpg": {JPEG}, "raw": {RAW}, "proportion": {JPEG, RAW}}[mode] == set(modes.tolist())
    for row, image in enumerate(plain.images):
        expected = Image.fromarray(image)
        if max(expected.size) > 40:
            scale = 40 / max(expected.size)
            expected = expected.resize([round(side * scale) for side in expected.size], Image.Resampling.BOX)
        found = packed.images[row]
        assert found.shape == np.asarray(expected).shape
        if modes[row] == RAW:
            np.testing.assert_array_equal(found, np.asarray(expected))
        else:
            # Noise is the worst that JPEG can be given.
            assert np.abs(found.astype(int) - np.asarray(expected)).mean() < 40


def test_sizes_are_kept_without_a_limit(tree, tmp_path):
    both(tree, tmp_path / "out", PackOptions(max_side=0))
    packed, plain = open_dataset("imagenet", tmp_path / "out"), open_dataset("folder", tree)
    np.testing.assert_array_equal(packed.images.sizes, plain.images.sizes)


def test_pixels_that_are_packed_as_they_are_keep_the_fingerprint(tree, tmp_path):
    plain = open_dataset("folder", tree)
    both(tree, tmp_path / "raw", PackOptions(max_side=0, mode="raw"))
    assert open_dataset("imagenet", tmp_path / "raw", verify="full").fingerprint == plain.fingerprint
    both(tree, tmp_path / "jpg", PackOptions(max_side=0))
    packed = open_dataset("imagenet", tmp_path / "jpg")
    assert packed.fingerprint != plain.fingerprint
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in packed.images]
    assert digests == list(map(bytes, packed.digests))


def test_kept_examples_alone_are_packed(tree, tmp_path):
    (tree / "train" / "n01" / "1.JPEG").write_bytes(b"no image")
    everything = run(tree, tmp_path / "all", SKIPPING).part
    kept = np.array([7, 0, 1])  # ids of what can be read: the broken file has none
    packed = run(tree, tmp_path / "kept", SKIPPING, chosen=Chosen(kept))
    assert packed.part.sources == [everything.sources[row] for row in (0, 1, 7)]
    assert run(tree, tmp_path / "kept", SKIPPING, chosen=Chosen(kept[::-1])).seconds == 0
    assert run(tree, tmp_path / "kept", SKIPPING, chosen=Chosen(kept[:2])).seconds > 0
    with pytest.raises(ValueError, match=r"1 of 2 ids to keep are not in .* have ids 0 to 8; the first is 9"):
        run(tree, tmp_path / "wrong", SKIPPING, chosen=Chosen(np.array([0, 9])))
    with pytest.raises(ValueError, match="class n02 of .* has no readable image"):
        run(tree, tmp_path / "wrong", SKIPPING, chosen=Chosen(np.array([0])))


def test_packing_again_gives_the_same_file_and_fingerprint(tree, tmp_path):
    options = PackOptions(mode="proportion")
    first, second = (run(tree, tmp_path / name, options=options, workers=n) for name, n in (("a", 1), ("b", 3)))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.part == second.part
    assert first.part.fingerprint == run(tree, tmp_path / "c", options=options).part.fingerprint
    assert first.part.fingerprint != run(tree, tmp_path / "d").part.fingerprint


def test_up_to_date_is_left_alone_and_what_changed_is_packed_again(tree, tmp_path):
    out = tmp_path / "out"
    before = run(tree, out).path.stat()
    again = run(tree, out)
    assert again.seconds == 0
    assert "up to date" in again.describe()
    assert again.path.stat().st_ino == before.st_ino
    assert run(tree, out, options=PackOptions(max_side=30)).seconds > 0
    assert run(tree, out, options=PackOptions(max_side=30)).seconds == 0
    shutil.copy(tree / "train" / "n01" / "0.JPEG", tree / "train" / "n02" / "9.JPEG")
    assert run(tree, out, options=PackOptions(max_side=30)).part.examples == 11
    (out / MANIFEST).unlink()
    packed = run(tree, out, options=PackOptions(max_side=30))
    assert packed.seconds > 0
    os.truncate(packed.path, 100)
    assert run(tree, out, options=PackOptions(max_side=30)).seconds > 0
    both(tree, out)
    open_dataset("imagenet", out, verify="full")
    assert len(names(out)) == 3, "earlier files are gone"


def test_a_wide_picture_keeps_its_proportions_and_a_small_one_its_size():
    wide = encode_image(np.zeros((100, 1000, 3), np.uint8), OPTIONS, as_jpeg=False)
    assert (wide.mode, wide.height, wide.width) == (RAW, 4, 40)
    thin = encode_image(np.zeros((5000, 1, 3), np.uint8), OPTIONS, as_jpeg=True)
    assert (thin.mode, thin.height, thin.width) == (JPEG, 40, 1)
    small = encode_image(np.zeros((7, 9, 3), np.uint8), OPTIONS, as_jpeg=True)
    assert (small.height, small.width) == (7, 9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "png"}, "mode is 'png', and must be one of jpg, raw, proportion"),
        ({"quality": 0}, "quality is 0, and must be from 1 to 100"),
        ({"max_side": -1}, "max_side is -1, and must be from 0 to 16384"),
        ({"proportion": 1.5}, "proportion is 1.5, and must be from 0 to 1"),
        ({"proportion": 0.6}, "proportion is 0.6, and does nothing with mode=jpg; leave it out"),
        ({"quality": 95, "mode": "raw"}, "quality is 95, and does nothing with mode=raw; leave it out"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        PackOptions(**options)


@pytest.mark.parametrize("max_side", [0, 40, 400, 1672, 1673, 5000, 16384])
@pytest.mark.parametrize("mode", ["jpg", "raw"])
def test_a_page_holds_the_largest_image(max_side, mode):
    size = PackOptions(max_side=max_side, mode=mode).page_size()
    assert size & (size - 1) == 0
    assert 2**21 <= size < 2**32
    assert mode == "jpg" or size >= 3 * max_side**2


def odd_images():
    from tests.conftest import SHARED_DATA

    folder = SHARED_DATA / "odd-images"
    return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("odd", odd_images(), ids=lambda path: path.name)
def test_every_odd_image_is_packed_or_named(tree, tmp_path, odd):
    target = tree / "train" / "n02" / odd.name
    shutil.copyfile(odd, target)
    try:
        expected = decode_image(target)
    except (OSError, ValueError):
        with pytest.raises(
            ValueError, match=rf"train/n02/{odd.name} \(.+\) in .* is not a readable image; .*skip_bad=true"
        ):
            run(tree, tmp_path / "out")
        assert names(tmp_path / "out") == []
        packed = run(tree, tmp_path / "out", SKIPPING)
        assert packed.part.examples == 10
        assert packed.part.skipped[0].startswith(f"train/n02/{odd.name} (")
        assert "1 bad files skipped" in packed.describe()
    else:
        run(tree, tmp_path / "out", options=PackOptions(max_side=1024, mode="raw"))
        dataset = open_dataset("imagenet", tmp_path / "out")
        (row,) = np.flatnonzero(dataset.sources == f"train/n02/{odd.name}")
        np.testing.assert_array_equal(dataset.images[row], expected)


def test_odd_images_are_there(shared_data):
    assert len(odd_images()) >= 9


def test_png_named_jpeg_palette_alpha_and_orientation(tree, tmp_path):
    folder = tree / "train" / "n01"
    Image.fromarray(np.full((6, 8), 100, np.uint8)).save(folder / "grey.JPEG", "JPEG")
    Image.new("P", (8, 6), 3).save(folder / "palette.JPEG", "PNG")
    Image.new("RGBA", (8, 6), (10, 20, 30, 0)).save(folder / "alpha.JPEG", "PNG")
    turned = Image.new("RGB", (8, 6))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.JPEG", exif=exif)
    both(tree, tmp_path / "out", PackOptions(mode="raw"))
    dataset = open_dataset("imagenet", tmp_path / "out")
    images = {source.split("/")[-1]: image for source, image in zip(dataset.sources, dataset.images, strict=True)}
    assert (images["grey.JPEG"] == 100).all()
    assert (images["alpha.JPEG"] == 255).all(), "transparent is white"
    assert images["palette.JPEG"].shape == (6, 8, 3)
    assert images["turned.JPEG"].shape == (8, 6, 3)


def test_a_class_without_a_good_image_is_refused(tree, tmp_path):
    for path in (tree / "train" / "n01").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="class n01 of .* has no readable image"):
        run(tree, tmp_path / "out", SKIPPING)
    assert names(tmp_path / "out") == []


def test_an_error_in_the_middle_ends_the_job_at_once_and_leaves_nothing(tree, tmp_path, monkeypatch):
    calls = []

    def break_down(path):
        calls.append(path)
        if len(calls) == 4:
            raise MemoryError("no memory for this one")
        return decode(path)

    monkeypatch.setattr("easiness.datasets.packing.decode", break_down)
    with pytest.raises(MemoryError, match="no memory for this one"):
        run(tree, tmp_path / "out", workers=1)
    assert names(tmp_path / "out") == []


SLOW = """
import sys, time, pathlib
import easiness.datasets.packing as packing
from easiness.datasets.imagenet import list_imagenet
real, count = packing.decode, 0
def slow(path):
    global count
    count += 1
    if count == 6:
        print("half", flush=True)
        time.sleep(60)
    return real(path)
packing.decode = slow
root, out = map(pathlib.Path, sys.argv[1:])
files = {split: list_imagenet(root, split, seed=0, val_fraction=0.2) for split in ("train", "val")}
packing.pack(root, files, out, packing.PackOptions(), workers=1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_during_packing_leaves_nothing_and_the_next_run_packs(tree, tmp_path, how):
    shared_memory = set(os.listdir("/dev/shm"))
    words = [sys.executable, "-c", SLOW, str(tree), str(tmp_path / "out")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"half\n"
    process.send_signal(how)
    process.communicate(timeout=30)
    assert names(tmp_path / "out") == []
    mine = {name for name in set(os.listdir("/dev/shm")) - shared_memory if str(process.pid) in name}
    assert not mine
    assert run(tree, tmp_path / "out").part.examples == 10


@pytest.mark.parametrize("after", [1, 2])
def test_cut_off_before_the_manifest_of_both_leaves_the_pair_from_before(tree, tmp_path, monkeypatch, after):
    out, written = tmp_path / "out", []
    both(tree, out)
    before = {split: open_dataset("imagenet", out, split=split).fingerprint for split in ("train", "val")}
    shutil.move(tree / "val" / "n01" / "0.JPEG", tree / "train" / "n01" / "was in val.JPEG")

    def killed(path, parts):
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(path.name)
        packed.write_manifest(path, parts)

    monkeypatch.setattr("easiness.datasets.packing.write_manifest", killed)
    with pytest.raises(KeyboardInterrupt):
        both(tree, out)
    monkeypatch.undo()
    assert written == ["packed.part.json"] * after
    assert {split: open_dataset("imagenet", out, split=split).fingerprint for split in ("train", "val")} == before
    again = both(tree, out)
    assert again["train"].seconds == 0, "what was finished is not done again"
    assert again["train"].part.examples == 11
    assert len(names(out)) == 3


def test_cut_off_at_first_is_refused(tree, tmp_path, monkeypatch):
    monkeypatch.setattr("easiness.datasets.packing.compare_parts", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        both(tree, tmp_path / "out")
    with pytest.raises(ValueError, match=r"beton and no packed\.json, so packing was interrupted; run prepare again"):
        open_dataset("imagenet", tmp_path / "out")


def test_packing_into_a_folder_that_is_read_changes_nothing_there(tree, tmp_path, caplog):
    out = tmp_path / "out"
    both(tree, out)
    reader = open_dataset("imagenet", out)
    expected, elsewhere = [image.copy() for image in reader.images], pickle.dumps(reader.images)
    both(tree, out, PackOptions(max_side=20))
    assert "is still being read and was left there; the next prepare removes it" in caplog.text
    for images in (reader.images, pickle.loads(elsewhere)):
        for image, was in zip(images, expected, strict=True):
            np.testing.assert_array_equal(image, was)
    assert open_dataset("imagenet", out).images[0].shape != expected[0].shape
    path = reader.images.file.path
    del reader, images
    both(tree, out, PackOptions(max_side=20))
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match=r"train-.* is missing; run prepare again"):
        pickle.loads(elsewhere)


def test_another_file_under_the_same_name_is_noticed_elsewhere(tree, tmp_path):
    path = both(tree, tmp_path / "out")["train"].path
    elsewhere = pickle.dumps(open_dataset("imagenet", tmp_path / "out").images)
    content = bytearray(path.read_bytes())
    content[8 * 2**20 + 500] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not the file that was opened first; it was packed again, so start again"):
        pickle.loads(elsewhere)


def test_one_at_a_time(tmp_path):
    out = tmp_path / "out"
    with claimed(out), pytest.raises(ValueError, match="another prepare is packing into .*out; wait for"), claimed(out):
        pass
    with claimed(out):
        pass


FULL = """
import resource, sys, pathlib
import easiness.datasets.packing as packing
from easiness.datasets.imagenet import list_imagenet
from easiness.commandline import command
def main(root: str, out: str) -> None:
    files = {split: list_imagenet(pathlib.Path(root), split, seed=0, val_fraction=0.2) for split in ("train", "val")}
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    packing.pack(pathlib.Path(root), files, pathlib.Path(out), packing.PackOptions())
command(main)
"""


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tree, tmp_path):
    assert resource.RLIM_INFINITY in resource.getrlimit(resource.RLIMIT_FSIZE)
    words = [sys.executable, "-c", FULL, f"--root={tree}", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: no space for train-")
    assert "after 10 of 10 images; free some, lower max_side, or choose another output" in line
    assert names(tmp_path / "out") == []


def test_manifest_says_where_each_example_is_from_and_how_it_was_made(tree, tmp_path):
    made = both(tree, tmp_path / "out")
    parts = read_manifest(tmp_path / "out" / MANIFEST)
    assert parts == {split: each.part for split, each in made.items()}
    assert parts["train"].sources[0] == "train/n01/0.JPEG"
    settings = {"max_side": 40, "quality": 90, "mode": "jpg", "proportion": 0.5, "skip_bad": False}
    assert parts["train"].settings == settings
    for split, part in parts.items():
        assert open_dataset("imagenet", tmp_path / "out", split=split).fingerprint == part.fingerprint
