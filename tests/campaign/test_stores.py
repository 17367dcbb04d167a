"""Stores that fail: servers that refuse one request in five, are slow, or die; full disks; kills while one is made."""

import os
import random
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

import easiness
from easiness import tracking
from easiness.files import work_folder
from easiness.runs import tracked_trials
from easiness.tracking import TrackingError
from easiness.tracking.server import client
from tests.artifact_server import artifact_server
from tests.conftest import fresh_store
from tests.tracking.test_store import make

OPTIONS = {
    "model": "tests.tiny_model:build", "trials": 2, "epochs": 2, "limit": 200, "limit_val": 50,
    "engine": "inline", "log_models": "none",
}  # fmt: skip


def score():
    """Bytes of the table of a score run."""
    return easiness.score(**OPTIONS).table.to_csv()


@pytest.fixture(scope="module")
def healthy(empty_store, tmp_path_factory):
    """The table as a store gives it that never fails."""
    with fresh_store(empty_store, tmp_path_factory.mktemp("healthy")):
        return score()


@pytest.fixture
def record(request, record_property):
    """Line of the campaign's table, with the number of seeds: all of them with --campaign, else one."""
    seeds = 20 if request.config.getoption("--campaign") else 1
    return lambda line: record_property("campaign", line.format(seeds=seeds))


@pytest.fixture
def remote(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    for name in ("FACTOR", "JITTER"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_BACKOFF_{name}", "0")
    monkeypatch.setattr(tracked_trials, "PATIENCE_S", (0,) * 20)
    with artifact_server() as server:
        yield server


def one_in_five(seed):
    chance = random.Random(seed)
    lock = threading.Lock()

    def fails(method, path):
        with lock:
            return 500 if chance.random() < 0.2 else None

    return fails


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(1, 20))])
def test_a_server_that_refuses_one_request_in_five_changes_nothing(remote, healthy, seed, record):
    remote.fails = one_in_five(seed)
    for _ in range(20):
        try:
            table = score()
            break
        except TrackingError as error:
            assert "fails (500)" in str(error)
    assert table == healthy
    runs = mlflow.search_runs(["1"], output_format="list")
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    assert not [path for path in Path(".easiness/trials").glob("*/*") if path.name != "lock"]
    record("a server that answers 500 to one request in five | {seeds} scores, repeated until done: the same table")


@pytest.mark.parametrize("dies_after", [4, pytest.param(9, marks=pytest.mark.campaign)])
def test_a_server_that_dies_costs_nothing_but_the_same_command_again(remote, healthy, monkeypatch, dies_after, record):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tracked_trials, "PATIENCE_S", (0,))
    remote.fails = lambda method, path: 503 if len(remote.requests) > dies_after else None
    with pytest.raises(TrackingError) as caught:
        score()
    assert "fails (503)" in str(caught.value)
    kept = work_folder() / "trials"
    assert f"trial 1 are finished and kept in {kept}: the same command uploads them" in str(caught.value)
    remote.fails = lambda method, path: None
    monkeypatch.setattr("easiness.trials.trial.train", None)  # nothing is trained again
    assert score() == healthy
    record("a server that dies while trials are uploaded | results wait on disk; the same command trains nothing again")


def test_a_slow_server_is_waited_for(remote, healthy, record):
    pause = threading.Event()
    remote.fails = lambda method, path: pause.wait(0.05) or None
    assert score() == healthy
    record("a server that takes 50 ms for each answer | the same table")


@contextmanager
def small_disk(folder, size):
    """A file system of its own, or a skipped test where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_of_artifacts_costs_nothing_but_the_same_command_again(store, healthy, monkeypatch, record):
    monkeypatch.setattr(tracked_trials, "PATIENCE_S", (0,))
    disk = Path("mlruns").absolute()
    with small_disk(disk, "64k"):
        (disk / "others.bin").write_bytes(bytes(40_000))
        with pytest.raises(
            TrackingError, match=f"the artifact store {disk}/.* has a full disk: .*; free space there"
        ) as caught:
            score()
        assert "the same command uploads them" in str(caught.value)
    monkeypatch.setattr("easiness.trials.trial.train", None)
    assert score() == healthy
    record("a full disk of artifacts | named with its remedy; the same command uploads what waited")


def test_a_full_disk_of_the_store_is_named(empty_store, tmp_path):
    with small_disk(tmp_path / "disk", "2m"), fresh_store(empty_store, tmp_path / "disk"):
        with pytest.raises(TrackingError, match="the store .*mlflow.db has a full disk: .*; free space there"):
            fill_and_open()
        (tmp_path / "disk" / "filling").unlink()
        with tracking.tracked_run("score", "after it was freed"):
            pass


def fill_and_open():
    with tracking.tracked_run("score", "s") as run_id:
        subprocess.run(["dd", "if=/dev/zero", "of=filling"], stderr=subprocess.DEVNULL)
        for number in range(1000):
            tracking.set_tags(run_id, {f"filling.{number}": "x" * 4000})


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.campaign) for n in range(1, 20))])
def test_a_kill_while_the_store_is_made_costs_nothing_but_the_same_command_again(tmp_path, seed, record):
    assert make(tmp_path, random.Random(seed).randrange(300)).returncode in (-signal.SIGKILL, 0)
    assert make(tmp_path, 10**6).returncode == 0
    assert len(client(f"sqlite:///{tmp_path / 'mlflow.db'}").search_experiments()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    record("kills while mlflow.db is made | {seeds}, each followed by the same command: whole every time")
