"""Trained weights are read as tensors alone, and fit, or are refused in one line that names what does not."""

import os
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from easiness.architectures import build_model
from easiness.architectures.pretrained import classes_of, head_names, load_body, read_state
from easiness.architectures.published import vision_weights
from easiness.architectures.vision import vision_model
from tests.tiny_data import MODEL


def saved(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("wide_resnet_10_1", ("classifier.weight", "classifier.bias")),
        ("densenet_bc_10_12", ("classifier.weight", "classifier.bias")),
        ("resnet18", ("fc.weight", "fc.bias")),
        ("squeezenet1_1", ("classifier.1.weight", "classifier.1.bias")),
        (MODEL, ("6.weight", "6.bias")),
    ],
)
def test_the_last_layer_is_the_one_whose_shape_moves_with_the_classes(model, names):
    assert head_names(model, 7, 64) == names


def test_a_network_without_such_a_layer_is_refused(tmp_path, monkeypatch):
    (tmp_path / "headless.py").write_text(
        "from torch import nn\n\n"
        "class Fixed(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.k, self.scale = num_classes, nn.Parameter(__import__('torch').ones(1))\n\n"
        "    def forward(self, x):\n"
        "        return self.scale * x.mean((1, 2, 3))[:, None].expand(-1, self.k)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="model 'headless:Fixed' has no layer whose shape depends"):
        head_names("headless:Fixed", 3, 8)


@pytest.mark.parametrize("model", ["wide_resnet_10_1", "resnet18", MODEL])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_all_but_the_last_layer_are_taken_to_the_bit(tmp_path, model, as_bytes):
    start, fresh = (build_model(model, classes, image_size=32, seed=seed) for classes, seed in ((5, 1), (3, 2)))
    drawn = {name: values.clone() for name, values in fresh.state_dict().items()}
    file = saved(tmp_path / "model.pt", start.state_dict())
    state, head = read_state(file.read_bytes() if as_bytes else file, "model.pt"), head_names(model, 3, 32)
    assert classes_of(state, head, "model.pt") == 5
    load_body(fresh, state, head, "model.pt")
    for name, values in fresh.state_dict().items():
        assert torch.equal(values, drawn[name] if name in head else start.state_dict()[name])


def test_a_last_layer_of_as_many_classes_is_taken_where_it_is_not_new(tmp_path):
    start, fresh = (build_model(MODEL, 3, image_size=12, seed=seed) for seed in (1, 2))
    load_body(fresh, start.state_dict(), (), "model.pt")
    assert all(torch.equal(values, start.state_dict()[name]) for name, values in fresh.state_dict().items())


def test_files_from_before_batches_were_counted_and_names_with_dots_are_read(tmp_path):
    start = vision_model("densenet121", 3, 32)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in name else name: values
        for name, values in start.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert any(".norm.1." in name for name in old)
    fresh = vision_model("densenet121", 3, 32)
    load_body(fresh, read_state(saved(tmp_path / "old.pt", old), "old.pt"), (), "old.pt")
    assert all(torch.equal(values, start.state_dict()[name]) for name, values in fresh.state_dict().items())


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_a_pickle_that_would_run_something_is_refused(tmp_path, protocol):
    file, trace = tmp_path / "bomb.pt", tmp_path / "gone off"
    if protocol == "torch":
        torch.save({"weight": Bomb(trace)}, file)
    else:
        file.write_bytes(pickle.dumps({"weight": Bomb(trace)}, protocol=4))
    with pytest.raises(ValueError, match="bomb.pt cannot be read as weights: it") as caught:
        read_state(file, "bomb.pt")
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_what_is_in_the_file_is_said(tmp_path):
    file = saved(tmp_path / "module.pt", nn.Linear(2, 2))
    with pytest.raises(ValueError, match="it holds torch.nn.modules.linear.Linear, which is not a tensor; save"):
        read_state(file, "module.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged, or not of torch.save"),
        (b"no weights at all", "damaged, or not of torch.save"),
        ([torch.ones(2)], "holds a list, and must hold a state_dict"),
        ({}, "holds a dict, and must hold a state_dict"),
        (
            {"epoch": 3, "state_dict": {"a": torch.ones(1)}},
            "epoch, state_dict is not a tensor; save",
        ),
        ({"a": torch.eye(2).to_sparse()}, "a is not a tensor"),
        ({3: torch.ones(1)}, "3 is not a tensor"),
        ({"a": torch.tensor([1.0, float("nan")])}, "NaN or infinite, in a"),
    ],
)
def test_what_is_not_a_state_dict_is_refused_in_one_line(tmp_path, content, message):
    file = tmp_path / "w.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match=message) as caught:
        read_state(file, "w.pt")
    assert str(caught.value).startswith("w.pt ")
    assert "\n" not in str(caught.value)


def test_a_cut_off_file_is_refused(tmp_path):
    file = saved(tmp_path / "w.pt", {"a": torch.ones(1000)})
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(ValueError, match="w.pt cannot be read as weights: it is damaged"):
        read_state(file, "w.pt")


def test_other_shapes_are_refused_with_their_names():
    wide = build_model("wide_resnet_10_2", 5, image_size=32, seed=0).state_dict()
    fresh = build_model("wide_resnet_10_1", 3, image_size=32, seed=0)
    before = {name: values.clone() for name, values in fresh.state_dict().items()}
    head = head_names("wide_resnet_10_1", 3, 32)
    words = r"w.pt does not fit .* other shapes: .*conv1.weight \(32×16×3×3 instead of 16×16×3×3\).* and \d+ more; give"
    with pytest.raises(ValueError, match=words):
        load_body(fresh, wide, head, "w.pt")
    assert all(torch.equal(values, before[name]) for name, values in fresh.state_dict().items()), "half taken"


def test_weights_that_belong_nowhere_or_are_missing_are_named():
    state = build_model(MODEL, 3, image_size=12, seed=0).state_dict()
    fresh = build_model(MODEL, 3, image_size=12, seed=1)
    with pytest.raises(ValueError, match="it has, and the network has not, aux.weight; give the model"):
        load_body(fresh, state | {"aux.weight": torch.ones(1)}, (), "w.pt")
    with pytest.raises(ValueError, match="it has no 0.weight, 0.bias; give the model"):
        load_body(fresh, {name: state[name] for name in state if not name.startswith("0.")}, (), "w.pt")
    with pytest.raises(ValueError, match="w.pt has no last layer 6.weight, 6.bias of this network"):
        classes_of({"0.weight": state["0.weight"]}, ("6.weight", "6.bias"), "w.pt")


@pytest.fixture
def hub(tmp_path):
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "AlexNet_Weights.IMAGENET1K_V1", "DEFAULT"])
def test_weights_of_torchvision_come_with_the_size_and_the_colours_of_their_images(hub, monkeypatch, name):
    file = hub / "alexnet-owt-7be5be79.pth"
    monkeypatch.setattr("hashlib.sha256", lambda _: SimpleNamespace(hexdigest=lambda: "7be5be79" * 8))
    file.write_bytes(b"weights")
    found = vision_weights("alexnet", name)
    assert (found.name, found.content, found.resolution) == ("AlexNet_Weights.IMAGENET1K_V1", b"weights", 224)
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_cached_file_that_is_not_what_its_name_says_is_refused(hub):
    (hub / "alexnet-owt-7be5be79.pth").write_bytes(b"something else")
    with pytest.raises(ValueError, match="alexnet-owt-7be5be79.pth is damaged: .*, and its name says 7be"):
        vision_weights("alexnet", "DEFAULT")


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("invalid hash value")])
def test_a_download_that_fails_says_what_to_do(hub, monkeypatch, error):
    def fail(url, file, prefix, progress):
        assert prefix == "7be5be79"
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ConnectionError, match=f"cannot be downloaded from .*{error}.*; fetch the file by other means"):
        vision_weights("alexnet", "DEFAULT")


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        ("alexnet", "IMAGENET1K_V2", "torchvision's of model 'alexnet' are AlexNet_Weights.IMAGENET1K_V1"),
        ("alexnet", "ResNet18_Weights.IMAGENET1K_V1", "are AlexNet_Weights.IMAGENET1K_V1"),
        (
            "wide_resnet_16_4",
            "DEFAULT",
            "and model 'wide_resnet_16_4' is not; give a file",
        ),
    ],
)
def test_unknown_weights_of_torchvision_are_refused_with_those_there_are(model, name, message):
    with pytest.raises(ValueError, match=message):
        vision_weights(model, name)
