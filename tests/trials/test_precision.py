"""Precision of products, by device and by choice."""

from dataclasses import replace

import pytest
import torch

from easiness.trials.precision import forward, prepare_device, settle_precision
from tests import still_model
from tests.tiny_data import tiny_recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.mark.parametrize("supported", [True, False])
def test_precision_follows_the_device_unless_it_is_chosen(supported, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert settle_precision("auto", CPU) == "float32"
    assert settle_precision("auto", GPU) == ("bfloat16" if supported else "float32")
    assert settle_precision("float32", GPU) == "float32"


def test_a_gpu_computes_float32_in_full_and_every_setting_of_it_can_be_read(monkeypatch):
    chosen, real = [], torch.cuda.set_device
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    before = (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32)
    try:
        prepare_device(GPU)
        monkeypatch.setattr(torch.cuda, "set_device", real)
        prepare_device(torch.device("cuda"))
        assert chosen == [GPU]
        assert torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
        assert "tf32" not in (torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.rnn.fp32_precision)
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = before


def test_precision_is_part_of_the_name_of_a_trial():
    recipe = tiny_recipe(precision="float32")
    assert recipe.digest() != replace(recipe, precision="bfloat16").digest()
    with pytest.raises(ValueError, match="precision is 'half', and must be one of auto, float32, bfloat16"):
        replace(recipe, precision="half")


def test_bfloat16_is_near_and_gives_float32():
    torch.manual_seed(0)
    model, images = still_model.build(3), torch.randn(8, 3, 12, 12)
    exact, coarse = (forward(model, images, precision) for precision in ("float32", "bfloat16"))
    assert {exact.dtype, coarse.dtype} == {torch.float32}
    assert torch.equal(exact, model(images))
    assert 0 < (coarse - exact).abs().max() < 0.1
