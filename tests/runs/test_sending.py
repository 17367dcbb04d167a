"""Uploads go on while the next trial trains: a few at a time, with their errors, and without loss."""

import threading

import mlflow
import numpy as np
import pytest

from easiness import tracking
from easiness.datasets import open_dataset
from easiness.files import work_folder
from easiness.recipes.recipe import planted
from easiness.runs.sending import WAITING, Sender
from easiness.runs.tracked_trials import SharedData, run_tracked_trials
from easiness.runs.trial_log import Trial, TrialOptions
from easiness.tracking import TrackingError
from easiness.trials import trial as trial_module
from easiness.trials.trial_folder import Ledger
from tests.tiny_data import tiny_setup

LONG = 60  # seconds after which something never happens


def test_calls_are_made_in_order_by_another_thread():
    sender, made = Sender(), []
    for number in range(5):
        sender.put(lambda number=number: made.append((number, threading.current_thread())))
    sender.wait()
    sender.leave(LONG)
    numbers, threads = zip(*made, strict=True)
    assert numbers == (0, 1, 2, 3, 4)
    assert threading.current_thread() not in threads


def test_so_many_calls_wait_and_no_more():
    sender, allowed, one_more = Sender(), threading.Event(), threading.Event()
    seen = []

    def first():
        assert allowed.wait(LONG)
        seen.append(one_more.wait(0.1))

    def put():
        sender.put(first)
        for _ in range(WAITING):
            sender.put(lambda: None)
        allowed.set()
        sender.put(lambda: None)
        one_more.set()

    putting = threading.Thread(target=put)
    putting.start()
    putting.join()
    sender.wait()
    assert seen == [False]
    assert one_more.is_set()


def test_an_error_is_raised_once_and_by_the_next_call():
    def fail():
        raise ValueError("damaged")

    sender, made = Sender(), []
    sender.put(fail)
    sender.finish()
    with pytest.raises(ValueError, match="damaged"):
        sender.put(lambda: made.append("not this one"))
    sender.put(lambda: made.append("this one"))
    sender.wait()
    assert made == ["this one"]


def test_who_leaves_drops_what_waits():
    sender, started, made = Sender(), threading.Event(), []

    def slow():
        started.set()
        assert sender.stopped.wait(LONG)
        made.append("slow")

    sender.put(slow)
    for _ in range(WAITING):
        sender.put(lambda: made.append("another"))
    assert started.wait(LONG)
    sender.leave(LONG)
    assert made == ["slow"]
    Sender().leave(LONG)


@pytest.fixture(scope="module")
def data():
    return open_dataset("planted", split="train", limit=64), open_dataset("planted", split="val", limit=32)


def run(data, trials, engine="inline", **options):
    recipe = planted("tests.tiny_model:build", epochs=1)
    setup = tiny_setup(recipe, *data, engine=engine)
    wanted = [Trial(recipe, number) for number in range(trials)]
    with tracking.tracked_run("score", "s") as run_id, SharedData(*data) as shared:
        return run_tracked_trials(wanted, shared, run_id, setup.device, setup.run, TrialOptions(**options))


def statuses():
    runs = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'trial'", order_by=["start_time"])
    return {run.info.run_name: run.info.status for run in runs}


class SlowStore:
    """A store whose first upload goes on until it is let go."""

    def __init__(self, monkeypatch):
        self.busy, self.go, self.threads = threading.Event(), threading.Event(), []
        self._real = tracking.log_folder
        monkeypatch.setattr(tracking, "log_folder", self._log_folder)

    def _log_folder(self, run_id, folder, place=None, stopped=None):
        if folder.name == "losses":
            self.threads.append(threading.current_thread())
            self.busy.set()
            while not (self.go.wait(0.01) or stopped.is_set()):
                pass
        self._real(run_id, folder, place, stopped)


@pytest.fixture
def slow_store(store, monkeypatch):
    return SlowStore(monkeypatch)


def on_training(monkeypatch, number, call):
    """Have something called when a trial with this number trains, after its first pause."""
    real = trial_module.train

    def train(steps, loader, recipe, seeds, **more):
        for checkpoint in real(steps, loader, recipe, seeds, **more):
            if seeds == recipe.trial_seeds(number):
                call()
            yield checkpoint

    monkeypatch.setattr(trial_module, "train", train)


def test_the_next_trial_trains_while_one_is_uploaded(slow_store, data, monkeypatch):
    def let_go():
        assert slow_store.busy.wait(LONG), "trial 0 is on its way"
        assert list(statuses().values()) == ["RUNNING", "RUNNING"]
        slow_store.go.set()

    on_training(monkeypatch, 1, let_go)
    records = run(data, 2, measures=("losses",))
    assert threading.current_thread() not in slow_store.threads
    assert statuses() == {"trial 0": "FINISHED", "trial 1": "FINISHED"}
    losses = [record.measure("losses") for record in records]
    assert not np.array_equal(*losses)
    for record, expected in zip(records, losses, strict=True):
        found = tracking.read_trials([record.run_id], "losses", record.updates, record.fingerprint)[:, 0]
        np.testing.assert_array_equal(found, expected)
    assert not list((work_folder() / "trials").iterdir())


def test_an_interrupted_training_ends_the_upload_and_keeps_its_trial(slow_store, data, monkeypatch):
    def interrupt():
        assert slow_store.busy.wait(LONG)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        on_training(patch, 1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(data, 2)
    assert statuses() == {"trial 0": "KILLED", "trial 1": "KILLED"}
    done = [Ledger(folder).done for folder in (work_folder() / "trials").iterdir()]
    assert sorted(done) == [False, True]
    slow_store.go.set()
    on_training(monkeypatch, 0, lambda: pytest.fail("trial 0 is trained again"))
    records = run(data, 2)
    assert all(mlflow.MlflowClient().get_run(record.run_id).info.status == "FINISHED" for record in records)


def test_a_failing_training_lets_finished_trials_be_uploaded(slow_store, data, monkeypatch):
    def fail():
        assert slow_store.busy.wait(LONG)
        slow_store.go.set()
        raise ValueError("trial 1 is ill")

    on_training(monkeypatch, 1, fail)
    with pytest.raises(ValueError, match="trial 1 is ill"):
        run(data, 2)
    assert statuses() == {"trial 0": "FINISHED", "trial 1": "FAILED"}


def test_an_error_of_an_upload_ends_the_training_of_the_next_trial(store, data, monkeypatch):
    failed = threading.Event()

    def refuse(*_):
        failed.set()
        raise ValueError("trial 0: losses are damaged")

    monkeypatch.setattr(tracking, "log_folder", refuse)
    on_training(monkeypatch, 1, lambda: failed.wait(LONG))
    with pytest.raises(ValueError, match="trial 0: losses are damaged"):
        run(data, 3)
    assert "trial 2" not in statuses(), "the third trial never began"


def test_a_server_that_goes_away_amid_an_upload_is_tried_again_at_the_end(store, data, monkeypatch):
    real, calls = tracking.log_folder, []

    def flaky(*arguments):
        calls.append(threading.current_thread())
        if len(calls) == 1:
            raise TrackingError("the tracking server does not answer")
        real(*arguments)

    monkeypatch.setattr(tracking, "log_folder", flaky)
    run(data, 2)
    assert calls[0] is not threading.current_thread()
    assert calls[-1] is threading.current_thread(), "what waited was sent when all was trained"
    assert statuses() == {"trial 0": "FINISHED", "trial 1": "FINISHED"}


def test_networks_are_exported_while_nothing_trains(store, data, monkeypatch):
    """Building and exporting draw from generators that a training shares."""
    exported, real = [], tracking.log_model

    def log_model(*arguments):
        exported.append(threading.current_thread())
        real(*arguments)

    monkeypatch.setattr(tracking, "log_model", log_model)
    plain = run(data, 3, measures=("losses",))
    for record in plain:
        mlflow.MlflowClient().delete_run(record.run_id)
    with_models = run(data, 3, measures=("losses",), with_model=["trial 1", "trial 2"])
    assert exported == [threading.current_thread()] * 2
    for one, other in zip(plain, with_models, strict=True):
        assert one.run_id != other.run_id
        np.testing.assert_array_equal(one.measure("losses"), other.measure("losses"))
