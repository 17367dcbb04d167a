"""A trial is stopped at one of its file operations, or loses its power there; what is run again is the same to the bit.

The power of a simulated failure: what was written and not synchronized is empty, and what was renamed in a folder that
was not synchronized afterwards has its old name.
"""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from easiness import files
from easiness.trials.trial import evaluate_jointly, run_trial
from easiness.trials.trial_folder import Ledger, is_done
from tests.tiny_data import tiny_task

CPU = torch.device("cpu")
SHARE = 4


class StoppedError(BaseException):
    """As a signal: nothing catches it."""


class Disk:
    """The file operations of `easiness.files`, counted; number `stop` is the last that is not done."""

    def __init__(self, monkeypatch, stop, *, power):
        self.done, self.stop, self.power = 0, stop, power
        self.unsynced, self.renamed = set(), []
        monkeypatch.setattr(files, "_sync", self.sync)
        for name in ("replace", "unlink"):
            monkeypatch.setattr(Path, name, self.counted(name, getattr(Path, name)))
        monkeypatch.setattr(files, "checksum", self.written(files.checksum))

    def count(self):
        self.done += 1
        if self.done == self.stop:
            if self.power:
                self.fail()
            raise StoppedError

    def sync(self, paths):
        for path in list(paths):
            self.count()
            self.unsynced.discard(path)
            self.renamed = [entry for entry in self.renamed if entry[1].parent != path]

    def written(self, real):
        def checksum(path):  # of every temporary file, once it is written
            if path.suffix == ".part":
                self.unsynced.add(path)
            return real(path)

        return checksum

    def counted(self, name, real):
        def operation(path, *words, **options):
            if self.done >= (self.stop or self.done + 1):
                return real(path, *words, **options)  # cleaning up after the stop
            self.count()
            if name == "replace":
                target = Path(words[0])
                self.renamed.append((path, target, target.read_bytes() if target.exists() else None))
            return real(path, *words, **options)

        return operation

    def fail(self):
        """Leave of the disk what a failure of the power leaves."""
        for path, target, before in reversed(self.renamed):
            if target.exists():
                os.rename(target, path)
            if before is not None:
                target.write_bytes(before)
        for path in self.unsynced:
            if path.exists():
                path.write_bytes(b"")


def task_in(folder, *, joint):
    return replace(tiny_task(folder, score_at=(2, 3, 6, 9)), joint=joint)


def run(task):
    run_trial(task, CPU, lambda _: None)
    if task.joint:
        evaluate_jointly([task], CPU, lambda _: None)


def results(folder):
    found = {name: (folder / name).read_bytes() for name in Ledger(folder).files if name.endswith(".npy")}
    assert len(found) == 4 * 5 + 1
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["each", "joint"])
def whole(request, tmp_path_factory):
    """Whether the trial is a joint one, its results where nothing stops it, and the number of its file operations."""
    folder = tmp_path_factory.mktemp("whole") / "trial"
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, None, power=False)
        run(task_in(folder, joint=request.param))
    return request.param, results(folder), disk.done


def stop_at(stop, whole, folder, *, power):
    joint, expected, _ = whole
    task = task_in(folder, joint=joint)
    with pytest.MonkeyPatch.context() as patch:
        Disk(patch, stop, power=power)
        with pytest.raises(StoppedError):
            run(task)
    run(task)
    assert is_done(folder)
    assert results(folder) == expected


@pytest.mark.parametrize("power", [False, True], ids=["stopped", "without power"])
@pytest.mark.parametrize("draw", range(SHARE))
def test_a_trial_stopped_at_a_file_operation_goes_on_to_the_same_bits(whole, tmp_path, draw, power):
    stop = random.Random(f"{draw} {power}").randint(1, whole[2])
    stop_at(stop, whole, tmp_path / "trial", power=power)


@pytest.mark.campaign
@pytest.mark.parametrize("power", [False, True], ids=["stopped", "without power"])
def test_a_trial_stopped_at_any_file_operation_goes_on_to_the_same_bits(whole, tmp_path, power, record_property):
    for stop in range(1, whole[2] + 1):
        stop_at(stop, whole, tmp_path / f"{stop}", power=power)
    way = f"{'joint' if whole[0] else 'each'}, {'power lost' if power else 'stopped'}"
    record_property("campaign", f"trial cut off at any file operation ({way}) | {whole[2]}, all to the same bits")


def test_a_power_failure_is_seen_where_nothing_is_synchronized(tmp_path):
    """The harness notices what it is for: without `fsync`, what a trial has done is gone, though never wrong."""
    task = task_in(tmp_path / "trial", joint=False)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, 60, power=True)
        patch.setattr(files, "_sync", lambda paths: [disk.count() for _ in list(paths)])
        with pytest.raises(StoppedError):
            run(task)
    assert Ledger(task.folder).checkpoints() == []
    run(task)
    assert is_done(task.folder)
