import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from easiness.tracking import TrackingError, store
from easiness.tracking.server import client

ROOT = Path(__file__).resolve().parents[2]

# A store is made, and its process killed by itself after so many changes of the tables.
PROGRAM = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from easiness.tracking.store import open_store
left = int(sys.argv[1])
@event.listens_for(Engine, "before_cursor_execute")
def count(connection, cursor, statement, *_):
    global left
    left -= statement.startswith(("CREATE", "ALTER", "INSERT", "UPDATE"))
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
open_store("sqlite:///" + os.path.abspath("mlflow.db"))
"""


@pytest.fixture(autouse=True)
def _unknown():
    store.open_store.cache_clear()
    yield
    store.open_store.cache_clear()


def make(folder, changes):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", PROGRAM, str(changes)]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_process_killed_while_it_makes_the_store_leaves_none(tmp_path):
    for changes in (0, 90):
        assert make(tmp_path, changes).returncode == -signal.SIGKILL
        assert not (tmp_path / "mlflow.db").exists()
        assert [path.name[:7] for path in tmp_path.iterdir()] == [".store-"]
    done = make(tmp_path, 10**6)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    (experiment,) = client(f"sqlite:///{tmp_path / 'mlflow.db'}").search_experiments()
    assert experiment.artifact_location == str(tmp_path / "mlruns" / "0")


def test_of_two_that_make_a_store_the_first_is_kept(tmp_path, empty_store, monkeypatch):
    path = tmp_path / "mlflow.db"

    def make_slowly(address, _):
        shutil.copy(empty_store, address.removeprefix("sqlite:///"))
        path.write_bytes(b"of the faster one")
        return SimpleNamespace(engine=SimpleNamespace(dispose=lambda: None))

    monkeypatch.setattr(store, "SqlAlchemyStore", make_slowly)
    store.open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"of the faster one"


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
        "UPDATE alembic_version SET version_num = '451aebb31d03'",
        "DROP TABLE runs",
    ],
)
def test_a_store_that_was_cut_off_half_way_is_recognised(tmp_path, empty_store, damage):
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(damage)
    if damage == "DROP TABLE runs":
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM alembic_version")
    with pytest.raises(TrackingError, match=f"{path} was cut off while it was made, and holds no runs; .*rm '{path}'"):
        client(f"sqlite:///{path}")


def test_an_empty_file_is_recognised_and_a_damaged_one_is_not_thrown_away(tmp_path):
    (tmp_path / "empty.db").touch()
    (tmp_path / "damaged.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(TrackingError, match="cut off while it was made"):
        client(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(TrackingError, match=r"damaged.db is damaged \(file is not a database\); bring it back"):
        client(f"sqlite:///{tmp_path / 'damaged.db'}")


def test_an_older_store_with_runs_is_for_mlflow_to_judge(store, tmp_path):
    mlflow.MlflowClient().create_run("0")
    other = tmp_path / "older.db"
    shutil.copy("mlflow.db", other)
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(mlflow.MlflowException, match="mlflow db upgrade"):
        client(f"sqlite:///{other}")


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(TrackingError, match="the folder of the store .* is not there"):
        client(f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
