"""Commands in processes of their own that are killed at random moments, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import mlflow

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("group", "parent", "worker")
TINY = "tests.tiny_model:build"

# A container has ten seconds between SIGTERM and SIGKILL.
GRACE_S = 10


def start(entry_point, words, folder, uri, experiment):
    """Start an entry point as a process group of its own, in a folder."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment |= {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": experiment}
    options = [f"--{key}={value}" for key, value in words.items()]
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"entrypoints.{entry_point}", *options],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def finish(*words):
    """Run an entry point to its end."""
    process = start(*words)
    assert process.wait(timeout=600) == 0, (words[2] / "log").read_text()[-3000:]
    while session(process.pid):  # the server of the workers ends just after
        time.sleep(0.05)


def session(leader):
    """Living processes of the session that a process leads, or led."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def kill(process, rng, number, target):
    """Send a signal to the whole group, to its first process, or to one of the others."""
    if target == "group":
        os.killpg(process.pid, number)
    else:
        others = [pid for pid in session(process.pid) if pid != process.pid]
        pid = rng.choice(others) if target == "worker" and others else process.pid
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def killed_at_random(process, rng, seconds, number, target):
    """Kill at a moment of the first `seconds`, if the command runs that long; returns what outlives it, and how."""
    try:
        process.wait(timeout=rng.uniform(0, seconds))
        return []
    except subprocess.TimeoutExpired:
        kill(process, rng, number, target)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=600 if target == "worker" else GRACE_S)  # another worker may go on to the end
    deadline = time.monotonic() + GRACE_S
    while (left := session(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    named = [(pid, number.name, target, Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:3]) for pid in left]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    return named


def left_running(uri):
    """Ids of the runs that are still RUNNING."""
    client = mlflow.MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run.info.run_id for run in client.search_runs(experiments, "attributes.status = 'RUNNING'")]


def latest(uri, experiment, kind):
    """Id of the latest finished run of a kind."""
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment).experiment_id
    query = f"tags.`easiness.kind` = '{kind}' and attributes.status = 'FINISHED'"
    return client.search_runs([found], query, order_by=["attributes.start_time DESC"])[0].info.run_id
