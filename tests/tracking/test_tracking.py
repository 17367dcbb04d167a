import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import mlflow
import pytest

from easiness import tracking
from easiness.runs.score.reading import load_scores
from easiness.tracking import DataDescription, TrackingError

FINGERPRINT = "ab" * 32
ROOT = Path(__file__).resolve().parents[2]


def test_failed_run_is_marked_failed_and_a_good_one_finished(store):
    with pytest.raises(ZeroDivisionError), tracking.tracked_run("score", "bad") as bad:
        raise ZeroDivisionError
    with tracking.tracked_run("score", "good") as good:
        pass
    client = mlflow.MlflowClient()
    assert client.get_run(bad).info.status == "FAILED"
    run = client.get_run(good)
    assert run.info.status == "FINISHED"
    assert (run.info.run_name, run.data.tags["easiness.kind"]) == ("good", "score")


def test_run_made_by_mlflow_run_is_taken_over(store, monkeypatch):
    made = mlflow.MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    with tracking.tracked_run("score", "mine") as run_id:
        assert run_id == made
    assert len(mlflow.MlflowClient().search_runs(["0"])) == 1


def test_a_run_beside_the_active_one_is_where_the_others_are(store, monkeypatch):
    client = mlflow.MlflowClient()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "birds")
    first, second = (tracking.start_run("trial", "mine", {"easiness.model": "net"}) for _ in range(2))
    monkeypatch.setenv("MLFLOW_RUN_ID", first)
    third = tracking.start_run("trial", "inside", {})
    runs = [client.get_run(run_id) for run_id in (first, second, third)]
    assert {run.info.experiment_id for run in runs} == {client.get_experiment_by_name("birds").experiment_id}
    assert [run.data.tags.get("mlflow.parentRunId") for run in runs] == [None, None, first]
    assert {run.info.status for run in runs} == {"RUNNING"}
    assert mlflow.active_run() is None
    assert runs[0].data.tags["easiness.kind"] == "trial"
    assert "mlflow.source.name" in runs[0].data.tags


def test_settings_do_not_collide_with_declared_parameters(store):
    with tracking.tracked_run("score", "s") as run_id:
        mlflow.log_param("learning_rate", "1e-3")  # as `mlflow run` logs it, unparsed
        tracking.log_settings(run_id, {"learning_rate": 0.001, "milestones": (0.5, 0.75), "score_at": ()})
    params = mlflow.MlflowClient().get_run(run_id).data.params
    assert params["learning_rate"] == "1e-3"
    assert params["recipe.learning_rate"] == "0.001"
    assert params["recipe.milestones"] == "0.5,0.75"


def test_epochs_logged_twice_are_there_once(store):
    epochs = [{"epoch": e, "update": 7 * e, "time": 1000 + e, "val_accuracy": 0.1 * e} for e in range(1, 1200)]
    with tracking.tracked_run("train", "t") as run_id:
        tracking.log_epochs(run_id, epochs[:3])
        tracking.log_epochs(run_id, epochs)
    history = mlflow.MlflowClient().get_metric_history(run_id, "val_accuracy")
    assert [(m.step, m.value, m.timestamp) for m in history] == [(e, 0.1 * e, 1000 + e) for e in range(1, 1200)]
    assert set(mlflow.MlflowClient().get_run(run_id).data.metrics) == {"val_accuracy"}


def test_trials_are_found_by_digest_the_latest_finished_first(store):
    with tracking.tracked_run("score", "s") as parent:
        runs = {}
        for name, digest, status, tags in [
            ("old", "d1", "FINISHED", {"easiness.manifest": "ab"}),
            ("new", "d1", "FINISHED", {"easiness.manifest": "ab"}),
            ("bad", "d2", "FAILED", {"easiness.manifest": "ab"}),
            ("without checksums", "d4", "FINISHED", {}),
            ("damaged", "d5", "FINISHED", {"easiness.manifest": "ab", "easiness.damaged": "a bit"}),
        ]:
            runs[name] = tracking.start_child(parent, "trial", name, {"easiness.trial_digest": digest} | tags)
            tracking.end_child(runs[name], status)
        tags = {"easiness.trial_digest": "d3", "easiness.manifest": "ab"}
        going = tracking.start_child(parent, "trial", "going", tags)
        digests = ["d1", "d2", "d3", "d4", "d5", "d6"]
        assert tracking.find_trials(parent, digests) == {"d1": [runs["new"], runs["old"]]}
        tracking.end_child(going, "FINISHED")
        assert tracking.find_trials(parent, ["d3"]) == {"d3": [going]}
    assert mlflow.MlflowClient().get_run(going).data.tags["mlflow.parentRunId"] == parent


PROGRAM = """
import os, signal, sys
from easiness import tracking
with tracking.tracked_run("main", "m"), tracking.tracked_run("score", "s") as run_id:
    tracking.start_child(run_id, "trial", "t", {})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_running_is_closed_by_the_next(store, monkeypatch):
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True)
    client = mlflow.MlflowClient()
    cut_off = [run.info.run_id for run in client.search_runs(["0"])]
    assert [client.get_run(run_id).info.status for run_id in cut_off] == ["RUNNING"] * 3
    own = tracking.start_child(cut_off[0], "trial", "own", {})
    with monkeypatch.context() as patch:
        patch.setattr("easiness.tracking.opening.HOST", "elsewhere")
        with tracking.tracked_run("match", "on another machine, which cannot tell"):
            assert [client.get_run(run_id).info.status for run_id in cut_off] == ["RUNNING"] * 3
    with tracking.tracked_run("match", "m"):
        assert [client.get_run(run_id).info.status for run_id in cut_off] == ["KILLED"] * 3
        assert client.get_run(own).info.status == "RUNNING"


def test_data_are_shown_as_inputs(store):
    data = DataDescription("cifar10", "train", "cifar.tar.gz", FINGERPRINT, 50_000, 10)
    with tracking.tracked_run("score", "s") as run_id:
        tracking.log_data(run_id, data)
    (found,) = mlflow.MlflowClient().get_run(run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("cifar10", FINGERPRINT[:32])
    assert json.loads(found.dataset.source)["fingerprint"] == FINGERPRINT
    assert found.tags[0].value == "train"


def test_dead_server_is_one_line_within_seconds(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(TrackingError, match="does not answer") as caught:
        load_scores("0" * 32, address)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingError, match=address), tracking.tracked_run("score", "s"):
        raise AssertionError("no run can have begun")


@contextmanager
def hiccuping_server(listing, download):
    """A server of one run; answers to listings by folder and to downloads are a status, or what it should send."""
    artifacts = "/api/2.0/mlflow-artifacts/artifacts"
    info = {"run_id": "r", "experiment_id": "0", "status": "FINISHED", "artifact_uri": "mlflow-artifacts:/0/r"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            address = urlsplit(self.path)
            if address.path == "/api/2.0/mlflow/runs/get":
                answer = {"run": {"info": info, "data": {}}}
            elif address.path == artifacts:
                folder = parse_qs(address.query)["path"][0].removeprefix("0/r").strip("/")
                answer = listing if isinstance(listing, int) else {"files": listing.get(folder, [])}
            else:
                answer = download if address.path.startswith(artifacts) else 404
            status, body = (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


LISTED = {
    "": [{"path": "scores", "is_dir": True}],
    "scores": [{"path": "manifest.json", "is_dir": False, "file_size": 2}],
}


@pytest.mark.parametrize(
    ("listing", "download", "path", "raised", "message"),
    [
        (LISTED, 500, "scores/manifest.json", TrackingError, "scores/manifest.json of run r cannot be fetched: .*500"),
        (LISTED, 403, "scores/manifest.json", TrackingError, "403"),
        (LISTED, 500, "scores", TrackingError, "artifact scores of run r cannot be fetched: .*500"),
        (500, 404, "scores/manifest.json", TrackingError, "500"),
        (LISTED, 404, "scores/other.json", FileNotFoundError, "run r has no artifact scores/other.json"),
        (LISTED, 500, "preview/thumbnails.npz", FileNotFoundError, "run r has no artifact preview/thumbnails.npz"),
    ],
)
def test_what_a_server_does_not_give_is_not_called_missing(
    monkeypatch, tmp_path, listing, download, path, raised, message
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with hiccuping_server(listing, download) as address, pytest.raises(raised, match=message) as caught:
        tracking.fetch("r", path, address.replace("//", "//me:secret@"), folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_server_gives_is_fetched(tmp_path):
    with hiccuping_server(LISTED, {"a": 1}) as address:
        folder = tracking.fetch("r", "scores", address, folder=tmp_path)
    assert json.loads((folder / "manifest.json").read_text()) == {"a": 1}


def test_a_run_inside_another_is_its_child_and_both_end(store):
    with tracking.tracked_run("main", "whole") as whole:
        with tracking.tracked_run("score", "first") as first:
            pass
        with pytest.raises(ZeroDivisionError), tracking.tracked_run("score", "broken"):
            raise ZeroDivisionError
        with tracking.tracked_run("match", "second") as second:
            pass
    client = mlflow.MlflowClient()
    for child in (first, second):
        assert client.get_run(child).data.tags["mlflow.parentRunId"] == whole
    assert client.get_run(whole).info.status == "FINISHED"


def test_runs_are_listed_by_kind_the_latest_first_whatever_their_state(store):
    with tracking.tracked_run("score", "a") as a:
        tracking.log_metrics(a, {"reliability": 0.5})
    with pytest.raises(ZeroDivisionError), tracking.tracked_run("match", "b") as b:
        raise ZeroDivisionError
    with tracking.tracked_run("train", "c"):
        pass
    found = tracking.runs_of_kind("Default", ["score", "match"])
    assert {(run.run_id, run.kind, run.status) for run in found} == {(a, "score", "FINISHED"), (b, "match", "FAILED")}
    assert [run.started for run in found] == sorted((run.started for run in found), reverse=True)
    (record,) = tracking.runs_by_id([a])
    assert (record.name, record.metrics) == ("a", {"reliability": 0.5})
    assert tracking.experiment_of(a) == "Default"
    with pytest.raises(ValueError, match="there is no experiment 'x' on .*; there are Default"):
        tracking.runs_of_kind("x", ["score"])
    with pytest.raises(ValueError, match="there is no run no such id"):
        tracking.runs_by_id(["no such id"])


def test_rates_are_medians_by_model_and_resolution(store):
    with tracking.tracked_run("score", "s") as parent:
        for rate, model in [(10, "net"), (30, "net"), (20, "net"), (5, "other")]:
            child = tracking.start_child(parent, "trial", "t", {"easiness.trial_digest": f"{rate}"})
            tracking.log_settings(child, {"model": model, "resolution": 32})
            tracking.log_metrics(child, {"images_per_second": rate})
            tracking.end_child(child, "FINISHED")
        assert tracking.measured_rates(parent) == {("net", 32): 20.0, ("other", 32): 5.0}


@pytest.mark.parametrize(
    ("address", "shown", "page"),
    [
        ("http://me:secret@server:5000/", "http://server:5000/", "http://server:5000/#/experiments/7/runs/r"),
        ("https://server", "https://server", "https://server/#/experiments/7/runs/r"),
        ("sqlite:////home/me/mlflow.db", "sqlite:///mlflow.db", "http://127.0.0.1:5000/#/experiments/7/runs/r"),
    ],
)
def test_addresses_are_shown_without_passwords_and_folders(monkeypatch, address, shown, page):
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: address)
    assert tracking.public_address() == shown
    assert tracking.ui_address(tracking.RunRecord("r", "", "", "", "7", 0, {}, {})) == page
