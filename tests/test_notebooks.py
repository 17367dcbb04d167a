"""The notebooks of docs/, executed as a user would: each from its beginning, in an empty folder."""

from pathlib import Path

import nbformat
import pytest

nbclient = pytest.importorskip("nbclient", reason="needs nbclient; pip install nbclient ipykernel")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MOST_BYTES = 200_000

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each
def test_a_notebook_is_small_and_its_outputs_are_not_committed(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < MOST_BYTES
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []


def executed(path, folder, monkeypatch):
    """Notebook with its outputs, executed in a folder with a store of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def texts(notebook):
    """All that the cells print, and the pictures that they draw."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    return printed, len(pictures)


@pytest.mark.slow
def test_wrong_labels_in_a_folder(tmp_path, monkeypatch):
    printed, pictures = texts(executed(ROOT / "docs" / "notebooks" / "wrong_labels.ipynb", tmp_path, monkeypatch))
    print(printed)
    assert pictures == 1
    assert "600 pictures" in printed
    assert "of the 10 most suspicious, " in printed
    assert " → " in printed
    assert len(list(tmp_path.glob("pictures/*/*.png"))) == 600
    assert (tmp_path / "decisions.csv").is_file()


@pytest.mark.slow
def test_a_training_of_ones_own(tmp_path, monkeypatch):
    printed, pictures = texts(executed(ROOT / "docs" / "notebooks" / "record.ipynb", tmp_path, monkeypatch))
    print(printed)
    assert pictures == 2
    assert "(6, 4, 500) moments, trials, examples" in printed
