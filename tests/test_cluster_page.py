"""The array job of docs/cluster.md, as it is written there: a loop stands in for SLURM, and every task is elsewhere."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import pytest

import easiness

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = {
    name: block
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL)
    for name in re.findall(r"(?m)^# (\w+)$", block)
}

# Runs every task of an array in a folder of its own, with a disk of its own; a job without an array is one task.
SBATCH = """#!/usr/bin/env bash
set -eu
first=0 last=0
for word in "$@"; do
    case "$word" in --array=*) bounds="${word#*=}" first="${bounds%-*}" last="${bounds#*-}" ;; esac
done
for ((task = first; task <= last; task++)); do
    node="$NODES/${!#}-$task"
    mkdir -p "$node"
    (cd "$node" && SCRATCH="$node" SLURM_ARRAY_TASK_ID=$task bash "$OLDPWD/${!#}" >&2)
done
echo 1
"""


@pytest.fixture
def server(empty_store, tmp_path):
    """Address of a tracking server that passes artifacts on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "mlflow.db").write_bytes(empty_store.read_bytes())
    words = ["--host=127.0.0.1", f"--port={port}", "--workers=1", "--artifacts-destination=artifacts"]
    program = [sys.executable, "-m", "mlflow", "server", *words, "--backend-store-uri=sqlite:///mlflow.db"]
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    own["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight processes, for language models
    with open(tmp_path / "server" / "log", "w") as log:
        process = subprocess.Popen(
            program, cwd=tmp_path / "server", env=own, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert process.poll() is None, (tmp_path / "server" / "log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.slow
def test_the_array_of_the_page_is_taken_over_by_its_score(server, tmp_path, monkeypatch):
    submitted, programs = tmp_path / "submitted", tmp_path / "bin"
    submitted.mkdir()
    programs.mkdir()
    program(programs / "easiness", f'#!/bin/sh\nexec "{sys.executable}" -m easiness "$@"\n')
    program(programs / "sbatch", SBATCH)
    for name in ("trial", "score"):
        (submitted / f"{name}.sh").write_text(BLOCKS[name])
    own = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "EASINESS_"))}
    own |= {"PATH": f"{programs}{os.pathsep}{own['PATH']}", "PYTHONPATH": str(ROOT), "NODES": str(tmp_path / "nodes")}
    own |= {name: "" for name in re.findall(r"(\w+)=", BLOCKS["settings"]) if name.isupper()}
    own |= {"MLFLOW_TRACKING_URI": server, "MLFLOW_EXPERIMENT_NAME": "pictures", "TRIALS": "2"}
    own |= {"OPTIONS": "model=tests.tiny_model:build epochs=1 limit=100 limit_val=50 precision=float32"}
    own |= {"EASINESS_WORK": str(tmp_path / "submitting")}
    done = subprocess.run(["bash", "-euc", BLOCKS["submit"]], cwd=submitted, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trainings  2\n" in done.stdout
    assert sorted(path.name for path in (tmp_path / "nodes").iterdir()) == ["score.sh-0", "trial.sh-0", "trial.sh-1"]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client = mlflow.MlflowClient(server)
    runs = client.search_runs([client.get_experiment_by_name("pictures").experiment_id])
    kinds = {run.info.run_id: run.data.tags["easiness.kind"] for run in runs}
    assert sorted(kinds.values()) == ["score", "trial", "trial"], "score trains nothing of its own"
    (scored,) = (run_id for run_id, kind in kinds.items() if kind == "score")
    scores = easiness.load_scores(scored, tracking_uri=server)
    assert {trial["run_id"] for trial in scores.manifest.trials} == kinds.keys() - {scored}
    assert [trial["trial"] for trial in scores.manifest.trials] == [0, 1]
