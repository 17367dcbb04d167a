"""A dry run: its numbers are those of the run that follows, and it leaves nothing behind."""

import io
import sys
from pathlib import Path

import mlflow
import pytest
import torch

import easiness
from easiness import tracking
from easiness.architectures import build_model
from easiness.commandline import command
from easiness.files import work_folder
from easiness.runs.dry_run import dry_run_of
from easiness.runs.trial_log import Trial
from easiness.tracking.opening import close_project_run, start_project_run
from easiness.trials.steps import make_optimizer
from tests.tiny_data import MODEL, tiny_dataset, tiny_recipe, tiny_setup

SMALL = {"model": MODEL, "trials": 2, "epochs": 2, "limit": 100, "limit_val": 50, "engine": "inline"}
NPY_HEADER = 128


def runs():
    return mlflow.MlflowClient().search_runs(["0"])


def stored_arrays():
    """Bytes of the arrays of all trials on the server."""
    folders = [Path(run.info.artifact_uri) for run in runs() if run.data.tags["easiness.kind"] == "trial"]
    return sum(path.stat().st_size - NPY_HEADER for folder in folders for path in folder.rglob("*.npy"))


def test_it_says_what_the_run_then_does_and_leaves_no_run(store):
    planned = easiness.score(**SMALL, dry_run=True)
    assert runs() == []
    assert not (work_folder() / "trials").exists()
    assert (planned.trainings, planned.finished, planned.side_by_side) == (2, 0, 1)
    assert planned.trained_images == 2 * 2 * 100
    assert planned.evaluated_images == 2 * (2 * 50 + 2 * 100)
    assert (planned.rate, planned.seconds) == (None, None)
    assert f"measure one with\n  train model={MODEL} resolution=64 threads=1 device=cpu epochs=1" in planned.summary()

    easiness.score(**SMALL)
    assert planned.server["arrays of trials"] == stored_arrays()
    more = easiness.score(**SMALL | {"trials": 3}, dry_run=True)
    assert (more.trainings, more.finished) == (1, 2)
    assert more.seconds == pytest.approx((200 + (2 * 50 + 2 * 100) / 3) / more.rate)
    assert "trainings  1; 2 more are finished" in more.summary()
    assert "nothing is left to train" in easiness.score(**SMALL, dry_run=True).summary()


def test_folds_measure_all_and_hold_out_a_part(store):
    folded = {key: value for key, value in SMALL.items() if key != "limit_val"} | {"folds": 2}
    planned = easiness.score(**folded, dry_run=True)
    assert planned.trained_images == 2 * 2 * 50
    assert planned.evaluated_images == 2 * 2 * (100 + 50), "all, and what is held out, at the end of every epoch"
    easiness.score(**folded)
    assert planned.server["arrays of trials"] == stored_arrays()


def test_an_ablation_needs_scores_for_stepwise_alone(store):
    options = {key: value for key, value in SMALL.items() if key != "trials"} | {"ratios": (0.2,), "dry_run": True}
    planned = easiness.ablate(**options, strategies=("easy", "random"), seeds=2)
    assert planned.trainings == 3 * 2
    assert planned.trained_images == 2 * 2 * (100 + 80 + 80)
    assert planned.evaluated_images == 6 * 2 * 50
    with pytest.raises(ValueError, match="run score first"):
        easiness.ablate(**options)
    easiness.score(**SMALL)
    before = len(runs())
    assert easiness.ablate(**options, seeds=1).trainings == 5 + 2, "one level is scored anew, by two trials"
    assert len(runs()) == before


def test_a_checkpoint_has_the_size_that_is_said():
    recipe = tiny_recipe(model="wide_resnet_10_1", resolution=32, epochs=10)
    train, val = tiny_dataset(40, size=32), tiny_dataset(9, size=32, split="val")
    setup = tiny_setup(recipe, train, val)
    said = dry_run_of("", setup, [Trial(recipe, 0)]).disk["checkpoints"]
    model = build_model(recipe.model, 3, image_size=32, seed=0)
    optimizer = make_optimizer(model, recipe, ())
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    sizes = []
    for state in (model.state_dict(), {"model": model.state_dict(), "optimizer": optimizer.state_dict()}):
        torch.save(state, file := io.BytesIO())
        sizes.append(file.tell())
    assert said == pytest.approx(sizes[0] + 3 * sizes[1], rel=0.1), "two are kept while a third is written"


def test_joint_scoring_keeps_the_weights_of_all_moments(store):
    each, joint = (easiness.score(**SMALL, score_pass=way, dry_run=True) for way in ("each", "joint"))
    assert "weights to be scored" not in each.disk
    weights = each.server["models"] // 2  # one model is logged, in two forms
    assert joint.disk["weights to be scored"] == 2 * 2 * weights


def test_side_by_side_is_of_this_machine(store, monkeypatch):
    monkeypatch.setattr("easiness.trials.engines.processes.usable_cores", lambda: 3)
    recipe = tiny_recipe()
    setup = tiny_setup(recipe, tiny_dataset(20), tiny_dataset(9, split="val"), engine="processes")
    monkeypatch.setattr(tracking, "measured_rates", lambda run_id: {(MODEL, 12): 10.0})
    planned = dry_run_of("", setup, [Trial(recipe, number) for number in range(4)])
    assert planned.side_by_side == 3
    trial = 3 * 20 + (3 * 9 + 3 * 20) / 3
    assert planned.seconds == pytest.approx(2 * trial / 10), "three, and then one"
    assert planned.disk["staged images"] == 29 * 12 * 12 * 3


def test_the_run_of_a_project_does_not_stay(store, monkeypatch, capsys):
    made = start_project_run("score", None, "0")
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    words = [f"--{key}={value}" for key, value in SMALL.items()]
    monkeypatch.setattr(sys, "argv", ["score", *words, "--dry_run=true"])
    command(easiness.score)
    assert "trainings  2\n" in capsys.readouterr().out
    assert mlflow.MlflowClient().get_run(made).data.tags["easiness.kind"] == "dry_run"
    mlflow.MlflowClient().set_terminated(made)
    close_project_run(made)
    assert runs() == []


def test_it_looks_where_the_run_would_be(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    assert tracking.measured_rates(None) == {}
    assert easiness.score(**SMALL, dry_run=True).finished == 0
    assert mlflow.MlflowClient().get_experiment_by_name("elsewhere") is None
    easiness.score(**SMALL | {"trials": 1})
    assert easiness.score(**SMALL, dry_run=True).finished == 1
