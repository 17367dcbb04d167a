"""The entry point `main`, small, in this process."""

import sys

import mlflow
import pytest

from easiness.commandline import command
from entrypoints.main import main

TINY = "--models=tests.tiny_model:build,tests.tiny_model:build_wide"


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["main", *words])
    command(main)


@pytest.mark.slow
def test_the_whole(store, monkeypatch, capsys, tmp_path):
    words = ("--trials=2", "--epochs=2", "--limit=200", "--resolution=16", "--ratios=0.3", "--seeds=2")
    call(monkeypatch, TINY, *words)
    runs = {run.info.run_id: run for run in mlflow.MlflowClient().search_runs(["0"])}
    (whole,) = [run for run in runs.values() if run.data.tags["easiness.kind"] == "main"]
    below = [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
    assert sorted(run.data.tags["easiness.kind"] for run in below) == ["ablate", "match", "report", "score", "score"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    page = tmp_path / "reports" / "main" / "index.html"
    assert str(page) in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    for name in ("planted_fig3_global", "planted_tests.tiny_model_build_inverse_weights_accuracy"):
        assert f'<figure id="{name}">' in text
    assert "no match run" not in text
    assert "no ablate run" not in text


def test_one_model_is_too_few(store, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "--models=alexnet")
    assert "models is 'alexnet', and matching needs at least two" in capsys.readouterr().err
