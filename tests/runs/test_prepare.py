"""A prepare run: what it packs and logs, and what it refuses before a run is opened."""

import mlflow
import numpy as np
import pytest
from PIL import Image

import easiness


@pytest.fixture
def tree(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng((count, i, len(name))).integers(0, 256, (9, 8 + (name == "cat"), 3))
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / split / name / f"{i}.png")
    return tmp_path / "images"


def test_both_parts_are_packed_and_logged(tree, tmp_path, store):
    made = easiness.prepare(source=tree, output=tmp_path / "packed")
    run = mlflow.get_run(made.run_id).data
    for split, part in (("train", made.train), ("val", made.val)):
        dataset = easiness.open_dataset("imagenet", tmp_path / "packed", split=split)
        assert run.metrics[f"{split}_images"] == len(dataset)
        assert run.tags[f"easiness.fingerprint_{split}"] == dataset.fingerprint == part.part.fingerprint
    assert f"-P data={tmp_path / 'packed'}" in made.summary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": None}, "output is not given"),
        ({"workers": 100_000}, "workers is 100000, and must be at most"),
        ({"seed": 1}, "seed is 1, and .*images has train and val; leave seed out"),
        ({"val_fraction": 0.3}, "val_fraction is 0.3, and .*images has train and val; leave val_fraction out"),
        ({"val_labels": __file__}, "val_labels is for a flat folder val, and .* has none; leave val_labels out"),
        ({"val_labels": "nowhere.txt"}, "val_labels is .*nowhere.txt, and there is no such file"),
        ({"keep": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_refusals_come_before_a_run_is_opened(tree, tmp_path, store, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        easiness.prepare(**({"source": tree, "output": tmp_path / "packed"} | options))
    assert mlflow.search_runs(search_all_experiments=True).empty
    assert not (tmp_path / "packed").exists()


def test_an_output_that_is_a_file_is_refused(tree, tmp_path, store):
    (tmp_path / "packed").touch()
    with pytest.raises(NotADirectoryError, match="output is .*packed, and is not a folder"):
        easiness.prepare(source=tree, output=tmp_path / "packed")
