"""What every test may use: the path of the real data, and the switch for slow tests."""

import os
import shutil
import signal
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says nothing on a shared machine.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# What a test leaves unfinished stays in its own folder.
os.environ["EASINESS_WORK"] = ".easiness"

# A shell lets its background jobs ignore Ctrl-C, and what they start inherits that; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")
    parser.addoption("--campaign", action="store_true", help="run the hostile campaign of tests/campaign, too")


# Files whose tests start whole programs: first, so that no worker is left with them alone at the end.
LONGEST = (
    "test_end_to_end.py",
    "test_run_sh.py",
    "test_team_server.py",
    "test_report.py",
    "test_distributed.py",
    "test_ablate.py",
    "test_engines.py",
)


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    for mark, length in (("slow", "minutes"), ("campaign", "an hour with the others")):
        if not config.getoption(f"--{mark}"):
            skip = pytest.mark.skip(reason=f"takes {length}; run with --{mark}")
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(skip)


def pytest_terminal_summary(terminalreporter):
    """Print what each part of the campaign counted: `record_property("campaign", "kills of score | 60 kills, …")`."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    lines = sorted({str(value) for name, value in properties if name == "campaign"})
    if lines:
        terminalreporter.section("campaign")
        for line in lines:
            terminalreporter.write_line(f"| {line} |")


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real images and published scores beside the checkout; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the real data in {SHARED_DATA.relative_to(SHARED_DATA.parents[2])}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A tracking store with its tables and nothing in them; making one takes MLflow several seconds."""
    import mlflow

    folder = tmp_path_factory.mktemp("store")
    mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def store(empty_store, tmp_path):
    """Address of a fresh store of this test's own, which is the current one, in a current folder of its own."""
    with fresh_store(empty_store, tmp_path) as address:
        yield address


@contextmanager
def fresh_store(empty_store, folder):
    """Make a copy of the empty store the current one, and its folder the current folder."""
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        copy = folder / "mlflow.db"
        shutil.copy(empty_store, copy)
        with sqlite3.connect(copy) as database:
            database.execute("UPDATE experiments SET artifact_location = ?", (str(folder / "mlruns" / "0"),))
        database.close()
        mlflow.set_tracking_uri(f"sqlite:///{copy}")
        yield f"sqlite:///{copy}"
        mlflow.set_tracking_uri(None)
