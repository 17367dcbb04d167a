"""The disk of a score run is copied while it works, as a power failure would leave it, and the copy goes on."""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.campaign.killing import finish, left_running, session, start
from tests.campaign.test_killed_trials import SCORE, scored

FAILURES = 10
WORDS = SCORE | {"epochs": 60, "trials": 2, "limit": 800}


@contextmanager
def mounted(image, place):
    """Mount an ext4 image: its journal is replayed, as after a failure.

    Without ordered data, and with a journal that only `fsync` writes for a minute, nothing is on the disk by luck.
    """
    place.mkdir(exist_ok=True)
    options = "loop,data=writeback,commit=60"
    subprocess.run(["mount", "-t", "ext4", "-o", options, image, place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)


@pytest.fixture
def image(tmp_path):
    """An empty ext4 image that can be mounted here."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None:
        pytest.skip("mounting an image needs root, loop devices and mkfs.ext4")
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", path], check=True)
    try:
        with mounted(path, tmp_path / "try"):
            pass
    except subprocess.CalledProcessError as error:
        pytest.skip(f"mounting an image is refused here: {error.stderr.decode().strip()}")
    return path


def stores(folder, empty_store, count):
    """Addresses of empty stores outside the disk that fails."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}").mkdir()
        shutil.copy(empty_store, folder / f"{number}" / "mlflow.db")
        yield f"sqlite:///{folder / f'{number}' / 'mlflow.db'}"


@pytest.mark.campaign
def test_what_ten_power_failures_leave_goes_on_to_the_same_bits(image, tmp_path, empty_store, record_property):
    rng = random.Random(0)
    whole, cut, *again = stores(tmp_path / "stores", empty_store, 2 + FAILURES)
    finish("score", WORDS, tmp_path / "whole", whole, "e")
    expected = scored(whole, "e")
    copies = []
    with mounted(image, tmp_path / "disk") as disk:
        process = start("score", WORDS, disk / "work", cut, "e")
        steps = disk / "work" / ".easiness" / "trials"
        while process.poll() is None and len(copies) < FAILURES:
            seen = sorted(steps.glob("*/checkpoints/*.pt"))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=rng.uniform(0.02, 0.4))
            if sorted(steps.glob("*/checkpoints/*.pt")) == seen:
                continue  # wait until there is something to lose
            for pid in session(process.pid):
                os.kill(pid, signal.SIGSTOP)
            copies.append(shutil.copy(image, tmp_path / f"{len(copies)}.img"))
            for pid in session(process.pid):
                os.kill(pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while session(process.pid):  # the disk is in use until the last worker is gone
            time.sleep(0.1)
    resumed = 0
    for number, (copy, address) in enumerate(zip(copies, again, strict=False)):
        with mounted(copy, tmp_path / f"disk {number}") as disk:
            finish("score", WORDS, disk / "work", address, "e")
            resumed += "resumes at its checkpoint" in (disk / "work" / "log").read_text()
            assert scored(address, "e") == expected
        assert left_running(address) == []
    assert len(copies) == FAILURES
    assert resumed >= FAILURES // 2
    record_property(
        "campaign", f"power failures of score | {FAILURES}, {resumed} resumed; 0 poisoned, the same to the bit"
    )
