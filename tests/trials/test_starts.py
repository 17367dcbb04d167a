"""Trials that start from trained weights: what is read, what is new, what stays, and the same bits by every way."""

import hashlib
from dataclasses import replace

import pytest
import torch

from easiness.architectures import build_model
from easiness.files import DamagedError
from easiness.trials.engines import run_trials
from easiness.trials.steps import Steps, make_optimizer
from easiness.trials.training import train
from easiness.trials.trial import load_model, run_trial
from tests.tiny_data import MODEL, tiny_task
from tests.trials.test_engines import measured

CPU = torch.device("cpu")
# Three epochs of three batches; the last layer alone for the first of them.
TUNE = {"recipe": "finetune", "learning_rate": 0.1, "new_head": True}
HEAD = ("6.weight", "6.bias")


def tuned_task(folder, file, **chosen):
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    task = tiny_task(folder, **(TUNE | {"weights": file.name, "weights_sha256": sha256} | chosen))
    return replace(task, weights=file)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights of a network of five classes."""
    file = tmp_path_factory.mktemp("start") / "start.pt"
    torch.save(build_model(MODEL, 5, image_size=12, seed=99).state_dict(), file)
    return file


def run(task, *, stop_after=None):
    """Run a trial, to its end or until so many epochs are done."""

    def report(progress):
        if progress.metrics and progress.metrics["epoch"] == stop_after:
            raise KeyboardInterrupt

    run_trial(task, CPU, report)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_while_the_last_layer_trains_alone_all_others_stay_to_the_bit(tmp_path, start, optimizer):
    read = torch.load(start, weights_only=True)
    ends = {}
    for epochs in (1, 2):
        task = tuned_task(tmp_path / str(epochs), start, optimizer=optimizer, epochs=epochs, schedule_epochs=3)
        assert task.recipe.head_epochs == (1 if epochs > 1 else 0)
        task = replace(task, recipe=replace(task.recipe, head_epochs=1))
        run(task)
        ends[epochs] = load_model(task).state_dict()
    drawn = build_model(MODEL, 3, image_size=12, seed=task.recipe.trial_seeds(0).initialization).state_dict()
    for name, values in ends[1].items():
        if name in HEAD:
            assert not torch.equal(values, drawn[name])
        else:
            assert torch.equal(values, read[name]), name
    moved = {name for name, values in ends[2].items() if not torch.equal(values, ends[1][name])}
    assert moved == set(read), "then all layers train"


def test_the_last_layer_of_a_trial_is_its_own_and_all_else_is_shared(tmp_path, start):
    firsts = []
    for trial in (0, 1):
        task = tuned_task(tmp_path / str(trial), start, trial=trial, epochs=1, schedule_epochs=3, learning_rate=1e-30)
        run(replace(task, recipe=replace(task.recipe, head_epochs=1)))
        firsts.append(load_model(task).state_dict())
    same = {name for name in firsts[0] if torch.equal(firsts[0][name], firsts[1][name])}
    assert same == firsts[0].keys() - HEAD


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_cut_off_trial_goes_on_to_the_same_bits(tmp_path, start, optimizer, stop_after):
    whole, cut = (tuned_task(tmp_path / name, start, optimizer=optimizer) for name in ("whole", "cut"))
    assert whole.recipe.head_epochs == 1
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(cut, stop_after=stop_after + 1)
    assert [path.stem for path in (cut.folder / "checkpoints").iterdir()][-1:] == [f"epoch={stop_after:06d}"]
    run(cut)
    assert measured(cut) == measured(whole)


def test_workers_read_the_weights_and_give_the_same_bits(tmp_path, start):
    inline, workers = (
        [tuned_task(tmp_path / name / f"{k}", start, trial=k, in_files=tmp_path / name / f"s{k}") for k in (0, 1)]
        for name in ("inline", "workers")
    )
    for tasks, engine in ((inline, "inline"), (workers, "processes")):
        run_trials(tasks, engine=engine, device=CPU, report=lambda _: None, finished=lambda _: None)
    assert [measured(task) for task in workers] == [measured(task) for task in inline]


def test_a_file_that_changed_since_is_not_read(tmp_path, start):
    copy = tmp_path / "copy.pt"
    copy.write_bytes(start.read_bytes())
    task = tuned_task(tmp_path / "trial", copy)
    torch.save(build_model(MODEL, 5, image_size=12, seed=1).state_dict(), copy)
    with pytest.raises(DamagedError, match=r"the weights copy.pt are not those with SHA-256 \w{12}…"):
        run(task)


def test_parameters_that_a_network_keeps_fixed_stay_fixed():
    model = build_model(MODEL, 3, image_size=12, seed=0)
    model[0].bias.requires_grad_(False)
    recipe = replace(tiny_task(None, **TUNE).recipe, head_epochs=1)
    optimizer = make_optimizer(model, recipe, HEAD)
    task = tiny_task(None)
    for _ in train(Steps(model, optimizer), task.train.open(CPU), recipe, recipe.trial_seeds(0)):
        assert not model[0].bias.requires_grad
        assert all(values.requires_grad for name, values in model.named_parameters() if name != "0.bias")
