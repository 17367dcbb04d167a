"""The entry point `main`, small, in this process: the default path through real score, match, ablate and report."""

import sys

import mlflow
import pandas as pd
import pytest

from easiness.commandline import command
from entrypoints.main import main

MODELS = ("tests.tiny_model:build", "tests.tiny_model:build_wide")
SMALL = ("--trials=2", "--epochs=2", "--limit=200", "--resolution=16", "--ratios=0.3", "--seeds=2")


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["main", *words])
    command(main)


def test_the_whole(store, monkeypatch, capsys, tmp_path):
    call(monkeypatch, f"--models={','.join(MODELS)}", *SMALL)
    runs = {run.info.run_id: run for run in mlflow.MlflowClient().search_runs(["0"])}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    (whole,) = [run for run in runs.values() if run.data.tags["easiness.kind"] == "main"]
    below = {}
    for run_id, run in runs.items():
        if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id:
            below.setdefault(run.data.tags["easiness.kind"], []).append(run_id)
    assert {kind: len(run_ids) for kind, run_ids in below.items()} == {"score": 2, "match": 1, "ablate": 1, "report": 1}

    folder = tmp_path / "reports" / "main"
    said = capsys.readouterr()
    assert str(folder / "index.html") in said.out
    page = (folder / "index.html").read_text(encoding="utf-8")
    for run_id in (*below["score"], *below["match"], *below["ablate"]):
        assert run_id in page
        assert run_id in said.err, "the summary of every step is shown on the way"
    for name in ("planted_fig3_global", "planted_tests.tiny_model_build_inverse_weights_accuracy"):
        assert f'<figure id="{name}">' in page
    claims = pd.read_csv(folder / "tables" / "claims.csv")
    assert not claims.astype(str).apply(lambda column: column.str.contains("no match run|no ablate run")).any(axis=None)
    # The numbers of the page are those of the runs.
    shown = pd.read_csv(folder / "tables" / "planted_matching.csv")
    logged = pd.read_csv(mlflow.artifacts.download_artifacts(run_id=below["match"][0], artifact_path="matching.csv"))
    last = logged[logged["epoch"] == logged["epoch"].max()].set_index(["set", "scope"])["rate"]
    for row in shown.itertuples():
        assert row.rate == pytest.approx(last[row.set, row.scope])


def test_one_model_is_too_few(store, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "--models=alexnet")
    assert "models is 'alexnet', and matching needs at least two" in capsys.readouterr().err
