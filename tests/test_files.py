"""Files written whole, their checksums, and locks between processes."""

import errno
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from easiness.files import DamagedError, checksum, checksums, locked, read_mark, verify, write_mark, write_whole


def test_files_come_with_their_checksums(tmp_path):
    written = write_whole(tmp_path, {"a/b": lambda path: path.write_bytes(b"abc"), "c": lambda path: path.touch()})
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert written["a/b"] == {"bytes": 3, "sha256": sha256}
    assert written == checksums(tmp_path)
    assert write_whole(tmp_path, {}) == {}
    for name, expected in written.items():
        verify(tmp_path / name, expected, name)


def test_a_name_exists_only_when_its_content_is_on_the_disk(tmp_path, monkeypatch):
    """Otherwise a power failure may leave the name with nothing in it."""
    events = []
    real_sync, real_replace = os.fsync, type(tmp_path).replace

    def sync(descriptor):
        events.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    def replace(path, target):
        events.append(f"rename {target.name}")
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(type(tmp_path), "replace", replace)
    write_whole(tmp_path, {"a": lambda path: path.write_bytes(b"abc")})
    assert events == ["a.part", "rename a", tmp_path.name]


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed")], ids=repr
)
def test_a_full_disk_leaves_what_was_there(tmp_path, failure):
    write_whole(tmp_path, {"checkpoint.pt": lambda path: path.write_bytes(b"one")})

    def write_half(path):
        path.write_bytes(b"half")
        raise failure

    with pytest.raises(OSError, match=r"could not write checkpoint\.pt .*; is the disk full\?") as raised:
        write_whole(tmp_path, {"checkpoint.pt": write_half})
    assert raised.value.errno == errno.ENOSPC
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("checkpoint.pt", b"one")]


def test_another_failure_keeps_its_own_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        write_whole(tmp_path / "file", {"a": lambda path: path.touch()})


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"ab", "a is damaged: it has 2 bytes, and 3 were written"), (b"abd", "a is damaged: its SHA-256 is ")],
)
def test_a_file_that_changed_is_named(tmp_path, content, message):
    (tmp_path / "a").write_bytes(b"abc")
    written = checksum(tmp_path / "a")
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DamagedError, match=message):
        verify(tmp_path / "a", written, "a")
    (tmp_path / "a").unlink()
    with pytest.raises(DamagedError, match="a is missing"):
        verify(tmp_path / "a", written, "a")


def test_no_flipped_bit_of_a_mark_is_overlooked(tmp_path):
    path, content = tmp_path / "mark", {"done": True, "files": {"a": {"bytes": 3}}}
    write_mark(path, content)
    written = path.read_bytes()
    assert read_mark(path) == content
    for bit in range(8 * len(written)):
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with suppress(DamagedError):
            assert read_mark(path) == content  # white space


HOLD = """
import pathlib, sys
from easiness.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_has_one_holder_among_all_processes(tmp_path):
    path, calls = tmp_path / "locks" / "a", []
    words = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=r"another process holds .*a; wait for it"), locked(path):
            pass

        def waiting():
            calls.append(path)
            other.kill()  # the system takes the lock from a process that is killed

        with locked(path, timeout=60, waiting=waiting):
            assert calls == [path]
            with pytest.raises(BlockingIOError), locked(path):
                pass
    assert not path.exists()


def test_a_lock_whose_file_was_removed_is_nobodys(tmp_path, monkeypatch):
    """Two would hold it otherwise: the one who waited for the removed file, and the one who made a new one."""
    path, real, attempts = tmp_path / "a", os.path.samestat, []

    def removed_once(*stats):
        attempts.append(stats)
        if len(attempts) == 1:
            path.unlink()
            path.touch()
            stats = (path.stat(), stats[1])
        return real(*stats)

    monkeypatch.setattr(os.path, "samestat", removed_once)
    with locked(path):
        assert len(attempts) == 2
