"""The index of image files says what decoding says, whatever happened to the files and to itself."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from easiness.datasets import file_index, image_files, open_dataset
from easiness.datasets.file_index import check_listed
from easiness.datasets.image_files import check_files
from easiness.files import work_folder

NAMES = [f"{name}/{i}.bmp" for name in ("cat", "dog") for i in range(3)]


def draw(path, seed=0, size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def decoded(monkeypatch, tmp_path):
    """Names of the files that were decoded, in order; a work folder of this test, in which a file settles at once."""
    names = []

    def check(paths):
        names.extend(os.path.relpath(path, tmp_path / "images") for path in paths)
        return check_files(paths)

    monkeypatch.setattr(file_index, "check_files", check)
    monkeypatch.setattr(file_index, "_SETTLED_NS", -(10**12))
    monkeypatch.setenv("EASINESS_WORK", str(tmp_path / "work"))
    return names


@pytest.fixture
def images(tmp_path):
    for seed, name in enumerate(NAMES):
        draw(tmp_path / "images" / name, seed)
    return tmp_path / "images"


def checked(images, names=NAMES, **options):
    """What the index says of files, compared with what decoding says."""
    paths = [str(images / name) for name in names]
    found = check_listed(images, names, paths, **options)
    assert found == check_files(paths)
    return found


def test_files_that_are_as_they_were_are_not_decoded(decoded, images):
    checked(images)
    assert decoded == NAMES
    decoded.clear()
    checked(images)
    checked(images, NAMES[::-2])
    assert decoded == []


def test_data_from_the_index_are_the_same_data(decoded, images):
    first, second = (open_dataset("folder", images) for _ in range(2))
    assert len(decoded) == len(first)
    assert first.fingerprint == second.fingerprint
    for name in ("sizes", "stored"):
        np.testing.assert_array_equal(getattr(first.images, name), getattr(second.images, name))
    np.testing.assert_array_equal(first.images[1], second.images[1])


def test_splits_and_tables_share_the_index_of_their_folder(decoded, images):
    open_dataset("folder", images, split="val")
    open_dataset("folder", images, split="train")
    assert sorted(decoded) == NAMES
    rows = "".join(f"{name},{name.split('/')[0]}\n" for name in NAMES)
    (images / "labels.csv").write_text(f"path,label\n{rows}")
    assert len(open_dataset("table", images / "labels.csv", val_fraction=0)) == len(NAMES)
    assert len(decoded) == len(NAMES)


def longer(path):
    draw(path, 99, (8, 8))


def same_size(path):
    draw(path, 99)


def same_size_and_time(path):
    before = path.stat()
    draw(path, 99)
    # The clock of the file system may need a moment to tick.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replaced_by_another(path):
    before = path.stat()
    draw(path.with_name("new.bmp"), 99)
    os.utime(path.with_name("new.bmp"), ns=(before.st_atime_ns, before.st_mtime_ns))
    path.with_name("new.bmp").replace(path)


def link_to_another(path):
    draw(path.parents[2] / "elsewhere.bmp", 99)
    path.unlink()
    path.symlink_to(path.parents[2] / "elsewhere.bmp")


def cut_off(path):
    path.write_bytes(path.read_bytes()[:40])


def gone(path):
    path.unlink()


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.skipif(sys.platform == "win32", reason="ctime is the time of creation there")
@pytest.mark.parametrize(
    "change",
    [longer, same_size, same_size_and_time, replaced_by_another, link_to_another, cut_off, gone, folder],
    ids=lambda change: change.__name__,
)
def test_a_changed_file_is_decoded_anew(decoded, images, change):
    before = checked(images)
    change(images / NAMES[1])
    decoded.clear()
    after = checked(images)
    assert decoded == [NAMES[1]]
    assert after[1] != before[1]
    assert [*after[:1], *after[2:]] == [*before[:1], *before[2:]]


def test_exchanged_files_are_told_apart(decoded, images):
    first, second = images / NAMES[0], images / NAMES[1]
    before = checked(images)
    first.rename(images / "third")
    second.rename(first)
    (images / "third").rename(second)
    assert checked(images)[:2] == before[1::-1]


def test_other_decoders_decode_anew(decoded, images, monkeypatch):
    checked(images)
    decoded.clear()
    monkeypatch.setattr(image_files, "DECODING", image_files.DECODING + 1)
    image_files.decoders.cache_clear()
    try:
        checked(images)
        assert decoded == NAMES
    finally:
        image_files.decoders.cache_clear()


def test_an_image_that_is_too_large_for_today_is_refused(decoded, images, monkeypatch):
    checked(images)
    for room in (image_files, file_index):
        monkeypatch.setattr(room, "pixel_limit", lambda: 19)
    assert all("19 for each core" in check for check in checked(images))


def test_a_file_that_has_just_changed_gets_no_entry(decoded, images, monkeypatch):
    monkeypatch.setattr(file_index, "_SETTLED_NS", 10**15)
    checked(images)
    checked(images)
    assert len(decoded) == 2 * len(NAMES)


def test_bad_files_are_looked_at_every_time(decoded, images):
    cut_off(images / NAMES[2])
    for _ in range(2):
        assert isinstance(checked(images)[2], str)
    assert decoded == [*NAMES, NAMES[2]]


def test_full_verification_decodes_all_and_finds_what_no_time_shows(decoded, images, monkeypatch):
    marks = file_index._mark
    monkeypatch.setattr(file_index, "_mark", lambda path: (*marks(path)[:2], 0, marks(path)[3]))  # a file system's own
    before = open_dataset("folder", images, val_fraction=0)
    same_size_and_time(images / NAMES[1])
    assert open_dataset("folder", images, val_fraction=0).fingerprint == before.fingerprint, "the hole of such systems"
    decoded.clear()
    after = open_dataset("folder", images, val_fraction=0, verify="full")
    assert decoded == NAMES
    assert after.fingerprint != before.fingerprint
    assert open_dataset("folder", images, val_fraction=0).fingerprint == after.fingerprint


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    return content[:-50] + bytes([content[-50] ^ 1]) + content[-49:]


@pytest.mark.parametrize("damage", [cut, flip, lambda content: b"", lambda content: b"x" * 100])
def test_a_damaged_index_is_made_anew(decoded, images, damage):
    before = checked(images)
    (place,) = (work_folder() / "images").glob("*.index")
    whole = place.read_bytes()
    place.write_bytes(damage(whole))
    decoded.clear()
    assert checked(images) == before
    assert decoded == NAMES
    assert len(place.read_bytes()) == len(whole)
    checked(images)
    assert decoded == NAMES


def test_what_is_gone_leaves_the_index_and_old_indexes_go(decoded, images, monkeypatch, tmp_path):
    checked(images)
    shutil.rmtree(images / "dog")
    draw(images / "cat" / "new.bmp")
    checked(images, [*NAMES[:3], "cat/new.bmp"])
    index = file_index._read(file_index._place(images))
    assert sorted(index.names) == sorted([*NAMES[:3], "cat/new.bmp"])
    monkeypatch.setattr(file_index, "_MOST_INDEXES", 2)
    for name in ("a", "b", "c"):
        draw(tmp_path / name / "x.bmp")
        checked(tmp_path / name, ["x.bmp"])
    left = {path.name for path in (work_folder() / "images").glob("*.index")}
    assert left == {file_index._place(tmp_path / name).name for name in ("b", "c")}


def test_commands_at_once_keep_what_each_of_them_found(decoded, images):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda start: checked(images, NAMES[start : start + 2]), range(0, 6, 2)))
    decoded.clear()
    checked(images)
    assert decoded == []


def test_without_a_place_for_the_index_all_is_decoded(decoded, images):
    work_folder().write_text("a file")
    checked(images)
    checked(images)
    assert len(decoded) == 2 * len(NAMES)
