"""`score` and what follows it on the same pictures by every door: folder, table, arrays, function, other libraries."""

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import easiness
from easiness.commandline import command
from easiness.runs.score.exporting import export
from entrypoints.score import score
from tests.datasets.test_torchvision_sets import draw

TINY = {"model": "tests.tiny_model:build", "trials": 2, "epochs": 1, "log_models": "none", "engine": "inline"}
# Of so few pictures trials say little, and may differ as they like.
TINY |= {"allow_outliers": True}
NAMES = ("cat", "dog")

OWN = """
from pathlib import Path

def load(split):
    paths = sorted(Path({root!r}, split).rglob("*.png"))
    return paths, [path.parent.name for path in paths]
"""


def call(monkeypatch, function, **options):
    monkeypatch.setattr(sys, "argv", [function.__name__, *(f"--{key}={value}" for key, value in options.items())])
    command(function)


def latest(kind="score"):
    return mlflow.MlflowClient().search_runs(["0"], f"tags.`easiness.kind` = '{kind}'")[0]


@pytest.fixture
def pets(tmp_path):
    """Folder with two classes of eight pictures for training and four for validation, and their table."""
    rows = []
    for split, count in (("train", 8), ("val", 4)):
        for k, name in enumerate(NAMES):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(count):
                path = tmp_path / "pets" / split / name / f"{i}.png"
                pixels = np.random.default_rng((k, i, count)).integers(0, 256, (9, 9 + i, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(path)
                rows.append([str(path.relative_to(tmp_path / "pets")), name, split, f"{split} {name} {i}", i // 2])
    table = pd.DataFrame(rows, columns=["path", "label", "split", "id", "group"])
    table.to_csv(tmp_path / "pets" / "labels.csv", index=False)
    (tmp_path / "mypets.py").write_text(OWN.format(root=str(tmp_path / "pets")))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("EASINESS_CALLED_FROM", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "pets"
    monkeypatch.undo()
    sys.modules.pop("mypets", None)


def arrays(pets, split):
    paths = sorted((pets / split).rglob("*.png"))
    return easiness.Dataset.from_arrays([Image.open(path) for path in paths], [path.parent.name for path in paths])


def save_with_hugging_face(folder, pets):
    library = pytest.importorskip("datasets", reason="needs Hugging Face's datasets: pip install 'easiness[datasets]'")
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=list(NAMES))})
    splits = {}
    for name in ("train", "val"):
        paths = sorted((pets / name).rglob("*.png"))
        columns = {"image": list(map(str, paths)), "label": [NAMES.index(path.parent.name) for path in paths]}
        splits[name] = library.Dataset.from_dict(columns, features=features)
    library.DatasetDict(splits).save_to_disk(str(folder))
    return folder


DOORS = {
    "folder": lambda pets: {"data": pets},
    "table": lambda pets: {"data": pets / "labels.csv"},
    "function": lambda pets: {"dataset": "mypets:load"},
    "hugging face": lambda pets: {"data": save_with_hugging_face(pets.parent / "saved", pets)},
}


@pytest.mark.parametrize("door", DOORS)
def test_the_same_pictures_are_the_same_run_by_every_door(store, monkeypatch, pets, door):
    made = easiness.score(data=(arrays(pets, "train"), arrays(pets, "val")), resolution=12, shift=2, **TINY)
    call(monkeypatch, score, resolution=12, shift=2, **DOORS[door](pets), **TINY)
    scores = easiness.load_scores(latest().info.run_id)
    assert scores.manifest.fingerprint == made.manifest.fingerprint
    assert scores.manifest.trial_runs == made.manifest.trial_runs, "the trials are known by the pictures"
    pd.testing.assert_series_equal(scores.table["easiness"], made.table["easiness"])
    assert (made.manifest.dataset, made.manifest.opened_as, made.manifest.source) == ("arrays", "arrays", None)


def test_a_table_of_numbers_of_its_own(store, monkeypatch, pets):
    call(monkeypatch, score, data=pets / "labels.csv", resolution=12, shift=2, name="My <b>pets</b>", **TINY)
    run = latest()
    scores = easiness.load_scores(run.info.run_id)
    assert scores.table["id"][9] == "train dog 1"
    assert scores.table["source"][9] == "train/dog/1.png"
    assert scores.manifest.dataset == "My <b>pets</b>" == run.data.tags["easiness.dataset"]
    assert "tests.tiny_model:build on My <b>pets</b>" in run.info.run_name
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"My <b>pets</b>"}
    page = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/preview/index.html")).read_text()
    assert "My &lt;b&gt;pets&lt;/b&gt;" in page
    assert "My <b>pets" not in page
    call(monkeypatch, score, data=pets / "labels.csv", resolution=12, shift=2, **TINY)
    again = easiness.load_scores(latest().info.run_id)
    assert again.manifest.dataset == "pets"
    assert again.manifest.trial_runs == scores.manifest.trial_runs, "a name decides nothing"


def test_groups_of_a_table_stay_in_one_fold(store, pets):
    table = pd.read_csv(pets / "labels.csv").drop(columns="split")
    table.to_csv(pets / "one.csv", index=False)
    scores = easiness.score(data=pets / "one.csv", resolution=12, shift=2, **TINY)
    assert scores.manifest.folds == 2
    folds = scores.table.assign(group=table["group"]).groupby("group")["fold"].nunique()
    assert (folds == 1).all()


def test_fashion_mnist_by_torchvision(store, monkeypatch, tmp_path):
    draw(tmp_path / "root", {"train": 40, "val": 20})
    call(monkeypatch, score, dataset="torchvision:FashionMNIST", data=tmp_path / "root", **TINY)
    run = latest()
    manifest = easiness.load_scores(run.info.run_id).manifest
    assert (manifest.dataset, manifest.examples, manifest.recipe["resolution"]) == ("FashionMNIST", 40, 32)
    # A stored run names no code that is imported, and no place.
    with pytest.raises(ValueError, match="only the class folder Fash.*; these data were opened by dataset=torch"):
        easiness.match(runs=[run.info.run_id], against=against(tmp_path, 40), data=tmp_path / "root")


def against(folder, count):
    np.savez(folder / "other.npz", score=np.arange(float(count)), example_id=np.arange(count))
    return folder / "other.npz"


@pytest.mark.parametrize("by", ["dataset", "folder", "table", "arrays"])
def test_match_opens_what_the_command_names(store, monkeypatch, pets, tmp_path, by):
    run_id = easiness.score(dataset="mypets:load", resolution=12, shift=2, **TINY).run_id
    named = {
        "dataset": {"dataset": "mypets:load"},
        "folder": {"data": pets},
        "table": {"data": pets / "labels.csv"},
        "arrays": {"data": arrays(pets, "train")},
    }[by]
    matching = easiness.match(runs=[run_id], against=against(tmp_path, 16), **named)
    assert matching.diversity is not None
    if by == "dataset":
        monkeypatch.setitem(sys.modules, "mypets", None)
        bare = easiness.match(runs=[run_id], against=against(tmp_path, 16))
        assert bare.diversity is None, "without the word, nothing is imported"


def test_an_ablation_of_arrays_takes_the_scores_of_the_same(store, pets):
    whole = arrays(pets, "train")
    options = {key: TINY[key] for key in ("model", "epochs", "engine", "log_models")}
    options |= {"data": whole, "resolution": 12, "shift": 2}
    scored = easiness.score(trials=2, allow_outliers=True, **options)
    assert scored.manifest.folds == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of accuracies without a spread
        plan = {"strategies": ("hard", "random"), "ratios": (0.25,), "seeds": 2}
        ablation = easiness.ablate(scores=scored.run_id, **plan, **options)
    removed = ablation.tables["removed"]
    assert ablation.manifest.dataset == "arrays"
    assert set(removed["strategy"]) >= {"hard", "random"}
    trained = easiness.train(model=TINY["model"], data=whole, epochs=1, resolution=12, shift=2, name="mine")
    assert mlflow.get_run(trained.run_id).data.tags["easiness.dataset"] == "mine"


def test_lists_and_decisions_go_by_the_table(store, pets, tmp_path):
    table = {"data": pets / "labels.csv", "resolution": 12, "shift": 2}
    (tmp_path / "keep.csv").write_text("example_id\n" + "\n".join(map(str, range(2, 16))) + "\n")
    (tmp_path / "d.csv").write_text("file,decision,label\ntrain/cat/3.png,remove,\ntrain/cat/4.png,relabel,dog\n")
    scores = easiness.score(keep=tmp_path / "keep.csv", decisions=tmp_path / "d.csv", **table, **TINY).table
    assert len(scores) == 13
    assert scores.set_index("id")["class_name"]["train cat 4"] == "dog"


def test_fiftyone_gets_the_paths_that_a_table_lists(store, monkeypatch, pets, tmp_path):
    outside = Image.new("RGB", (9, 9), "red")
    outside.save(tmp_path / "red.png")
    table = pd.read_csv(pets / "labels.csv")
    table.loc[len(table)] = ["../red.png", "dog", "train", "red", 9]
    table.to_csv(pets / "labels.csv", index=False)
    run_id = easiness.score(data=pets / "labels.csv", resolution=12, shift=2, **TINY).run_id
    call(monkeypatch, export, run=run_id, to="fiftyone", out=tmp_path / "f.json", data=pets / "labels.csv")
    paths = json.loads((tmp_path / "f.json").read_text())["fields"]["easiness"]
    assert str(pets / "../red.png") in paths
    assert str(pets / "train/cat/0.png") in paths
    table.iloc[:-1].to_csv(pets / "labels.csv", index=False)
    with pytest.raises(ValueError, match="red.png, which .*labels.csv does not list"):
        export(run=run_id, to="fiftyone", data=pets / "labels.csv")


def test_a_table_is_packed_as_its_folder_is(store, pets, tmp_path):
    raw = {"mode": "raw", "max_side": 0}
    easiness.prepare(source=pets / "labels.csv", output=tmp_path / "packed", **raw)
    packed, plain = (easiness.open_dataset(None, place) for place in (tmp_path / "packed", pets))
    assert (packed.kind, packed.fingerprint) == ("imagenet", plain.fingerprint)
    with pytest.raises(ValueError, match="seed is 3, and .*labels.csv has a column split; leave seed out"):
        easiness.prepare(source=pets / "labels.csv", output=tmp_path / "p", seed=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "notes.txt"}, "data is .*notes.txt, and of files only a table"),
        ({"data": "empty"}, r"no class folders.* \(dataset=folder was taken for data=.*empty\)"),
        ({"data": "empty", "dataset": "planted"}, "does nothing here: dataset=planted is drawn"),
        ({"dataset": "table"}, "data is not given, and dataset=table needs the table; give it with data=PATH"),
        ({"dataset": "arrays"}, "dataset=arrays is in memory; give it as data=Dataset, from Python"),
        ({"dataset": "hf:a/b", "data": "empty"}, "dataset=hf:a/b says itself where its data are"),
        ({"name": "a\nb"}, "must be 1 to 100 characters that can be printed"),
        ({"name": "x" * 101}, "must be 1 to 100 characters"),
        ({"dataset": "no_such_module_here:load"}, "cannot import 'no_such_module_here'"),
    ],
)
def test_what_cannot_be_opened_is_refused_before_a_run(store, tmp_path, options, message):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, OSError), match=message) as caught:
        easiness.score(**TINY | options)
    assert "\n" not in str(caught.value)
    assert mlflow.MlflowClient().search_runs(["0"]) == []


def test_options_that_a_dataset_leaves_nothing_to_do_for_are_refused(store, pets):
    data = arrays(pets, "train")
    for more in ({"dataset": "folder"}, {"skip_bad": True}, {"loader": "torchvision"}):
        with pytest.raises(ValueError, match=f"{next(iter(more))} is .* and does nothing here"):
            easiness.score(data=data, **TINY, **more)
    with pytest.raises(ValueError, match="data is 3, and must be text or a path or a Dataset, or a pair of them"):
        easiness.score(data=3)
    other = easiness.Dataset.from_arrays(np.zeros((2, 9, 9, 3), np.uint8), ["cat", "fish"])
    with pytest.raises(ValueError, match="has 1 classes that the training set has not, such as fish"):
        easiness.score(data=(data, replace(other, split="val")), resolution=12, shift=2, **TINY)
