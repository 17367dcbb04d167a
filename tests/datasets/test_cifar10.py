"""CIFAR-10 from either archive, packed or not; everything damaged is refused, and no pickle can act."""

import hashlib
import http.server
import io
import pickle
import socket
import struct
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from easiness.datasets import cifar10, open_dataset
from easiness.datasets.cifar10 import download, read_cifar10

GOLDEN = {
    "train": "b550e6ba124107b738e4227aee214b2fc229f56e0cdb1191bd6a44e03cb8e68e",
    "val": "44509ec88976bc32bc52894ce4dae568905f827424d809c65845819a709e5d09",
}
META = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"


@pytest.fixture(scope="session")
def archive(shared_data):
    return shared_data / "cifar-10-binary.tar.gz"


@pytest.fixture(scope="session")
def train(archive):
    return open_dataset("cifar10", archive)


@pytest.fixture(scope="session")
def val(archive):
    return open_dataset("cifar10", archive, split="val")


def python2_pickle(records):
    """Write a batch the way Python 2's cPickle and an old numpy did: opcode by opcode, protocol 2."""

    def text(content):
        return b"T" + struct.pack("<i", len(content)) + content

    pixels = records[:, 1:]
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + b"M" + struct.pack("<H", len(pixels)) + b"M" + struct.pack("<H", 3072) + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" + text(pixels.tobytes()) + b"tb"
    )
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in records[:, 0]) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."


def write_tar(path, folder, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def write_folder(path, members):
    path.mkdir(parents=True)
    for name, content in members.items():
        (path / name).write_bytes(content)
    return path


class Tiny:
    """CIFAR-10 with a few records a batch, in both formats."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.records = {}
        for i, batch in enumerate((*cifar10.BATCHES["train"], "test_batch")):
            rows = rng.integers(0, 256, (20 + i, 3073), np.uint8)
            rows[:, 0] %= 10
            self.records[batch] = rows
        self.binary = {f"{batch}.bin": rows.tobytes() for batch, rows in self.records.items()}
        self.binary["batches.meta.txt"] = META
        self.python = {batch: python2_pickle(rows) for batch, rows in self.records.items()}
        self.python["batches.meta"] = b"never unpickled"


@pytest.fixture
def tiny(monkeypatch):
    tiny = Tiny()
    trust(monkeypatch, tiny)
    return tiny


def trust(monkeypatch, tiny):
    sha1 = {name: hashlib.sha1(content).hexdigest() for name, content in tiny.binary.items()}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in tiny.python.items()}
    monkeypatch.setattr(cifar10, "BINARY_SHA1", sha1)
    monkeypatch.setattr(cifar10, "PYTHON_MD5", md5)


def assert_one_line(caught, *words):
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# --- the real archive -----------------------------------------------------------------------------


def test_golden_fingerprints(train, val):
    assert (len(train), train.fingerprint) == (50_000, GOLDEN["train"])
    assert (len(val), val.fingerprint) == (10_000, GOLDEN["val"])


def test_order_is_the_one_of_the_published_scores(train, shared_data):
    with np.load(shared_data / "reference-scores" / "cifar10_train_reference_scores.npz") as scores:
        np.testing.assert_array_equal(train.labels, scores["labels"])


def test_real_images_have_the_known_statistics(train, val):
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(val.labels).tolist() == [1000] * 10
    mean = train.images.reshape(-1, 3).sum(axis=0, dtype=np.int64) / (50_000 * 32 * 32 * 255)
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=5e-5)
    assert train.class_names[train.labels[0]] == "frog"


def test_pickled_batch_gives_the_very_examples_of_the_real_binary_one(val, tmp_path, monkeypatch):
    pixels = val.images.transpose(0, 3, 1, 2).reshape(-1, 3072)
    batch = python2_pickle(np.column_stack([val.labels.astype(np.uint8), pixels]))
    members = {**dict.fromkeys(cifar10.PYTHON_MD5, b""), "test_batch": batch}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    monkeypatch.setattr(cifar10, "PYTHON_MD5", md5)
    folder = write_folder(tmp_path / "cifar-10-batches-py", members)
    assert open_dataset("cifar10", folder, split="val").fingerprint == GOLDEN["val"]


def test_real_archive_cut_off(archive, tmp_path):
    with open(archive, "rb") as file:
        (tmp_path / "cut.tar.gz").write_bytes(file.read(3_000_000))
    with pytest.raises(ValueError, match="truncated") as caught:
        read_cifar10(tmp_path / "cut.tar.gz", "train")
    assert_one_line(caught, "cut.tar.gz", "3,000,000 bytes", "data_batch_1.bin", "download it again")


# --- layout, on a tiny copy -----------------------------------------------------------------------


@pytest.mark.parametrize(("split", "count"), [("train", 20 + 21 + 22 + 23 + 24), ("val", 25)])
def test_pixels_labels_and_sources_by_an_independent_reading(tiny, tmp_path, split, count):
    images, labels, sources = read_cifar10(write_tar(tmp_path / "a.tgz", "x", tiny.binary), split)
    assert images.shape == (count, 32, 32, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    rng = np.random.default_rng(1)
    for i in range(count):
        member, row = sources[i].split("#")
        record = tiny.binary[member][3073 * int(row) : 3073 * (int(row) + 1)]
        assert labels[i] == record[0]
        for y, x, c in rng.integers(0, [32, 32, 3], (20, 3)):
            assert images[i, y, x, c] == record[1 + 1024 * c + 32 * y + x]
    assert len(set(sources)) == count


def test_every_way_to_lay_it_down_is_the_same_data(tiny, tmp_path, monkeypatch):
    for folder in ("binary", "python"):
        (tmp_path / folder).mkdir()
    binary = write_tar(tmp_path / "binary" / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", tiny.binary)
    shuffled = dict(sorted(tiny.binary.items(), key=lambda item: hashlib.md5(item[1]).digest()))
    places = [
        binary,
        str(binary),
        binary.parent,
        write_tar(tmp_path / "another name", "elsewhere", shuffled),
        write_tar(tmp_path / "python" / "cifar-10-python.tar.gz", "cifar-10-batches-py", tiny.python),
        tmp_path / "python",
        write_folder(tmp_path / "u1" / "cifar-10-batches-bin", tiny.binary),
        tmp_path / "u1",
        write_folder(tmp_path / "u2" / "cifar-10-batches-py", tiny.python),
        tmp_path / "u2",
        write_folder(tmp_path / "renamed", tiny.binary),
    ]
    for split in ("train", "val"):
        assert len({open_dataset("cifar10", place, split=split).fingerprint for place in places}) == 1
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / ".easiness" / "data" / "cifar-10-batches-bin", tiny.binary)
    assert open_dataset("cifar10").fingerprint == open_dataset("cifar10", binary).fingerprint


def test_labels_out_of_range(tiny, tmp_path, monkeypatch):
    rows = tiny.records["data_batch_2"].copy()
    rows[3, 0] = 10
    tiny.binary["data_batch_2.bin"] = rows.tobytes()
    trust(monkeypatch, tiny)
    with pytest.raises(ValueError, match="out of range") as caught:
        open_dataset("cifar10", write_folder(tmp_path / "d", tiny.binary))
    assert_one_line(caught, "first is 10 at data_batch_2.bin#3", "0 to 9")


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_every_altered_member_is_refused_whichever_split_is_wanted(tiny, tmp_path, kind, packed, split):
    members = getattr(tiny, kind)
    for name, content in members.items():
        altered = {**members, name: content[:-2] + bytes([content[-2] ^ 1, content[-1]])}
        place = tmp_path / name
        place = write_tar(place, "x", altered) if packed else write_folder(place, altered)
        with pytest.raises(ValueError, match="altered or truncated") as caught:
            read_cifar10(place, split)
        table = cifar10.BINARY_SHA1 if kind == "binary" else cifar10.PYTHON_MD5
        found = (hashlib.sha1 if kind == "binary" else hashlib.md5)(altered[name]).hexdigest()
        assert_one_line(caught, f"{name} in {place}", table[name], found, "download the archive again")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["binary", "python"])
def test_missing_member(tiny, tmp_path, kind, packed):
    members = getattr(tiny, kind)
    del members[gone := list(members)[3]]
    place = write_tar(tmp_path / "a", "x", members) if packed else write_folder(tmp_path / "a", members)
    with pytest.raises(ValueError, match=f"lacks {gone} of CIFAR-10") as caught:
        read_cifar10(place, "val")
    assert_one_line(caught, str(place))


def refusal(place, expected):
    """Message of the refusal; None where `place` still gives all the expected data."""
    try:
        found = open_dataset("cifar10", place).fingerprint
    except ValueError as error:
        return str(error)
    assert found == expected
    return None


def test_archive_cut_anywhere_is_refused_or_whole(tiny, tmp_path):
    whole = write_tar(tmp_path / "a.tar.gz", "x", tiny.binary)
    content, expected = whole.read_bytes(), open_dataset("cifar10", whole).fingerprint
    messages = []
    for length in [0, 1, 5, 17, 100, *np.linspace(200, len(content) - 1, 40).astype(int)]:
        whole.write_bytes(content[:length])
        messages.append(refusal(whole, expected))
    # What follows the last member is padding: without it nothing is lost.
    assert all(messages[:40])
    assert all(str(whole) in text and "\n" not in text for text in messages if text)


def test_bytes_altered_anywhere_are_refused_or_harmless(tiny, tmp_path):
    whole = write_tar(tmp_path / "a.tar.gz", "x", tiny.binary)
    content, expected = whole.read_bytes(), open_dataset("cifar10", whole).fingerprint
    messages = []
    for place in np.linspace(0, len(content) - 1, 60).astype(int):
        whole.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        messages.append(refusal(whole, expected))
    assert sum(text is not None for text in messages) >= 50
    assert all(str(whole) in text and "\n" not in text for text in messages if text)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08\x00" + bytes(40)])
def test_no_archive(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match="download it again") as caught:
        read_cifar10(tmp_path / "x.tar.gz", "train")
    assert_one_line(caught, "x.tar.gz")


def test_archive_of_something_else(tmp_path):
    place = write_tar(tmp_path / "cifar-100-binary.tar.gz", "cifar-100-binary", {"train.bin": bytes(99)})
    with pytest.raises(ValueError, match=r"lacks batches\.meta\.txt, data_batch_1\.bin"):
        read_cifar10(place, "train")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="data=PATH") as caught:
        read_cifar10(tmp_path / "nowhere", "train")
    assert_one_line(caught, "nowhere", "cifar-10-binary.tar.gz")
    with pytest.raises(FileNotFoundError, match="contains none of") as caught:
        read_cifar10(tmp_path, "train")
    assert_one_line(caught, str(tmp_path), "cifar-10-binary.tar.gz", "cifar-10-batches-py")


# --- pickles --------------------------------------------------------------------------------------


class Evil:
    """Touches a file when it is unpickled without care."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def evil_pickles(marker):
    call = f"open({str(marker)!r}, 'w').close()".encode()
    return [
        *(pickle.dumps(Evil(marker), protocol) for protocol in (0, 2, 4)),
        b"cbuiltins\nexec\n(S" + repr(call.decode()).encode() + b"\ntR.",
        b"c__builtin__\neval\n(S" + repr(call.decode()).encode() + b"\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n.",
    ]


def test_pickle_with_the_wrong_digest_is_never_read(tiny, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("an unverified pickle was opened")

    monkeypatch.setattr(cifar10, "_ArraysOnly", refuse)
    for i, evil in enumerate(evil_pickles(tmp_path / "marker")):
        place = write_folder(tmp_path / str(i), {**tiny.python, "data_batch_1": evil})
        with pytest.raises(ValueError, match="altered or truncated"):
            read_cifar10(place, "train")


def test_even_a_trusted_pickle_can_call_nothing(tiny, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    for i, evil in enumerate(evil_pickles(marker)):
        tiny.python["data_batch_1"] = evil
        trust(monkeypatch, tiny)
        with pytest.raises(ValueError, match="only arrays are allowed") as caught:
            read_cifar10(write_folder(tmp_path / str(i), tiny.python), "train")
        assert_one_line(caught, "data_batch_1")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists(), "the payload is harmless, so the test shows nothing"


def test_trusted_pickle_with_other_examples_is_refused(tiny, tmp_path, monkeypatch):
    tiny.python["test_batch"] = python2_pickle(tiny.records["test_batch"][::-1])
    trust(monkeypatch, tiny)
    with pytest.raises(ValueError, match=r"test_batch\.bin in .* is altered"):
        read_cifar10(write_folder(tmp_path / "d", tiny.python), "val")


# --- download -------------------------------------------------------------------------------------


@pytest.fixture
def serve(monkeypatch):
    """Start a server on loopback that answers with `body` and announces `length` bytes; gives its address."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(body, *, length=None, status=200, silent=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if silent is not None:
                    silent.wait(10)
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def nobody(monkeypatch):
    """Address on loopback where nothing listens."""
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/cifar-10-binary.tar.gz"


def test_missing_archive_is_fetched_once(tiny, tmp_path, monkeypatch, serve, nobody):
    source = write_tar(tmp_path / "source", "x", tiny.binary)
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", serve(source.read_bytes()))
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", hashlib.md5(source.read_bytes()).hexdigest())
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    fetched = open_dataset("cifar10")
    assert fetched.fingerprint == open_dataset("cifar10", source).fingerprint
    kept = Path(".easiness", "data", "cifar-10-binary.tar.gz")
    assert [path for path in Path().rglob("*") if path.is_file()] == [kept]
    assert kept.read_bytes() == source.read_bytes()
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", nobody)
    assert open_dataset("cifar10").fingerprint == fetched.fingerprint


@pytest.mark.parametrize(("length", "said"), [(1000, "500 bytes of 1,000"), (500, "500 bytes of 500")])
def test_truncated_or_altered_download_leaves_nothing(tmp_path, serve, length, said):
    path = tmp_path / "cifar-10-binary.tar.gz"
    with pytest.raises(ValueError, match="nothing was kept") as caught:
        download(serve(bytes(500), length=length), path, "c32a1d4ab5d03f1284b67883e8d87530")
    found = hashlib.md5(bytes(500)).hexdigest()
    assert_one_line(caught, said, found, "c32a1d4ab5d03f1284b67883e8d87530", str(path), "-P data=PATH")
    assert list(tmp_path.iterdir()) == []


def test_truncation_is_seen_even_where_the_digest_would_pass(tmp_path, serve):
    with pytest.raises(ValueError, match="500 bytes of 501"):
        download(serve(bytes(500), length=501), tmp_path / "x", hashlib.md5(bytes(500)).hexdigest())
    assert list(tmp_path.iterdir()) == []


def test_offline(tmp_path, monkeypatch, nobody):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", nobody)
    with pytest.raises(FileNotFoundError) as caught:
        open_dataset("cifar10")
    assert_one_line(caught, str(Path(".easiness", "data", "cifar-10-binary.tar.gz")), "-P data=PATH")
    assert list(tmp_path.iterdir()) == []


def test_refused_absent_and_silent_servers(tmp_path, monkeypatch, serve, nobody):
    with pytest.raises(FileNotFoundError, match="Not Found"):
        download(serve(b"", status=404), tmp_path / "x", "")
    with pytest.raises(FileNotFoundError, match="refused"):
        download(nobody, tmp_path / "x", "")
    monkeypatch.setattr(cifar10, "TIMEOUT_SECONDS", 0.1)
    done = threading.Event()
    with pytest.raises(FileNotFoundError, match="timed out"):
        download(serve(b"", silent=done), tmp_path / "x", "")
    done.set()
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_is_refused(tiny, tmp_path, monkeypatch):
    archive = write_tar(tmp_path / "x.tar.gz", "cifar-10-batches-bin", tiny.binary | {"more": bytes(2**20)})
    read_cifar10(archive, "train")
    monkeypatch.setattr(cifar10, "LARGEST_ARCHIVE", 2**20)
    with pytest.raises(ValueError, match=r"x\.tar\.gz .* at more .more than 1,048,576 bytes when unpacked"):
        read_cifar10(archive, "train")
