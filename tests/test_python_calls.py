"""The library as a user calls it: from another folder, twice, in a thread, in a notebook, without a main guard."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import mlflow
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import easiness

ROOT = Path(__file__).resolve().parents[1]
TINY = {"limit": 60, "limit_val": 30, "trials": 2, "epochs": 2, "resolution": 32, "log_models": "none"}
MODELS = ("tests.tiny_model:build", "tests.tiny_model:build_wide")

SCRIPT = f"""
import easiness

options = {TINY!r}
a, b = (easiness.score(model=model, **options) for model in {MODELS!r})
matched = easiness.match(runs=[a.run_id, b.run_id])
print(matched.pairs[["epoch", "set", "rate"]].to_string(index=False))
"""


def environment(folder):
    """A user's: the package is found, the store is the folder's own."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def test_a_script_without_a_main_guard_in_another_folder(empty_store, tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["epoch", "set", "rate"]
    assert len(lines) == 1 + 2 * 2 * 2  # epochs, sets, scopes: nothing else is printed
    assert "epoch 1/2" not in done.stderr
    assert not list((tmp_path / ".easiness" / "trials").iterdir())


def test_the_same_in_a_notebook(tmp_path):
    cells = [*SCRIPT.strip().split("\n\n"), "a", "matched"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    before = dict(os.environ)
    os.environ.update(environment(tmp_path))
    try:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    printed, score, matching = (cell.outputs for cell in notebook.cells[-3:])
    streams = {output.name: output.text for output in printed if output.name == "stdout" or "epoch" in output.text}
    assert list(streams) == ["stdout"], "no progress that nobody asked for"
    assert streams["stdout"].split()[:3] == ["epoch", "set", "rate"]
    for outputs in (score, matching):
        (output,) = outputs
        assert "<table" in output.data["text/html"]
    assert "lower = easier" in score[0].data["text/html"]


def test_twice_in_one_process_and_in_a_thread(store):
    first = easiness.score(model=MODELS[0], engine="inline", **TINY)
    results = []
    thread = threading.Thread(
        target=lambda: results.append(easiness.score(model=MODELS[0], engine="inline", **TINY | {"trials": 3}))
    )
    thread.start()
    thread.join()
    (second,) = results
    np.testing.assert_array_equal(second.losses_TMN[:, :2], first.losses_TMN)
    assert [trial["run_id"] for trial in second.manifest.trials[:2]] == first.manifest.trial_runs
    assert {run.info.status for run in mlflow.MlflowClient().search_runs(["0"])} == {"FINISHED"}


def test_what_score_returns_is_what_load_scores_reads(store):
    made = easiness.score(model=MODELS[0], engine="inline", **TINY)
    read = easiness.load_scores(made.run_id)
    assert made.manifest == read.manifest
    assert made.metrics == pytest.approx(read.metrics)
    np.testing.assert_array_equal(made.trajectory_TN, read.trajectory_TN)
    np.testing.assert_array_equal(made.losses_TMN, read.losses_TMN)
    assert made.table.equals(read.table)


def test_a_run_of_the_users_own_is_the_parent(store):
    with mlflow.start_run() as mine:
        made = easiness.train(model=MODELS[0], epochs=1, limit=60, limit_val=30)
    tags = mlflow.get_run(made.run_id).data.tags
    assert tags["mlflow.parentRunId"] == mine.info.run_id
    assert made.epochs["val_accuracy"].between(0, 1).all()


def test_a_wrong_keyword_is_named_before_anything_is_read(store):
    with pytest.raises(TypeError, match=r"score\(\) has no keyword 'modle'; did you mean model"):
        easiness.score(modle="alexnet")
    assert mlflow.MlflowClient().search_runs(["0"]) == []
