"""The entry point `collect` in this process."""

import sys

import mlflow
import pytest

import easiness
from easiness.commandline import command
from tests.tiny_data import tiny_dataset
from tests.tiny_recordings import record


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["collect", *words])
    command(easiness.collect)


def test_trials_become_a_score_run(store, monkeypatch, capsys):
    trials = [record(tiny_dataset(30), seed, updates_per_epoch=4) for seed in range(2)]
    call(monkeypatch, f"--runs={','.join(trials)}", "--name=birds", "--moment=auto", "--model=")
    assert "easiness after 8 updates (epoch 2), lower = easier" in capsys.readouterr().out
    (run,) = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'score'")
    assert easiness.load_scores(run.info.run_id).manifest.dataset == "birds"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: runs is not given; say which trial runs to collect, with runs=ID,ID"),
        (["--runs=" + "0" * 32], "error: there is no run 0000"),
        (["--runs=0", "--fraction=2"], "error: fraction"),
    ],
)
def test_wrong_words_are_answered_in_one_line(store, monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit):
        call(monkeypatch, *words)
    assert message in capsys.readouterr().err
