"""The entry point `paper`: what it plans, what it finds again. The runs themselves are played, not trained."""

import sys

import mlflow
import pytest

from easiness import tracking
from easiness.commandline import command
from easiness.recipes.paper import paper_runs
from entrypoints import paper as entry


@pytest.fixture
def played(store, monkeypatch):
    """Names of what was called, in order; each call leaves a finished run of its kind, or fails where told to."""
    calls, failing = [], set()

    def player(kind):
        def play(setup=None, **options):
            name = kind if setup is None else f"{kind} {setup.model}"
            if name in failing:
                raise RuntimeError(f"{name} was told to fail")
            calls.append((name, options))
            with tracking.tracked_run(kind, name):
                pass

        return play

    for kind in ("score", "match", "ablate", "report"):
        monkeypatch.setattr(entry, kind, player(kind))
    return calls, failing


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["paper", *words])
    command(entry.paper)


def test_the_plan_is_printed_and_nothing_runs(played, monkeypatch, capsys):
    call(monkeypatch, "--dry_run=true", "--scale=full")
    said = capsys.readouterr().out
    assert played[0] == []
    assert "0 of them found finished" in said
    assert "5 runs, " in said
    assert "6 runs on ImageNet are left out; imagenet=FOLDER takes them in" in said
    assert "-e score -P model=wide_resnet_16_4 -P dataset=cifar10 -P trials=10 -P epochs=300" in said
    assert "no rate measured yet" in said
    call(monkeypatch, "--dry_run=true", "--scale=full", "--imagenet=somewhere")
    assert "11 runs, " in capsys.readouterr().out


def test_time_is_estimated_from_rates_that_trials_measured(played, monkeypatch, capsys):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    parent = mlflow.MlflowClient().create_run("0").info.run_id
    for rate in (40, 50, 900):
        trial = tracking.start_child(parent, "trial", "t", {"easiness.trial_digest": f"d{rate}"})
        tracking.log_settings(trial, {"model": "wide_resnet_16_4", "resolution": 32})
        tracking.log_metrics(trial, {"images_per_second": rate})
        tracking.end_child(trial, "FINISHED")
    call(monkeypatch, "--dry_run=true", "--scale=full")
    said = capsys.readouterr().out
    first = paper_runs("full")[0]
    days = first.images() / (50 * 2) / 86400  # the median rate, on two processors
    assert f"missing, about {days:.1f} days" in said


def test_all_runs_in_order_and_a_second_call_finds_them(played, monkeypatch, capsys):
    calls, _ = played
    call(monkeypatch)
    names = [name for name, _ in calls]
    assert names == ["score wide_resnet_10_1", "score densenet_bc_10_12", "match", "ablate wide_resnet_10_1", "report"]
    scores = calls[2][1]["runs"]
    assert len(scores) == 2
    assert calls[3][1]["scores"] == scores[0]
    assert calls[4][1]["runs"][:2] == scores
    calls.clear()
    call(monkeypatch)
    assert [name for name, _ in calls] == ["report"]
    assert "4 of them found finished" in capsys.readouterr().out
    calls.clear()
    call(monkeypatch, "--seed=1")
    assert len(calls) == 5


def test_a_call_that_failed_goes_on_where_it_was(played, monkeypatch, capsys):
    calls, failing = played
    failing.add("match")
    with pytest.raises(SystemExit):
        call(monkeypatch)
    assert "match was told to fail" in capsys.readouterr().err
    failing.clear()
    calls.clear()
    call(monkeypatch)
    assert [name for name, _ in calls] == ["match", "ablate wide_resnet_10_1", "report"]


def test_what_needs_a_run_that_is_gone_is_made_again(played, monkeypatch):
    calls, _ = played
    call(monkeypatch)
    gone = next(
        run for run in mlflow.MlflowClient().search_runs(["0"]) if run.info.run_name == "score densenet_bc_10_12"
    )
    mlflow.MlflowClient().delete_run(gone.info.run_id)
    calls.clear()
    call(monkeypatch)
    assert [name for name, _ in calls] == ["score densenet_bc_10_12", "match", "report"]
