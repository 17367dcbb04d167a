"""What a Recorder takes, refuses and logs."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax

import easiness
from easiness import tracking
from easiness.files import work_folder
from easiness.runs import recorder as room
from easiness.tracking import TrackingError
from easiness.trials.evaluation import MEASURES
from easiness.trials.trial_folder import measure_file
from tests.tiny_data import tiny_dataset
from tests.tiny_recordings import draw_logits, record, recorder_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data():
    return tiny_dataset(21)


def read(recorder, measure):
    """(T, N) of the recorded trial."""
    return tracking.read_trials([recorder.run_id], measure, recorder.updates, recorder.fingerprint)[:, 0]


def file_of(run_id, name):
    return tracking.fetch(run_id, name)


def status_of(run_id):
    return mlflow.get_run(run_id).info.status


def slow_measures(logits_NK, labels_N):
    """Textbook formulas in float64."""
    rows, logits_NK = np.arange(len(labels_N)), logits_NK.astype(np.float64)
    others_NK = logits_NK.copy()
    others_NK[rows, labels_N] = -np.inf
    one_hot_NK = np.eye(logits_NK.shape[1])[labels_N]
    return {
        "losses": -log_softmax(logits_NK, axis=1)[rows, labels_N],
        "el2n": np.linalg.norm(softmax(logits_NK, axis=1) - one_hot_NK, axis=1),
        "margin": logits_NK[rows, labels_N] - others_NK.max(axis=1),
        "correct": logits_NK.argmax(axis=1) == labels_N,
        "predicted": logits_NK.argmax(axis=1),
    }


def test_measures_are_the_same_for_any_order_batch_library_and_type(store, data):
    logits_NK = torch.from_numpy(draw_logits(data)).bfloat16().float().numpy()  # exact in every type
    ids, rng = data.example_ids, np.random.default_rng(0)
    with recorder_of(data) as recorder:
        recorder.update(ids, logits_NK)
        recorder.checkpoint(1)
        order = rng.permutation(21)
        recorder.update(torch.from_numpy(ids[order[:10]]), torch.from_numpy(logits_NK[order[:10]]).bfloat16())
        recorder.update(ids[order[10:15]].tolist(), torch.tensor(logits_NK[order[10:15]], requires_grad=True))
        recorder.update(ids[order[15:18]], logits_NK[order[15:18]].astype(np.float64))
        for row in order[18:]:
            recorder.update(int(ids[row]), logits_NK[row].tolist())
        recorder.checkpoint(2)
    assert recorder.updates == (1, 2)
    for measure, expected_N in slow_measures(logits_NK, data.labels).items():
        found_TN = read(recorder, measure)
        np.testing.assert_allclose(found_TN, np.stack([expected_N] * 2), rtol=1e-5, atol=1e-6, err_msg=measure)


def test_the_last_logits_of_an_example_count(store, data):
    logits_NK, wrong = draw_logits(data), draw_logits(data, seed=9)
    with recorder_of(data) as recorder:
        recorder.update(data.example_ids[:5], wrong[:5])
        recorder.update(data.example_ids, logits_NK)
        recorder.update(data.example_ids[[3, 3]], np.stack([wrong[3], logits_NK[3]]))
        recorder.checkpoint(1)
    np.testing.assert_allclose(read(recorder, "losses")[0], slow_measures(logits_NK, data.labels)["losses"], rtol=1e-5)


def test_a_pass_with_missing_examples_names_five_and_may_be_completed(store, data):
    logits_NK = draw_logits(data)
    with recorder_of(data) as recorder:
        recorder.update(data.example_ids[7:], logits_NK[7:])
        with pytest.raises(
            ValueError, match=r"7 of 21 examples have no logits .*: 1000, 1007, 1014, 1021, 1028 and 2 "
        ):
            recorder.checkpoint(3)
        recorder.update(data.example_ids[:7], logits_NK[:7])
        recorder.checkpoint(3)
        with pytest.raises(ValueError, match="21 of 21 examples have no logits"):
            recorder.checkpoint(4)
    assert recorder.updates == (3,)


@pytest.mark.parametrize(
    ("ids", "shape", "message"),
    [
        ([1000, 5, 6], (3, 3), "2 of 3 ids are not among those of the Recorder: 5, 6"),
        ([1000, 1007], (2, 4), r"logits have shape \(2, 4\) .* must have \(2, 3\): .* a column for each of 3 classes"),
        ([1000, 1007], (3, 3), r"logits have shape \(3, 3\) for ids of shape \(2,\)"),
        (1000, (2, 3), r"logits have shape \(2, 3\) for ids of shape \(1,\)"),
    ],
)
def test_wrong_ids_and_shapes_are_refused_in_one_line(store, data, ids, shape, message):
    recorder = recorder_of(data)
    with pytest.raises(ValueError, match=message) as error:
        recorder.update(ids, np.zeros(shape))
    assert "\n" not in str(error.value)
    recorder.fail()


def test_updates_grow(store, data):
    with recorder_of(data) as recorder:
        for update in (0, 5):
            recorder.update(data.example_ids, draw_logits(data))
            recorder.checkpoint(update)
        recorder.update(data.example_ids, draw_logits(data))
        with pytest.raises(ValueError, match="updates is 5, and must be above 5, the last checkpoint's"):
            recorder.checkpoint(5)
        with pytest.raises(ValueError, match=r"updates is 6\.5, and must be a whole number"):
            recorder.checkpoint(6.5)
    with pytest.raises(ValueError, match="the Recorder is finished"):
        recorder.update(data.example_ids, draw_logits(data))
    assert recorder.updates == (0, 5)


def test_nan_ends_a_recording_as_it_ends_a_trial(store, data):
    logits_NK = draw_logits(data)
    logits_NK[4] = np.nan
    recorder = recorder_of(data)

    def loop():
        with recorder:
            recorder.update(data.example_ids, logits_NK)
            recorder.checkpoint(1)

    with pytest.raises(FloatingPointError, match="the loss of 1 of 21 examples is NaN or infinite: 1028"):
        loop()
    assert status_of(recorder.run_id) == "FAILED"
    assert list(work_folder().glob("recorded/*")) == []


def test_losses_of_training_mode_are_stored_apart(store, data):
    logits_NK = draw_logits(data)
    with recorder_of(data) as recorder:
        recorder.update(data.example_ids[:15], logits_NK[:15], training=True)
        recorder.checkpoint(2)
        recorder.update(data.example_ids, logits_NK[::-1].copy(), training=True)
        recorder.update(data.example_ids, logits_NK)
        recorder.checkpoint(4)
    assert recorder.updates == (4,)
    losses_N = slow_measures(logits_NK, data.labels)["losses"]
    seen = [np.load(file_of(recorder.run_id, f"training_losses/updates={update:06d}.npy")) for update in (2, 4)]
    np.testing.assert_allclose(seen[0][:15], losses_N[:15], rtol=1e-5)
    assert np.isnan(seen[0][15:]).all()
    reversed_N = slow_measures(logits_NK[::-1], data.labels)["losses"]
    np.testing.assert_allclose(seen[1], reversed_N, rtol=1e-5)
    np.testing.assert_allclose(easiness.collect(runs=[recorder.run_id]).table["easiness"], losses_N, rtol=1e-5)


def test_losses_of_training_mode_alone_are_nothing_to_log(store, data):
    recorder = recorder_of(data)
    recorder.update(data.example_ids, draw_logits(data), training=True)
    recorder.checkpoint(2)
    with pytest.raises(ValueError, match="losses in training mode are no easiness"):
        recorder.finish()
    assert status_of(recorder.run_id) == "FAILED"


def test_the_run_is_like_that_of_a_scored_trial(store):
    scored = easiness.score(
        model="tests.tiny_model:build", limit=60, limit_val=30, trials=1, epochs=1, resolution=32, log_models="none"
    )
    data = easiness.open_dataset("planted", limit=60)
    (update,) = scored.manifest.updates
    with recorder_of(data, digests=None, images=data.images) as recorder:
        recorder.update(data.example_ids, draw_logits(data))
        recorder.checkpoint(update, val_accuracy=0.75)
    (trial,) = scored.manifest.trial_runs
    own, theirs = (tracking.read_trial(run_id)[1] for run_id in (recorder.run_id, trial))
    more = {"recorded.json", "examples.parquet", "thumbnails.npz"}
    assert own.checksums.keys() == theirs.checksums.keys() - {"validation/correct.npy"} | more
    assert (own.fingerprint, own.updates) == (theirs.fingerprint, theirs.updates)
    assert own.digest != theirs.digest
    runs = [mlflow.get_run(run_id) for run_id in (recorder.run_id, trial)]
    tags = [run.data.tags for run in runs]
    assert tags[0]["easiness.kind"] == tags[1]["easiness.kind"] == "trial"
    assert tags[1].keys() - {"mlflow.parentRunId"} <= tags[0].keys()
    assert runs[0].data.metrics["val_accuracy"] == 0.75
    epochs = json.loads(file_of(recorder.run_id, "validation/epochs.json").read_text())
    assert [entry["update"] for entry in epochs] == [update]
    assert epochs[0]["recorded_loss"] == pytest.approx(read(recorder, "losses").mean(), rel=1e-5)


def test_the_fingerprint_is_that_of_the_same_data(store):
    data = easiness.open_dataset("planted", limit=30)

    def fingerprint(**options):
        recorder = recorder_of(data, **{"digests": None} | options)
        recorder.fail()
        return recorder.fingerprint

    assert fingerprint(images=data.images) == data.fingerprint
    assert fingerprint(images=list(data.images)) == data.fingerprint
    assert fingerprint(digests=data.digests) == data.fingerprint
    alone = fingerprint()
    assert alone == fingerprint(sources=None)
    others = {fingerprint(ids=None), fingerprint(class_names=None), data.fingerprint}
    assert len({alone, *others}) == 4


def test_texts_are_ids(store, data):
    names = [f"train/{row}.png" for row in range(21)]
    order = np.random.default_rng(0).permutation(21)
    with recorder_of(data, ids=pd.Series(names), sources=None) as recorder:
        recorder.update([names[row] for row in order], draw_logits(data)[order])
        recorder.checkpoint(1)
    table = easiness.collect(runs=[recorder.run_id]).table
    assert table["source"].tolist() == names
    assert table["example_id"].tolist() == list(range(21))
    np.testing.assert_allclose(
        table["easiness"], slow_measures(draw_logits(data), data.labels)["losses"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": [3] * 21}, "ids has 1 twice or more, the first is 3"),
        ({"ids": np.linspace(0, 1, 21)}, "ids are float64"),
        ({"ids": [1, 2]}, r"ids are int64 of shape \(2,\), and must be 21 whole numbers or texts"),
        ({"class_names": ["a", "b"]}, "labels of planted are out of range, the first is 2"),
        ({"digests": np.zeros((21, 8), np.uint8)}, r"digests are uint8 of shape \(21, 8\)"),
        ({"digests": None, "images": np.zeros((21, 3, 8, 8), np.uint8)}, r"images\[0\] is uint8 of shape \(3, 8, 8\)"),
        ({"digests": None, "images": np.zeros((21, 8, 8, 3))}, r"images\[0\] is float64"),
        ({"digests": None, "images": np.zeros((20, 8, 8, 3), np.uint8)}, r"digests are uint8 of shape \(20, 16\)"),
        ({"trial": -1}, "trial is -1, and must be at least 0"),
        ({"updates_per_epoch": 0}, "updates_per_epoch is 0, and must be at least 1"),
    ],
)
def test_wrong_options_are_refused_before_a_run_begins(store, data, options, message):
    with pytest.raises(ValueError, match=message):
        recorder_of(data, **options)
    assert mlflow.MlflowClient().search_runs(["0"]) == []


def test_labels_are_whole_numbers(store):
    with pytest.raises(ValueError, match=r"labels are float64 of shape \(2,\), and must be \(N,\) whole numbers"):
        easiness.Recorder([0.0, 1.0])


def test_the_users_own_logging_goes_to_the_users_own_run(store, data):
    with recorder_of(data) as alone:
        assert mlflow.active_run() is None
        alone.update(data.example_ids, draw_logits(data))
        alone.checkpoint(1)
    with mlflow.start_run() as mine:
        inside = recorder_of(data)
        mlflow.log_metric("my_metric", 1.0)
        inside.update(data.example_ids, draw_logits(data))
        inside.checkpoint(1)
        inside.finish()
        assert mlflow.active_run().info.run_id == mine.info.run_id
        mlflow.log_metric("my_other", 1.0)
    assert set(mlflow.get_run(mine.info.run_id).data.metrics) == {"my_metric", "my_other"}
    tags = [mlflow.get_run(recorder.run_id).data.tags for recorder in (alone, inside)]
    assert [of_run.get("mlflow.parentRunId") for of_run in tags] == [None, mine.info.run_id]
    assert {status_of(run_id) for run_id in (alone.run_id, inside.run_id, mine.info.run_id)} == {"FINISHED"}


@pytest.mark.parametrize(("error", "status"), [(ZeroDivisionError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_loop_that_fails_ends_its_run(store, data, error, status):
    recorder = recorder_of(data)

    def loop():
        with recorder:
            recorder.update(data.example_ids, draw_logits(data))
            recorder.checkpoint(1)
            raise error

    with pytest.raises(error):
        loop()
    assert status_of(recorder.run_id) == status
    assert list(work_folder().glob("recorded/*")) == []


def test_a_recorder_that_is_dropped_leaves_no_run_open(store, data):
    run_id = recorder_of(data).run_id
    gc.collect()
    assert status_of(run_id) == "FAILED"


def test_a_program_that_ends_without_finish_leaves_no_run_open(store):
    program = "import easiness, sys; easiness.Recorder([0, 1]).update(0, [0.5, 1.5]); sys.exit('the loop failed')"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stderr.strip() == "the loop failed"
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED"


def test_a_server_that_is_gone_at_the_end_loses_nothing(store, data, monkeypatch):
    monkeypatch.setattr(room, "PATIENCE_S", (0,))
    answers = iter([False, False, True])

    def log_folder(*arguments):
        if not next(answers):
            raise TrackingError("the server does not answer")
        kept(*arguments)

    kept = tracking.log_folder
    monkeypatch.setattr(tracking, "log_folder", log_folder)
    recorder = recorder_of(data)
    recorder.update(data.example_ids, draw_logits(data))
    recorder.checkpoint(1)
    with pytest.raises(TrackingError, match=r"the recording is kept in .*: call finish\(\) again"):
        recorder.finish()
    assert recorder.finish() == recorder.run_id
    assert status_of(recorder.run_id) == "FINISHED"
    np.testing.assert_allclose(
        read(recorder, "losses")[0], slow_measures(draw_logits(data), data.labels)["losses"], rtol=1e-5, atol=1e-6
    )


def test_a_server_that_is_gone_meanwhile_is_asked_again_at_the_end(store, data, monkeypatch, caplog):
    calls, log_epochs = [], tracking.log_epochs

    def gone(run_id, epochs):
        calls.append(len(epochs))
        if len(calls) == 1:
            raise TrackingError("the server does not answer")
        log_epochs(run_id, epochs)

    monkeypatch.setattr(tracking, "log_epochs", gone)
    with recorder_of(data, updates_per_epoch=4) as recorder:
        for update in (4, 8, 12):
            recorder.update(data.example_ids, draw_logits(data))
            recorder.checkpoint(update, **{"acc@1": 0.5})
    assert calls == [1, 3]
    assert "recording goes on, and is logged at its end" in caplog.text
    history = mlflow.MlflowClient().get_metric_history(recorder.run_id, "acc_1")
    assert [(entry.step, entry.value) for entry in history] == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_a_damaged_recording_is_not_read(store, data):
    run_id = record(data)
    path = file_of(run_id, "examples.parquet")
    table = pd.read_parquet(path)
    table.assign(label=0).to_parquet(path)
    with pytest.raises(ValueError, match=f"examples.parquet of run {run_id} is damaged"):
        easiness.collect(runs=[run_id])


PROGRAM = """
import sys
import numpy as np
import torch
from torch.utils.data import DistributedSampler
from easiness.trials.distributed import joined
from tests.tiny_data import tiny_dataset
from tests.tiny_recordings import draw_logits, recorder_of

data = tiny_dataset(21)
with joined() as ranks:
    with recorder_of(data) as recorder:
        for update in (2, 4):
            sampler = DistributedSampler(range(21), shuffle=True, seed=update)  # pads 21 examples to 22
            rows = np.array(list(sampler))
            assert len(rows) == 11
            for batch in np.array_split(rows, 3):
                recorder.update(data.example_ids[batch], draw_logits(data, update)[batch])
            recorder.update(data.example_ids[ranks.rank :: 3], draw_logits(data)[ranks.rank :: 3], training=True)
            recorder.checkpoint(update)
        recorder.update(data.example_ids[ranks.rank], draw_logits(data)[ranks.rank])
        try:
            recorder.checkpoint(6)
        except ValueError as error:
            print(f"rank {ranks.rank}: {error}", file=sys.stderr)
    print(recorder.run_id)
"""


def test_two_processes_with_a_padded_sampler_write_the_file_of_one(store, tmp_path, data):
    with recorder_of(data) as alone:
        for update in (2, 4):
            alone.update(data.example_ids, draw_logits(data, update))
            seen = np.r_[0:21:3, 1:21:3]
            alone.update(data.example_ids[seen], draw_logits(data)[seen], training=True)
            alone.checkpoint(update)
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "program.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    both = (set(done.stdout.split()) - {"None"}).pop()
    assert len(mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'trial'")) == 2
    for measure in (*MEASURES, room.TRAINING_LOSSES):
        for update in (2, 4):
            files = [file_of(run_id, measure_file(measure, update)).read_bytes() for run_id in (alone.run_id, both)]
            assert files[0] == files[1], (measure, update)
    for rank in (0, 1):
        assert f"rank {rank}: 19 of 21 examples have no logits in eval mode" in done.stderr
