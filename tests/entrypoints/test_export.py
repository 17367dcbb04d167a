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
from easiness.runs.score.exporting import export
from easiness.runs.score.reading import Scores
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


def exported(name):
    run = mlflow.MlflowClient().search_runs(["0"], "tags.`easiness.kind` = 'export'")[0]
    return tracking.fetch(run.info.run_id, name).read_text()


@pytest.fixture
def dataset():
    return tiny_planted(50)


@pytest.fixture
def run_id(store, tmp_path, dataset):
    spread = {"easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50}
    return log_score_run(tmp_path, dataset, draw_losses(dataset, 0), table=spread)


def test_csv_is_the_whole_table_with_names(run_id, monkeypatch, tmp_path, dataset):
    call(monkeypatch, f"--run={run_id}", "--out=deep/down.csv")
    names = [dataset.class_names[label] for label in dataset.labels]
    expected = load_scores(run_id).table.drop(columns="class_name").assign(label=names)
    expected = expected.assign(polarity="lower_is_easier", updates=8, in_sample=True)
    found = pd.read_csv(io.StringIO(exported("easiness.csv")), keep_default_na=False)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert (tmp_path / "deep" / "down.csv").read_text() == exported("easiness.csv")


def test_cleanlab_gets_qualities_in_the_order_of_the_data(run_id, monkeypatch, dataset):
    call(monkeypatch, f"--run={run_id}", "--to=cleanlab")
    found = pd.read_csv(io.StringIO(exported("label_quality.csv")))
    np.testing.assert_array_equal(found["given_label"], dataset.labels)
    assert set(found[["polarity", "updates", "in_sample"]].itertuples(index=False, name=None)) == {
        ("higher_is_better", 8, True)
    }
    np.testing.assert_allclose(found["label_quality"], np.exp(-load_scores(run_id).table["easiness"]))


@pytest.fixture
def held_out(store, tmp_path, dataset, monkeypatch):
    """A run with held-out predictions, of which the first three are sure that the label is the next class."""
    classes = len(dataset.class_names)
    suggested = dataset.labels.copy()
    suggested[:3] = (suggested[:3] + 1) % classes
    pred_probs_NK = np.full((50, classes), 0.1 / (classes - 1), np.float16)
    pred_probs_NK[np.arange(50), suggested] = 0.9
    names = np.asarray(dataset.class_names, object)
    columns = {"heldout_loss": np.linspace(3, 0, 50), "suggested_label": names[suggested], "suggested_share": 0.9}
    columns |= {"easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50, "predicted": dataset.labels}
    columns["source"] = [f"train/{label}/{row}.png" for row, label in enumerate(dataset.labels)]
    monkeypatch.setattr(Scores, "pred_probs", pred_probs_NK, raising=False)
    return log_score_run(
        tmp_path / "made", replace(dataset, name="pets", kind="folder"), draw_losses(dataset, 0), table=columns
    )


def test_cleanlab_finds_the_wrong_labels_in_held_out_probabilities(held_out, monkeypatch, tmp_path, dataset):
    find_label_issues = pytest.importorskip("cleanlab.filter", reason="needs cleanlab").find_label_issues
    call(monkeypatch, f"--run={held_out}", "--to=cleanlab", "--out=made/for_cleanlab")
    folder = tmp_path / "made" / "for_cleanlab"
    pred_probs_NK, table = np.load(folder / "pred_probs.npy"), pd.read_csv(folder / "labels.csv")
    names = json.loads((folder / "class_names.json").read_text())
    np.testing.assert_allclose(pred_probs_NK.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(table["label"], dataset.labels)
    assert [names[label] for label in table["label"]] == table["class_name"].tolist()
    assert table["file"][7] == f"train/{dataset.labels[7]}/7.png"
    found = find_label_issues(table["label"].to_numpy(), pred_probs_NK, return_indices_ranked_by="self_confidence")
    assert set(found.tolist()) == {0, 1, 2}


def test_the_greatest_probabilities_alone_are_not_enough_for_cleanlab(held_out, monkeypatch, capsys):
    greatest = np.zeros((50, 5), [("label", "<i4"), ("share", "<f2")])
    monkeypatch.setattr(Scores, "pred_probs", greatest)
    line = call_wrongly(monkeypatch, capsys, f"--run={held_out}", "--to=cleanlab")
    assert "has the greatest class probabilities alone" in line


def test_fiftyone_gets_held_out_predictions_by_name(held_out, monkeypatch, tmp_path, dataset):
    for row, label in enumerate(dataset.labels):
        path = tmp_path / "images" / f"train/{label}/{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[row]).save(path)
    call(monkeypatch, f"--run={held_out}", "--to=fiftyone", "--data=images")
    fields = json.loads(exported("fields.json"))["fields"]
    table = load_scores(held_out).table
    assert list(fields["heldout_loss"].values()) == table["heldout_loss"].tolist()
    assert list(fields["predicted_label"].values()) == table["suggested_label"].tolist()


def test_a_name_of_a_file_and_of_a_folder_are_kept_apart(run_id, monkeypatch, capsys, tmp_path):
    (tmp_path / "there").mkdir()
    line = call_wrongly(monkeypatch, capsys, f"--run={run_id}", "--out=there")
    assert "there, a folder; name a file in it" in line
    (tmp_path / "file.csv").touch()
    line = call_wrongly(monkeypatch, capsys, f"--run={run_id}", "--to=cleanlab", "--out=file.csv")
    assert "file.csv, a file; name a folder" in line


def test_fiftyone_needs_files(run_id, monkeypatch, capsys):
    assert "planted has none; use to=csv" in call_wrongly(monkeypatch, capsys, f"--run={run_id}", "--to=fiftyone")


def test_fiftyone_gets_the_paths_of_files_that_are_there(store, tmp_path, monkeypatch, capsys, dataset):
    dataset = replace(dataset, name="pets", kind="folder")
    sources = [f"train/{label}/{row}.png" for row, label in enumerate(dataset.labels)]
    columns = {"source": sources, "easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50}
    run_id = log_score_run(tmp_path / "made", dataset, draw_losses(dataset, 0), table=columns, source="gone")
    words = (f"--run={run_id}", "--to=fiftyone")
    assert "say data=PATH of the images, which were scored at gone" in call_wrongly(monkeypatch, capsys, *words)
    (tmp_path / "empty").mkdir()
    assert "50 of 50 images are not there" in call_wrongly(monkeypatch, capsys, *words, "--data=empty")
    for row, source in enumerate(sources):
        (tmp_path / "images" / source).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[row]).save(tmp_path / "images" / source)
    call(monkeypatch, f"--run={run_id}", "--to=fiftyone", "--data=images")
    content = json.loads(exported("fields.json"))
    fields = content["fields"]
    assert (content["updates"], content["in_sample"]) == (8, True)
    assert list(fields["easiness"]) == [str(tmp_path / "images" / source) for source in sources]


@pytest.mark.parametrize("source", ["../../etc/passwd", "/etc/passwd", "train/../../x.png"])
def test_a_table_names_no_file_outside_of_the_folder(store, tmp_path, monkeypatch, capsys, dataset, source):
    columns = {"source": [source] * 50, "easiness_std": np.ones(50), "rank": np.arange(1, 51), "set": [""] * 50}
    run_id = log_score_run(
        tmp_path, replace(dataset, name="pets", kind="folder"), draw_losses(dataset, 0), table=columns
    )
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
