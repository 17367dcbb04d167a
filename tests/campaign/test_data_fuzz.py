"""Data files are mutated: their readers refuse them in one line that names the file, or read what there is to read.

Packed data and the archives of CIFAR-10 have checksums, so a mutated file gives the same data or none. Images, tables
and lists of others have none: another content is other data, with another fingerprint.
"""

import random
import resource
import signal
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features

from easiness.datasets import cifar10, open_dataset, packing
from easiness.datasets.decisions import KINDS, decide, read_decisions
from easiness.datasets.imagenet import list_imagenet
from easiness.datasets.kept import read_kept
from easiness.datasets.packing import PackOptions, pack
from easiness.datasets.validation_list import list_flat
from easiness.runs.match.external import read_external_scores
from tests.datasets import test_cifar10, test_validation_list
from tests.tiny_data import tiny_dataset

# Mutated files in the default share and in the campaign.
FILES = {
    "packed data": (16, 1000),
    "image folders": (40, 2500),
    "archives of CIFAR-10": (16, 1000),
    "lists of kept examples": (16, 800),
    "decisions of a review": (24, 700),
    "scores made elsewhere": (24, 1000),
    "validation lists": (24, 1000),
}
PATIENCE_S = 60


class HungError(BaseException):
    """A reader took too long; not an Exception, so that no reader takes it for damage."""


def mutate(rng, content, others):
    """Damage bytes in one of the ways in which files are damaged."""
    way = rng.choice(["flip", "flip", "flip", "burst", "cut", "empty", "grow", "double", "foreign", "text", "number"])
    content = bytearray(content)
    # Half of the places are where something is written: packed pages are mostly empty.
    written = np.flatnonzero(np.frombuffer(bytes(content), np.uint8)) if rng.random() < 0.5 else ()
    place = int(rng.choice(written)) if len(written) else rng.randrange(len(content) or 1)
    if way == "flip" and content:
        content[place] ^= 1 << rng.randrange(8)
    elif way == "burst":
        content[place : place + 512] = rng.randbytes(min(512, len(content) - place))
    elif way == "cut":
        del content[place:]
    elif way == "empty":
        content.clear()
    elif way == "grow":
        content += rng.randbytes(rng.randrange(1, 100))
    elif way == "double":
        content[place:place] = content[place : place + 64]
    elif way == "foreign":
        content[:] = rng.choice(others).read_bytes()
    elif way == "text":
        words = [
            b"NaN",
            b"null",
            b"1e999",
            b'"',
            b"../x",
            b"\0\0\0\0",
            b"\xff\xfe\n\r",
            b"\n",
            b",",
            b"[" * 5000,
            b"-1",
        ]
        word = rng.choice(words)
        content[place : place + len(word)] = word
    elif way == "number":
        width = rng.choice([1, 2, 4, 8])
        content[place : place + width] = rng.choice([b"\xff", b"\0", b"\x7f", b"\x80"]) * width
    return bytes(content)


@contextmanager
def patience():
    def give_up(*_):
        raise HungError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(seed, count, folder, read, *, checksums):
    """Mutate one file of a folder after the other, and put it back; returns how often each outcome was seen.

    `read` gives the content as something that can be compared, of which equal first items (fingerprints) promise equal
    content.
    """
    rng, outcomes, expected = random.Random(seed), Counter(), read()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        path = rng.choice(paths)
        before = path.read_bytes()
        path.write_bytes(mutate(rng, before, paths))
        try:
            with patience():
                found = read()
            same = found == expected
            assert same or not checksums, f"mutation {number} of {path} is read as other data"
            assert same or found[0] != expected[0], f"mutation {number} of {path}: other data, same fingerprint"
            outcomes["the same" if same else "other data"] += 1
        except (ValueError, OSError) as error:
            message = str(error)
            assert "\n" not in message, message
            assert path.name in message or str(folder) in message, f"{path}: {message}"
            outcomes["refused"] += 1
        finally:
            path.write_bytes(before)
    assert read() == expected
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**20, "a gibibyte of memory"
    return outcomes


def save_images(root, kinds=("JPEG",)):
    for split, count in (("train", 4), ("val", 2)):
        for k, name in enumerate(("n01", "n02")):
            (root / split / name).mkdir(parents=True)
            for i, kind in enumerate(kinds * count if len(kinds) == 1 else kinds):
                pixels = np.random.default_rng((k, i, count)).integers(0, 256, (12 + i, 14, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.{kind.lower()}", kind)


@pytest.fixture(scope="module")
def packed_data(tmp_path_factory):
    root = tmp_path_factory.mktemp("packed")
    save_images(root / "images")
    files = {split: list_imagenet(root / "images", split, seed=0, val_fraction=0.2) for split in ("train", "val")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "PAGE_SIZE", 2**21)
        pack(root / "images", files, root / "data", PackOptions())
    return root / "data"


def content(dataset):
    images = [image.tobytes() for image in dataset.images]
    return [dataset.fingerprint, images, dataset.labels.tolist(), dataset.class_names, dataset.sources.tolist()]


def fuzz_packed_data(seed, count, packed_data):
    def read():
        return [content(open_dataset("imagenet", packed_data, split=split)) for split in ("train", "val")]

    return fuzz(seed, count, packed_data, read, checksums=True)


def fuzz_image_folders(seed, count, folder):
    kinds = ["JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM"]
    kinds += [kind for kind in ("WEBP", "JPEG2000", "AVIF") if features.check(kind.lower().replace("eg2000", "g_2000"))]
    save_images(folder, kinds)
    gray = np.random.default_rng(5).integers(0, 2**16, (9, 8)).astype(np.uint16)
    Image.fromarray(gray).save(folder / "train" / "n01" / "deep.png")
    Image.fromarray(gray).save(folder / "train" / "n02" / "deep.tiff")

    def read():
        return content(open_dataset("folder", folder))

    return fuzz(seed, count, folder / "train", read, checksums=False)


def fuzz_archives(seed, count, folder, monkeypatch):
    tiny = test_cifar10.Tiny()
    test_cifar10.trust(monkeypatch, tiny)
    archives = [
        test_cifar10.write_tar(folder / "a.tar.gz", "cifar-10-batches-bin", tiny.binary),
        test_cifar10.write_tar(folder / "b.tar.gz", "cifar-10-batches-py", tiny.python),
        test_cifar10.write_folder(folder / "c", tiny.python),
    ]

    def read():
        parts = [cifar10.read_cifar10(path, split) for path in archives for split in ("train", "val")]
        return [(part.images.tobytes(), part.labels.tobytes()) for part in parts]

    return fuzz(seed, count, folder, read, checksums=True)


def fuzz_kept(seed, count, folder):
    ids = np.random.default_rng(0).permutation(60)[:25]
    outcomes = Counter()
    for number, kind in enumerate(("csv", "npy")):
        path = folder / kind / f"list.{kind}"
        path.parent.mkdir()
        np.save(path, ids) if path.suffix == ".npy" else pd.DataFrame({"example_id": ids}).to_csv(path, index=False)

        def read(path=path):
            found = read_kept(path)
            assert found.dtype == np.int64
            assert len(found) == len(set(found.tolist())) > 0
            return [found.tolist()]

        outcomes += fuzz(seed + number, count // 2, path.parent, read, checksums=False)
    return outcomes


def fuzz_decisions(seed, count, folder):
    """What is read without a refusal names examples of the data, and classes that they have."""
    data, val = tiny_dataset(21), tiny_dataset(9, split="val", seed=1)
    rows = [
        (
            data.example_ids[row],
            data.sources[row],
            KINDS[row % 3],
            "class 1" if row % 3 == 2 else "",
            f"class {row % 3}",
        )
        for row in range(12)
    ]
    columns = ["example_id", "file", "decision", "label", "given_label"]
    path = folder / "decisions.csv"
    pd.DataFrame(rows, columns=columns).assign(fingerprint=data.fingerprint).to_csv(path, index=False)

    def read():
        found = decide(data, read_decisions(path), data, val.sources)
        assert set(found.example_ids.tolist()) <= set(data.example_ids.tolist())
        return [(found.example_ids.tolist(), found.labels.tolist())]

    return fuzz(seed, count, folder, read, checksums=False)


def fuzz_external(seed, count, folder):
    table = pd.DataFrame({"example_id": [7, 2, 5], "label": [1, 0, 1]})
    columns = {
        "example_id": np.arange(10),
        "score": np.arange(10) / 10,
        "label": np.array([0, 0, 0, 1, 0, 1, 0, 1, 0, 1]),
    }
    outcomes = Counter()
    for number, suffix in enumerate((".csv", ".npz", ".parquet")):
        path = folder / suffix[1:] / f"scores{suffix}"
        path.parent.mkdir()
        frame = pd.DataFrame(columns)
        {
            ".csv": lambda path, frame=frame: frame.to_csv(path, index=False),
            ".npz": lambda path: np.savez_compressed(path, **columns),
            ".parquet": frame.set_index("example_id").to_parquet,
        }[suffix](path)

        def read(path=path):
            found = read_external_scores(path, table, column="score")
            assert found.values.shape == (3,)
            assert np.isfinite(found.values).all()
            return [found.values.tolist()]

        outcomes += fuzz(seed + number, count // 3, path.parent, read, checksums=False)
    return outcomes


def fuzz_validation_lists(seed, count, folder):
    wnids, files = test_validation_list.WNIDS, test_validation_list.FILES
    images = folder / "images" / "val"
    images.mkdir(parents=True)
    for file in files:
        (images / file).touch()
    outcomes = Counter()
    for number, (name, text) in enumerate(test_validation_list.LISTS.items()):
        lists = folder / f"lists{number}"
        lists.mkdir()
        (lists / name).write_text(text)
        if "ground_truth" in name:
            test_validation_list.devkit(lists / "meta.mat")

        def read(path=lists / name):
            found = list_flat(images, wnids, path)
            assert sorted(sum(found.values(), [])) == [str(images / file) for file in files]  # noqa: RUF017
            return [found]

        outcomes += fuzz(seed + number, count // 4, lists, read, checksums=False)
    return outcomes


def run_part(name, seed, at_length, tmp_path, monkeypatch, request, record):
    count = FILES[name][at_length]
    if name == "packed data":
        outcomes = fuzz_packed_data(seed, count, request.getfixturevalue("packed_data"))
    elif name == "archives of CIFAR-10":
        outcomes = fuzz_archives(seed, count, tmp_path, monkeypatch)
    else:
        part = {
            "image folders": fuzz_image_folders,
            "lists of kept examples": fuzz_kept,
            "decisions of a review": fuzz_decisions,
            "scores made elsewhere": fuzz_external,
            "validation lists": fuzz_validation_lists,
        }[name]
        outcomes = part(seed, count, tmp_path)
    shown = ", ".join(f"{outcomes[outcome]:,} {outcome}" for outcome in ("refused", "the same", "other data"))
    record("campaign", f"mutated {name} | {outcomes.total():,} files: {shown} | 0 hangs, 0 raw, 0 silently different")
    assert outcomes["refused"]


@pytest.mark.parametrize("name", FILES)
def test_mutated_data_are_refused_or_read(name, tmp_path, monkeypatch, request, record_property):
    run_part(name, 1, False, tmp_path, monkeypatch, request, record_property)


@pytest.mark.campaign
@pytest.mark.parametrize("name", FILES)
def test_mutated_data_are_refused_or_read_at_length(name, tmp_path, monkeypatch, request, record_property):
    run_part(name, 2, True, tmp_path, monkeypatch, request, record_property)
