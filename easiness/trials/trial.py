"""One trial: training from scratch, evaluation of every training example at each moment, resuming after a cut-off.

On the CPU the results of a trial are the same to the bit whether it ran through or was resumed: order, views and
dropout of an epoch are functions of the seeds, and the checkpoint at the end of an epoch holds all the rest.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from easiness.architectures import build_model
from easiness.loaders import Batch, Loader, Staged
from easiness.recipes.randomness import TrialSeeds
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import scored_updates
from easiness.trials.cpu import use_cores
from easiness.trials.distributed import ALONE, Ranks, synchronize_batch_norm
from easiness.trials.evaluation import ExampleMetrics, evaluate_examples, evaluate_networks, require_finite
from easiness.trials.precision import Steps, captures, make_steps, settle_precision
from easiness.trials.training import Checkpoint, DivergedError, make_optimizer, train
from easiness.trials.trial_folder import (
    is_done,
    is_trained,
    locked,
    save_example_metrics,
    save_tensors,
    waiting_updates,
    weights_file,
    write_json,
)


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"trial {self.trial}")


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


def work_in_trial(recipe: Recipe, count: int, val_count: int) -> int:
    """Images that a whole trial trains on and evaluates."""
    return recipe.epochs * (count + val_count) + len(scored_updates(recipe, count)) * count


def run_trial(task: TrialTask, device: torch.device, report: Report, ranks: Ranks = ALONE) -> None:
    """Run a trial to its end (a joint one: to its final weights), from its last checkpoint if there is one.

    The folder of the task receives `losses/updates=000391.npy` (N,) float32 and the same for every other measure,
    `validation/epochs.json` (metrics, one entry per epoch), `validation/correct.npy` (float32, 1 where the final
    network is right), `model.pt` (final weights) and, last of all, `done.json`.

    `report` gets `Progress` after every batch and every epoch. Of the `ranks` that train this network, those after the
    first are called only for trials that are not trained yet. A DivergedError (a loss is NaN or infinite) names trial,
    epoch, update and learning rate; a BlockingIOError says that another process is running this trial.
    """
    if not ranks.is_main:
        _run(task, device, report, ranks)
        return
    with locked(task.folder):
        if is_done(task.folder):
            return
        try:
            if not is_trained(task.folder):
                _run(task, device, report, ranks)
        except FloatingPointError as error:
            raise DivergedError(f"{task.name}: {error}") from error
        if not task.joint:
            _evaluate_waiting([task], device, report)
            _mark_done(task, device)


def evaluate_jointly(tasks: Sequence[TrialTask], device: torch.device, report: Report) -> None:
    """Complete trained joint trials of one recipe and dataset: evaluate the weights that they kept.

    One pass over the data serves the networks of all trials at one moment. A DivergedError names the trial.
    """
    with ExitStack() as locks:
        for task in tasks:
            locks.enter_context(locked(task.folder))
        tasks = [task for task in tasks if not is_done(task.folder)]
        _evaluate_waiting(tasks, device, report)
        for task in tasks:
            _mark_done(task, device)


def _mark_done(task: TrialTask, device: torch.device) -> None:
    seeds = vars(task.recipe.trial_seeds(task.trial))
    write_json(task.folder / "done.json", {"trial": task.trial, "seeds": seeds, "device": str(device)})


def _evaluate_waiting(tasks: Sequence[TrialTask], device: torch.device, report: Report) -> None:
    """Evaluate kept weights; a trial that was cut off as a joint one may not be joint now, and still have some."""
    updates = sorted(set().union(*(waiting_updates(task.folder) for task in tasks)))
    if not updates:
        return
    if device.type == "cpu":
        use_cores(tasks[0].recipe.threads)
    loader, precision = tasks[0].train.open(device), settle_precision(tasks[0].recipe.precision, device)
    for update in updates:
        waiting = [task for task in tasks if weights_file(task.folder, update).exists()]
        models = [_fresh_model(task).to(device, memory_format=torch.channels_last) for task in waiting]
        for task, model in zip(waiting, models, strict=True):
            model.load_state_dict(torch.load(weights_file(task.folder, update), weights_only=True, map_location=device))
        reporting = _ReportingLoader(loader, [task.name for task in waiting], report)
        logits = [make_steps(model, device, precision).logits for model in models]
        for task, example_metrics in zip(waiting, evaluate_networks(models, reporting, logits=logits), strict=True):
            try:
                require_finite(example_metrics)
            except FloatingPointError as error:
                raise DivergedError(f"{task.name}: {error} after update {update}; lower learning_rate") from error
            save_example_metrics(task.folder, update, example_metrics)
            weights_file(task.folder, update).unlink()


def load_model(task: TrialTask) -> nn.Module:
    """Network of a finished trial, with its final weights, on the CPU and in eval mode."""
    model = _fresh_model(task)
    model.load_state_dict(torch.load(task.folder / "model.pt", weights_only=True, map_location="cpu"))
    return model.eval()


def example_batch(task: TrialTask) -> np.ndarray:
    """(2, 3, H, W) float32 views of a trial's validation set, as its network sees them."""
    return next(iter(task.val.open(torch.device("cpu")).score_batches())).images[:2].numpy()


def _run(task: TrialTask, device: torch.device, report: Report, ranks: Ranks) -> None:
    recipe, seeds = task.recipe, task.recipe.trial_seeds(task.trial)
    if device.type == "cpu":
        use_cores(recipe.threads)
    train_loader = _ReportingLoader(task.train.open(device), [task.name], report)
    val_loader = _ReportingLoader(task.val.open(device), [task.name], report)
    model, steps = _network(task, device, ranks)
    optimizer = make_optimizer(model, recipe)
    resume_file = task.folder / "checkpoint.pt"
    metrics: list[dict[str, float]] = []
    if resume_file.exists():
        state = torch.load(resume_file, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        metrics = state["metrics"]
        past = [update for update in scored_updates(recipe, train_loader.count) if update <= metrics[-1]["update"]]
        evaluated = sum(not weights_file(task.folder, update).exists() for update in past)
        images = len(metrics) * (train_loader.count + val_loader.count) + evaluated * train_loader.count
        report(Progress(task.name, images, resumed=True))
    scoring_seconds = metrics[-1]["scoring_seconds"] if metrics else 0.0
    options = {"first_epoch": len(metrics), "steps": steps, "ranks": ranks}
    for checkpoint in train(model, optimizer, train_loader, recipe, seeds, **options):
        started = time.perf_counter()
        if checkpoint.scored and task.joint:
            if ranks.is_main:
                save_tensors(weights_file(task.folder, checkpoint.update), model.state_dict())
        elif checkpoint.scored:
            example_metrics = _evaluate(model, train_loader, checkpoint, steps, ranks)
            if ranks.is_main:
                save_example_metrics(task.folder, checkpoint.update, example_metrics)
        if checkpoint.ends_epoch:
            validation = _evaluate(model, val_loader, checkpoint, steps, ranks)
        scoring_seconds += time.perf_counter() - started
        if checkpoint.ends_epoch:
            metrics.append(_epoch_metrics(checkpoint, validation, metrics) | {"scoring_seconds": scoring_seconds})
            report(Progress(task.name, 0, metrics[-1]))
            if ranks.is_main and checkpoint.epoch < recipe.epochs:
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "metrics": metrics}
                save_tensors(resume_file, state)
    if not ranks.is_main:
        return
    save_tensors(task.folder / "model.pt", model.state_dict())
    (task.folder / "validation").mkdir(exist_ok=True)
    np.save(task.folder / "validation" / "correct.npy", validation.correct)
    write_json(task.folder / "validation" / "epochs.json", metrics)
    resume_file.unlink(missing_ok=True)


class _ReportingLoader:
    """Loader that reports every batch as progress of each trial that it serves."""

    def __init__(self, loader: Loader, names: Sequence[str], report: Report) -> None:
        self._loader, self._names, self._report = loader, names, report
        self.count = loader.count

    def train_batches(self, epoch: int, seeds: TrialSeeds) -> Iterator[Batch]:
        return self._reported(self._loader.train_batches(epoch, seeds))

    def score_batches(self) -> Iterator[Batch]:
        return self._reported(self._loader.score_batches())

    def _reported(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            for name in self._names:
                self._report(Progress(name, len(batch.rows)))


def _evaluate(model: nn.Module, loader: Loader, checkpoint: Checkpoint, steps: Steps, ranks: Ranks) -> ExampleMetrics:
    try:
        return evaluate_examples(model, loader, logits=steps.logits, ranks=ranks)
    except FloatingPointError as error:
        raise DivergedError(
            f"{error} after epoch {checkpoint.epoch}, update {checkpoint.update}, at learning rate "
            f"{checkpoint.learning_rate:g}; lower learning_rate"
        ) from error


def _network(task: TrialTask, device: torch.device, ranks: Ranks) -> tuple[nn.Module, Steps]:
    """Network of a trial on the device, and its steps; captured ones are used again by the next trial."""
    recipe = task.recipe
    precision = settle_precision(recipe.precision, device)
    fresh = _fresh_model(task).to(device, memory_format=torch.channels_last)
    if ranks.size > 1 or not captures(device):
        model = synchronize_batch_norm(fresh, ranks)
        return model, make_steps(model, device, precision)
    model, steps = _captured(recipe.model, task.train.num_classes, recipe.resolution, device, precision)
    model.load_state_dict(fresh.state_dict())
    return model, steps


@functools.lru_cache(maxsize=1)
def _captured(
    name: str, num_classes: int, resolution: int, device: torch.device, precision: str
) -> tuple[nn.Module, Steps]:
    """Network and captured steps, kept from trial to trial: capturing takes longer than a short trial."""
    model = build_model(name, num_classes, image_size=resolution, seed=0)
    model = model.to(device, memory_format=torch.channels_last)
    return model, make_steps(model, device, precision, capture=True)


def _fresh_model(task: TrialTask) -> nn.Module:
    recipe, seeds = task.recipe, task.recipe.trial_seeds(task.trial)
    return build_model(recipe.model, task.train.num_classes, image_size=recipe.resolution, seed=seeds.initialization)


def _epoch_metrics(checkpoint: Checkpoint, val: ExampleMetrics, earlier: list[dict[str, float]]) -> dict[str, float]:
    before = earlier[-1]["training_seconds"] if earlier else 0.0
    return {
        "epoch": checkpoint.epoch,
        "update": checkpoint.update,
        "time": time.time_ns() // 1_000_000,
        "train_loss": checkpoint.train_loss,
        "val_loss": float(val.losses.mean(dtype=np.float64)),
        "val_accuracy": float(val.correct.mean(dtype=np.float64)),
        "learning_rate": checkpoint.learning_rate,
        "images_per_second": checkpoint.images / checkpoint.seconds,
        "training_seconds": before + checkpoint.seconds,
    }
