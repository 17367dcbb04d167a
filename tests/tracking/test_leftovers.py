"""What is closed when a run ends badly, and what the next one finds and clears."""

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from easiness import tracking
from easiness.tracking import TrackingError

HOUR = 3_600_000


def status(run_id):
    return mlflow.MlflowClient().get_run(run_id).info.status


def made_by_mlflow_run(folder, age=HOUR):
    """A run as `mlflow run` makes it, before its program has said anything."""
    start = int(1000 * time.time()) - age
    return mlflow.MlflowClient().create_run("0", start, tags={"mlflow.source.name": str(folder)}).info.run_id


def next_command():
    with tracking.tracked_run("match", "the next") as run_id:
        pass
    assert status(run_id) == "FINISHED"


def test_a_run_whose_program_never_spoke_is_closed(store):
    left, starting = made_by_mlflow_run(Path.cwd()), made_by_mlflow_run(Path.cwd(), age=0)
    elsewhere = made_by_mlflow_run("/somewhere/else")
    reading = made_by_mlflow_run(Path.cwd())  # a program may read its data for an hour
    program = [sys.executable, "-c", "input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, env=os.environ | {"MLFLOW_RUN_ID": reading}) as child:
        next_command()
        child.communicate(b"\n")
    assert [status(run_id) for run_id in (left, starting, elsewhere, reading)] == ["KILLED", *["RUNNING"] * 3]


def test_a_run_of_an_earlier_process_with_the_same_id_is_closed(store):
    with tracking.tracked_run("main", "m") as parent:
        run_id = tracking.start_child(parent, "score", "s", {})
    pid, start = mlflow.MlflowClient().get_run(run_id).data.tags["easiness.process"].split("-")
    next_command()
    assert status(run_id) == "RUNNING", "this process is at work"
    tracking.set_tags(run_id, {"easiness.process": f"{pid}-{int(start) - 1}"})
    next_command()
    assert status(run_id) == "KILLED"


def test_logged_models_half_way_up_are_deleted_and_whole_ones_are_not_sent_again(store):
    client = mlflow.MlflowClient()

    def models():
        return {model.name for model in client.search_logged_models(["0"])}

    with tracking.tracked_run("score", "s") as parent:
        run_id = tracking.start_child(parent, "trial", "t", {})
        for name, outcome in (("failed", "FAILED"), ("whole", "READY")):
            client.finalize_logged_model(client.create_logged_model("0", name, run_id).model_id, outcome)
        client.create_logged_model("0", "another", parent)
        tracking.log_model(run_id, None, None)  # nothing to send: the whole one is there
        assert models() == {"whole", "another"}
        client.create_logged_model("0", "cut off", run_id)
        tracking.end_child(run_id, "FAILED")
        assert models() == {"whole", "another"}


def test_a_stopped_run_is_killed_within_seconds(store, monkeypatch):
    patience = []
    end_run = mlflow.end_run

    def end(status):
        patience.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        end_run(status)

    monkeypatch.setattr(mlflow, "end_run", end)
    with pytest.raises(KeyboardInterrupt), tracking.tracked_run("score", "s") as run_id:
        raise KeyboardInterrupt
    assert status(run_id) == "KILLED"
    next_command()
    assert patience == ["2", "20"]


def test_the_first_error_survives_a_store_that_is_gone(store, monkeypatch):
    def gone(status):
        raise MlflowException("API request to http://127.0.0.1:1/x failed with exception Connection refused")

    monkeypatch.setattr(mlflow, "end_run", gone)
    with pytest.raises(TrackingError, match="trial 0 is finished and kept"), tracking.tracked_run("score", "s"):
        raise TrackingError("trial 0 is finished and kept")
    with pytest.raises(TrackingError, match="does not answer"), tracking.tracked_run("score", "s"):
        pass
    monkeypatch.undo()
    while mlflow.active_run():
        mlflow.end_run()


def test_a_run_says_from_its_first_moment_whose_it_is(store, monkeypatch):
    made = []
    create_run = mlflow.MlflowClient.create_run

    def create(self, *arguments, **options):
        run = create_run(self, *arguments, **options)
        made.append(self.get_run(run.info.run_id).data.tags)
        return run

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", create)
    with tracking.tracked_run("main", "m") as parent, tracking.tracked_run("match", "below"):
        tracking.start_child(parent, "trial", "t", {})
    assert [tags["easiness.kind"] for tags in made] == ["main", "match", "trial"]
    assert [tags["mlflow.runName"] for tags in made] == ["m", "below", "t"]
    assert all({"easiness.process", "easiness.host", "easiness.folder"} <= set(tags) for tags in made)
