"""Names of strangers, of classes, files, datasets, models and runs, through score, match and report."""

import csv
import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

import easiness
from easiness.commandline import printable
from easiness.figures.text_fit import file_name
from easiness.tracking import read_table, to_csv
from tests.tiny_reports import log_scores
from tests.tiny_scores import tiny_planted

MARKUP = "<script>alert(1)</script>"
HOSTILE = (
    MARKUP.replace("/", "\N{FRACTION SLASH}"),
    "=HYPERLINK(\"http:x\")",
    "+1+cmd|' C'!A0",
    "-2+3",
    "@SUM(A1)",
    "\x1b[31mred\x07",
    "line\nbreak\ttab\r",
    "\u202egnp.exe",
    "猫 & ÿ $x_1$ {{7*7}} {% x %}",
    "'='",
    "x" * 250,
    "x\\..\\x",
)  # fmt: skip
# These stand in manifests and tags, where a file system has no say.
PATHS = ("../../x", "a/b", "/tmp/absolute", "..", ".", "a\0b", "x" * 300, "~", "", "C:\\x", *HOSTILE)


def texts(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


def obeyed(text):
    """Characters that a terminal would obey, but for those that progress bars are made of."""
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf") and char not in "\n\r"} - {"\x1b"}


def check_files(folder, names):
    """Nothing in a folder of artifacts or of a report is obeyed by who opens it: the number of files that were read."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".csv", ".html", ".md")]
    for path in paths:
        content = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            formulas = [cell for cell in texts(path) if re.match(r"[=+\-@\t\r](?![\d.]+(e[+-]\d+)?$)", cell)]
            assert formulas == [], path
        else:
            assert not any(name in content for name in names if "<" in name), path
            assert "<script>alert" not in content
    return len(paths)


@pytest.mark.parametrize(
    "class_names", [HOSTILE[:4], *(pytest.param(HOSTILE[i : i + 4], marks=pytest.mark.campaign) for i in (4, 8))]
)
def test_classes_and_files_with_hostile_names(store, tmp_path, capsys, class_names):
    images, rng = tmp_path / "images", np.random.default_rng(0)
    for name in class_names:
        for row in range(10):
            path = images / name / f"{name[:200]}{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    options = {"dataset": "folder", "data": images, "trials": 2, "epochs": 1, "resolution": 16, "engine": "inline"}
    options |= {"log_models": "none", "shift": 1, "verbose": True, "allow_outliers": True}
    models = ("tests.tiny_model:build", "tests.tiny_model:build_wide")
    a, b = (easiness.score(model=model, **options) for model in models)
    matched = easiness.match(runs=[a.run_id, b.run_id], data=images, draws=10, threads=1, class_name=class_names[0])
    report = easiness.report(name="hostile", folder=tmp_path / "reports", verbose=True)
    assert set(a.table["class_name"]) == set(class_names)
    assert set(easiness.load_scores(b.run_id).table["class_name"]) == set(class_names)
    assert {entry.run.kind for entry in report.selected} == {"score", "match"}
    assert check_files(report.folder, HOSTILE) > 20
    for run_id in (a.run_id, matched.run_id):
        folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id))
        assert check_files(folder, HOSTILE) > 2
    suspicious = read_table(report.folder / "tables" / "images_suspicious.csv")
    assert set(suspicious["class_name"]) <= set(class_names)
    for result in (a, matched, report):
        print(printable(result.summary()))
    said = capsys.readouterr()
    assert obeyed(said.out) == obeyed(said.err) == set()
    assert "\x1b[31m" not in said.out + said.err
    # A table writes the end of a line as `\\n`.
    assert all(printable(name).split("\n")[0][:10] in said.out for name in class_names)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(1, 25))])
def test_manifests_with_hostile_names(store, tmp_path, seed):
    rng = np.random.default_rng(seed)
    dataset = tiny_planted(40)
    name, model, run_name, *class_names = rng.permutation(np.array(PATHS, object))[: 3 + dataset.num_classes]
    run_id = log_scores(tmp_path, replace(dataset, name=name, class_names=tuple(class_names)), model, seed)
    mlflow.MlflowClient().set_tag(run_id, "mlflow.runName", run_name)
    before = outside(tmp_path)
    report = easiness.report(name="hostile", folder=tmp_path / "reports")
    assert len(report.selected) == 1
    assert outside(tmp_path) == before
    assert {path.parent.name for path in report.folder.rglob("*") if path.is_file()} == {
        *("hostile", "figures", "tables", "scores")
    }
    assert check_files(report.folder, PATHS) > 5
    manifest = json.loads((report.folder / "manifest.json").read_text())
    written = {str(path.relative_to(report.folder)) for path in report.folder.rglob("*") if path.is_file()}
    assert set(manifest["outputs"]) == written - {"manifest.json"}


def outside(folder):
    """Files around a report."""
    kept = (folder / "reports" / "hostile", folder / "mlruns")
    paths = [path for path in (*folder.parent.glob("*"), *folder.rglob("*"))]
    return {path for path in paths if path.is_file() and not any(path.is_relative_to(each) for each in kept)}


def test_file_names_are_files_and_stay_apart(record_property):
    names = [file_name(name) for name in PATHS]
    assert len(set(names)) == len(PATHS)
    for name in names:
        assert re.fullmatch(r"[\w-][\w.-]*", name)
        assert len(name.encode()) <= 100
        assert file_name(name) == name
    what = "none is a path, a formula, markup or an order to a terminal"
    record_property("campaign", f"hostile names | {len(PATHS)} of datasets, classes, files, models and runs: {what}")


def test_a_spreadsheet_runs_no_cell_and_a_reader_gets_every_cell_back(tmp_path):
    import pandas as pd

    words = [*HOSTILE, "''=1", "'x", "-1", "-1e5", "null", "+.5", "-", "="]
    table = pd.DataFrame({"class_name": words, "z": np.linspace(-1, 1, len(words)), "=a": words})
    (tmp_path / "t.csv").write_text(to_csv(table), encoding="utf-8", newline="")
    assert not [cell for cell in texts(tmp_path / "t.csv") if re.match(r"[=@\t\r]|[+-](?![\d.])", cell)]
    read = read_table(tmp_path / "t.csv")
    assert read["class_name"].tolist() == words
    assert list(read) == ["class_name", "z", "=a"]
    assert read["z"].dtype == float
