"""Any image becomes upright RGB of its own size; a file that is not a whole image is bad."""

import hashlib
import io
import os
import pickle
import struct
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from easiness.datasets import image_files
from easiness.datasets.image_files import Checked, ImageFiles, check_files, decode, decode_image


def picture(height=9, width=7, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    file.seek(0)
    return file


def gray(values):
    return np.repeat(np.asarray(values, np.uint8)[:, :, None], 3, axis=2)


# --- odd images, every one ----------------------------------------------------------------------------

GOOD = {
    "hopper.png": (128, 128),
    "hopper_bad_exif.jpg": (500, 500),
    "hopper_gray.jpg": (128, 128),
    "imageNotFound.gif": (300, 300),
    "pil_sample_cmyk.jpg": (100, 100),
}
BAD = {
    "PILLOW_LICENSE": "not a known image format",
    "broken.png": "not a known image format",
    "broken_data_stream.png": "unrecognized data stream",
    "truncated_image.png": "truncated",
    "truncated_jpeg.jpg": "truncated",
}


def test_every_odd_image_is_good_or_bad_as_known(shared_data):
    folder = shared_data / "odd-images"
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*GOOD, *BAD])
    for name, check in zip(names, check_files([str(folder / name) for name in names]), strict=True):
        if name in GOOD:
            content = (folder / name).read_bytes()
            image = decode_image(folder / name)
            digests = (hashlib.blake2b(each, digest_size=16).digest() for each in (image.tobytes(), content))
            assert check[:3] == (GOOD[name], *digests)
            assert (image.shape, image.dtype) == ((*GOOD[name], 3), np.uint8)
        else:
            assert BAD[name] in check
            assert "\n" not in check
            with pytest.raises((OSError, ValueError)):
                decode_image(folder / name)


def test_odd_images_show_what_they_should(shared_data):
    folder = shared_data / "odd-images"
    for name in ("hopper_gray.jpg", "hopper_bad_exif.jpg"):
        image = decode_image(folder / name)
        assert (image == image[:, :, :1]).all()
        assert image.std() > 20
    cmyk = decode_image(folder / "pil_sample_cmyk.jpg")
    assert cmyk.std() > 20
    with Image.open(folder / "hopper.png") as stored:
        np.testing.assert_array_equal(decode_image(folder / "hopper.png"), np.asarray(stored))


# --- modes --------------------------------------------------------------------------------------------


def test_rgb_is_left_as_it_is():
    np.testing.assert_array_equal(decode_image(encode(picture())), picture())
    for kind in ("BMP", "PPM", "TIFF"):
        np.testing.assert_array_equal(decode_image(encode(picture(), kind)), picture())


def test_one_bit_and_gray():
    values = picture(channels=1)[:, :, 0]
    np.testing.assert_array_equal(decode_image(encode(values)), gray(values))
    np.testing.assert_array_equal(decode_image(encode(values > 99)), gray((values > 99) * 255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_keep_the_upper_eight(kind, order):
    values = np.arange(0, 65536, 257).astype(order).reshape(16, 16)
    values[0, 0] = 0xFFFF
    np.testing.assert_array_equal(decode_image(encode(values, kind)), gray(values.astype(int) // 256))


def test_sixteen_bits_as_netpbm():
    values = [[0, 255, 256], [0x1234, 0xFE00, 0xFFFF]]
    file = io.BytesIO(b"P5 3 2 65535\n" + np.array(values, ">u2").tobytes())
    np.testing.assert_array_equal(decode_image(file), gray(np.array(values) // 256))


def test_pixels_without_an_agreed_range_are_refused():
    with pytest.raises(ValueError, match="floating-point"):
        decode_image(encode(np.ones((4, 4), np.float32), "TIFF"))
    for kind in ("<i4", "<u4", "<i2"):
        with pytest.raises(ValueError, match="signed and 32-bit pixels have no agreed range"):
            decode_image(tiff(np.array([[5, 6]], kind)))


def tiff(values, photometric=1, bits=None, packed=None):
    """Gray TIFF as other programs write it; Pillow does not save all of these."""
    content, kind = packed or values.tobytes(), {"u": 1, "i": 2}[values.dtype.kind]
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits or values.itemsize * 8), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(content)), (339, kind)]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(content))
    return io.BytesIO(head + content + struct.pack("<H", len(tags)) + fields + bytes(4))


def test_twelve_bits_keep_the_upper_eight_of_twelve():
    packed = b"".join(struct.pack(">I", a << 12 | b)[1:] for a, b in ((0, 0xFFF), (0x123, 0x800)))
    file = tiff(np.zeros((1, 4), np.uint16), bits=12, packed=packed)
    np.testing.assert_array_equal(decode_image(file), gray([[0, 255, 0x12, 0x80]]))


@pytest.mark.parametrize("kind", ["<u1", "<u2"])
def test_white_is_zero(kind):
    values = np.array([[0, 1, 0x12]], kind) * (257 if kind == "<u2" else 1)
    np.testing.assert_array_equal(decode_image(tiff(values.astype(kind), photometric=0)), gray([[255, 254, 237]]))


def test_transparent_gray_of_sixteen_bits_is_white():
    values = np.array([[0, 0x1234]], np.uint16)
    np.testing.assert_array_equal(decode_image(encode(values, transparency=0x1234)), gray([[0, 255]]))


def test_one_picture_in_any_format_has_one_digest(tmp_path):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    files = {
        "sixteen.png": encode(values.astype(np.uint16) << 8),
        "eight.png": encode(values),
        "inverted.tiff": tiff(255 - values, photometric=0),
        "bitmap.bmp": encode(gray(values), "BMP"),
        "transparent.png": encode(Image.fromarray(np.dstack([gray(values), np.full((3, 4), 255, np.uint8)]))),
    }
    for name, file in files.items():
        (tmp_path / name).write_bytes(file.getvalue())
    checks = check_files([str(tmp_path / name) for name in files])
    assert {check.digest for check in checks} == {hashlib.blake2b(gray(values).tobytes(), digest_size=16).digest()}
    assert len({check.stored for check in checks}) == len(files)


def test_heic_names_the_extra_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    image_files._formats.cache_clear()
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "x.png").write_bytes(b"no image")
    reasons = check_files([str(tmp_path / "IMG_0001.HEIC"), str(tmp_path / "x.png")])
    assert reasons[0] == "HEIC, which is read where the extra is installed: pip install 'easiness[heic]'"
    assert reasons[1] == "not a known image format"
    image_files._formats.cache_clear()


def test_heic_is_read_where_the_extra_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install 'easiness[heic]'")
    image_files._formats.cache_clear()
    colours = np.repeat(np.array([[[200, 30, 90], [10, 220, 60]]], np.uint8), 32, axis=0).repeat(32, axis=1)
    pillow_heif.from_pillow(Image.fromarray(colours)).save(tmp_path / "x.heic", quality=95)
    (check,) = check_files([str(tmp_path / "x.heic")])
    assert (check.size, check.format) == ((32, 64), "HEIF")
    assert np.abs(decode_image(tmp_path / "x.heic").astype(int) - colours).mean() < 6


def test_palette():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    expected = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]
    np.testing.assert_array_equal(decode_image(encode(image)), expected)
    np.testing.assert_array_equal(decode_image(encode(image, "GIF")), expected)
    # The same with a transparent entry, given in either of PNG's two ways.
    expected[0][1] = expected[1][1] = [255, 255, 255]
    np.testing.assert_array_equal(decode_image(encode(image, transparency=1)), expected)
    np.testing.assert_array_equal(decode_image(encode(image, transparency=b"\xff\x00\xff")), expected)


def over_white(colour, alpha):
    return colour.astype(float) * alpha / 255 + 255 * (1 - alpha / 255)


def test_transparent_is_on_white():
    rgba = picture(channels=4)
    found = decode_image(encode(rgba))
    np.testing.assert_allclose(found, over_white(rgba[:, :, :3], rgba[:, :, 3:]), atol=1)
    la = picture(channels=2)
    found = decode_image(encode(la))
    np.testing.assert_allclose(found, over_white(gray(la[:, :, 0]), la[:, :, 1:]), atol=1)
    black = encode(Image.fromarray(np.zeros((2, 2, 3), np.uint8)), transparency=(0, 0, 0))
    np.testing.assert_array_equal(decode_image(black), np.full((2, 2, 3), 255))


def test_cmyk():
    inks = np.zeros((1, 4, 4), np.uint8)
    inks[0, 0, 0] = inks[0, 1, 1] = inks[0, 2, 2] = inks[0, 3, 3] = 255
    found = decode_image(encode(Image.frombytes("CMYK", (4, 1), inks.tobytes()), "TIFF"))
    np.testing.assert_array_equal(found, [[[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]]])


def test_first_frame_of_an_animation():
    frames = [Image.fromarray(np.full((5, 6, 3), value, np.uint8)) for value in (10, 200)]
    for kind in ("GIF", "PNG", "TIFF"):
        found = decode_image(encode(frames[0], kind, save_all=True, append_images=frames[1:]))
        np.testing.assert_array_equal(found, np.full((5, 6, 3), 10))


# --- orientation --------------------------------------------------------------------------------------

# By the EXIF standard: which side of the picture the stored row 0 and the stored column 0 are.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def stored_for(upright, orientation):
    row_side, column_side = SIDES[orientation]
    stored = upright
    if "bottom" in (row_side, column_side):
        stored = stored[::-1]
    if "right" in (row_side, column_side):
        stored = stored[:, ::-1]
    return stored.transpose(1, 0, 2) if row_side in ("left", "right") else stored


KINDS = ["PNG", "TIFF", *(["WEBP"] if features.check("webp") else [])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", SIDES)
def test_pictures_are_turned_upright(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(stored_for(picture(), orientation))
    options = {"lossless": True} if kind == "WEBP" else {}
    file = encode(stored, kind, exif=exif, **options)
    np.testing.assert_array_equal(decode_image(file), picture())


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_meaningless_orientation_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode_image(encode(picture(), exif=exif)), picture())


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0rubbish", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(20)])
def test_damaged_metadata_do_not_make_a_damaged_picture(exif):
    np.testing.assert_array_equal(decode_image(encode(picture(), exif=exif)), picture())


@pytest.mark.parametrize("entry", [(0x0100, 6, 1, b"\xff\0\0\0"), (0x011A, 2, 4, b"abc\0")])
def test_pictures_whose_metadata_cannot_be_rewritten_are_turned_upright(entry):
    entries = sorted([(0x0112, 3, 1, struct.pack("<HH", 6, 0)), entry])
    fields = b"".join(struct.pack("<HHI", *field[:3]) + field[3] for field in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4)
    stored = np.ascontiguousarray(stored_for(picture(), 6))
    with Image.open(encode(stored, exif=exif)) as image, pytest.raises((TypeError, struct.error)):
        ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(decode_image(encode(stored, exif=exif)), picture())


# --- bad files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_truncated_anywhere_before_the_end_is_bad(kind, tmp_path):
    content = encode(picture(60, 70), kind).getvalue()
    paths = []
    for share in (0.0, 0.01, 0.1, 0.5, 0.9):
        paths.append(tmp_path / f"{share}")
        paths[-1].write_bytes(content[: int(share * len(content))])
    checks = check_files([str(path) for path in paths])
    assert all(isinstance(check, str) and check for check in checks), checks


def png_that_claims(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_decompression_bomb_is_a_bad_file(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_that_claims(60_000, 60_000))
    [check] = check_files([str(tmp_path / "bomb.png")])
    assert "DecompressionBombError" in check


def test_what_all_cores_decode_at_a_time_fits_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "usable_cores", lambda: 4096)
    image_files.pixel_limit.cache_clear()
    limit = image_files.pixel_limit()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert limit * image_files.BYTES_PER_PIXEL * 4096 <= memory // 2
    side = int(limit**0.5) + 1
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))
    [check] = check_files([str(tmp_path / "bomb.png")])
    assert check == f"{side:,}×{side:,} pixels, and the memory of this machine allows {limit:,} for each core"
    image_files.pixel_limit.cache_clear()


def test_large_pictures_pass_without_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    image_files.pixel_limit.cache_clear()
    encoded = encode(picture())  # 63 pixels: above the limit, below twice the limit
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(encoded.getvalue())).close()
    (tmp_path / "large.png").write_bytes(encoded.getvalue())
    assert isinstance(check_files([str(tmp_path / "large.png")])[0], Checked)
    np.testing.assert_array_equal(decode_image(encoded), picture())
    image_files.pixel_limit.cache_clear()


def test_remarks():
    frames = [Image.fromarray(picture(seed=seed)) for seed in (0, 1)]
    assert decode(encode(frames[0])).remark == ""
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        animation = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(animation).remark == "animated, or of several pages: the first is used"
    assert decode(encode(np.full((4, 4, 3), 7, np.uint8))).remark == "of one colour"


def test_filters_of_warnings_are_as_before(shared_data):
    before = list(warnings.filters)
    path = shared_data / "odd-images" / "hopper_bad_exif.jpg"
    together = threading.Barrier(4)

    def decode(_):
        together.wait(10)
        return [decode_image(path).sum() for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert len({value for values in pool.map(decode, range(4)) for value in values}) == 1
    assert warnings.filters == before


def test_a_file_that_is_not_regular_is_bad(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "empty.png").touch()
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    with open(odd, "wb") as file:
        file.write(encode(picture()).getvalue())
    checks = check_files([*(str(tmp_path / f"{name}.png") for name in ("pipe", "link", "empty")), odd])
    assert checks == ["not a regular file"] * 2 + ["not a known image format", "its name is not UTF-8"]


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\0\0\2" + bytes(9) + b"\2\0\2\0\x18\0" + bytes(12),
    ],
    ids=["EPS", "TGA"],
)
def test_formats_that_run_programs_or_take_any_bytes_are_no_pictures(content, tmp_path):
    (tmp_path / "x.jpg").write_bytes(content)
    assert check_files([str(tmp_path / "x.jpg")]) == ["not a known image format"]


def test_checks_keep_the_order_of_many_files(tmp_path):
    paths = []
    for i in range(200):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.new("L", (i + 1, 2)).save(paths[-1])
    assert [check.size for check in check_files(paths)] == [(2, i + 1) for i in range(200)]
    assert check_files([]) == []


# --- the lazy sequence --------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    paths, sizes = [], [(3, 4), (5, 2), (6, 6)]
    for i, size in enumerate(sizes):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(picture(*size, seed=i)).save(paths[-1])
    stored = np.array([list(check.stored) for check in check_files(paths)], np.uint8)
    return ImageFiles(tuple(paths), np.array(sizes), stored)


def test_sequence(files):
    assert len(files) == 3
    expected = [picture(3, 4, seed=0), picture(5, 2, seed=1), picture(6, 6, seed=2)]
    for found, wanted in zip(files, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(files[np.int64(-1)], expected[2])
    for index in (3, -4):
        with pytest.raises(IndexError):
            files[index]
    with pytest.raises(TypeError):
        files[0:2]


def test_take_and_pickle(files):
    chosen = pickle.loads(pickle.dumps(files.take(np.array([2, 0]))))
    assert chosen.sizes.tolist() == [[6, 6], [3, 4]]
    np.testing.assert_array_equal(chosen[1], files[0])
    assert len(files.take(np.array([], np.int64))) == 0


def test_file_that_changed_since_it_was_checked(files):
    Image.fromarray(picture(5, 2, seed=7)).save(files.paths[1])
    with pytest.raises(ValueError, match=f"{files.paths[1]} is another file than when it was checked"):
        files[1]
    os.unlink(files.paths[2])
    os.mkfifo(files.paths[2])
    with pytest.raises(ValueError, match="is not now .not a regular file"):
        files[2]
    with open(files.paths[0], "r+b") as file:
        file.truncate(50)
    with pytest.raises(ValueError, match="was readable when it was checked"):
        files[0]
