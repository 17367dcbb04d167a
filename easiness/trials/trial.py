"""One trial: training from scratch, evaluation of every training example at each moment, resuming after a cut-off.

On the CPU the results of a trial are the same to the bit whether it ran through or was resumed: order, views and
dropout of an epoch are functions of the seeds, and the checkpoint at the end of an epoch holds all the rest.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from easiness.architectures import build_model
from easiness.architectures.pretrained import head_names, load_body, read_state
from easiness.files import DamagedError, Write, locked
from easiness.loaders import WHOLE, Batch, Loader, Part, Staged
from easiness.recipes.randomness import TrialSeeds
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import scored_updates, validated_epochs, validates_after
from easiness.trials.cpu import use_cores
from easiness.trials.distributed import ALONE, Ranks, synchronize_batch_norm
from easiness.trials.evaluation import ExampleMetrics, evaluate_examples, evaluate_networks, require_finite
from easiness.trials.precision import prepare_device, settle_precision
from easiness.trials.resuming import held_out_alone, resume
from easiness.trials.steps import Steps, captured_steps, make_optimizer
from easiness.trials.training import Checkpoint, DivergedError, train
from easiness.trials.trial_folder import (
    CORRECT,
    EPOCHS,
    MODEL,
    Ledger,
    array_file,
    checkpoint_file,
    metrics_files,
    probabilities_file,
    tensor_file,
    weights_file,
)

LOG = logging.getLogger("easiness")

# How long the worker of a killed command may take to notice that, and to let go of its trial.
_LET_GO_S = 60


@dataclass(frozen=True)
class TrialTask:
    """Description of one trial for a worker; small when pickled."""

    recipe: Recipe
    trial: int  # from 0
    train: Staged
    val: Staged
    folder: Path  # of the results; see `run_trial`
    name: str = ""  # in progress and errors, unique among the trials of a run; default "trial 3" for number 3
    joint: bool = False  # keep the weights of every scored moment, for `evaluate_jointly`, instead of evaluating them
    # Examples that it measures, where they are not those of `train`: `val` are then those among them that it held out.
    scored: Staged | None = None
    weights: Path | bytes | None = None  # that the recipe starts from, as a file or its content
    capture: str = "auto"  # whether its steps are captured: auto (on a GPU), true, false, or compile

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"trial {self.trial}")

    @property
    def holds_out(self) -> bool:
        """Whether its validation set is part of what it measures."""
        return self.scored is not None


@dataclass(frozen=True)
class Progress:
    """Progress of a running trial."""

    name: str
    images: int  # trained on or evaluated since the last report; negative where this work was lost with its worker
    # Metrics at the end of an epoch, with `epoch`, `update` and `time` (milliseconds since 1970).
    metrics: dict[str, float] | None = None
    resumed: bool = False  # whether these images were worked on before the trial was cut off


Report = Callable[[Progress], None]
Finished = Callable[[TrialTask], None]


def work_in_trial(recipe: Recipe, count: int, val_count: int, *, holds_out: bool = False) -> int:
    """Images that a whole trial trains on and evaluates: `count` and `val_count`; `holds_out` as in `TrialTask`."""
    updates = scored_updates(recipe, count)
    scored = len(updates) * (count + val_count if holds_out else count)
    validations = validated_epochs(recipe, recipe.epochs) + held_out_alone(recipe, count, updates, holds_out)
    return recipe.epochs * count + scored + validations * val_count


def run_trial(task: TrialTask, device: torch.device, report: Report, ranks: Ranks = ALONE) -> None:
    """Run a trial to its end (a joint one: to its final weights), from its last checkpoint if there is one.

    The folder of the task receives `losses/updates=000391.npy` (N,) float32 and the same for every other measure,
    `validation/epochs.json` (metrics, one entry per epoch), `validation/correct.npy` (float32, 1 where the final
    network is right), `model.pt` (final weights) and `ledger.json`, which has the checksums of all these. What is not
    as it was written is set aside, with a warning, and made again.

    `report` gets `Progress` after every batch and every epoch. Of the `ranks` that train this network, those after the
    first are called only for trials that are not trained yet. A DivergedError (a loss is NaN or infinite) names trial,
    epoch, update and learning rate; a BlockingIOError says that another process is running this trial.
    """
    if not ranks.is_main:
        _run(task, None, device, report, ranks)
        return
    with locked(task.folder / "lock", timeout=_LET_GO_S):
        ledger = Ledger(task.folder)
        if ledger.damage:
            LOG.warning("%s: %s; set aside in %s", task.name, ledger.damage, task.folder / "damaged")
            ledger.set_aside_damaged()
        if ledger.done:
            return
        try:
            if not ledger.trained:
                _run(task, ledger, device, report, ranks)
        except FloatingPointError as error:
            raise DivergedError(f"{task.name}: {error}") from error
        if not task.joint:
            _evaluate_waiting({task.name: ledger}, [task], device, report)
            ledger.mark_done()


def evaluate_jointly(tasks: Sequence[TrialTask], device: torch.device, report: Report, ranks: Ranks = ALONE) -> None:
    """Complete trained joint trials of one recipe and dataset: evaluate the weights that they kept.

    One pass over the data serves the networks of all trials at one moment, and is shared by `ranks`. A DivergedError
    names the trial.
    """
    if not ranks.is_main:
        _evaluate_waiting({}, tasks, device, report, ranks)
        return
    with ExitStack() as locks:
        for task in tasks:
            locks.enter_context(locked(task.folder / "lock", timeout=_LET_GO_S))
        ledgers = {task.name: Ledger(task.folder) for task in tasks}
        for name, ledger in ledgers.items():
            if not ledger.trained:
                raise DamagedError(f"{name}: {ledger.damage or 'it is not trained'}; the same command trains it again")
        ledgers = {name: ledger for name, ledger in ledgers.items() if not ledger.done}
        _evaluate_waiting(ledgers, tasks, device, report, ranks)
        for ledger in ledgers.values():
            ledger.mark_done()


def _evaluate_waiting(
    ledgers: dict[str, Ledger],
    tasks: Sequence[TrialTask],
    device: torch.device,
    report: Report,
    ranks: Ranks = ALONE,
) -> None:
    """Evaluate kept weights; a trial that was cut off as a joint one may not be joint now, and still have some.

    The ledgers are in process 0 alone, which sends the weights: others may not see its folders.
    """
    loader = None
    updates = ranks.on_main(lambda: set().union(*(ledger.waiting_updates() for ledger in ledgers.values())))
    for update in sorted(updates):
        weights = weights_file(update)
        states = ranks.on_main(partial(_read_kept, ledgers, weights))
        waiting = [task for task in tasks if task.name in states]
        if loader is None:
            _prepare(device, tasks[0].recipe.threads)
            loader = (tasks[0].scored or tasks[0].train).open(device)
            precision = settle_precision(tasks[0].recipe.precision, device)
        models = [_fresh_model(task).to(device, memory_format=torch.channels_last) for task in waiting]
        for task, model in zip(waiting, models, strict=True):
            model.load_state_dict(states[task.name])
        reporting = _ReportingLoader(loader, [task.name for task in waiting], report)
        measures = [Steps(model, None, precision).measure for model in models]
        found = evaluate_networks(models, reporting, measures=measures, ranks=ranks)
        for task, example_metrics in zip(waiting, found, strict=True):
            try:
                require_finite(example_metrics.losses)
            except FloatingPointError as error:
                raise DivergedError(f"{task.name}: {error} after update {update}; lower learning_rate") from error
            if ranks.is_main:
                ledgers[task.name].update(metrics_files(update, example_metrics), without=[weights])


def _read_kept(ledgers: dict[str, Ledger], weights: str) -> dict[str, dict[str, torch.Tensor]]:
    """Weights of one moment, of the trials that keep them."""
    return {
        name: torch.load(ledger.folder / weights, weights_only=True, map_location="cpu")
        for name, ledger in ledgers.items()
        if weights in ledger.files
    }


def load_model(task: TrialTask) -> nn.Module:
    """Network of a finished trial, with its final weights, on the CPU and in eval mode."""
    model = _fresh_model(task)
    model.load_state_dict(torch.load(task.folder / MODEL, weights_only=True, map_location="cpu"))
    return model.eval()


def example_batch(task: TrialTask) -> np.ndarray:
    """(2, 3, H, W) float32 views of a trial's validation set, as its network sees them."""
    return next(iter(task.val.open(torch.device("cpu")).score_batches())).images[:2].numpy()


def _run(task: TrialTask, ledger: Ledger | None, device: torch.device, report: Report, ranks: Ranks) -> None:
    """Train, evaluate and write; the ledger is in process 0 alone, whose folder others may not see."""
    recipe, seeds = task.recipe, task.recipe.trial_seeds(task.trial)
    _prepare(device, recipe.threads)
    train_loader = _ReportingLoader(task.train.open(device), [task.name], report)
    val_loader = _ReportingLoader(task.val.open(device), [task.name], report)
    score_loader = _ReportingLoader(task.scored.open(device), [task.name], report) if task.holds_out else train_loader
    classes = task.scored.num_classes if task.holds_out else 0
    counts = train_loader.count, val_loader.count, score_loader.count
    first_epoch, images, state = ranks.on_main(lambda: resume(ledger, recipe, *counts, holds_out=task.holds_out))
    steps = _steps(task, device, ranks)
    model, optimizer = steps.model, steps.optimizer
    metrics: list[dict[str, float]] = []
    if first_epoch:
        steps.load(state["model"], state["optimizer"])
        metrics = state["metrics"]
        report(Progress(task.name, images, resumed=True))
    scoring_seconds = metrics[-1]["scoring_seconds"] if metrics else 0.0
    for checkpoint in train(steps, train_loader, recipe, seeds, first_epoch=first_epoch, ranks=ranks):
        started = time.perf_counter()
        files: dict[str, Write] = {}
        if checkpoint.scored and task.joint:
            files[weights_file(checkpoint.update)] = tensor_file(model.state_dict())
        elif checkpoint.scored:
            files |= metrics_files(checkpoint.update, _evaluate(model, score_loader, checkpoint, steps, ranks))
        validates = checkpoint.ends_epoch and validates_after(recipe, checkpoint.epoch)
        if validates or (checkpoint.scored and task.holds_out):
            validation = _evaluate(model, val_loader, checkpoint, steps, ranks, classes)
            if checkpoint.scored and task.holds_out:
                files |= probabilities_file(checkpoint.update, validation.probabilities, score_loader.count)
        scoring_seconds += time.perf_counter() - started
        if checkpoint.ends_epoch:
            measured = _epoch_metrics(checkpoint, validation if validates else None, metrics)
            metrics.append(measured | {"scoring_seconds": scoring_seconds})
            report(Progress(task.name, 0, metrics[-1]))
            if checkpoint.epoch < recipe.epochs:
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "metrics": metrics}
                files[checkpoint_file(checkpoint.epoch)] = tensor_file(state)
        ranks.on_main(partial(_write, ledger, files, ends_epoch=checkpoint.ends_epoch))
    if ranks.is_main:
        epochs = json.dumps(metrics, indent=1) + "\n"
        files = {MODEL: tensor_file(model.state_dict()), CORRECT: array_file(validation.correct)}
        files[EPOCHS] = lambda path: path.write_text(epochs)
        ledger.update(files, without=[checkpoint_file(epoch) for epoch in ledger.checkpoints()])


def _write(ledger: Ledger, files: dict[str, Write], *, ends_epoch: bool) -> None:
    """Write what a pause gave; at the end of an epoch, without old checkpoints."""
    ledger.update(files, without=ledger.old_checkpoints() if ends_epoch else ())


class _ReportingLoader:
    """Loader that reports every batch as progress of each trial that it serves."""

    def __init__(self, loader: Loader, names: Sequence[str], report: Report) -> None:
        self._loader, self._names, self._report = loader, names, report
        self.count = loader.count

    def train_batches(self, epoch: int, seeds: TrialSeeds, part: Part = WHOLE) -> Iterator[Batch]:
        return self._reported(self._loader.train_batches(epoch, seeds, part))

    def score_batches(self, part: Part = WHOLE) -> Iterator[Batch]:
        return self._reported(self._loader.score_batches(part))

    def _reported(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            for name in self._names:
                self._report(Progress(name, batch.total))


def _evaluate(
    model: nn.Module, loader: Loader, checkpoint: Checkpoint, steps: Steps, ranks: Ranks, classes: int = 0
) -> ExampleMetrics:
    try:
        return evaluate_examples(model, loader, measure=steps.measure, ranks=ranks, classes=classes)
    except FloatingPointError as error:
        raise DivergedError(
            f"{error} after epoch {checkpoint.epoch}, update {checkpoint.update}, at learning rate "
            f"{checkpoint.learning_rate:g}; lower learning_rate"
        ) from error


def _prepare(device: torch.device, threads: int) -> None:
    if device.type == "cpu":
        use_cores(threads)
    prepare_device(device)


def _steps(task: TrialTask, device: torch.device, ranks: Ranks) -> Steps:
    """Steps of a trial on the device, with its first weights; captured ones are used again by the next trial."""
    recipe = replace(task.recipe, precision=settle_precision(task.recipe.precision, device))
    fresh, head = _first_model(task), _head(task) if recipe.head_epochs else ()
    captured = captured_steps(task.capture, recipe, task.train.num_classes, device, head) if ranks.size == 1 else None
    if captured is not None:
        captured.load(fresh.state_dict())
        return captured
    model = synchronize_batch_norm(fresh.to(device, memory_format=torch.channels_last), ranks)
    compiled = task.capture == "compile"
    return Steps(model, make_optimizer(model, recipe, head), recipe.precision, ranks, compiled=compiled)


def _fresh_model(task: TrialTask) -> nn.Module:
    recipe, seeds = task.recipe, task.recipe.trial_seeds(task.trial)
    return build_model(recipe.model, task.train.num_classes, image_size=recipe.resolution, seed=seeds.initialization)


def _first_model(task: TrialTask) -> nn.Module:
    """Network that the training begins with: drawn, or read but for a last layer that is new."""
    model, recipe = _fresh_model(task), task.recipe
    if recipe.weights_sha256:
        content = task.weights.read_bytes() if isinstance(task.weights, Path) else task.weights
        if hashlib.sha256(content).hexdigest() != recipe.weights_sha256:
            raise DamagedError(f"the weights {recipe.weights} are not those with SHA-256 {recipe.weights_sha256[:12]}…")
        load_body(model, read_state(content, recipe.weights), _head(task) if recipe.new_head else (), recipe.weights)
    return model


def _head(task: TrialTask) -> tuple[str, ...]:
    return head_names(task.recipe.model, task.train.num_classes, task.recipe.resolution)


def _epoch_metrics(
    checkpoint: Checkpoint, val: ExampleMetrics | None, earlier: list[dict[str, float]]
) -> dict[str, float]:
    """Metrics of an epoch; without those of the validation where there was none."""
    before = earlier[-1]["training_seconds"] if earlier else 0.0
    validation = (
        {}
        if val is None
        else {
            "val_loss": float(val.losses.mean(dtype=np.float64)),
            "val_accuracy": float(val.correct.mean(dtype=np.float64)),
        }
    )
    return {
        "epoch": checkpoint.epoch,
        "update": checkpoint.update,
        "time": time.time_ns() // 1_000_000,
        "train_loss": checkpoint.train_loss,
        **validation,
        "learning_rate": checkpoint.learning_rate,
        "images_per_second": checkpoint.images / checkpoint.seconds,
        "training_seconds": before + checkpoint.seconds,
    }
