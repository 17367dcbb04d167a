"""The study `paper`: what it plans, what it finds again. The runs themselves are played, not trained."""

import sys
from pathlib import Path

import mlflow
import pytest

from easiness import studies, tracking
from easiness.commandline import command
from easiness.recipes.paper import paper_runs


class Result:
    def __init__(self, run_id):
        self.run_id = run_id

    def summary(self):
        return f"made by {self.run_id}"


@pytest.fixture
def played(store, monkeypatch):
    """Names and options of what was called, in order."""
    calls = []

    def player(kind):
        def play(**options):
            name = f"{kind} {options['model']}" if "model" in options else kind
            calls.append((name, options))
            return Result(f"id of {name}")

        return play

    for kind in ("score", "match", "ablate", "report"):
        monkeypatch.setattr(studies, kind, player(kind))
    monkeypatch.setattr(studies, "_CALLS", {kind: vars(studies)[kind] for kind in studies._CALLS})
    return calls


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["paper", *words])
    command(studies.paper)


def test_the_plan_is_printed_and_nothing_runs(played, monkeypatch, capsys):
    call(monkeypatch, "--dry_run=true", "--scale=full")
    said = capsys.readouterr().out
    assert played == []
    assert "5 runs; finished trials are taken over" in said
    assert "6 runs on ImageNet are left out; imagenet=FOLDER includes them" in said
    assert "-e score -P model=wide_resnet_16_4 -P dataset=cifar10 -P trials=10 -P epochs=300" in said
    assert "no rate measured yet" in said
    Path("somewhere").mkdir()
    call(monkeypatch, "--dry_run=true", "--scale=full", "--imagenet=somewhere")
    assert "11 runs; " in capsys.readouterr().out


def test_time_is_estimated_from_rates_that_trials_measured(played, monkeypatch, capsys):
    monkeypatch.setattr(studies, "usable_cores", lambda: 2)
    parent = mlflow.MlflowClient().create_run("0").info.run_id
    for rate in (40, 50, 900):
        trial = tracking.start_child(parent, "trial", "t", {"easiness.trial_digest": f"d{rate}"})
        tracking.log_settings(trial, {"model": "wide_resnet_16_4", "resolution": 32})
        tracking.log_metrics(trial, {"images_per_second": rate})
        tracking.end_child(trial, "FINISHED")
    call(monkeypatch, "--dry_run=true", "--scale=full")
    first = paper_runs("full")[0]
    days = first.images() / (50 * 2) / 86400  # the median rate, on two processors
    assert f"{first.name:<36} about {days:.1f} days" in capsys.readouterr().out


def test_all_runs_in_order_each_with_those_it_needs(played, monkeypatch, capsys):
    Path("cifar.tar.gz").touch()
    call(monkeypatch, "--seed=3", "--data=cifar.tar.gz")
    names = [name for name, _ in played]
    assert names == ["score wide_resnet_10_1", "score densenet_bc_10_12", "match", "ablate wide_resnet_10_1", "report"]
    scores, matching, ablation, made = (options for _, options in played[1:])
    assert matching["runs"] == ("id of score wide_resnet_10_1", "id of score densenet_bc_10_12")
    assert ablation["scores"] == ("id of score wide_resnet_10_1",)
    assert made == {"runs": [f"id of {name}" for name in names[:-1]], "name": "paper-tiny"}
    assert {options["seed"] for _, options in played[:-1]} == {3}
    assert scores["data_seed"] == ablation["data_seed"] == 3
    assert scores["data"] == matching["data"] == ablation["data"] == Path("cifar.tar.gz").absolute()
    assert capsys.readouterr().out == "made by id of report\n"
