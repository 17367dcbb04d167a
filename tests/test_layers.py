"""Arrows between the rooms of the house run down only. Read from the source, so that an import in a function counts."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "easiness"

# One row a room: the rooms of the house that it may import. CONTRIBUTING.md shows the same picture.
MAY_IMPORT = {
    "__main__": "commandline",
    "commandline": "machine",
    "machine": "",
    "files": "machine",
    "recipes": "",
    "datasets": "machine files recipes architectures",
    "architectures": "recipes",
    "loaders": "machine recipes datasets",
    "trials": "machine files recipes datasets architectures loaders",
    "analysis": "",
    "figures": "",
    "tracking": "machine files",
    "runs": "machine files commandline recipes datasets architectures loaders trials analysis figures tracking",
    "integrations": "trials runs",
    "reporting": "files analysis figures tracking runs",
    "studies": "machine recipes tracking runs reporting",
    "benchmarks": "machine recipes datasets architectures loaders trials analysis figures tracking runs reporting",
}

# Where torch may be imported; elsewhere nobody waits for it, and arrays are numpy's.
TORCH = ("architectures", "datasets.torchvision_sets", "loaders", "trials", "benchmarks", "integrations")
TORCH += ("runs.setup", "runs.tracked_trials", "runs.recorder", "runs.ablate")

# The room of each foreign thing.
ONE_ROOM = {
    "mlflow": ("tracking",),
    "matplotlib": ("figures",),
    "ray": ("trials.engines.ray",),
    "fire": ("commandline",),
    "jinja2": ("reporting", "runs.pages"),
    "lightning": ("integrations.lightning",),
    "transformers": ("integrations.transformers",),
}

NUMERIC = {"numpy", "pandas", "scipy", "sklearn", *sys.stdlib_module_names}


def modules():
    """Modules of the package by dotted name, without the door."""
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


def module_of(imported, known):
    """Module of the package that an imported name is, or lies in; "" for the package's door."""
    parts = imported.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts)


def lies_in(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def complaints(name, source, known, is_package=False):
    """What is wrong with the imports of one module; nothing if all is well."""
    room = name.split(".")[0]
    if room not in MAY_IMPORT:
        return [f"{name} has no row in MAY_IMPORT"]
    wrong = []
    for imported in imports(source, name, is_package):
        top = imported.split(".")[0]
        if top == "easiness":
            target = module_of(imported, known)
            if not target:
                wrong.append(f"{name} imports {imported} through the package's door, or it is not there")
            elif target.split(".")[0] not in (room, *MAY_IMPORT[room].split()):
                wrong.append(f"{name} imports {target}")
        elif top in ONE_ROOM and not lies_in(name, ONE_ROOM[top]):
            wrong.append(f"{name} imports {top}, which is for {', '.join(ONE_ROOM[top])}")
        elif top in ("torch", "torchvision") and not lies_in(name, TORCH):
            wrong.append(f"{name} imports {top}")
        elif room == "analysis" and top not in NUMERIC:
            wrong.append(f"{name} imports {top}, and is to know arrays only")
    return wrong


@pytest.mark.parametrize("name", modules())
def test_arrows_run_down(name):
    known = modules()
    path = known[name]
    assert complaints(name, path.read_text(), known, path.name == "__init__.py") == []


def test_no_module_imports_itself_in_a_circle():
    known = modules()
    edges = {
        name: {
            module_of(each, known)
            for each in imports(path.read_text(), name, path.name == "__init__.py")
            if each.startswith("easiness.")
        }
        - {"", name}
        for name, path in known.items()
    }
    while edges:
        free = [name for name, below in edges.items() if not below & edges.keys()]
        assert free, f"these import each other in a circle: {', '.join(edges)}"
        for name in free:
            del edges[name]


def test_every_room_has_a_row():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "_."}
    assert rooms == {room for room in MAY_IMPORT if room != "__main__"}


def test_the_house_is_small():
    entries = [path for path in PACKAGE.iterdir() if path.name[0] not in "_."]
    assert len(entries) <= 16
    for path in (PACKAGE.parent / "entrypoints").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 10, path.name


def parameters(function):
    arguments = function.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


@pytest.mark.parametrize("name", modules())
def test_no_function_has_more_than_eight_parameters(name):
    """But for the public calls, whose parameters are the options of the command line."""
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.FunctionDef) and "public" not in map(ast.unparse, node.decorator_list):
            assert len(parameters(node)) <= 8, f"{name}.{node.name}"


KNOWN = dict.fromkeys(
    (
        "trials",
        "trials.training",
        "trials.trial",
        "analysis.scores",
        "analysis.sets",
        "tracking",
        "runs.setup",
        "runs.pages",
        "runs.match.reading",
        "loaders",
        "loaders.ffcv",
        "figures",
        "figures.style",
        "reporting.page",
    )
)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("loaders.ffcv", "from easiness.trials.trial import run_trial"),
        ("loaders.ffcv", "from easiness import trials"),
        ("loaders.ffcv", "def f():\n    import easiness.trials"),
        ("loaders.ffcv", "from ..trials.training import train"),
        ("trials.training", "import mlflow.pytorch"),
        ("trials.training", "from easiness import easiest"),
        ("trials.training", "import ray"),
        ("analysis.scores", "import torch"),
        ("analysis.scores", "from easiness.trials.training import train"),
        ("analysis.scores", "from matplotlib import pyplot"),
        ("tracking", "import torch"),
        ("tracking", "from easiness import figures"),
        ("figures.style", "import torch"),
        ("figures.style", "from easiness.analysis.scores import deciles"),
        ("figures", "from .style import save\nfrom ..trials import x"),
        ("runs.match.reading", "import torch"),
        ("runs.match.reading", "from jinja2 import Environment"),
        ("reporting.page", "from easiness.loaders import Batch"),
        ("attic", "import os"),
    ],
)
def test_an_arrow_that_runs_up_is_seen(name, source):
    assert len(complaints(name, source, KNOWN, is_package=name == "figures")) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("trials.trial", "from easiness.trials.training import train\nimport torch\nimport json"),
        ("trials.trial", "from easiness.loaders import Batch"),
        ("analysis.sets", "import numpy as np\nfrom easiness.analysis.scores import tie_keys\nimport scipy.stats"),
        ("tracking", "import mlflow\nimport pandas"),
        ("figures.style", "import matplotlib.style\nimport numpy"),
        ("loaders.ffcv", "import numba\nfrom . import protocol"),
        ("runs.setup", "import torch"),
        ("runs.pages", "from jinja2 import Environment"),
    ],
)
def test_an_arrow_that_runs_down_is_fine(name, source):
    assert complaints(name, source, KNOWN) == []
