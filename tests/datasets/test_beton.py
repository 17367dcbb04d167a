import hashlib
import io
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from easiness.datasets.beton import (
    JPEG,
    RAW,
    BetonFile,
    BetonImages,
    BetonWriter,
    EncodedImage,
    block_digest,
    read_index,
)

PAGE = 2**21


def picture(side, seed):
    return np.random.default_rng(seed).integers(0, 256, (side, side + 3, 3)).astype(np.uint8)


def jpeg(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95)
    return EncodedImage(JPEG, *image.shape[:2], stream.getvalue())


def raw(image):
    return EncodedImage(RAW, *image.shape[:2], image.tobytes())


def write(path, count=23, capacity=None, page_size=PAGE):
    """Every third image is a JPEG; some hundred kilobytes each, so that there are several pages."""
    images = [picture(230 + i, i) for i in range(count)]
    with BetonWriter(path, capacity or count, page_size) as writer:
        for i, image in enumerate(images):
            writer.add(jpeg(image) if i % 3 == 0 else raw(image), label=i % 4)
        return images, writer.finish()


def opened(path):
    file = BetonFile(path)
    records, labels = read_index(file)
    content = path.read_bytes()
    images = [content[record["ptr"] : record["ptr"] + record["size"]] for record in records]
    digests = np.array([list(hashlib.blake2b(image, digest_size=16).digest()) for image in images], np.uint8)
    return BetonImages(file, np.arange(len(labels)), records, digests), labels


@pytest.mark.parametrize("capacity", [23, 40, 100_000])
def test_what_was_written_is_read(tmp_path, capacity):
    images, written = write(tmp_path / "a.beton", capacity=capacity)
    found, labels = opened(tmp_path / "a.beton")
    assert labels.tolist() == [i % 4 for i in range(23)]
    assert found.sizes.tolist() == [list(image.shape[:2]) for image in images]
    for i, image in enumerate(images):
        if i % 3:
            np.testing.assert_array_equal(found[i], image)
        else:
            expected = np.asarray(Image.open(io.BytesIO(jpeg(image).data)))
            np.testing.assert_array_equal(found[i], expected)
    assert os.listdir(tmp_path) == ["a.beton"]
    content = (tmp_path / "a.beton").read_bytes()
    assert len(content) == written.size
    blocks = [content[start : start + PAGE] for start in range(0, len(content), PAGE)]
    assert written.blocks == [block_digest(block) for block in blocks]
    assert len(blocks) > 3


def test_no_image_crosses_a_page(tmp_path):
    write(tmp_path / "a.beton")
    records, _ = read_index(BetonFile(tmp_path / "a.beton"))
    np.testing.assert_array_equal(records["ptr"] // PAGE, (records["ptr"] + records["size"] - 1) // PAGE)


def test_ffcv_reads_what_we_write(tmp_path):
    ffcv = pytest.importorskip("ffcv", reason="FFCV is not installed")
    from ffcv.reader import Reader

    images, _ = write(tmp_path / "a.beton", capacity=50)
    reader = Reader(str(tmp_path / "a.beton"))
    assert (reader.num_samples, reader.field_names) == (23, ["image", "label"])
    assert reader.metadata["f1"].tolist() == [i % 4 for i in range(23)]
    assert reader.metadata["f0"]["height"].tolist() == [len(image) for image in images]
    np.testing.assert_array_equal(reader.alloc_table["sample_id"], np.arange(23))
    assert ffcv.fields.RGBImageField in {type(field) for field in reader.handlers.values()}


def test_we_read_what_ffcv_writes(tmp_path):
    pytest.importorskip("ffcv", reason="FFCV is not installed")
    # In a process of its own: its writer forks, and pytest has threads.
    script = (
        "import numpy as np, sys\n"
        "from ffcv.writer import DatasetWriter\n"
        "from ffcv.fields import RGBImageField, IntField\n"
        "images = np.arange(9 * 20 * 30 * 3, dtype=np.uint8).reshape(9, 20, 30, 3)\n"
        "fields = {'image': RGBImageField(write_mode='raw'), 'label': IntField()}\n"
        "writer = DatasetWriter(sys.argv[1], fields, num_workers=2)\n"
        "writer.from_indexed_dataset([(image, row * 2) for row, image in enumerate(images)], chunksize=2)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.beton")], check=True, timeout=120, capture_output=True
    )
    found, labels = opened(tmp_path / "a.beton")
    images = np.arange(9 * 20 * 30 * 3, dtype=np.uint8).reshape(9, 20, 30, 3)
    assert labels.tolist() == [row * 2 for row in range(9)]
    np.testing.assert_array_equal(np.stack(list(found)), images)


def test_subsets_are_lazy_and_small_to_send(tmp_path):
    images, _ = write(tmp_path / "a.beton")
    found, _ = opened(tmp_path / "a.beton")
    some = pickle.loads(pickle.dumps(found.take(np.array([7, 2])).take(np.array([1, 0]))))
    np.testing.assert_array_equal(some[0], images[2])
    np.testing.assert_array_equal(some[1], images[7])
    assert some.name(1) == f"image 7 of {tmp_path / 'a.beton'}"
    with pytest.raises(IndexError):
        some[2]
    assert len(pickle.dumps(found)) < 4_000


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_before(tmp_path, error):
    path = tmp_path / "a.beton"
    path.write_bytes(b"before")

    def break_off():
        with BetonWriter(path, 9, PAGE) as writer:
            writer.add(raw(picture(700, 0)), 0)
            raise error

    with pytest.raises(error):
        break_off()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.beton"]


def test_a_kill_leaves_nothing(tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "from easiness.datasets.beton import *\n"
        "with BetonWriter(pathlib.Path(sys.argv[1]), 99, 2**21) as writer:\n"
        "    for row in range(9):\n"
        "        writer.add(EncodedImage(RAW, 700, 900, bytes(700 * 900 * 3)), 0)\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "a.beton")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert os.listdir(tmp_path) == []


def test_file_systems_without_nameless_files_get_a_temporary_name(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE")
    with BetonWriter(tmp_path / "a.beton", 9, PAGE) as writer:
        writer.add(raw(picture(20, 0)), 3)
        assert os.listdir(tmp_path) == ["a.beton.part"]
        writer.finish()
    assert os.listdir(tmp_path) == ["a.beton"]
    assert read_index(BetonFile(tmp_path / "a.beton")).labels.tolist() == [3]


def test_images_that_do_not_fit_are_refused(tmp_path):
    with BetonWriter(tmp_path / "a.beton", 9, PAGE) as writer:
        with pytest.raises(ValueError, match=r"2,430,000 bytes does not fit in a page of 2,097,152"):
            writer.add(raw(np.zeros((900, 900, 3), np.uint8)), 0)
        with pytest.raises(ValueError, match="sides are from 1 to 65535"):
            writer.add(EncodedImage(JPEG, 1, 65536, b"x"), 0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "is not a .beton"),
        (lambda content: b"\x01" + content[1:], "is not a .beton"),
        (lambda content: content[:-1], "is truncated at byte"),
        (lambda content: content[:PAGE], "is truncated at byte"),
        (lambda content: content[:24] + b"\x07" + content[25:], "has other fields than an image and a label"),
    ],
)
def test_a_damaged_beton_is_refused(tmp_path, damage, message):
    path = tmp_path / "a.beton"
    write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_index(BetonFile(path))


def test_a_place_outside_of_the_file_is_refused(tmp_path):
    path = tmp_path / "a.beton"
    _, written = write(path)
    content = bytearray(path.read_bytes())
    content[-8:] = (written.size).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="1 of 23 images lie outside it"):
        read_index(BetonFile(path))


def test_a_file_cut_off_while_it_is_read_is_an_error_that_names_the_image(tmp_path):
    path = tmp_path / "a.beton"
    write(path)
    found, _ = opened(path)
    os.truncate(path, 2 * PAGE)
    assert found[0].shape[2] == 3
    with pytest.raises(ValueError, match=r"image 22 of .*a\.beton is missing: the file was truncated"):
        found[22]


def test_damage_while_it_is_read_is_an_error_that_names_the_image(tmp_path):
    path = tmp_path / "a.beton"
    write(path)
    found, _ = opened(path)
    with path.open("r+b") as file:
        file.seek(int(found.records["ptr"][3]) + 999)
        file.write(b"xyz")
    assert found[2].shape[2] == 3
    with pytest.raises(ValueError, match=r"image 3 of .*a\.beton is damaged: its bytes differ from what was packed"):
        found[3]


def test_impossible_sizes_are_refused(tmp_path, monkeypatch):
    write(tmp_path / "a.beton")
    monkeypatch.setattr("easiness.datasets.beton.pixel_limit", lambda: 250 * 253)
    with pytest.raises(ValueError, match="2 images have an impossible size, or more than 63,250 pixels"):
        read_index(BetonFile(tmp_path / "a.beton"))
