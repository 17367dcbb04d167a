import contextlib
import shutil
import threading

import mlflow
import numpy as np
import pytest
import torch

from easiness import tracking
from easiness.datasets import open_dataset
from easiness.files import work_folder
from easiness.machine import HOST
from easiness.recipes.recipe import planted
from easiness.runs import tracked_trials as room
from easiness.runs.tracked_trials import SharedData, TrialOptions, names_with_model, run_tracked_trials
from easiness.runs.trial_log import Trial, TrialLog
from easiness.tracking import TrackingError, read_trials
from easiness.trials.trial import TrialTask, run_trial
from tests.tiny_data import tiny_setup

CPU = torch.device("cpu")
TINY = "tests.tiny_model:build"


@pytest.fixture(scope="module")
def data():
    return open_dataset("planted", split="train", limit=64), open_dataset("planted", split="val", limit=32)


@pytest.fixture
def recipe():
    return planted(TINY, epochs=2)


def run(recipe, data, numbers, *, device=CPU, **options):
    setup, wanted = tiny_setup(recipe, *data), [Trial(recipe, number) for number in numbers]
    with tracking.tracked_run("score", "s") as run_id, SharedData(*data) as shared:
        return run_id, run_tracked_trials(wanted, shared, run_id, device, setup.run, TrialOptions(**options))


def losses(records, data):
    return read_trials([record.run_id for record in records], "losses", (2, 4), data[0].fingerprint)


def children(parent):
    return mlflow.MlflowClient().search_runs(["0"], f"tags.mlflow.parentRunId = '{parent}'")


def test_finished_trials_are_taken_and_only_the_rest_is_run(store, data, recipe, caplog):
    caplog.set_level("INFO", "easiness")
    first, two = run(recipe, data, [0, 1])
    second, three = run(recipe, data, [0, 1, 2])
    assert [trial.run_id for trial in three[:2]] == [trial.run_id for trial in two]
    assert (len(children(first)), len(children(second))) == (2, 1)
    assert f"trial 0  found finished in run {two[0].run_id}" in caplog.text
    found = losses(three, data)
    assert found.shape == (2, 3, 64)
    assert len({found[1, m].tobytes() for m in range(3)}) == 3, "trials must be independent"
    assert not list((work_folder() / "trials").iterdir()), "what is on the server needs no place here"


def test_another_recipe_or_other_data_are_other_trials(store, data, recipe):
    _, (first,) = run(recipe, data, [0])
    other = planted(TINY, epochs=1)
    _, (second,) = run(other, data, [0])
    smaller = (data[0].subset(np.arange(40)), data[1])
    _, (third,) = run(recipe, smaller, [0])
    assert len({first.digest, second.digest, third.digest}) == 3
    assert len({first.run_id, second.run_id, third.run_id}) == 3


def test_a_trial_carries_what_the_contract_promises(store, data, recipe):
    _, (trial,) = run(recipe, data, [3], with_model=["trial 3"])
    client = mlflow.MlflowClient()
    logged = client.get_run(trial.run_id)
    assert logged.info.status == "FINISHED"
    metrics = {"train_loss", "val_loss", "val_accuracy", "learning_rate", "images_per_second"}
    metrics |= {"training_seconds", "scoring_seconds"}
    assert set(logged.data.metrics) == metrics
    assert [m.step for m in client.get_metric_history(trial.run_id, "val_accuracy")] == [1, 2]
    assert logged.data.params["recipe.learning_rate"] == "0.1"
    assert logged.data.params["recipe.trial"] == "3"
    files = {
        file.path
        for folder in ("losses", "el2n", "margin", "correct")
        for file in client.list_artifacts(trial.run_id, folder)
    }
    assert files == {f"{m}/updates={u:06d}.npy" for m in ("losses", "el2n", "margin", "correct") for u in (2, 4)}
    (model,) = logged.outputs.model_outputs
    network = mlflow.pytorch.load_model(f"models:/{model.model_id}")
    assert network(torch.zeros(5, 3, 64, 64)).shape == (5, 10), "the batch size must stay free"


def test_a_single_trial_is_logged_on_the_run_itself(store, data, recipe):
    run_id, (trial,) = run(recipe, data, [0], as_children=False)
    assert trial.run_id == run_id
    assert mlflow.MlflowClient().get_run(run_id).info.status == "FINISHED"
    again, (found,) = run(recipe, data, [0])
    assert found.run_id == run_id
    assert children(again) == []


def test_a_server_that_goes_away_loses_nothing(store, data, recipe, monkeypatch, capsys):
    monkeypatch.setattr(room, "PATIENCE_S", (0.01,))
    real = tracking.log_folder

    monkeypatch.setattr(tracking, "log_folder", fail_to_log)
    with pytest.raises(TrackingError, match=r"trial 0, trial 1 are finished and kept .*the same command"):
        run(recipe, data, [0, 1])
    monkeypatch.setattr(tracking, "log_folder", real)
    monkeypatch.setattr("easiness.trials.trial.train", None)  # training again would fail
    _, trials = run(recipe, data, [0, 1])
    monkeypatch.undo()
    mlflow.set_tracking_uri(store)
    assert np.isfinite(losses(trials, data)).all()


def test_a_server_that_is_gone_while_training_is_only_a_warning(store, data, recipe, monkeypatch, caplog):
    real, calls = tracking.log_epochs, []

    def flaky(run_id, epochs):
        calls.append(len(epochs))
        if len(calls) == 1:
            raise TrackingError("the tracking server does not answer")
        real(run_id, epochs)

    monkeypatch.setattr(tracking, "log_epochs", flaky)
    _, (trial,) = run(recipe, data, [0])
    assert "training goes on, results wait on disk" in caplog.text
    assert len(mlflow.MlflowClient().get_metric_history(trial.run_id, "val_loss")) == 2


def test_diverged_trial_fails_its_run_and_is_never_averaged(store, data, recipe):
    from dataclasses import replace

    from easiness.trials.training import DivergedError

    wild = replace(recipe, learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"trial 0: .* at learning rate 1e\+30"):
        run(wild, data, [0])
    (parent,) = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'score'")
    assert parent.info.status == "FAILED"
    assert [child.info.status for child in children(parent.info.run_id)] in ([], ["FAILED"])


def artifacts_of(record):
    return tracking.fetch(record.run_id)


def array_bytes(record):
    return {str(path): path.read_bytes() for path in sorted(artifacts_of(record).rglob("updates=*.npy"))}


def poison_empty(folder):
    """After a power failure: the array has its name and no content."""
    (folder / "losses" / "updates=000002.npy").write_bytes(b"")


def poison_flip(folder):
    path = folder / "predicted" / "updates=000004.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def poison_reversed(folder):
    path = folder / "losses" / "updates=000004.npy"
    np.save(path, np.load(path)[::-1])


def poison_removed(folder):
    shutil.rmtree(folder / "el2n")


def poison_record(folder):
    path = folder / "trial.json"
    path.write_text(path.read_text().replace("updates=000002", "updates=000003"))


@pytest.mark.parametrize("poison", [poison_empty, poison_flip, poison_reversed, poison_removed, poison_record])
def test_a_poisoned_trial_on_the_server_is_named_set_aside_and_trained_again(store, data, recipe, poison, caplog):
    measures = ("losses", "predicted")
    _, (good,) = run(recipe, data, [0], measures=measures)
    poison(artifacts_of(good))
    _, (again,) = run(recipe, data, [0], measures=measures)
    assert again.run_id != good.run_id
    assert "trial 0  set aside, and made again: " in caplog.text
    assert good.run_id in caplog.text
    assert mlflow.MlflowClient().get_run(good.run_id).data.tags["easiness.damaged"]
    for name in measures:
        np.testing.assert_array_equal(again.measure(name), good.measure(name))
    _, (found,) = run(recipe, data, [0], measures=measures)
    assert found.run_id == again.run_id


def test_results_that_were_damaged_on_disk_are_not_sent_but_made_again(store, data, recipe, monkeypatch, caplog):
    """As after a power failure between the end of a trial and its upload."""
    monkeypatch.setattr(room, "PATIENCE_S", (0.01,))
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "log_folder", fail_to_log)
        with pytest.raises(TrackingError):
            run(recipe, data, [0])
    (folder,) = (work_folder() / "trials").iterdir()
    poison_empty(folder)
    _, (record,) = run(recipe, data, [0])
    assert (
        "trial 0: losses/updates=000002.npy is damaged: it has 0 bytes, and 384 were written; set aside" in caplog.text
    )
    assert np.isfinite(losses([record], data)).all()
    assert not list((work_folder() / "trials").iterdir())


def fail_to_log(*_):
    raise TrackingError("the tracking server does not answer")


@pytest.mark.parametrize("damage", [poison_empty, poison_removed])
def test_results_that_are_damaged_before_their_upload_are_never_sent(store, data, recipe, monkeypatch, damage):
    real = run_trial.__globals__["Ledger"].mark_done

    def damaged(ledger):
        real(ledger)
        damage(ledger.folder)

    monkeypatch.setattr("easiness.trials.trial_folder.Ledger.mark_done", damaged)
    with pytest.raises(ValueError, match=r"trial 0: .*(0 bytes|is missing).*; the same command trains it again"):
        run(recipe, data, [0])
    monkeypatch.undo()
    mlflow.set_tracking_uri(store)
    with contextlib.chdir(store.removeprefix("sqlite:///").removesuffix("mlflow.db")):
        _, (record,) = run(recipe, data, [0])
        assert np.isfinite(losses([record], data)).all()


def test_two_identical_commands_at_once_share_their_trials(store, data, recipe, monkeypatch, caplog):
    """The second begins while the first uploads: it waits, and takes what the first has made."""
    real, second = TrialLog._send, []

    def send(log, task):
        if not second:
            second.append(threading.Thread(target=lambda: second.append(run_second())))
            second[0].start()
            while "another command in this folder is at it" not in caplog.text:
                second[0].join(0.01)
        real(log, task)

    def run_second():
        wanted = [Trial(recipe, number) for number in (0, 1)]
        with SharedData(*data) as shared:
            return run_tracked_trials(wanted, shared, parent, CPU, tiny_setup(recipe, *data).run, TrialOptions())

    with tracking.tracked_run("score", "second") as parent:
        pass
    monkeypatch.setattr(TrialLog, "_send", send)
    _, first = run(recipe, data, [0, 1])
    second[0].join()
    assert [record.run_id for record in second[1]] == [record.run_id for record in first]
    assert children(parent) == []
    assert losses(first, data).shape == (2, 2, 64)


def test_what_a_command_left_that_was_killed_after_its_upload_is_cleared(store, data, recipe, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("easiness.runs.trial_log.remove_folder", lambda folder: None)
        _, (record,) = run(recipe, data, [0])
    assert list((work_folder() / "trials").iterdir()) == [record.folder]
    _, (found,) = run(recipe, data, [0])
    assert found.run_id == record.run_id
    assert not list((work_folder() / "trials").iterdir())


def test_networks_of_the_last_trial_of_all_or_of_none(recipe):
    trials = [Trial(recipe, number) for number in range(3)]
    assert names_with_model(trials, "last") == {"trial 2"}
    assert names_with_model(trials, "all") == {"trial 0", "trial 1", "trial 2"}
    assert names_with_model(trials, "none") == set()


def test_arrays_of_a_trial_that_was_finished_here_are_not_fetched(store, data, recipe, monkeypatch):
    _, trained = run(recipe, data, [0, 1], measures=("losses", "predicted"))
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "read_trials", None)
        here = {name: [record.measure(name) for record in trained] for name in ("losses", "predicted")}
    _, found = run(recipe, data, [0, 1], measures=("losses", "predicted"))
    for name, arrays in here.items():
        np.testing.assert_array_equal(arrays, [record.measure(name) for record in found])
    assert here["losses"][0].shape == (2, 64)


def test_left_behind_images_of_a_killed_process_are_removed(store, data, recipe):
    dead, far = work_folder() / f"staged-{HOST}-999999999-1-x", work_folder() / "staged-another-machine-999999999-1-x"
    dead.mkdir(parents=True)
    far.mkdir()
    with room.SharedData(*data) as shared:
        staged = shared.staged(Trial(recipe, 0), in_files=True)
        assert not dead.exists()
        assert TrialTask(recipe, 0, **staged, folder=work_folder()).train.open(CPU).count == 64
    assert list(work_folder().glob("staged-*")) == [far]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_joint_pass_needs_the_device_here(store, data, recipe):
    with pytest.raises(ValueError, match="score_pass is 'joint', which scores in this process, and torch finds no GPU"):
        run(recipe, data, [0], score_pass="joint", device=torch.device("cuda"))
