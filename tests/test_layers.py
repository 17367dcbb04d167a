"""The house has floors, and arrows go down only. Read from the source, so that an import inside a function counts."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "easiness"

# Rooms by floor. A package stands for all of its modules that are not named themselves.
FLOORS = {
    "F0": "version host recipes randomness datasets crew architectures torchvision_import processor paper_runs",
    "F1": "loaders packing",
    "F2": "distributed steps training measuring",
    "F3": "trials trial_folder engines progress",
    "F4": "tracked_trials trial_log ablation",
    "P1": "scores split_half sets paired",
    "P2": "matching diversity selection",
    "P3": "figures",
    # Data sets with their scores, for people: between the columns, and free of torch.
    "tables": "tables exporting thumbnails paper matched.external",
    "pages": "pages",
    "preview": "preview ablation.preview",
    "matched": "matched",
    "reporting": "reporting",
    "tracking": "tracking",
    "commandline": "commandline",
    "experiments": "experiments",
    "benchmarks": "benchmarks",
}

# From which floors a room may import, besides its own.
BELOW = {
    "F0": "",
    "F1": "F0",
    "F2": "F0 F1",
    "F3": "F0 F1 F2",
    "F4": "F0 F1 F2 F3 P1 P2 tracking",
    "P1": "",
    "P2": "P1",
    "P3": "P1 P2",
    "tables": "F0 P1 P2",
    "pages": "",
    "preview": "F0 P1 P2 P3 tables pages",
    "matched": "F0 F1 P1 P2 P3 tables pages tracking",
    "reporting": "F0 P1 P2 P3 tables pages preview tracking matched",
    "tracking": "F0",
    "commandline": "",
    "experiments": "F0 F1 F2 F3 tracking commandline",
    "benchmarks": "F0 F1 F2 F3 F4 P1 P2 P3 tables tracking experiments",
}

NUMPY_ONLY = ("P1", "P2")
TORCH_BESIDES_F = ("experiments", "benchmarks")
# What only these rooms may import, and what the rest of the house must not know.
ONE_ROOM = {
    "mlflow": {"tracking"},
    "matplotlib": {"figures"},
    "ffcv": {"loaders.ffcv", "packing"},
    "fire": {"commandline"},
    "ray": {"engines.ray"},
}


def rooms():
    """Modules of the package by dotted name, without its own door."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(source, name, is_package):
    """Absolute dotted names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = f"easiness.{name}".split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def floor_of(name):
    by_room = {room: floor for floor, names in FLOORS.items() for room in names.split()}
    return by_room.get(name, by_room.get(name.split(".")[0]))


def room_of(imported, known):
    """Module of the package that an imported name is, or lies in; "" for the package's door."""
    parts = imported.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts)


def complaints(name, source, known, is_package=False):
    """What is wrong with the imports of one module; nothing if all is well."""
    floor = floor_of(name)
    if floor is None:
        return [f"{name} has no floor yet: give it one in FLOORS"]
    wrong = []
    for imported in imports(source, name, is_package):
        top = imported.split(".")[0]
        if top == "easiness":
            room = room_of(imported, known)
            if not room:
                wrong.append(f"{name} imports {imported} through the package's door, or it is not there")
            elif floor_of(room) not in (floor, *BELOW[floor].split()):
                wrong.append(f"{name} ({floor}) imports {room} ({floor_of(room)})")
        elif top in ONE_ROOM and not any(name == room or name.startswith(f"{room}.") for room in ONE_ROOM[top]):
            wrong.append(f"{name} imports {top}, which is for {', '.join(sorted(ONE_ROOM[top]))}")
        elif floor in NUMPY_ONLY and top not in {"numpy", *sys.stdlib_module_names}:
            wrong.append(f"{name} imports {top}, and is to know numpy only")
        elif top in ("torch", "torchvision") and not floor.startswith("F") and floor not in TORCH_BESIDES_F:
            wrong.append(f"{name} imports {top}")
    return wrong


@pytest.mark.parametrize("name", rooms())
def test_arrows_go_down(name):
    known = rooms()
    path = known[name]
    assert complaints(name, path.read_text(), known, path.name == "__init__.py") == []


def test_rooms_of_one_floor_do_not_go_in_circles():
    known = rooms()
    edges = {
        name: {
            room_of(each, known)
            for each in imports(path.read_text(), name, path.name == "__init__.py")
            if each.startswith("easiness.")
        }
        - {"", name}
        for name, path in known.items()
    }
    # A package's door opens its own rooms, and a room that names its package by the door goes in a circle.
    while edges:
        free = [name for name, below in edges.items() if not below & edges.keys()]
        assert free, f"these import each other in a circle: {', '.join(edges)}"
        for name in free:
            del edges[name]


KNOWN = {
    "training": None,
    "trials": None,
    "scores": None,
    "sets": None,
    "tracking": None,
    "loaders": None,
    "loaders.ffcv": None,
    "figures.style": None,
    "figures": None,
}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("training", "from easiness.trials import run_trial"),
        ("training", "from easiness import trials"),
        ("training", "def f():\n    import easiness.trials"),
        ("training", "from .trials import run_trial"),
        ("loaders.ffcv", "from ..training import train"),
        ("training", "import mlflow.pytorch"),
        ("training", "from easiness import easiest"),
        ("training", "import ffcv"),
        ("scores", "import torch"),
        ("scores", "import pandas as pd"),
        ("scores", "from easiness.training import train"),
        ("scores", "from matplotlib import pyplot"),
        ("tracking", "import torch"),
        ("tracking", "from easiness import figures"),
        ("figures.style", "import torch"),
        ("figures.style", "from easiness.tracking import load_scores"),
        ("figures", "from .style import save\nfrom ..trials import x"),
        ("attic", "import os"),
    ],
)
def test_an_arrow_that_runs_up_is_seen(name, source):
    assert len(complaints(name, source, KNOWN, is_package=name == "figures")) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("trials", "from easiness.training import train\nimport torch\nimport json"),
        ("trials", "from easiness.loaders import Batch"),
        ("sets", "import numpy as np\nfrom easiness.scores import tie_keys\nfrom collections.abc import Sequence"),
        ("tracking", "import mlflow\nimport pandas"),
        ("figures.style", "import matplotlib.style\nimport numpy"),
        ("loaders.ffcv", "import ffcv\nfrom . import protocol"),
    ],
)
def test_an_arrow_that_runs_down_is_fine(name, source):
    assert complaints(name, source, KNOWN) == []
