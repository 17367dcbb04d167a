"""Captured steps compute what eager ones compute, for one trial after another."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from easiness.loaders import stage_resident
from easiness.trials import trial as trial_module
from easiness.trials.evaluation import MEASURES
from easiness.trials.precision import captures, make_steps, settle_precision
from easiness.trials.trial import TrialTask, load_model, run_trial
from easiness.trials.trial_folder import measure_file
from tests import still_model
from tests.tiny_data import tiny_dataset, tiny_recipe

CPU = torch.device("cpu")
STILL = "tests.still_model:build"


def test_precision_follows_the_device_unless_it_is_chosen():
    assert settle_precision("auto", CPU) == "float32"
    assert settle_precision("auto", torch.device("cuda", 1)) == "bfloat16"
    assert settle_precision("float32", torch.device("cuda")) == "float32"
    assert (captures(CPU), captures(torch.device("cuda"))) == (False, True)


def test_precision_is_part_of_the_name_of_a_trial():
    recipe = tiny_recipe(precision="float32")
    assert recipe.digest() != replace(recipe, precision="bfloat16").digest()
    with pytest.raises(ValueError, match="precision is 'half', and must be one of auto, float32, bfloat16"):
        replace(recipe, precision="half")


def test_bfloat16_is_near_and_gives_float32():
    torch.manual_seed(0)
    model = still_model.build(3)
    images, labels = torch.randn(8, 3, 12, 12), torch.arange(8) % 3
    exact, coarse = (make_steps(model, CPU, precision) for precision in ("float32", "bfloat16"))
    given = (exact.logits(images), coarse.logits(images), coarse.loss(images, labels))
    assert {values.dtype for values in given} == {torch.float32}
    assert torch.equal(exact.loss(images, labels), torch.nn.functional.cross_entropy(model(images), labels))
    difference = (coarse.logits(images) - exact.logits(images)).abs().max()
    assert 0 < difference < 0.1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch deprecates
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU: g++")
def test_captured_steps_give_the_losses_of_eager_ones_in_every_trial(tmp_path, monkeypatch):
    """The code path of a GPU, under torch.compile's CPU backend: one network, captured once, serves both trials."""
    recipe = tiny_recipe(model=STILL, epochs=2)
    # Whole batches alone, so that there is a single shape to compile of each step.
    staged = stage_resident(tiny_dataset(16), tiny_dataset(16, split="val", seed=1), recipe, None)
    tasks = {
        way: [TrialTask(recipe, trial, *staged, tmp_path / way / str(trial)) for trial in (0, 1)]
        for way in ("eager", "captured")
    }
    for task in tasks["eager"]:
        run_trial(task, CPU, lambda _: None)
    monkeypatch.setattr(trial_module, "captures", lambda device: True)
    trial_module._captured.cache_clear()
    compiled = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda step, **options: compiled.append(options) or real(step, **options))
    for task in tasks["captured"]:
        run_trial(task, CPU, lambda _: None)
    trial_module._captured.cache_clear()
    assert compiled == [{"mode": "reduce-overhead", "dynamic": False}] * 2, "both steps, once for both trials"
    for eager, captured in zip(*tasks.values(), strict=True):
        for update in (2, 4):
            for measure in MEASURES:
                one, other = (np.load(task.folder / measure_file(measure, update)) for task in (eager, captured))
                # Fused kernels add in another order.
                np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
        for one, other in zip(
            load_model(eager).state_dict().values(), load_model(captured).state_dict().values(), strict=True
        ):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
