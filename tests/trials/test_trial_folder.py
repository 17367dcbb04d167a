"""Folder of a trial: what its ledger vouches for is there, to the bit."""

import json

import numpy as np
import pytest
import torch

from easiness.trials.evaluation import MEASURES, ExampleMetrics
from easiness.trials.trial_folder import (
    CORRECT,
    EPOCHS,
    LEDGER,
    MODEL,
    Ledger,
    array_file,
    artifact_files,
    checkpoint_file,
    is_done,
    is_trained,
    measure_file,
    metrics_files,
    remove_folder,
    tensor_file,
    weights_file,
)


def metrics(first=0):
    return ExampleMetrics(*(np.arange(5, dtype=np.float32) + first + k for k in range(len(MEASURES))))


def finished(folder):
    """A folder as `run_trial` leaves it, with one scored moment."""
    ledger = Ledger(folder)
    ledger.update(metrics_files(391, metrics()))
    ledger.update({checkpoint_file(1): tensor_file({"epoch": 1})})
    ledger.update(
        {
            MODEL: tensor_file({"weight": torch.ones(2)}),
            CORRECT: array_file(np.ones(3, np.float32)),
            EPOCHS: lambda path: path.write_text("[]"),
        },
        without=[checkpoint_file(1)],
    )
    ledger.mark_done()
    return ledger


def test_measures_come_back_under_the_names_of_the_contract(tmp_path):
    Ledger(tmp_path).update(metrics_files(391, metrics()))
    for k, measure in enumerate(MEASURES):
        assert np.array_equal(np.load(tmp_path / measure_file(measure, 391)), np.arange(5) + k)
    assert (tmp_path / "losses" / "updates=000391.npy").exists()
    assert {measure_file(measure, 391) for measure in MEASURES} == Ledger(tmp_path).files.keys()


def test_weights_wait_until_they_are_struck_out(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.waiting_updates() == set()
    for update in (63, 1_234_567):
        ledger.update({weights_file(update): tensor_file({"weight": torch.full((2,), float(update))})})
    assert Ledger(tmp_path).waiting_updates() == {63, 1_234_567}
    assert torch.load(tmp_path / weights_file(63), weights_only=True)["weight"].tolist() == [63, 63]
    ledger.update(metrics_files(63, metrics()), without=[weights_file(63)])
    assert Ledger(tmp_path).waiting_updates() == {1_234_567}
    assert not (tmp_path / weights_file(63)).exists()
    assert ledger.has(63)
    assert not ledger.has(64)


def test_two_checkpoints_are_kept(tmp_path):
    ledger = Ledger(tmp_path)
    for epoch in range(1, 5):
        ledger.update({checkpoint_file(epoch): tensor_file({"epoch": epoch})}, without=ledger.old_checkpoints())
    assert Ledger(tmp_path).checkpoints() == [3, 4]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_finished_folder_is_finished(tmp_path):
    assert not is_done(tmp_path / "none")
    assert finished(tmp_path).files.keys() == {*artifact_files([391]), MODEL}
    assert is_done(tmp_path)
    assert is_trained(tmp_path)


@pytest.mark.parametrize("damage", ["emptied", "flipped", "removed"])
@pytest.mark.parametrize("name", ["losses/updates=000391.npy", EPOCHS, MODEL, LEDGER])
def test_a_folder_with_one_file_damaged_is_neither_done_nor_trained(tmp_path, name, damage):
    """After a power failure files may be empty; on a bad disk a bit flips; somebody tidies up."""
    finished(tmp_path)
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(b"" if damage == "emptied" else content)
    if damage == "removed":
        path.unlink()
    ledger = Ledger(tmp_path)
    assert not ledger.done
    assert not ledger.trained
    if (name, damage) == (LEDGER, "removed"):
        assert ledger.files == {}
        return
    words = {"emptied": "it has 0 bytes", "flipped": "its SHA-256 is", "removed": "is missing"}[damage]
    assert ledger.damage.startswith(name)
    assert (words in ledger.damage) == (name != LEDGER)
    ledger.set_aside_damaged()
    assert path.exists() == (name == LEDGER)
    assert (tmp_path / "damaged" / name).exists() == (damage != "removed")
    assert Ledger(tmp_path).damage == ""


def test_a_ledger_that_was_changed_by_hand_vouches_for_nothing(tmp_path):
    finished(tmp_path)
    content = json.loads((tmp_path / LEDGER).read_text())
    del content["content"]["files"]["losses/updates=000391.npy"]
    (tmp_path / LEDGER).write_text(json.dumps(content))
    assert not is_done(tmp_path)


def test_a_removal_that_is_cut_off_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    """The ledger went last once: a kill in between left a mark without its arrays."""
    folder = tmp_path / "trial"
    finished(folder)
    removed = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: removed.append(path))
    remove_folder(folder)
    assert removed == [folder]
    assert not is_done(folder)
    assert not is_trained(folder)
