"""run.sh as a user starts it and others stop it, in a checkout with a long path."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(sys.prefix)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the project, whose .venv is this one under another name, and is known to be built."""
    copy = tmp_path / "a checkout" / ("with a long path " * 6).strip()
    tracked = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in tracked.stdout.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file() and not name.startswith(("reports/", ".venv")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / ".venv").mkdir()
    for part in VENV.iterdir():
        if not part.name.startswith(".built"):
            (copy / ".venv" / part.name).symlink_to(part)
    functions = "source <(sed '/^if ! { : >>/,$d' environment.sh); _missing_for_ffcv \"$(_find_python)\""
    missing = subprocess.run(["bash", "-c", functions], cwd=copy, capture_output=True, text=True, check=True).stdout
    parts = ("pyproject.toml", "requirements.lock", "environment.sh")
    built_from = hashlib.sha256(b"".join((copy / name).read_bytes() for name in parts))
    (copy / ".venv" / ".built").write_text(f"{built_from.hexdigest()}  - without: {missing.strip()}\n")
    return copy


def start(checkout, entry_point, *words, **environment):
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return subprocess.Popen(
        [checkout / "run.sh", "-e", entry_point, *(part for word in words for part in ("-P", word))],
        cwd=checkout.parent,
        env=own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def living(session):
    """Command lines of the processes of a session."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def statuses(checkout):
    runs = mlflow.MlflowClient(f"sqlite:///{checkout / 'mlflow.db'}").search_runs(["0"])
    return {run.info.run_name: run.info.status for run in runs}


TRIALS = ("model=tests.tiny_model:build", "trials=2", "epochs=300", "limit=300", "limit_val=50", "engine=processes")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.campaign) for n in (signal.SIGINT, signal.SIGKILL))]
)
def test_a_signal_to_run_sh_alone_ends_all_and_closes_the_runs(checkout, number):
    program = start(checkout, "score", *TRIALS)
    try:
        while len(list(checkout.glob(".easiness/trials/*/ledger.json"))) < 2:
            assert program.poll() is None, program.stdout.read()
            time.sleep(0.05)
        while len(statuses(checkout)) < 3:  # a trial's run is opened by the parent, on its first report
            assert program.poll() is None, program.stdout.read()
            time.sleep(0.05)
        os.kill(program.pid, number)
        said, _ = program.communicate(timeout=120)  # its end is that of the last process that may write there
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
    assert living(program.pid) == []
    assert "Traceback" not in said
    assert "stopped; finished epochs are kept, and the same command resumes there" in said
    assert program.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    found = statuses(checkout)
    assert len(found) == 3
    # MLflow itself marks the run that it made FAILED, whatever the program has said.
    assert list(found.values()).count("KILLED") >= 2
    assert set(found.values()) <= {"KILLED", "FAILED"}
    if number != signal.SIGKILL:
        assert list((checkout / ".easiness" / "claims").iterdir()) == []
    left = {path.name.split("-")[0] for path in (checkout / ".easiness").iterdir()} - {"trials", "matplotlib", "claims"}
    assert left == ({"tmp"} if number == signal.SIGKILL else set())


class _Refusing(BaseHTTPRequestHandler):
    status = 401

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *words):
        pass


@contextmanager
def refusing(status):
    handler = type("Handler", (_Refusing,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not accept the password of ann (401)"),
        pytest.param(403, "forbids this to ann (403)", marks=pytest.mark.slow),
        pytest.param(0, "does not answer", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_refuses_is_one_line_without_the_password(checkout, status, said):
    with refusing(status) as host:
        address = f"http://ann:s3cret@{host if status else '127.0.0.1:9'}"
        more = {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        program = start(checkout, "score", *TRIALS, **more)
        output, _ = program.communicate(timeout=300)
    assert program.returncode == 1
    (line,) = output.splitlines()
    assert line.startswith(f"error: the tracking server http://{address.rpartition('@')[2]} {said}")
    assert "s3cret" not in output


@contextmanager
def read_only(folder):
    """A folder that nobody can write; of root, who may, by a mount of its own."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    for options in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
        done = subprocess.run(["mount", *options], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_checkout_that_cannot_be_written_is_one_line(tmp_path):
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("run.sh", "environment.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    with read_only(copy):
        done = subprocess.run([copy / "run.sh", "-e", "score"], capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {copy} cannot be written: its disk is full or read-only, or it is another user's;")
    assert done.stdout == ""
