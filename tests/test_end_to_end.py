"""As a user runs it: `mlflow run` in a process of its own, killed and started again, against a store and a server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import easiness
from tests.tiny_reports import log_scores
from tests.tiny_scores import tiny_planted

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
TINY = "tests.tiny_model:build"
WORDS = {"model": TINY, "trials": "3", "epochs": "2", "limit": "200", "limit_val": "50", "log_models": "none"}


@pytest.fixture
def checkout(tmp_path, empty_store):
    """A copy of the project with a store of its own, as a fresh clone has."""
    copy = tmp_path / "a checkout"  # people have blanks in their paths
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in tracked.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file() and not name.startswith("reports/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    shutil.copy(empty_store, copy / "mlflow.db")
    return copy


def environment(checkout, **more):
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    path = f"{BIN}{os.pathsep}{own['PATH']}"
    return own | {"PATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{checkout / 'mlflow.db'}"} | more


def command(entry_point="score", **words):
    given = [part for key, value in (WORDS | words).items() for part in ("-P", f"{key}={value}")]
    return [BIN / "mlflow", "run", ".", "--env-manager=local", "-e", entry_point, *given]


def run(checkout, *, env=None, **words):
    done = subprocess.run(
        command(**words), cwd=checkout, env=env or environment(checkout), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def score_runs(uri):
    return mlflow.MlflowClient(uri).search_runs(
        ["0"], "tags.`easiness.kind` = 'score'", order_by=["attributes.start_time DESC"]
    )


def parquet(uri, run_id):
    return Path(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/scores/easiness.parquet", tracking_uri=uri))


def test_killed_in_the_middle_and_run_again_is_the_same_to_the_bit(checkout, tmp_path):
    uri = f"sqlite:///{checkout / 'mlflow.db'}"
    slow = {"trials": "2", "epochs": "8", "limit": "600", "engine": "inline"}
    whole = run(checkout, **slow)
    (uncut,) = score_runs(uri)
    assert uncut.info.run_id in whole.stdout
    expected = parquet(uri, uncut.info.run_id).read_bytes()

    # The same again in a store that knows nothing of it.
    (checkout / "mlflow.db").rename(checkout / "other.db")
    shutil.rmtree(checkout / ".easiness")
    fresh = environment(checkout, MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path / 'fresh.db'}")
    started = subprocess.Popen(
        command(**slow),
        cwd=checkout,
        env=fresh,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    seen = set()
    while len(seen) < 2:  # a trial's folder is removed as soon as it is on the server, so the second is trial 1
        assert started.poll() is None, "it ended before it could be killed: " + started.stdout.read().decode()
        assert time.monotonic() < deadline
        # Where the second checkpoint is, the ledger vouches for the first.
        seen |= {place.parents[1].name for place in checkout.glob(".easiness/trials/*/checkpoints/epoch=000002.pt")}
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()

    again = run(checkout, env=fresh, **slow)
    uri = fresh["MLFLOW_TRACKING_URI"]
    assert "trial 0  found finished in run" in again.stderr + again.stdout
    assert "trial 1  resumes at its checkpoint" in again.stderr + again.stdout
    latest, cut_off = score_runs(uri)
    assert (latest.info.status, cut_off.info.status) == ("FINISHED", "KILLED")
    assert parquet(uri, latest.info.run_id).read_bytes() == expected

    third = run(checkout, env=fresh, **slow)
    assert (third.stderr + third.stdout).count("found finished in run") == 2
    assert parquet(uri, score_runs(uri)[0].info.run_id).read_bytes() == expected
    assert list((checkout / ".easiness" / "trials").iterdir()) == []


@pytest.fixture
def server(tmp_path):
    """A real tracking server with proxied artifacts, on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path / "server"
    place.mkdir()
    words = ["server", f"--backend-store-uri=sqlite:///{place / 'server.db'}", f"--artifacts-destination={place}"]
    with open(place / "log", "w") as log:
        process = subprocess.Popen(
            [BIN / "mlflow", *words, "--host=127.0.0.1", f"--port={port}", "--workers=1"],
            cwd=place, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")},
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 400
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5)
            break
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert process.poll() is None, (place / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield address
    os.killpg(process.pid, signal.SIGKILL)  # its own end takes as long as the machine is busy
    process.wait()


@pytest.mark.parametrize("kind", ["store", "server"])
def test_download_and_load_scores_agree_to_the_bit(kind, checkout, tmp_path, request):
    uri = f"sqlite:///{checkout / 'mlflow.db'}" if kind == "store" else request.getfixturevalue("server")
    env = environment(checkout, MLFLOW_TRACKING_URI=uri)
    run(checkout, env=env)
    (found,) = score_runs(uri)
    elsewhere = tmp_path / "downloaded"
    subprocess.run(
        [BIN / "mlflow", "artifacts", "download", "-r", found.info.run_id, "-d", elsewhere],
        cwd=tmp_path, env=env, check=True, capture_output=True,
    )  # fmt: skip
    scores = easiness.load_scores(found.info.run_id, tracking_uri=uri)
    pd.testing.assert_frame_equal(scores.table, pd.read_parquet(elsewhere / "scores" / "easiness.parquet"))
    np.testing.assert_array_equal(scores.trajectory_TN, np.load(elsewhere / "scores" / "trajectory.npy"))
    assert scores.manifest.to_json() == (elsewhere / "scores" / "manifest.json").read_text()
    assert scores.losses_TMN.shape == (2, 3, 200)
    place = tmp_path / "last trial"  # of each trial the same, and the command takes seconds
    subprocess.run(
        [BIN / "mlflow", "artifacts", "download", "-r", scores.manifest.trial_runs[-1], "-a", "losses",
         "-d", place],
        cwd=tmp_path, env=env, check=True, capture_output=True,
    )  # fmt: skip
    for t, update in enumerate(scores.manifest.updates):
        (file,) = place.rglob(f"updates={update:06d}.npy")
        np.testing.assert_array_equal(scores.losses_TMN[t, -1], np.load(file))
    preview = {path.name for path in (elsewhere / "preview").iterdir()}
    assert {"index.html", "histogram.png", "class_counts.csv"} <= preview


def test_a_wrong_word_is_one_line_and_a_failed_run(checkout):
    done = subprocess.run(
        command(model="alexnett"), cwd=checkout, env=environment(checkout), capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "error: unknown model 'alexnett'; did you mean alexnet" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (failed,) = mlflow.MlflowClient(f"sqlite:///{checkout / 'mlflow.db'}").search_runs(["0"])
    assert failed.info.status == "FAILED"


def test_a_report_is_the_same_on_a_machine_that_knows_only_the_server(checkout, server, tmp_path, monkeypatch):
    dataset = tiny_planted(50)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(server)
    try:
        for seed, model in enumerate(("ant", "bee")):
            log_scores(tmp_path / "made", dataset, model, seed)
    finally:
        mlflow.set_tracking_uri(None)
    other = tmp_path / "another machine"
    shutil.copytree(checkout, other)
    made = []
    for machine in (checkout, other):
        env = environment(machine, MLFLOW_TRACKING_URI=server, HOME=str(machine))
        words = [BIN / "mlflow", "run", ".", "--env-manager=local", "-e", "report", "-P", "name=page"]
        done = subprocess.run(words, cwd=machine, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        folder = machine / "reports" / "page"
        made.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    manifests = [json.loads(files.pop("manifest.json")) for files in made]
    assert made[0] == made[1]
    assert {"tables/planted_models.csv", "tables/planted_suspicious.tex", "index.html"} <= set(made[0])
    assert b"no picture" not in made[0]["index.html"]
    assert manifests[0]["server"] == server
    assert manifests[0]["outputs"] == manifests[1]["outputs"]
