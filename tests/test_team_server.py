"""The server of docs/server.md, as it is written there: refused without a password, and no secret is left anywhere."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import pytest

from easiness import tracking
from easiness.tracking import TrackingError

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = dict(re.findall(r"```sh\n# (\w+)\n(.*?)```", (ROOT / "docs" / "server.md").read_text(), re.DOTALL))
ADMIN, ANN, KEY = "the-admins-passw0rd", "p4ss-w0rd-of-ann", "k3y-of-the-sessions"


def as_postgres(*words):
    """A command as the user postgres where root asks: PostgreSQL refuses to be root's."""
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else list(words)


@pytest.fixture
def database():
    """Variables of libpq for a PostgreSQL of this test, which listens on a socket alone."""
    controls = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    missing = [name for name in ("psycopg2", "flask_wtf") if importlib.util.find_spec(name) is None]
    missing += [] if controls else ["PostgreSQL (apt-get install postgresql)"]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    programs = controls[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    words = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    control = as_postgres(programs / "pg_ctl", "-D", folder / "data", "-w")
    try:
        subprocess.run(as_postgres(programs / "initdb", "-D", folder / "data", "--auth=trust", "--no-sync"), **words)
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], **words)
        variables = {"PGHOST": str(folder), "PGUSER": "postgres" if os.geteuid() == 0 else os.environ["USER"]}
        for name in ("mlflow", "mlflow_auth"):
            subprocess.run([programs / "createdb", name], env=os.environ | variables, **words)
        yield variables
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], cwd=folder, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(database, tmp_path):
    """The address of the server, on which ann has an account, and its folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = tmp_path / "srv"
    place.mkdir()
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    own |= {"MLFLOW_AUTH_ADMIN_USERNAME": "admin", "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN}
    own |= database | {"MLFLOW_FLASK_SERVER_SECRET_KEY": KEY, "PORT": port}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    with open(place / "log", "w") as log:
        words = {"cwd": place, "env": own, "stdout": log, "stderr": log, "start_new_session": True}
        process = subprocess.Popen(["bash", "-euc", BLOCKS["server"]], **words)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert process.poll() is None, (place / "log").read_text()
                time.sleep(0.2)
        account = own | {"NAME": "ann", "PASSWORD": ANN}
        subprocess.run(["bash", "-euc", BLOCKS["account"]], env=account, check=True, stdout=subprocess.DEVNULL)
        yield address, place
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # nothing of it is used again, and its own end takes a minute
            process.wait()


def refused(address, monkeypatch, name=None, password=None):
    """What a caller is told who opens a run in the experiment of all."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    for variable, value in (("USERNAME", name), ("PASSWORD", password)):
        if value:
            monkeypatch.setenv(f"MLFLOW_TRACKING_{variable}", value)
        else:
            monkeypatch.delenv(f"MLFLOW_TRACKING_{variable}", raising=False)
    with pytest.raises(TrackingError) as caught, tracking.tracked_run("score", "s"):
        raise AssertionError("the work has begun")
    return str(caught.value)


def test_the_server_of_the_docs_is_safe(server, tmp_path, monkeypatch):
    address, place = server
    assert "asks for a user and a password (401)" in refused(address, monkeypatch)
    assert "does not accept the password of ann (401)" in refused(address, monkeypatch, "ann", "another-passw0rd")
    assert "forbids this to ann (403)" in refused(address, monkeypatch, "ann", ANN)

    work = tmp_path / "work"
    work.mkdir()
    given = {"MLFLOW_TRACKING_URI": address.replace("//", f"//ann:{ANN}@"), "MLFLOW_EXPERIMENT_NAME": "anns"}
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    words = ["--model=tests.tiny_model:build", "--trials=1", "--epochs=1", "--limit=100", "--limit_val=50"]
    program = [sys.executable, "-m", "entrypoints.score", *words]
    environment = own | given | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

    # A page of what is on the server, made in a folder that has never seen the runs.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment |= {"EASINESS_WORK": str(elsewhere / "kept")}
    program = [sys.executable, "-m", "entrypoints.report", "--name=anns"]
    page = subprocess.run(program, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert page.returncode == 0, page.stdout + page.stderr

    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("anns").experiment_id])
    assert {run.data.tags["easiness.kind"]: run.info.status for run in runs} == dict.fromkeys(
        ("report", "score", "trial"), "FINISHED"
    )
    (scored,) = [run for run in runs if run.data.tags["easiness.kind"] == "score"]
    assert scored.info.run_id in (elsewhere / "reports" / "anns" / "index.html").read_text()
    stored = [f"{run.data.params} {run.data.tags}" for run in runs]
    files = [path for path in (*place.rglob("*"), *work.rglob("*"), *elsewhere.rglob("*")) if path.is_file()]
    assert {"easiness.parquet", "MLmodel", "log"} <= {path.name for path in files}
    texts = [
        done.stdout,
        done.stderr,
        page.stdout,
        page.stderr,
        *stored,
        *(path.read_bytes().decode("latin-1") for path in files),
    ]
    for secret in (ADMIN, ANN, KEY):
        assert not [text for text in texts if secret in text]
