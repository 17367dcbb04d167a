"""Artifacts are what was written, or are named: flipped bits, foreign files, uploads that did not arrive."""

import json
from dataclasses import replace

import mlflow
import numpy as np
import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from easiness import tracking
from easiness.files import DamagedError
from easiness.tracking import RunArtifacts, TrackingError, TrialManifest

FINGERPRINT = "ab" * 32
MANIFEST = TrialManifest(digest="d", trial=0, fingerprint=FINGERPRINT, updates=(7,))
LOSSES = "losses/updates=000007.npy"


@pytest.fixture
def trial(store, tmp_path):
    """A trial run of five losses, and the folder of its artifacts."""
    (tmp_path / "made" / "losses").mkdir(parents=True)
    np.save(tmp_path / "made" / LOSSES, np.arange(5, dtype=np.float32))
    with tracking.tracked_run("trial", "t") as run_id:
        logged = tracking.log_results(run_id, tmp_path / "made", MANIFEST)
    assert set(logged.checksums) == {LOSSES}
    return run_id, tracking.fetch(run_id)


def read_losses(run_id):
    return tracking.read_trials([run_id], "losses", [7], FINGERPRINT)[0, 0]


def test_what_was_written_is_read_and_its_hashes_are_kept(trial):
    run_id, folder = trial
    np.testing.assert_array_equal(read_losses(run_id), np.arange(5))
    artifacts = RunArtifacts(run_id, prefix="x/")
    assert artifacts.manifest(TrialManifest).checksums == artifacts.checksums
    assert artifacts.read(LOSSES, np.load).shape == (5,)
    assert artifacts.hashes.keys() == {"x/trial.json", f"x/{LOSSES}"}
    assert artifacts.optional("validation", np.load) is None
    with pytest.raises(FileNotFoundError, match=f"run {run_id} has no artifact validation"):
        artifacts.read("validation", np.load)
    assert json.loads((folder / "trial.json").read_text())["checksums"] == artifacts.checksums


def test_every_flipped_bit_of_an_array_or_a_manifest_is_named(trial):
    run_id, folder = trial
    for name in (LOSSES, "trial.json"):
        written = (folder / name).read_bytes()
        for bit in range(0, 8 * len(written), 61):
            damaged = bytearray(written)
            damaged[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(damaged)
            with pytest.raises(DamagedError, match=f"{name} of run {run_id} is damaged: its SHA-256 is"):
                read_losses(run_id)
        (folder / name).write_bytes(written)
    assert read_losses(run_id).shape == (5,)


@pytest.mark.parametrize("turned", [np.arange(5)[::-1], np.arange(5) + 1])
def test_foreign_losses_of_the_right_shape_are_refused(trial, turned):
    run_id, folder = trial
    np.save(folder / LOSSES, turned.astype(np.float32))
    with pytest.raises(DamagedError, match=f"{LOSSES} of run {run_id} is damaged"):
        read_losses(run_id)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(5.0), "has float64 of shape .5,., and must have .N,. float32"),
        (np.ones((5, 1), np.float32), "has float32 of shape .5, 1."),
        (np.array([1, np.nan], np.float32), "has values that are NaN or infinite"),
        (np.array([1, np.inf], np.float32), "has values that are NaN or infinite"),
        (np.array([None, "x"]), "cannot be read: Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_were_written_wrong_name_run_and_file(store, tmp_path, array, message):
    (tmp_path / "made" / "losses").mkdir(parents=True)
    np.save(tmp_path / "made" / LOSSES, array)
    with tracking.tracked_run("trial", "t") as run_id:
        tracking.log_results(run_id, tmp_path / "made", MANIFEST)
    with pytest.raises(ValueError, match=f"losses of run {run_id} cannot be read: .*{message}|{message}"):
        read_losses(run_id)


def test_a_run_that_was_not_logged_to_its_end_is_refused(trial):
    run_id, _ = trial
    mlflow.MlflowClient().delete_tag(run_id, "easiness.manifest")
    with pytest.raises(DamagedError, match=f"trial.json of run {run_id} has no checksum; make the run again"):
        read_losses(run_id)


def test_an_upload_that_misses_a_file_fails_and_is_not_sealed(store, tmp_path, monkeypatch):
    """The store says that it has a file, and has not."""
    for update in (7, 14):
        (tmp_path / "made" / "losses").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "made" / "losses" / f"updates={update:06d}.npy", np.arange(5, dtype=np.float32))
    real = LocalArtifactRepository.log_artifact

    def all_but_one(self, file, *words):
        if not file.endswith(LOSSES):
            real(self, file, *words)

    monkeypatch.setattr(LocalArtifactRepository, "log_artifact", all_but_one)
    lost = f"{LOSSES} of run .* did not arrive: 148 bytes were sent, and the server lists no such file"
    with pytest.raises(TrackingError, match=lost), tracking.tracked_run("trial", "t") as run_id:
        tracking.log_results(run_id, tmp_path / "made", MANIFEST)
    assert "easiness.manifest" not in mlflow.MlflowClient().get_run(run_id).data.tags


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a//b", ""])
def test_names_that_lead_out_of_the_artifacts_are_refused(name):
    manifest = replace(MANIFEST, checksums={name: {"bytes": 1, "sha256": "a"}})
    with pytest.raises(ValueError, match="trial.json of run r has checksums that are none, or of files outside"):
        TrialManifest.from_json(manifest.to_json(), "r")
