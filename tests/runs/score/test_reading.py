"""Scores read back from a store: to the bit, from several threads, and refused where they are not scores."""

import json
import threading

import mlflow
import numpy as np
import pandas as pd
import pytest

from easiness import load_scores, tracking
from tests.tiny_scores import draw_losses, log_score_run, score_manifest, tiny_planted

FINGERPRINT = "ab" * 32


def make_score_run(folder, fingerprints=(FINGERPRINT, FINGERPRINT), **manifest):
    """A score run of two trials, two moments and five examples, written without the library's writer."""
    rng = np.random.default_rng(0)
    losses_TMN = rng.random((2, 2, 5), dtype=np.float32)
    with tracking.tracked_run("score", "s") as run_id:
        trials = []
        for trial, fingerprint in enumerate(fingerprints):
            child = tracking.start_child(run_id, "trial", "t", {"easiness.fingerprint": fingerprint})
            for k, update in enumerate((7, 14)):
                path = folder / f"{trial}" / "losses" / f"updates={update:06d}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, losses_TMN[k, trial])
            mlflow.MlflowClient().log_artifacts(child, str(folder / f"{trial}"))
            tracking.end_child(child, "FINISHED")
            trials.append({"trial": trial, "run_id": child})
        scores = folder / "scores"
        scores.mkdir()
        pd.DataFrame({"example_id": np.arange(5)}).to_parquet(scores / "easiness.parquet")
        np.save(scores / "trajectory.npy", losses_TMN.mean(axis=1))
        content = {"updates": [7, 14], "fingerprint": FINGERPRINT, "trials": trials, "run_id": run_id, **manifest}
        (scores / "manifest.json").write_text(json.dumps(score_manifest(**content)))
        tracking.log_folder(run_id, scores, "scores")
    return run_id, losses_TMN


def test_scores_come_back_to_the_bit(store, tmp_path):
    run_id, losses_TMN = make_score_run(tmp_path / "made")
    scores = load_scores(run_id)
    assert scores.losses_TMN.dtype == np.float32
    np.testing.assert_array_equal(scores.losses_TMN, losses_TMN)
    np.testing.assert_array_equal(scores.updates_T, [7, 14])
    np.testing.assert_array_equal(scores.trajectory_TN, losses_TMN.mean(axis=1))
    assert scores.manifest.polarity == "lower_is_easier"
    np.testing.assert_array_equal(load_scores(run_id, store).losses_TMN, losses_TMN)


def test_trials_of_other_data_are_refused(store, tmp_path):
    run_id, _ = make_score_run(tmp_path / "made", fingerprints=(FINGERPRINT, "cd" * 32))
    with pytest.raises(ValueError, match=r"cdcdcd.* cannot be combined"):
        _ = load_scores(run_id).losses_TMN


def test_what_is_no_score_run_is_refused(store, tmp_path):
    with tracking.tracked_run("match", "m") as run_id:
        pass
    with pytest.raises(ValueError, match="of kind 'match'"):
        load_scores(run_id)
    with pytest.raises(ValueError, match="there is no run 0123"):
        load_scores("0123456789abcdef0123456789abcdef")
    with tracking.tracked_run("score", "empty") as run_id:
        pass
    with pytest.raises(FileNotFoundError, match=f"run {run_id} has no artifact scores"):
        load_scores(run_id)
    run_id, _ = make_score_run(tmp_path / "made", schema=99)
    with pytest.raises(ValueError, match="schema 99, and this version reads 1"):
        load_scores(run_id)


def test_stores_are_read_from_several_threads(store, tmp_path):
    run_id, losses_TMN = make_score_run(tmp_path / "made")
    read = []
    threads = [threading.Thread(target=lambda: read.append(load_scores(run_id, store).losses_TMN)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 4
    assert all(np.array_equal(losses, losses_TMN) for losses in read)


def test_labels_that_a_trial_cannot_have_predicted_are_refused(store, tmp_path):
    dataset = tiny_planted(50)
    predicted_MN = np.tile(dataset.labels, (3, 1))
    good = load_scores(log_score_run(tmp_path, dataset, draw_losses(dataset, 0), predicted_MN=predicted_MN))
    np.testing.assert_array_equal(good.predicted_MN, predicted_MN)
    assert good.predicted_MN.dtype == np.uint8
    trial = good.manifest.trial_runs[1]
    assert len(good.hashes[f"runs:/{trial}/predicted/updates=000008.npy"]) == 64
    predicted_MN[1, 7] = dataset.num_classes
    bad = load_scores(log_score_run(tmp_path, dataset, draw_losses(dataset, 0), predicted_MN=predicted_MN))
    with pytest.raises(ValueError, match="must hold 50 labels from 0 to 9, got shape .50,., 0.0 to 10.0"):
        _ = bad.predicted_MN


def test_a_notebook_shows_the_head_of_the_table(store, tmp_path):
    dataset = tiny_planted(50)
    shown = load_scores(log_score_run(tmp_path, dataset, draw_losses(dataset, 0), model="<net>"))._repr_html_()
    title = "Easiness of &lt;net&gt; on planted after 8 updates (epoch 4 of 300) (lower = easier)"
    assert shown.startswith(f"<h4>{title}</h4>")
    assert shown.count("<tr") == 9
    assert "<p>50 rows in all</p>" in shown
