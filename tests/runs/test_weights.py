"""A start that has seen pictures: found, fitted to other classes, shared by all trials, or refused before the work."""

import hashlib
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

import easiness
from easiness import tracking
from easiness.architectures import build_model
from easiness.architectures.published import PublishedWeights
from easiness.datasets import open_dataset
from easiness.recipes.recipe import recipe_from
from easiness.runs import setup
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.setup import prepare_training
from easiness.runs.weights import open_start
from tests.conftest import fresh_store
from tests.tiny_data import MODEL

INLINE = RunOptions(engine="inline", log_models="none")


def write_tree(folder, classes, *, count=12):
    """Drawn pictures of some classes, as a tree with train and val."""
    for split in ("train", "val"):
        drawn = open_dataset("planted", split=split)
        for label in classes:
            place = folder / split / drawn.class_names[label]
            place.mkdir(parents=True)
            for row in np.flatnonzero(drawn.labels == label)[:count]:
                Image.fromarray(drawn.images[row]).save(place / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two trees of five classes each, none in common."""
    folder = tmp_path_factory.mktemp("trees")
    return write_tree(folder / "first", range(5)), write_tree(folder / "second", range(5, 10))


@pytest.fixture(scope="module")
def trained(empty_store, tmp_path_factory, trees):
    """A network of the first five classes, logged by `train`, in the current store of this module."""
    options = {"model": MODEL, "dataset": "folder", "epochs": 2, "resolution": 48, "normalization": "channel"}
    with fresh_store(empty_store, tmp_path_factory.mktemp("pretrained")):
        yield easiness.train(data=trees[0], **options)


def setup_of(tree, weights, **chosen):
    return prepare_training(TrainingOptions(MODEL, "folder", tree, weights, **chosen), INLINE, trials=2)


def weights_of(run_id):
    return tracking.fetch(run_id) / "weights" / "model.pt"


def test_train_leaves_its_weights_as_a_plain_state_dict_that_its_manifest_vouches_for(trained):
    file = weights_of(trained.run_id)
    state = torch.load(file, weights_only=True)
    assert state["6.weight"].shape == (5, 32)
    manifest = json.loads((file.parents[1] / "trial.json").read_text())
    written = {path: entry["sha256"] for path, entry in manifest["checksums"].items() if path.startswith("weights/")}
    assert written["weights/model.pt"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert written.keys() == {"weights/model.pt", "weights/manifest.json"}
    (model,) = mlflow.MlflowClient().get_run(trained.run_id).outputs.model_outputs
    logged = mlflow.pytorch.load_model(f"models:/{model.model_id}")
    images = torch.rand(4, 3, 48, 48)
    network = build_model(MODEL, 5, image_size=48, seed=0).eval()
    network.load_state_dict(state)
    torch.testing.assert_close(network(images), logged(images))


def test_a_start_from_a_run_takes_size_and_colours_from_it_and_a_new_last_layer_for_other_classes(trained, trees):
    setup = setup_of(trees[1], f"runs:/{trained.run_id}")
    recipe, file = setup.recipe, weights_of(trained.run_id)
    assert (recipe.resolution, recipe.normalization, recipe.new_head) == (48, "fixed", True)
    assert (recipe.optimizer, recipe.schedule, recipe.head_epochs) == ("sgd", "cosine", 1)
    assert recipe.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted((trees[0] / "train").rglob("*.png"))]) / 1.0
    np.testing.assert_allclose(recipe.colour_mean, pixels.mean(axis=(0, 1, 2)), atol=1)  # scaled from 64 to 48
    assert recipe_from(json.loads(json.dumps(recipe.settings()))) == recipe
    said = f"starts from runs:/{trained.run_id} (sha256 {recipe.weights_sha256[:12]}); last layer new: "
    assert said in setup.describe("2 trials")
    mine, its = (", ".join(sorted(path.name for path in (tree / "val").iterdir())[:2]) for tree in trees[::-1])
    assert setup.start.endswith(f"last layer new: {mine} … instead of {its} …")


def test_on_its_own_classes_the_last_layer_is_kept(trained, trees):
    setup = setup_of(trees[0], f"runs:/{trained.run_id}")
    assert not setup.recipe.new_head
    assert setup.start.endswith("last layer kept: 5 classes")


def test_what_is_asked_for_wins_over_what_comes_with_the_weights_and_is_said(trained, trees, caplog):
    setup = setup_of(trees[1], f"runs:/{trained.run_id}", resolution=32, normalization="image")
    assert (setup.recipe.resolution, setup.recipe.normalization, setup.recipe.colour_mean) == (32, "image", ())
    assert f"resolution is 32, as asked for; runs:/{trained.run_id} comes with 48" in caplog.text
    assert f"normalization is image, as asked for; runs:/{trained.run_id} comes with fixed" in caplog.text


def test_a_file_says_nothing_of_its_images_and_is_the_same_start_by_any_name(trained, trees, tmp_path, monkeypatch):
    content = weights_of(trained.run_id).read_bytes()
    setups = []
    monkeypatch.setenv("EASINESS_CALLED_FROM", str(tmp_path))  # run.sh changes into the checkout
    for name in ("one.pt", "two.pth"):
        (tmp_path / name).write_bytes(content)
        setups.append(setup_of(trees[1], name))
    assert "64 pixels and normalization image are the recipe's, the file says nothing" in setups[0].start
    assert "last layer kept: 5 classes" in setups[0].start
    assert [setup.recipe.weights for setup in setups] == ["one.pt", "two.pth"]
    assert setups[0].recipe.digest() == setups[1].recipe.digest()
    torch.save(build_model(MODEL, 3, image_size=64, seed=0).state_dict(), tmp_path / "one.pt")
    changed = setup_of(trees[1], "one.pt")
    assert "last layer new: 5 classes instead of 3" in changed.start
    assert changed.recipe.digest() != setups[0].recipe.digest()


def test_a_score_run_says_that_its_trials_share_a_start_and_match_says_so_too(trained, trees, caplog):
    caplog.set_level("INFO", "easiness")
    common = {"dataset": "folder", "data": trees[1], "trials": 2, "epochs": 2, "resolution": 48, "engine": "inline"}
    common["log_models"] = "none"
    tuned = easiness.score(model=MODEL, weights=f"runs:/{trained.run_id}", **common)
    assert "last layer new" in caplog.text
    recipe = tuned.manifest.recipe
    assert (recipe["weights"], len(recipe["weights_sha256"])) == (f"runs:/{trained.run_id}", 64)
    run = mlflow.MlflowClient().get_run(tuned.run_id)
    assert run.data.tags["easiness.weights"] == f"runs:/{trained.run_id}"
    assert "starts from runs:/" in run.data.tags["mlflow.note.content"]
    trials = [mlflow.MlflowClient().get_run(run_id) for run_id in tuned.manifest.trial_runs]
    assert len({trial.data.params["recipe.seed_initialization"] for trial in trials}) == 2
    assert (tuned.losses_TMN[0, 0] != tuned.losses_TMN[0, 1]).any()
    other = easiness.score(model="tests.tiny_model:build_wide", **common)
    caplog.clear()
    matching = easiness.match(runs=(tuned.run_id, other.run_id), draws=20)
    said = f"All trials of {MODEL} start from runs:/{trained.run_id} (tests.tiny_model:build_wide has beginnings of its"
    assert said in caplog.text
    assert said in matching.summary()
    assert said in (tracking.fetch(matching.run_id) / "preview" / "index.html").read_text()
    assert [run["weights"] for run in matching.manifest.runs] == [f"runs:/{trained.run_id}", "none"]
    again = easiness.score(model=MODEL, weights=f"runs:/{trained.run_id}", **common)
    assert again.manifest.trials == tuned.manifest.trials


def test_on_the_same_pictures_a_start_begins_where_the_run_ended(trained, trees):
    """Weights, size and colours are those of the run: at a rate of nearly nothing, so is the validation loss."""
    options = {"model": MODEL, "dataset": "folder", "data": trees[0], "epochs": 2, "learning_rate": 1e-9}
    again = easiness.train(**options, weights=f"runs:/{trained.run_id}", log_model=False)
    ended, begins = trained.epochs["val_loss"].iloc[-1], again.epochs["val_loss"].iloc[0]
    assert begins == pytest.approx(ended, rel=1e-5)


@pytest.mark.slow
def test_half_of_the_photographs_can_be_learnt_from_the_other_half(store, tmp_path, shared_data):
    source = shared_data / "imagenette-mini"
    names = sorted(path.name for path in (source / "train").iterdir())
    for tree, kept in (("a", names[:5]), ("b", names[5:])):
        for split in ("train", "val"):
            (tmp_path / tree / split).mkdir(parents=True)
            for name in kept:
                (tmp_path / tree / split / name).symlink_to(source / split / name)
    common = {"model": "resnet18", "dataset": "folder", "resolution": 64, "epochs": 8}
    pretrained = easiness.train(**common, schedule_epochs=8, data=tmp_path / "a")
    tuned = easiness.train(**common, data=tmp_path / "b", weights=f"runs:/{pretrained.run_id}", log_model=False)
    assert tuned.epochs["val_accuracy"].iloc[-1] > 0.25, "of five classes, by chance a fifth"


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


@pytest.mark.parametrize(
    ("weights", "chosen", "message"),
    [
        ("nowhere.pt", {}, "weights is .*nowhere.pt, and there is no such file"),
        ("here.safetensors", {}, "weights is .*here.safetensors, and must be a file of .pt, .pth"),
        ("damaged.pt", {}, "damaged.pt cannot be read as weights: it is damaged"),
        ("bomb.pt", {}, "bomb.pt cannot be read as weights: it holds "),
        ("wide.pt", {}, "wide.pt does not fit the network: it has other shapes: .*; give the model"),
        ("IMAGENET1K_V1", {}, "and model 'tests.tiny_model:build' is not; give a file"),
        ("runs:/last", {}, "must be runs:/RUN_ID, with the id of a run of train"),
        (f"runs:/{'0' * 32}", {}, "0000"),
        ("timm:resnet18", {}, "timm is not installed; install it with: pip install 'easiness.timm.'"),
        ("none", {"recipe": "finetune"}, "recipe is 'finetune', and weights is 'none': give the weights"),
        ("none", {"recipe": "tune"}, "recipe is 'tune', and must be one of paper, finetune"),
        ("none", {"optimizer": "adamw"}, "optimizer is 'adamw', and does nothing here: recipe=paper is SGD"),
        ("wide.pt", {"recipe": "paper", "head_epochs": 1}, "head_epochs is 1, and does nothing here"),
        ("wide.pt", {"head_epochs": 5}, "head_epochs is 5, and must be below schedule_epochs"),
        ("none", {"normalization": "fixed"}, "normalization is 'fixed', whose values come with weights"),
    ],
)
def test_what_cannot_be_a_start_is_refused_in_one_line(trees, tmp_path, monkeypatch, store, weights, chosen, message):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setenv("EASINESS_CALLED_FROM", str(tmp_path))
    (tmp_path / "here.safetensors").write_bytes(b"")
    (tmp_path / "damaged.pt").write_bytes(b"PK\3\4 no more")
    torch.save({"weight": Bomb(tmp_path / "trace")}, tmp_path / "bomb.pt")
    torch.save(build_model("tests.tiny_model:build_wide", 5, image_size=64, seed=0).state_dict(), tmp_path / "wide.pt")
    if weights != "wide.pt" or chosen:
        monkeypatch.setattr(setup, "open_dataset", lambda *_, **__: pytest.fail("data are read"))
    with pytest.raises((ValueError, OSError, ImportError), match=message) as caught:
        setup_of(trees[1], weights, **chosen)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_a_run_that_left_no_weights_or_is_of_another_kind_or_network_is_refused(trees, trained):
    common = {"model": MODEL, "dataset": "folder", "data": trees[0], "epochs": 1, "resolution": 16}
    scored = easiness.score(**common, trials=2, engine="inline", log_models="none")
    with pytest.raises(ValueError, match=r"runs:/\w+, a run of kind 'score'; give a finished run of train, or a trial"):
        open_start(f"runs:/{scored.run_id}", MODEL)
    (trial, _) = scored.manifest.trial_runs
    with pytest.raises(FileNotFoundError, match=r"no artifact weights/manifest.json; train another trial with log_m"):
        open_start(f"runs:/{trial}", MODEL)
    with pytest.raises(ValueError, match=r"a network 'tests.tiny_model:build', and model is 'alexnet'; give the same"):
        open_start(f"runs:/{trained.run_id}", "alexnet")


@pytest.mark.parametrize("name", ["model.pt", "manifest.json"])
def test_weights_of_a_run_that_are_not_what_was_written_are_refused(trees, trained, name):
    file = weights_of(trained.run_id).parent / name
    before = file.read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    try:
        with pytest.raises(ValueError, match=rf"weights/{name} of run {trained.run_id} is damaged"):
            open_start(f"runs:/{trained.run_id}", MODEL)
    finally:
        file.write_bytes(before)


def test_published_weights_bring_their_size_and_colours(trees, store, tmp_path, monkeypatch):
    torch.save(build_model(MODEL, 1000, image_size=64, seed=0).state_dict(), tmp_path / "w.pt")
    published = PublishedWeights(
        "Net_Weights.V1", (tmp_path / "w.pt").read_bytes(), 48, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
    monkeypatch.setattr("easiness.runs.weights.vision_weights", lambda model, name: published)
    recipe = setup_of(trees[1], "V1").recipe
    assert (recipe.weights, recipe.resolution, recipe.normalization) == ("Net_Weights.V1", 48, "imagenet")


def test_timm_brings_its_own_colours(trees, store, monkeypatch):
    network = build_model(MODEL, 1000, image_size=64, seed=0)
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "input_size": (3, 40, 40)}
    fake = SimpleNamespace(create_model=lambda name, pretrained: {("net.in1k", True): network}[name, pretrained])
    monkeypatch.setitem(sys.modules, "timm", fake)
    recipe = setup_of(trees[1], "timm:net.in1k").recipe
    assert (recipe.weights, recipe.resolution, recipe.normalization) == ("timm:net.in1k", 40, "fixed")
    assert (recipe.colour_mean, recipe.colour_std) == ((127.5,) * 3, (63.75,) * 3)
    with pytest.raises(
        ConnectionError, match=r"weights is 'timm:other', which timm does not give \(\('other', True\)\)"
    ):
        setup_of(trees[1], "timm:other")


def test_timm_itself(trees, store):
    pytest.importorskip("timm", reason="needs timm: pip install 'easiness[timm]'")
    with pytest.raises(ConnectionError, match="weights is 'timm:no_such_network', which timm does not give"):
        setup_of(trees[1], "timm:no_such_network")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("resolution", "64", "resolution is '64', and must be a whole number"),
        ("class_names", (1, 2), "class_names is .*, and must be text"),
        ("colour_mean", (float("inf"),) * 3, "colour_mean is .*, and must be a finite number"),
        ("normalization", None, "normalization is None, and must be text"),
    ],
)
def test_what_a_server_says_of_weights_is_checked(trees, trained, monkeypatch, field, value, message):
    real = tracking.read_weights

    def changed(*arguments):
        network, content = real(*arguments)
        return replace(network, **{field: value}), content

    monkeypatch.setattr(tracking, "read_weights", changed)
    with pytest.raises(ValueError, match=f"weights/manifest.json of run {trained.run_id}: {message}"):
        open_start(f"runs:/{trained.run_id}", MODEL)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resolution": 10**9}, "resolution is 1000000000, and must be at most 4096"),
        ({"normalization": "../x"}, "normalization is '../x', and must be one of"),
    ],
)
def test_an_impossible_size_or_normalization_of_a_run_is_refused(trees, trained, monkeypatch, fields, message):
    network, content = tracking.read_weights(trained.run_id, lambda path: path.read_bytes())
    monkeypatch.setattr(tracking, "read_weights", lambda *_: (replace(network, **fields), content))
    with pytest.raises(ValueError, match=message):
        setup_of(trees[1], f"runs:/{trained.run_id}")
