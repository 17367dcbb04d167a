"""Wrong commands by table: each is refused in one line that names the option, and nothing was read or opened before."""

import os
import shlex
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from easiness import tracking
from easiness.commandline import command
from tests.conftest import fresh_store
from tests.tiny_scores import draw_losses, log_score_run, tiny_planted

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("wrong_commands.txt")

# What reads data, opens runs, or starts processes.
TRIPWIRES = (
    "easiness.tracking.tracked_run",
    "easiness.runs.setup.open_dataset",
    "easiness.runs.setup.prepare_workers",
    "easiness.runs.match.pictures.open_dataset",
    "easiness.runs.prepare.list_imagenet",
    "easiness.runs.prepare.pack",
    "easiness.benchmarks.run.open_dataset",
)

# Commands that were refused as they should be.
REFUSED = []


def table():
    """Entry point, words, and what the line says, for each command."""
    entries = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            names = line.strip("[]").split()
        elif line and not line.startswith("#"):
            words, _, says = line.partition(" | ")
            entries += [(name, words.strip(), says.removeprefix("| ")) for name in names]
    return entries


@pytest.fixture(scope="module")
def places(empty_store, tmp_path_factory):
    """A store with a score run and a match run, and files that a command may name."""
    folder = tmp_path_factory.mktemp("wrong")
    images, full = folder / "images", folder / "images" / "full"
    full.mkdir(parents=True)
    (full / "thesis.tex").write_text("mine")
    (folder / "a.text").write_text("no table")
    os.mkfifo(folder / "fifo.csv")
    with fresh_store(empty_store, folder):
        dataset = tiny_planted(20)
        recipe = import_module("easiness.recipes.recipe").make_recipe("planted", "net").settings()
        score = log_score_run(folder, dataset, draw_losses(dataset, 0), recipe=recipe)
        with tracking.tracked_run("match", "match") as match:
            pass
        yield {
            "images": images, "full": full, "text": folder / "a.text", "fifo": folder / "fifo.csv", "long": "x" * 300,
            "score": score, "match": match,
        }  # fmt: skip


@pytest.fixture
def tripwires(monkeypatch):
    for name in TRIPWIRES:
        module, _, attribute = name.rpartition(".")
        trip = lambda *_, name=name, **__: pytest.fail(f"{name} was called")  # noqa: E731
        monkeypatch.setattr(import_module(module), attribute, trip)


@pytest.mark.parametrize(("entry", "words", "says"), table())
def test_a_wrong_command_is_refused_before_anything_is_done(places, tripwires, monkeypatch, capsys, entry, words, says):
    function = getattr(import_module(f"entrypoints.{entry}"), entry)
    monkeypatch.setattr(sys, "argv", [entry, *shlex.split(words.format(**places))])
    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        command(function)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("error: ")
    assert says.format(**places) in line
    REFUSED.append((entry, words))


def test_the_table_is_long(record_property):
    assert len(table()) >= 200
    assert len(set(table())) == len(table())
    figures = (
        f"{len(REFUSED)} of {len(table())} refused in one line with the option's name, nothing read, no run opened"
    )
    record_property("campaign", f"wrong commands | {figures}")


@pytest.mark.campaign
@pytest.mark.parametrize(("entry", "words", "says"), table()[::25])
def test_a_wrong_command_as_a_process(places, entry, words, says):
    done = subprocess.run(
        [sys.executable, "-m", f"entrypoints.{entry}", *shlex.split(words.format(**places))],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{places['images'].parent / 'mlflow.db'}"},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert says.format(**places) in line
