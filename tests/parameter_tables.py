"""docs/parameters.md, made from MLproject and the docstrings: `python -m tests.parameter_tables`."""

import importlib
import inspect
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parameters.md"
HEAD = """# Parameters

`./run.sh -e NAME -P key=value …`, or `mlflow run . -e NAME -P key=value …`. Leave a parameter out (or say `auto`) for
the recipe's default. From Python they are keywords of `easiness.NAME(…)`.
"""
DEBUG = "Show the traceback of an error."


def described(documentation):
    """Texts of numpydoc's Parameters or Attributes, by name."""
    texts, names = {}, []
    inside = False
    for line in inspect.cleandoc(documentation or "").splitlines():
        if re.fullmatch(r"(Parameters|Attributes)", line):
            inside = True
        elif line and not line.startswith(" ") and " : " not in line and not re.fullmatch(r"[\w, ]+|-+", line):
            inside = False
        elif inside and (head := re.fullmatch(r"([\w, ]+?)(?: : .*)?", line)) and not line.startswith(" "):
            names = [name.strip() for name in head[1].split(",")]
        elif inside and line.startswith(" "):
            for name in names:
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


def page():
    """Markdown of all entry points: one paragraph and one table each."""
    project = yaml.safe_load((ROOT / "MLproject").read_text())
    parts = []
    for name, entry in project["entry_points"].items():
        function = getattr(importlib.import_module(f"entrypoints.{name}"), name)
        texts = described(function.__doc__) | {"debug": DEBUG}
        first = inspect.cleandoc(function.__doc__).split("\n\n")[0].replace("\n", " ")
        rows = [
            f"| `{key}` | `{spec['default']}` | {texts.get(key, '')} |".replace("| `` |", "| |")
            for key, spec in entry["parameters"].items()
        ]
        parts.append(
            f"## {name}\n\n{first}\n\n| parameter | default | what it is |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    PAGE.write_text(page())
