"""Scores read back from a store: to the bit, from several threads, and refused where they are not scores."""

import threading

import numpy as np
import pandas as pd
import pytest

from easiness import load_scores, tracking
from tests.tiny_scores import draw_losses, log_score_run, tiny_planted

FINGERPRINT = "ab" * 32


def make_score_run(folder, **manifest):
    """A score run of two trials and two moments, written without the library's writer, and its losses."""
    dataset = tiny_planted(20)
    losses_TMN = draw_losses(dataset, 0, trials=2)
    return log_score_run(folder, dataset, losses_TMN, updates=[7, 14], **manifest), losses_TMN


def test_scores_come_back_to_the_bit(store, tmp_path):
    run_id, losses_TMN = make_score_run(tmp_path / "made")
    scores = load_scores(run_id)
    assert scores.losses_TMN.dtype == np.float32
    np.testing.assert_array_equal(scores.losses_TMN, losses_TMN)
    np.testing.assert_array_equal(scores.updates_T, [7, 14])
    np.testing.assert_array_equal(scores.trajectory_TN, losses_TMN.mean(axis=1, dtype=np.float64))
    assert scores.manifest.polarity == "lower_is_easier"
    np.testing.assert_array_equal(load_scores(run_id, store).losses_TMN, losses_TMN)


def test_a_run_is_read_by_another_score(store, tmp_path):
    dataset = tiny_planted(40)
    losses_TMN = draw_losses(dataset, 0)
    margin_TMN, correct_TMN = -draw_losses(dataset, 1), draw_losses(dataset, 2) > 1
    measures = {"margin": margin_TMN, "correct": correct_TMN, "el2n": draw_losses(dataset, 3)}
    scores = load_scores(log_score_run(tmp_path, dataset, losses_TMN, measures=measures))
    assert scores.by("easiness") is scores
    by_aum = scores.by("aum")
    area_TN = np.stack([-margin_TMN[: t + 1].mean(axis=(0, 1), dtype=float) for t in range(2)])
    np.testing.assert_allclose(by_aum.trajectory_TN, area_TN, rtol=1e-5)
    np.testing.assert_allclose(by_aum.values_N, area_TN[-1], rtol=1e-5)
    order = np.argsort(area_TN[-1])
    assert by_aum.table["rank"].to_numpy()[order].tolist() == list(range(1, 41))
    assert set(np.flatnonzero(by_aum.table["set"] == "easy")) == set(order[:4])
    assert set(np.flatnonzero(by_aum.table["set"] == "hard")) == set(order[-4:])
    np.testing.assert_array_equal(by_aum.table["easiness"], scores.table["easiness"])
    events_MN = (correct_TMN[0] & ~correct_TMN[1]) + 2 * ~correct_TMN.any(axis=0)
    np.testing.assert_allclose(scores.by("forgetting").values_N, events_MN.mean(axis=0))
    np.testing.assert_array_equal(scores.by("el2n").by("easiness").values_N, scores.values_N)
    mapped = scores.trial_scores("aum", tmp_path)
    np.testing.assert_array_equal(mapped, scores.trial_scores("aum"))
    with pytest.raises(
        ValueError, match="score_by is 'heldout', and score run .* held nothing out; score with folds=5"
    ):
        scores.by("heldout")
    with pytest.raises(
        ValueError, match="score_by is 'loss', and must be one of easiness, el2n, aum, forgetting, held"
    ):
        scores.by("loss")


def test_trials_of_other_data_are_refused(store, tmp_path):
    run_id, _ = make_score_run(tmp_path / "made", fingerprints={1: "cd" * 32})
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


@pytest.mark.parametrize(
    ("table", "manifest", "message"),
    [
        ({"easiness": np.full(20, np.nan)}, {}, "easiness.parquet has easiness of type float64, NaN or infinite"),
        ({"easiness": np.arange(20)}, {}, "easiness.parquet has easiness of type int64"),
        ({"label": np.full(20, 10)}, {}, "easiness.parquet has label of type int64 from 10 to 10"),
        ({"label": np.full(20, "sun", object)}, {}, "easiness.parquet has label of type (object|str)"),
        ({"example_id": np.zeros(20, np.int64)}, {}, "easiness.parquet has an example_id twice"),
        ({}, {"examples": 21}, "it is of 2 moments and 21 examples, .* has shape .2, 20., and .* 20 rows"),
        ({}, {"moment": 8}, "its moment is 8, and it was scored after .7, 14. updates"),
        ({}, {"polarity": "higher_is_easier"}, "its polarity is 'higher_is_easier', and must be 'lower_is_easier'"),
    ],
)
def test_scores_that_contradict_the_contract_are_refused(store, tmp_path, table, manifest, message):
    run_id, _ = make_score_run(tmp_path / "made", table=table, **manifest)
    with pytest.raises(ValueError, match=f"score run {run_id} cannot be used: .*{message}.*; make it again"):
        load_scores(run_id)


def test_a_table_without_easiness_is_refused(store, tmp_path):
    def drop(place):
        path = place / "scores" / "easiness.parquet"
        pd.read_parquet(path).drop(columns="easiness").to_parquet(path)

    run_id, _ = make_score_run(tmp_path / "made", more=drop)
    with pytest.raises(
        ValueError, match=f"score run {run_id} cannot be used: .*easiness.parquet has no column easiness"
    ):
        load_scores(run_id)


def test_trials_of_another_size_are_refused(store, tmp_path, monkeypatch):
    run_id, losses_TMN = make_score_run(tmp_path / "made")
    scores = load_scores(run_id)
    monkeypatch.setattr(tracking, "read_trials", lambda *_, **__: losses_TMN[:, :, 1:])
    with pytest.raises(ValueError, match=f"score run {run_id} is of 20 examples, and its trials have losses of 19"):
        _ = scores.losses_TMN


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
    title = "&lt;net&gt; on planted: easiness after 8 updates (epoch 4 of 300) (lower = easier)"
    assert shown.startswith(f"<h4>{title}</h4>")
    assert shown.count("<tr") == 9
    assert "<p>50 rows in all</p>" in shown
