"""torchvision must import beside any build of torch, and nothing may be declared where it need not."""

import sys

import pytest
import torch

from easiness.architectures import torchvision_import
from easiness.architectures.torchvision_import import import_torchvision


def test_models_transforms_and_folders_work_and_the_second_call_is_the_same_module():
    torchvision = import_torchvision()
    assert torchvision is import_torchvision() is sys.modules["torchvision"]
    assert "alexnet" in torchvision.models.list_models()
    image = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    flipped = torchvision.transforms.functional.hflip(image)
    assert flipped[0].tolist() == [[1, 0], [3, 2]]
    assert torchvision.datasets.ImageFolder is not None


def test_declares_the_operators_once_and_keeps_them():
    import_torchvision()
    declared = len(torchvision_import._SCHEMAS)
    import_torchvision()
    assert len(torchvision_import._SCHEMAS) == declared <= 1
    assert hasattr(torch.ops.torchvision, "nms")


def test_declares_nothing_beside_a_cuda_build_of_torch(monkeypatch):
    import_torchvision()  # so that the import below needs no operators
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torchvision_import, "_operators_present", lambda: False)
    monkeypatch.setattr(torch.library, "Library", None)  # declaring would fail
    assert import_torchvision() is sys.modules["torchvision"]


def test_declares_nothing_where_the_compiled_operators_load(monkeypatch):
    import_torchvision()
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.library, "Library", None)
    assert torchvision_import._operators_present()  # by now they are, from either side
    assert import_torchvision() is sys.modules["torchvision"]


def test_a_missing_torchvision_is_reported_as_that(monkeypatch):
    monkeypatch.setattr(torchvision_import, "hasattr", lambda *_: False, raising=False)  # as before any import
    monkeypatch.setattr(torchvision_import.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(torch.library, "Library", None)
    with pytest.raises(ModuleNotFoundError, match="torchvision"):
        import_torchvision()
