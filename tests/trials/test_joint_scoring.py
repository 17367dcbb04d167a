"""Scoring all trials in one pass: `evaluate_networks`, `evaluate_jointly` and the option `score_pass`."""

from dataclasses import replace

import mlflow
import numpy as np
import pytest
import torch

from easiness import tracking
from easiness.datasets import open_dataset
from easiness.files import work_folder
from easiness.recipes.recipe import planted
from easiness.runs.tracked_trials import SharedData, TrialOptions, run_tracked_trials
from easiness.runs.trial_log import Trial
from easiness.trials.engines import run_trials
from easiness.trials.evaluation import MEASURES, evaluate_examples, evaluate_networks
from easiness.trials.training import DivergedError
from easiness.trials.trial import evaluate_jointly, run_trial
from easiness.trials.trial_folder import Ledger, is_done, tensor_file, weights_file
from tests.tiny_data import MODEL, tiny_setup, tiny_task
from tests.tiny_model import build

CPU = torch.device("cpu")


def tasks_in(folder, joint, trials=3, **chosen):
    return [replace(tiny_task(folder / str(trial), trial=trial, **chosen), joint=joint) for trial in range(trials)]


def run(tasks, engine="inline"):
    news, finished = [], []
    run_trials(tasks, engine=engine, device=CPU, report=news.append, finished=lambda task: finished.append(task.trial))
    return news, finished


def results(folder):
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}
    assert files
    return files


@pytest.mark.parametrize("chosen", [{}, {"score_at": (0, 2, 4)}])
def test_joint_gives_the_same_files_as_each(tmp_path, chosen):
    run(tasks_in(tmp_path / "each", False, **chosen))
    _, finished = run(tasks_in(tmp_path / "joint", True, **chosen))
    assert results(tmp_path / "joint") == results(tmp_path / "each")
    assert len(results(tmp_path / "joint")) == 3 * (3 * len(MEASURES) + 1)  # three moments, and the validation set
    assert finished == [0, 1, 2]
    assert not list((tmp_path / "joint").rglob("weights/*"))
    assert not list(tmp_path.rglob("checkpoints/*"))
    for name in ("validation/epochs.json", "ledger.json", "model.pt"):
        assert len(list((tmp_path / "joint").rglob(name))) == 3


def test_joint_in_processes_gives_the_same_files(tmp_path):
    run(tasks_in(tmp_path / "each", False, trials=2))
    run(tasks_in(tmp_path / "joint", True, trials=2, in_files=tmp_path / "staged"), engine="processes")
    assert results(tmp_path / "joint") == results(tmp_path / "each")


def test_one_pass_over_the_data_serves_all_trials(tmp_path, monkeypatch):
    tasks = tasks_in(tmp_path, True)
    for task in tasks:
        run_trial(task, CPU, lambda _: None)
    assert not any(is_done(task.folder) for task in tasks)
    passes = []
    opened = type(tasks[0].train.open(CPU))
    real = opened.score_batches

    def counted(self, part):
        passes.append(self.count)
        return real(self, part)

    monkeypatch.setattr(opened, "score_batches", counted)
    evaluate_jointly(tasks, CPU, lambda _: None)
    assert passes == [21, 21, 21], "three moments, whatever the number of trials"
    assert all(is_done(task.folder) for task in tasks)
    evaluate_jointly(tasks, CPU, lambda _: None)
    assert len(passes) == 3, "what is done is not done again"


def test_the_same_images_are_reported_as_with_each(tmp_path):
    counts = []
    for joint in (False, True):
        news, _ = run(tasks_in(tmp_path / str(joint), joint))
        counts.append(
            [sum(progress.images for progress in news if progress.name == f"trial {trial}") for trial in range(3)]
        )
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
def test_a_trial_that_was_cut_off_may_go_on_the_other_way(tmp_path, first, second):
    run(tasks_in(tmp_path / "whole", False, trials=1))

    class CutError(Exception):
        pass

    def cut(progress):
        if progress.metrics and progress.metrics["epoch"] == 2:
            raise CutError

    (task,) = tasks_in(tmp_path / "cut", first, trials=1)
    with pytest.raises(CutError):
        run_trial(task, CPU, cut)
    run([replace(task, joint=second)])
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_a_run_that_was_stopped_before_scoring_goes_on_with_it(tmp_path, monkeypatch):
    run(tasks_in(tmp_path / "whole", False))
    tasks = tasks_in(tmp_path / "cut", True)
    for task in tasks[:2]:
        run_trial(task, CPU, lambda _: None)
    trained = []
    real = run_trial.__globals__["train"]
    monkeypatch.setattr("easiness.trials.trial.train", lambda *a, **k: trained.append(1) or real(*a, **k))
    run(tasks)
    assert len(trained) == 1
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_weights_that_give_nan_name_the_trial(tmp_path):
    tasks = tasks_in(tmp_path, True)
    for task in tasks:
        run_trial(task, CPU, lambda _: None)
    name = weights_file(6)
    state = torch.load(tmp_path / "1" / name)
    state["0.weight"][:] = float("nan")
    Ledger(tmp_path / "1").update({name: tensor_file(state)})
    with pytest.raises(DivergedError, match="trial 1: the loss of 21 of 21 examples is NaN .* after update 6; lower"):
        evaluate_jointly(tasks, CPU, lambda _: None)
    assert not is_done(tasks[1].folder)


def test_evaluating_several_networks_restores_their_modes(tmp_path):
    models = [build(3).train(), build(3).eval()]
    loader = tiny_task(tmp_path).train.open(CPU)
    metrics_of_both = evaluate_networks(models, loader)
    assert [model.training for model in models] == [True, False]
    for model, metrics in zip(models, metrics_of_both, strict=True):
        alone = evaluate_examples(model, loader)
        for name in MEASURES:
            np.testing.assert_array_equal(getattr(metrics, name), getattr(alone, name))


def run_tracked(recipe, data, run_id, score_pass):
    setup, wanted = tiny_setup(recipe, *data), [Trial(recipe, number) for number in range(2)]
    with SharedData(*data) as shared:
        options = TrialOptions(score_pass=score_pass)
        return run_tracked_trials(wanted, shared, run_id, CPU, setup.run, options)


def test_score_pass_on_the_tracking_server(store):
    data = open_dataset("planted", split="train", limit=64), open_dataset("planted", split="val", limit=32)
    run_ids, losses = {}, {}
    for score_pass in ("each", "joint"):
        mlflow.set_experiment(score_pass)  # trials of another experiment are not taken over
        with tracking.tracked_run("score", score_pass) as run_id:
            records = run_tracked(planted(MODEL, epochs=1), data, run_id, score_pass)
            run_ids[score_pass] = [record.run_id for record in records]
            losses[score_pass] = tracking.read_trials(run_ids[score_pass], "losses", (2,), data[0].fingerprint)
    assert set(run_ids["each"]).isdisjoint(run_ids["joint"])
    np.testing.assert_array_equal(losses["each"], losses["joint"])
    assert not list((work_folder() / "trials").iterdir())
