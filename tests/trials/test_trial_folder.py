"""Folder of a trial: complete files or none, and one writer."""

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from easiness.trials.evaluation import MEASURES, ExampleMetrics
from easiness.trials.trial_folder import (
    in_use,
    locked,
    measure_file,
    save_example_metrics,
    save_tensors,
    waiting_updates,
    weights_file,
    write_json,
)


def test_measures_come_back_under_the_names_of_the_contract(tmp_path):
    measured = {measure: np.arange(5, dtype=np.float32) + k for k, measure in enumerate(MEASURES)}
    save_example_metrics(tmp_path, 391, ExampleMetrics(**measured))
    for measure, array in measured.items():
        assert np.array_equal(np.load(tmp_path / measure_file(measure, 391)), array)
    assert (tmp_path / "losses" / "updates=000391.npy").exists()


def test_weights_wait_until_they_are_taken_away(tmp_path):
    assert waiting_updates(tmp_path) == set()
    for update in (63, 1_234_567):
        save_tensors(weights_file(tmp_path, update), {"weight": torch.full((2,), float(update))})
    assert waiting_updates(tmp_path) == {63, 1_234_567}
    assert torch.load(weights_file(tmp_path, 63), weights_only=True)["weight"].tolist() == [63, 63]
    weights_file(tmp_path, 63).unlink()
    assert waiting_updates(tmp_path) == {1_234_567}


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("file write failed")], ids=repr
)
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, failure):
    path = tmp_path / "checkpoint.pt"
    save_tensors(path, {"epoch": 1})

    def write_half(state, temporary):
        temporary.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(OSError, match=r"could not write checkpoint\.pt .*; is the disk full\?") as raised:
        save_tensors(path, {"epoch": 2})
    assert raised.value.errno == errno.ENOSPC
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_another_failure_keeps_its_own_words(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_json(tmp_path / "nowhere" / "done.json", {})
    write_json(tmp_path / "done.json", {"trial": 3})
    assert json.loads((tmp_path / "done.json").read_text()) == {"trial": 3}


def test_a_folder_has_one_writer_among_all_processes(tmp_path):
    folder = tmp_path / "trial"
    assert not in_use(folder)
    assert not folder.exists()
    held = "import sys, pathlib; from easiness.trials.trial_folder import locked\n"
    held += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        assert in_use(folder)
        with (
            pytest.raises(BlockingIOError, match=r"another process is running the trial in .*trial; wait"),
            locked(folder),
        ):
            pass
        other.kill()
    # The system takes the lock from a process that is killed.
    assert not in_use(folder)
