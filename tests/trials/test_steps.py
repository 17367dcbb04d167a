"""Captured steps give what eager ones give, for one trial after another.

CUDA's graphs are played by a stand-in on the CPU, see `tests.played_graphs`.
"""

import gc
import logging
import shutil
import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from easiness.loaders import resident, stage_resident
from easiness.loaders.protocol import score_batch_size
from easiness.trials import steps as steps_module
from easiness.trials.evaluation import MEASURES
from easiness.trials.steps import KEPT, CapturedSteps, Kind, Steps, captures, make_optimizer
from easiness.trials.training import train
from easiness.trials.trial import TrialTask, load_model, run_trial
from easiness.trials.trial_folder import checkpoint_file, measure_file
from tests.played_graphs import played_on_the_cpu
from tests.tiny_data import MODEL, tiny_dataset, tiny_recipe

CPU = torch.device("cpu")
STILL = "tests.still_model:build"


@pytest.fixture
def graphs(monkeypatch):
    with played_on_the_cpu(monkeypatch, resident) as stand_in:
        yield stand_in


def tasks_of(folder, count=21, trials=(0, 1), **chosen):
    """Eager and captured tasks of the same trials; 21 examples leave the last batch of an epoch small."""
    recipe = tiny_recipe(**{"model": STILL, "epochs": 2} | chosen)
    staged = stage_resident(tiny_dataset(count), tiny_dataset(18, split="val", seed=1), recipe, None)
    return {
        way: [TrialTask(recipe, trial, *staged, folder / way / str(trial), capture=capture) for trial in trials]
        for way, capture in (("eager", "false"), ("captured", "auto"))
    }


def assert_same(task, expected):
    """Weights and whole scoring batches are equal to the bit; the last, padded one is computed in another shape."""
    weights = (load_model(each).state_dict() for each in (task, expected))
    for one, other in zip(*(state.values() for state in weights), strict=True):
        assert torch.equal(one, other)
    for measure in MEASURES:
        for path in sorted((expected.folder / measure).iterdir()):
            one, other = np.load(task.folder / measure / path.name), np.load(path)
            whole = len(other) // 16 * 16
            np.testing.assert_array_equal(one[:whole], other[:whole])
            np.testing.assert_allclose(one[whole:], other[whole:], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"model": MODEL},
        {"count": 16},
        {"optimizer": "adamw", "model": MODEL},
    ],
    ids=["plain", "batch normalization", "whole batches", "adamw"],
)
def test_captured_trials_are_those_of_eager_steps_to_the_bit(chosen, graphs, tmp_path):
    tasks = tasks_of(tmp_path, **chosen)
    for task in (*tasks["eager"], *tasks["captured"]):
        run_trial(task, CPU, lambda _: None)
    assert graphs.recorded == 2, "an update and a measurement, once for both trials"
    assert graphs.replayed > 0
    for captured, eager in zip(tasks["captured"], tasks["eager"], strict=True):
        assert_same(captured, eager)


def test_a_captured_trial_that_was_cut_off_ends_with_the_same_bits(graphs, tmp_path):
    tasks = tasks_of(tmp_path, trials=(0,), epochs=3)
    run_trial(tasks["eager"][0], CPU, lambda _: None)
    (task,) = tasks["captured"]

    class CutOffError(Exception):
        pass

    def cut(progress):
        if progress.metrics and progress.metrics["epoch"] == 2:
            raise CutOffError

    with pytest.raises(CutOffError):
        run_trial(task, CPU, cut)
    assert (task.folder / checkpoint_file(1)).exists()
    KEPT.clear()  # as in another process
    run_trial(task, CPU, lambda _: None)
    assert_same(task, tasks["eager"][0])


def test_one_network_is_kept_at_a_time(graphs):
    recipes = [tiny_recipe(model=STILL), tiny_recipe(model=MODEL)]
    first = KEPT.steps(Kind.of(recipes[0], 3, CPU), recipes[0])
    assert KEPT.steps(Kind.of(recipes[0], 3, CPU), recipes[0]) is first
    address, alive = next(first.model.parameters()).data_ptr(), weakref.ref(first)
    first.load({name: values + 1 for name, values in first.model.state_dict().items()})
    assert next(first.model.parameters()).data_ptr() == address, "weights are loaded where the graph reads them"
    first = None
    second = KEPT.steps(Kind.of(recipes[1], 3, CPU), recipes[1])
    gc.collect()
    assert alive() is None
    assert second.model is not None


def test_what_cannot_be_captured_is_trained_eagerly_with_one_warning(graphs, monkeypatch, tmp_path, caplog):
    def fail(step):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nlong explanation")

    monkeypatch.setattr(steps_module, "record", fail)
    tasks = tasks_of(tmp_path)
    with caplog.at_level(logging.WARNING, logger="easiness"):
        for task in (*tasks["eager"], *tasks["captured"]):
            run_trial(task, CPU, lambda _: None)
    assert [record.getMessage() for record in caplog.records] == [
        f"{STILL} cannot be captured (CUDA error: operation not permitted when stream is capturing); trained eagerly, "
        "which takes longer"
    ]
    for captured, eager in zip(tasks["captured"], tasks["eager"], strict=True):
        assert_same(captured, eager)
    recipe = tiny_recipe(model=MODEL)
    with pytest.raises(RuntimeError, match="not permitted"):
        KEPT.steps(Kind.of(recipe, 3, CPU), recipe, required=True)


def test_capturing_is_for_gpus():
    assert captures("auto", torch.device("cuda"))
    assert not captures("auto", CPU)
    assert not captures("compile", torch.device("cuda"))
    with pytest.raises(ValueError, match="capture is 'true', and the device is cpu, which has no graphs"):
        captures("true", CPU)
    assert (score_batch_size(CPU), score_batch_size(torch.device("cuda"))) == (128, 1024)


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a host wait for its device: reading a number, or a shape that depends on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "item", "masked_select", "unique")

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func._schema.name.partition("::")[2] not in self.WAITING, func
        self.operations += 1
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("normalization", ["image", "channel"])
def test_no_step_waits_for_the_device(normalization, graphs):
    recipe = tiny_recipe(model=STILL, epochs=1, normalization=normalization)
    train_set, _ = stage_resident(tiny_dataset(64), tiny_dataset(18, split="val", seed=1), recipe, None)
    steps, loader = KEPT.steps(Kind.of(recipe, 3, CPU), recipe), train_set.open(CPU)
    batches = loader.train_batches(0, recipe.trial_seeds(0))
    next(batches)  # the epoch's order and moves are uploaded with the first batch
    with NoWaiting() as watch:
        for batch in batches:
            steps.set_rate(0.1)
            steps.update(batch.images, batch.labels)
        for batch in loader.score_batches():
            steps.measure(batch.images, batch.labels)
    assert watch.operations > 0
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoWaiting():
        float(steps.update(batch.images[:8], batch.labels[:8]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch deprecates
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU: g++")
def test_compiled_steps_give_nearly_the_losses_of_eager_ones(tmp_path):
    tasks = tasks_of(tmp_path, count=16, trials=(0,))
    (eager,) = tasks["eager"]
    compiled = TrialTask(eager.recipe, 0, eager.train, eager.val, tmp_path / "compiled", capture="compile")
    for task in (eager, compiled):
        run_trial(task, CPU, lambda _: None)
    for measure in MEASURES:
        one, other = (np.load(task.folder / measure_file(measure, 2)) for task in (eager, compiled))
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)  # fused kernels add in another order


def test_steps_are_eager_unless_captured():
    recipe = tiny_recipe(model=STILL, epochs=1)
    train_set, _ = stage_resident(tiny_dataset(16), tiny_dataset(18, split="val", seed=1), recipe, None)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 12, 3))
    steps = Steps(model, make_optimizer(model, recipe))
    assert not isinstance(steps, CapturedSteps)
    before = model[1].weight.clone()
    (end,) = train(steps, train_set.open(CPU), recipe, recipe.trial_seeds(0))
    assert end.update == 2
    assert not torch.equal(before, model[1].weight)
    assert all(values.grad is None for values in model.parameters()), "gradients are freed with each step"
