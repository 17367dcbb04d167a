"""A prepare run: what it packs and logs, and what it refuses before a run is opened."""

import hashlib
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

import easiness
from easiness.datasets.packed import read_manifest


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


def review(path, *rows):
    path.write_text("\n".join(["example_id,file,decision,label,given_label", *rows]) + "\n")
    return path


def test_decided_images_are_packed_under_their_new_label_or_not_at_all(tree, tmp_path, store):
    before = {path: path.read_bytes() for path in tree.rglob("*.png")}
    rows = ["0,train/cat/0.png,relabel,dog,cat", "4,train/dog/1.png,remove,,dog", "5,train/dog/2.png,keep,,dog"]
    path = review(tmp_path / "decisions.csv", *rows)
    made = easiness.prepare(source=tree, output=tmp_path / "packed", decisions=path)
    train = easiness.open_dataset("imagenet", tmp_path / "packed")
    names = [train.class_names[label] for label in train.labels]
    assert dict(zip(train.sources.tolist(), names, strict=True)) == {
        "train/cat/0.png": "dog", "train/cat/1.png": "cat", "train/cat/2.png": "cat",
        "train/dog/0.png": "dog", "train/dog/2.png": "dog",
    }  # fmt: skip
    settings = read_manifest(tmp_path / "packed" / "packed.json")["train"].settings["decisions"]
    assert (settings["removed"], settings["relabelled"]) == (1, 1)
    run = mlflow.get_run(made.run_id).data
    assert run.tags["easiness.decisions"] == hashlib.sha256(path.read_bytes()).hexdigest()
    logged = mlflow.artifacts.download_artifacts(run_id=made.run_id, artifact_path="decisions.csv")
    assert path.read_bytes() == Path(logged).read_bytes()
    assert {path: path.read_bytes() for path in tree.rglob("*.png")} == before
    review(path, *rows[1::-1])
    assert easiness.prepare(source=tree, output=tmp_path / "packed", decisions=path).train.seconds == 0
    assert easiness.prepare(source=tree, output=tmp_path / "packed").train.seconds > 0


def test_without_given_labels_the_ids_must_be_those_of_the_files(tree, tmp_path, store):
    path = tmp_path / "decisions.csv"
    path.write_text("example_id,file,decision,label\n1,train/cat/0.png,remove,\n")
    with pytest.raises(ValueError, match="example_id is 1, and that file is 0 here"):
        easiness.prepare(source=tree, output=tmp_path / "packed", decisions=path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,train/cat/9.png,remove,,cat", "it is not in these data; the nearest are train/cat/"),
        ("0,train/cat/0.png,remove,,dog", "given_label is 'dog', and it is 'cat' here"),
        ("0,train/cat/0.png,relabel,dgo,cat", "label 'dgo' is not a class; the nearest are dog"),
    ],
)
def test_decisions_on_other_images_are_refused(tree, tmp_path, store, row, message):
    path = review(tmp_path / "decisions.csv", row)
    with pytest.raises(ValueError, match=message):
        easiness.prepare(source=tree, output=tmp_path / "packed", decisions=path)
    assert mlflow.search_runs(search_all_experiments=True).empty
