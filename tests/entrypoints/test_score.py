"""The entry point `score` in this process: what it logs, and what it says to wrong words."""

import shutil
import socket
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import easiness
from easiness.commandline import command
from easiness.runs.score import run as score_run
from easiness.runs.score.tables import majority_vote
from entrypoints.score import score

TINY = "tests.tiny_model:build"
SMALL = ("--trials=2", "--epochs=2", "--limit=100", "--limit_val=50", "--engine=inline", "--log_models=none")


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["score", *words])
    command(score)


def call_wrongly(monkeypatch, capsys, *words):
    """The one line on standard error of a call that must fail."""
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *words)
    assert ended.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def only_run(kind):
    (run,) = mlflow.MlflowClient().search_runs(["0"], f"tags.`easiness.kind` = '{kind}'")
    return run


def test_a_score_run_keeps_the_contract(store, monkeypatch, capsys):
    call(monkeypatch, f"--model={TINY}", *SMALL)
    said = capsys.readouterr().out
    run = only_run("score")
    assert run.info.run_id in said
    assert "mlflow ui --backend-store-uri sqlite:///" in said
    settled = [name.partition(".")[2] for name in run.data.params]
    assert len(set(settled)) == len(settled) > 20, "each parameter once"
    scores = easiness.load_scores(run.info.run_id)
    table = scores.table
    columns = ["example_id", "source", "label", "class_name", "easiness", "easiness_std", "rank", "set"]
    assert list(table) == [*columns, "predicted", "predicted_share", "group", "el2n", "aum", "forgetting"]
    for name in ("el2n", "aum", "forgetting"):
        np.testing.assert_allclose(table[name], scores.by(name).values_N, rtol=1e-6)
    assert scores.losses_TMN.shape == (2, 2, 100)
    np.testing.assert_allclose(table["easiness"], scores.losses_TMN[-1].astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scores.trajectory_TN[-1], table["easiness"], rtol=1e-12)
    assert scores.measure("el2n").max() <= np.sqrt(2) + 1e-6
    np.testing.assert_array_equal(scores.measure("margin") > 0, scores.measure("correct") == 1)
    manifest = scores.manifest
    assert (manifest.schema, manifest.polarity, manifest.dataset) == (1, "lower_is_easier", "planted")
    assert manifest.updates == (4, 8)
    assert [trial["trial"] for trial in manifest.trials] == [0, 1]
    assert set(run.data.metrics) >= {"auc_mislabelled", "auc_minority_or_mislabelled", "reliability"}
    for name in ("auc_mislabelled", "auc_minority_or_mislabelled"):
        assert f"{name}  {run.data.metrics[name]:.4g}" in said
    previewed = {
        item.path.partition("/")[2] for item in mlflow.MlflowClient().list_artifacts(run.info.run_id, "preview")
    }
    pictures = {f"{name}.png" for name in ("histogram", "trajectory", "easiest_and_hardest", "class_counts")}
    assert previewed == pictures | {
        "index.html",
        "easiest_and_hardest.csv",
        "class_counts.csv",
        "thumbnails.npz",
        "trials_needed.csv",
    }


def test_a_moment_can_be_chosen(store, monkeypatch):
    call(monkeypatch, f"--model={TINY}", *SMALL, "--moment=4", "--fraction=0.2", "--per_class=true")
    scores = easiness.load_scores(only_run("score").info.run_id)
    np.testing.assert_allclose(scores.table["easiness"], scores.trajectory_TN[0], rtol=1e-12)
    assert scores.moment_name == "4 updates (epoch 1 of 300)"
    labels_N, shares_N = majority_vote(scores.measure("predicted")[0])
    np.testing.assert_array_equal(scores.table["predicted"], labels_N)
    np.testing.assert_array_equal(scores.table["predicted_share"], shares_N)
    easy = scores.table[scores.table["set"] == "easy"]
    assert list(easy["label"].value_counts()) == [2] * 10


def test_easiness_is_that_of_epoch_5_and_every_page_says_so(store, monkeypatch, capsys):
    call(monkeypatch, f"--model={TINY}", *SMALL, "--trials=1", "--epochs=7")
    said = capsys.readouterr()
    run = only_run("score")
    scores = easiness.load_scores(run.info.run_id)
    assert scores.manifest.moment == 20 == scores.manifest.updates[4]
    named = "20 updates (epoch 5 of 300)"
    assert f"easiness after {named}, lower = easier" in said.out
    assert "1 trials: the first 7 of 300 epochs, batch 32" in said.err
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"Easiness after {named}: ")
    assert "the first 7 of 300 epochs" in note
    page = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/preview/index.html")).read_text()
    assert f"easiness after {named}</h1>" in page
    ends = pd.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/preview/easiest_and_hardest.csv"))
    assert set(ends["predicted"]) <= set(scores.manifest.class_names)
    assert run.info.run_name.endswith(named)


def test_truth_is_found_by_any_network_that_learns(store, monkeypatch):
    words = ("--trials=2", "--epochs=6", "--limit_val=50", "--engine=inline", "--log_models=none")
    call(monkeypatch, f"--model={TINY}", *words)
    metrics = only_run("score").data.metrics
    assert metrics["auc_mislabelled"] > 0.8
    assert metrics["auc_minority_or_mislabelled"] > 0.8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model=alexnett"], "alexnet"),
        (["--dataset=cifar"], "did you mean cifar10?"),
        (["--modle=alexnet"], "unknown parameter 'modle'; did you mean model?"),
        (["--trials=0"], "trials is 0, and must be at least 1"),
        (["--trials=two"], "trials is 'two', and must be a whole number"),
        (["--fraction=0.6"], "0.6"),
        (["--fraction=0"], "fraction"),
        (["--fraction=nan"], "nan"),
        (["--epochs=1", "--score_at=1,9999"], "score_at asks for update 9999, and 1 epochs of 63 updates end at 63"),
        (["--moment=5"], "moment is 5, and the scored moments are after 63, 126, 189 updates"),
        (["--learning_rate=-1"], "learning_rate is -1.0, and must be positive"),
        (["--augmentation=mixup"], "augmentation is 'mixup', and must be one of shift_flip, resized_crop_flip, none"),
        (["--resolution=32", "--model=alexnet"], "the smallest size that does is 63"),
        (["--device=tpu"], "device is 'tpu', and must be one of auto, cpu, cuda"),
        (["--engine=threads"], "engine is 'threads', and must be one of auto, processes, inline, ray"),
        (["--dataset=cifar10", "--data=missing.tar.gz"], "missing.tar.gz"),
        (["--limit=3"], "limit is 3, and must be at least 10, one example per class"),
        (["--limit_val=3"], "limit_val is 3, and must be at least 10: one example of every class"),
        (["--batch_size=1"], "batch_size is 1, and must be at least 2"),
        (["alexnet"], "unexpected argument 'alexnet'; use name=value"),
    ],
)
def test_wrong_words_are_answered_in_one_line(store, monkeypatch, capsys, words, message):
    model = [] if any(word.startswith("--model") for word in words) else [f"--model={TINY}"]
    assert message in call_wrongly(monkeypatch, capsys, *model, *words)
    assert mlflow.MlflowClient().search_runs(["0"]) == []


def make_folder(root, classes=("cat", "dog"), per_class=6):
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for i in range(per_class):
                size = (*rng.integers(20, 60, 2), 3)
                Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(root / part / name / f"{i}.png")
    return root


FOLDER = (f"--model={TINY}", "--dataset=folder", "--data=images", "--trials=1", "--epochs=1", "--log_models=none")


def test_a_folder_of_pictures_of_any_size(store, monkeypatch, tmp_path, shared_data):
    make_folder(tmp_path / "images")
    shutil.copy(shared_data / "odd-images" / "pil_sample_cmyk.jpg", tmp_path / "images" / "train" / "cat")
    shutil.copy(shared_data / "odd-images" / "hopper_gray.jpg", tmp_path / "images" / "train" / "dog")
    call(monkeypatch, *FOLDER, "--resolution=32", "--fraction=0.25")
    table = easiness.load_scores(only_run("score").info.run_id).table
    assert len(table) == 14
    assert "train/cat/pil_sample_cmyk.jpg" in set(table["source"])


def test_bad_pictures_are_named_and_skipped_only_when_asked(store, monkeypatch, capsys, tmp_path, shared_data):
    make_folder(tmp_path / "images")
    shutil.copy(shared_data / "odd-images" / "broken.png", tmp_path / "images" / "train" / "cat")
    line = call_wrongly(monkeypatch, capsys, *FOLDER)
    assert "broken.png" in line
    assert "skip_bad=true" in line
    call(monkeypatch, *FOLDER, "--skip_bad=true")
    assert "1 bad files skipped" in capsys.readouterr().err
    manifest = easiness.load_scores(only_run("score").info.run_id).manifest
    assert len(manifest.skipped) == 1


def test_folders_that_hold_no_question(store, monkeypatch, capsys, tmp_path):
    make_folder(tmp_path / "images", classes=("cat",))
    assert "class" in call_wrongly(monkeypatch, capsys, *FOLDER)
    shutil.rmtree(tmp_path / "images")
    make_folder(tmp_path / "images")
    (tmp_path / "images" / "train" / "empty").mkdir()
    assert "empty" in call_wrongly(monkeypatch, capsys, *FOLDER)


def test_diverged_trial_is_named_and_the_run_failed(store, monkeypatch, capsys):
    line = call_wrongly(monkeypatch, capsys, f"--model={TINY}", *SMALL, "--learning_rate=1e30")
    assert "trial 0: the loss" in line
    assert "learning rate 1e+30" in line
    run = only_run("score")
    assert run.info.status == "FAILED"
    assert mlflow.MlflowClient().list_artifacts(run.info.run_id) == []


def test_a_trial_that_blew_up_and_stayed_finite_is_refused_unless_asked(store, monkeypatch, capsys):
    run_trials = score_run._run_trials

    def blow_up(*arguments):
        records = run_trials(*arguments)
        records[1].arrays["losses"] = 1e4 * records[1].measure("losses")
        return records

    monkeypatch.setattr(score_run, "_run_trials", blow_up)
    line = call_wrongly(monkeypatch, capsys, f"--model={TINY}", *SMALL)
    trials = {
        run.data.tags["easiness.trial"]: run
        for run in mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.trial` != ''")
    }
    assert {run.info.status for run in trials.values()} == {"FINISHED"}
    assert f"trial 1 (run {trials['1'].info.run_id}) stands apart: its losses have rank correlation" in line
    assert "lower learning_rate or take another seed, or average it in with allow_outliers=true" in line
    assert only_run("score").info.status == "FAILED"
    scores = easiness.score(
        model=TINY, trials=2, epochs=2, limit=100, limit_val=50, engine="inline", log_models="none", allow_outliers=True
    )
    assert scores.manifest.allow_outliers
    assert scores.table["easiness"].mean() > 1e3


def test_full_disk_is_one_line(store, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "model.pt")

    monkeypatch.setattr("torch.save", full)
    assert "o space left" in call_wrongly(monkeypatch, capsys, f"--model={TINY}", *SMALL)
    assert only_run("score").info.status == "FAILED"


def test_server_that_does_not_answer(store, monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    mlflow.set_tracking_uri(address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    line = call_wrongly(monkeypatch, capsys, f"--model={TINY}", *SMALL)
    assert f"the tracking server {address} does not answer" in line


def test_a_traceback_is_there_when_asked_for(store, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "--trials=0", "--debug=true")
    assert "Traceback" in capsys.readouterr().err


def test_easiness_of_cifar10_is_saved_with_the_published_order(store, monkeypatch, shared_data):
    archive = shared_data / "cifar-10-binary.tar.gz"
    words = (f"--model={TINY}", "--dataset=cifar10", f"--data={archive}", "--limit=500", "--limit_val=100")
    call(monkeypatch, *words, "--trials=1", "--epochs=1", "--log_models=none")
    table = easiness.load_scores(only_run("score").info.run_id).table
    labels = np.load(shared_data / "reference-scores" / "cifar10_train_reference_scores.npz")["labels"]
    np.testing.assert_array_equal(table["label"], labels[table["example_id"]])
    assert (table.groupby("label").size() == 50).all()
    assert pd.Index(table["example_id"]).is_monotonic_increasing


def test_manifest_is_plain_json(store, monkeypatch):
    call(monkeypatch, f"--model={TINY}", *SMALL)
    manifest = easiness.load_scores(only_run("score").info.run_id).manifest
    assert type(manifest).from_json(manifest.to_json(), manifest.run_id) == manifest
