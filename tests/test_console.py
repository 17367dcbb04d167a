"""The console command, and the wheel that ships it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from easiness.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]


def easiness(*words, cwd, **environment):
    program = [sys.executable, "-m", "easiness", *words]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = own | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True)


def test_commands_are_the_entry_points():
    assert set(COMMANDS) == set(yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"])


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_names_every_command(words, tmp_path):
    done = easiness(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_help_imports_nothing_that_takes_seconds(tmp_path):
    program = "import sys; sys.argv = ['easiness', '--help']; from easiness.__main__ import main; main(); "
    program += "print({'torch', 'mlflow', 'fire', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("set()\n"), done.stderr


def test_unknown_commands_are_refused_with_the_nearest(tmp_path):
    done = easiness("scor", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown command 'scor'; did you mean score?\n"


def test_help_of_a_command_shows_its_parameters(tmp_path):
    done = easiness("score", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Score every training example")
    assert "fraction : float\n    Share of the examples" in done.stdout


@pytest.mark.parametrize("word", ["fraction=2", "--fraction=2"])
def test_words_may_have_dashes_or_none(word, tmp_path):
    done = easiness("score", word, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: fraction must be above 0")
    assert list(tmp_path.iterdir()) == [], "refused before anything is made"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("setuptools", reason="setuptools, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(_sources(folder / "sources"))], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def _sources(folder):
    """A copy without what earlier builds left, which setuptools would take in."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in names.stdout.splitlines():
        if name.startswith("easiness/") or "/" not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_the_wheel_holds_one_module_and_its_templates(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"easiness"}
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "easiness").rglob("templates/*")}
    assert templates
    assert templates <= set(names)
    scripts = next(name for name in names if name.endswith("entry_points.txt"))
    assert "easiness = easiness.__main__:main" in zipfile.ZipFile(wheel).read(scripts).decode()


def test_the_wheel_scores_and_matches_from_an_empty_folder(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    (tmp_path / "empty").mkdir()
    places = {"PYTHONPATH": str(tmp_path / "installed"), "EASINESS_WORK": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    small = (
        "limit=60",
        "limit_val=20",
        "trials=2",
        "epochs=1",
        "resolution=32",
        "log_models=none",
        "allow_outliers=true",
    )
    runs = []
    for model in ("wide_resnet_10_1", "densenet_bc_10_12"):
        done = easiness("score", f"model={model}", *small, cwd=tmp_path / "empty", **places)
        assert done.returncode == 0, done.stderr
        runs.append(next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("run id")))
    done = easiness("match", f"runs={','.join(runs)}", cwd=tmp_path / "empty", **places)
    assert done.returncode == 0, done.stderr
    done = easiness("report", f"runs={','.join(runs)}", "name=first", cwd=tmp_path / "empty", **places)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "empty" / "reports" / "first" / "index.html").is_file()
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"mlflow.db", "mlruns", "reports"}
    assert (tmp_path / "cache" / "easiness" / "trials").is_dir(), "what is unfinished waits in the user's cache"
