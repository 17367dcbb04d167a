"""The entry point `export` in this process."""

import io
import json
import sys
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from easiness import load_scores, tracking
from easiness.commandline import command
from easiness.runs.score.exporting import FORMATS, export
from tests.tiny_scores import draw_losses, log_score_run, tiny_planted


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["export", *words])
    command(export)


def call_wrongly(monkeypatch, capsys, *words):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *words)
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return line


def exported(kind):
    run = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'export'")[0]
    return tracking.fetch(run.info.run_id, FORMATS[kind]).read_text()


@pytest.fixture
def dataset():
    return tiny_planted(50)


@pytest.fixture
def run_id(store, tmp_path, dataset):
    spread = {"easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50}
    return log_score_run(tmp_path, dataset, draw_losses(dataset, 0), table=spread)


def test_csv_is_the_whole_table(run_id, monkeypatch, tmp_path):
    call(monkeypatch, f"--run={run_id}", "--out=deep/down.csv")
    expected = load_scores(run_id).table.assign(polarity="lower_is_easier", updates=8, in_sample=True)
    found = pd.read_csv(io.StringIO(exported("csv")), keep_default_na=False)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert (tmp_path / "deep" / "down.csv").read_text() == exported("csv")


def test_cleanlab_gets_qualities_in_the_order_of_the_data(run_id, monkeypatch, dataset):
    call(monkeypatch, f"--run={run_id}", "--to=cleanlab")
    found = pd.read_csv(io.StringIO(exported("cleanlab")))
    np.testing.assert_array_equal(found["given_label"], dataset.labels)
    assert set(found[["polarity", "updates", "in_sample"]].itertuples(index=False, name=None)) == {
        ("higher_is_better", 8, True)
    }
    np.testing.assert_allclose(found["label_quality"], np.exp(-load_scores(run_id).table["easiness"]))


def test_fiftyone_needs_files(run_id, monkeypatch, capsys):
    assert "planted has none; use to=csv" in call_wrongly(monkeypatch, capsys, f"--run={run_id}", "--to=fiftyone")


def test_fiftyone_gets_the_paths_of_files_that_are_there(store, tmp_path, monkeypatch, capsys, dataset):
    dataset = replace(dataset, name="folder")
    sources = [f"train/{label}/{row}.png" for row, label in enumerate(dataset.labels)]
    columns = {"source": sources, "easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50}
    run_id = log_score_run(tmp_path / "made", dataset, draw_losses(dataset, 0), table=columns, source="gone")
    words = (f"--run={run_id}", "--to=fiftyone")
    assert "say data=FOLDER of the images, which were scored at gone" in call_wrongly(monkeypatch, capsys, *words)
    (tmp_path / "empty").mkdir()
    assert "50 of 50 images are not there" in call_wrongly(monkeypatch, capsys, *words, "--data=empty")
    for row, source in enumerate(sources):
        (tmp_path / "images" / source).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[row]).save(tmp_path / "images" / source)
    call(monkeypatch, f"--run={run_id}", "--to=fiftyone", "--data=images")
    content = json.loads(exported("fiftyone"))
    fields = content["fields"]
    assert (content["updates"], content["in_sample"]) == (8, True)
    assert list(fields["easiness"]) == [str(tmp_path / "images" / source) for source in sources]


@pytest.mark.parametrize("source", ["../../etc/passwd", "/etc/passwd", "train/../../x.png"])
def test_a_table_names_no_file_outside_of_the_folder(store, tmp_path, monkeypatch, capsys, dataset, source):
    columns = {"source": [source] * 50, "easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50}
    run_id = log_score_run(tmp_path, replace(dataset, name="folder"), draw_losses(dataset, 0), table=columns)
    line = call_wrongly(monkeypatch, capsys, f"--run={run_id}", "--to=fiftyone", "--data=.")
    assert f"has an image {source}, which is not in the folder" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run=0", "--to=cleanlabs"], "to is 'cleanlabs', and must be one of csv, cleanlab, fiftyone, cartography"),
        ([], "run is not given"),
        (["--run=" + "0" * 32], "there is no run 0000"),
    ],
)
def test_wrong_words_are_answered_in_one_line(store, monkeypatch, capsys, words, message):
    assert message in call_wrongly(monkeypatch, capsys, *words)
