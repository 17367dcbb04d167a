"""The promises of the top level: MLproject, conda.yaml and pyproject.toml agree with the code and with each other."""

import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from easiness.commandline import options_of, parse_options
from tests.parameter_tables import PAGE, page

ROOT = Path(__file__).resolve().parents[1]
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
ENTRY_POINTS = sorted(PROJECT["entry_points"])


def function_of(name):
    return getattr(importlib.import_module(f"entrypoints.{name}"), name)


def test_every_file_of_entrypoints_is_declared():
    files = {path.stem for path in (ROOT / "entrypoints").glob("*.py")} - {"__init__"}
    assert files == set(ENTRY_POINTS)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_declared_parameters_are_those_of_the_function(name):
    declared = PROJECT["entry_points"][name]["parameters"]
    assert set(declared) == set(options_of(function_of(name))) | {"debug"}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_declared_defaults_are_those_of_the_function(name):
    declared = {key: spec["default"] for key, spec in PROJECT["entry_points"][name]["parameters"].items()}
    del declared["debug"]
    parsed = parse_options(function_of(name), declared)
    assert parsed == {key: parameter.default for key, parameter in options_of(function_of(name)).items()}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_command_hands_over_every_parameter(name):
    entry = PROJECT["entry_points"][name]
    module, *words = entry["command"].removeprefix("python -m ").split()
    assert module == f"entrypoints.{name}"
    assert words == [f"--{key}={{{key}}}" for key in entry["parameters"]]


def test_types_are_those_that_mlflow_knows():
    types = {spec["type"] for entry in PROJECT["entry_points"].values() for spec in entry["parameters"].values()}
    assert types <= {"string", "float", "path", "uri"}


def test_conda_and_pip_install_the_same():
    (pip,) = [
        part["pip"]
        for part in yaml.safe_load((ROOT / "conda.yaml").read_text())["dependencies"]
        if isinstance(part, dict)
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ffcv = re.search(r"ffcv==[\d.]+", (ROOT / "environment.sh").read_text())[0]
    needs = {ffcv, *project["dependencies"], *project["optional-dependencies"]["ffcv"]}
    # With conda, cv2 is that of its own OpenCV, against which FFCV is compiled.
    assert set(pip) == {need for need in needs if not need.startswith("opencv")}
    assert len(pip) == len(set(pip))


def test_templates_are_installed_with_their_packages():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folders = (ROOT / "easiness").rglob("templates")
    packages = {".".join(folder.relative_to(ROOT).parent.parts) for folder in folders}
    assert declared == {package: ["templates/*"] for package in packages}


def test_every_dependency_has_a_bounded_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (line for group in groups for line in group):
        assert re.search(r">=[\d.]+,<[\d.]+$|==[\d.]+$", requirement), requirement


def test_page_of_parameters_is_that_of_mlproject_and_docstrings():
    assert PAGE.read_text() == page(), "run: python -m tests.parameter_tables"


def test_every_parameter_is_described():
    missing = [line for line in page().splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert missing == []


def test_the_lock_has_all_that_is_needed_within_its_bounds_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", (ROOT / "requirements.lock").read_text()).rstrip())
    locked = {}
    for entry in entries:
        pin, *hashes = entry.split(" \\\n    ")
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin
        requirement = Requirement(pin)
        (version,) = requirement.specifier
        locked.setdefault(requirement.name, []).append(version.version)
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    for line in (line for group in groups for line in group):
        needed = Requirement(line)
        assert all(version in needed.specifier for version in locked[needed.name]), line


def test_this_is_the_locked_set():
    lock = (ROOT / "requirements.lock").read_text()
    for line in re.findall(r"(?m)^([^#\s].*?) \\$", lock):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            try:
                installed = metadata.version(requirement.name)
            except metadata.PackageNotFoundError:
                continue  # of an extra, or of another build of torch
            assert installed in requirement.specifier, f"{line}, and {installed} is installed; run ./test.sh"
