"""Dry run: what a call would train, how long that takes, and how much room it needs, before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from easiness import tracking
from easiness.architectures import build_model
from easiness.files import work_folder
from easiness.loaders import resident_bytes
from easiness.recipes.cost import EVALUATION, duration, makespan
from easiness.recipes.schedule import scored_updates
from easiness.runs.public import name_dry_run
from easiness.runs.setup import TrainingSetup
from easiness.runs.tracked_trials import SharedData
from easiness.runs.trial_log import Trial
from easiness.trials.engines import choose_engine, trials_on_gpu, worker_devices
from easiness.trials.evaluation import MEASURES
from easiness.trials.trial_folder import KEPT_CHECKPOINTS, bytes_of_probabilities

_FLOAT32 = 4

# Examples of the short training that measures a rate.
_SAMPLE = 1_000


@dataclass(frozen=True)
class DryRun:
    """Cost of a call that has not begun.

    Attributes
    ----------
    what : str
        Data and trainings in words.
    trainings, finished : int
        Trainings to be done, and those on the server that are taken over.
    trained_images, evaluated_images : int
        Images of all trainings to be done, each pass counted.
    side_by_side : int
        Trainings at a time on this machine.
    rate : float or None
        Images per second that one of them trains on: median of the experiment; None where no trial was measured.
    seconds : float or None
        Time of all trainings; None without a rate.
    disk, server : dict of int
        Bytes by what they are for: in the work folder at the worst moment, and on the tracking server for good.
    measure : str
        Command that measures a rate.
    """

    what: str
    trainings: int
    finished: int
    trained_images: int
    evaluated_images: int
    side_by_side: int
    rate: float | None
    seconds: float | None
    disk: dict[str, int]
    server: dict[str, int]
    measure: str

    def summary(self) -> str:
        """Everything in a few lines."""
        over = f"; {self.finished} more are finished, and taken over" if self.finished else ""
        turns = f"{self.side_by_side} side by side" if self.side_by_side > 1 else "one after another"
        if not self.trainings:
            time = "none: nothing is left to train"
        elif self.rate is None:
            time = f"not known, since no trial of this network is in this experiment; measure one with\n{self.measure}"
        else:
            time = (
                f"about {duration(self.seconds)}: {self.rate:,.0f} images/s in one training (median of this "
                f"experiment), {turns}, evaluation at three times that"
            )
        lines = [
            f"dry run: {self.what}",
            f"trainings  {self.trainings:,}{over}",
            f"images     {self.trained_images:,} trained on, {self.evaluated_images:,} evaluated",
            f"time       {time}",
            f"disk       {_room(self.disk)}, in {work_folder()}",
            f"server     {_room(self.server)}; tables and pictures not counted",
        ]
        return "\n".join(lines)


def dry_run_of(
    what: str,
    setup: TrainingSetup,
    trials: Sequence[Trial],
    *,
    finished: int = 0,
    models: int = 0,
    results: dict[str, int] | None = None,
    joint: bool = False,
) -> DryRun:
    """Cost of trials that are to be trained.

    `finished` more are on the server; `models` final networks are logged, `results` are the bytes of the run's own
    arrays, and `joint` trials keep their weights on the disk until all are scored.
    """
    name_dry_run(setup.name)
    data = SharedData(setup.train, setup.val)
    counts = [data.count(trial) for trial in trials]
    trained = [trial.recipe.epochs * count for trial, count in zip(trials, counts, strict=True)]
    evaluated = [data.work(trial) - images for trial, images in zip(trials, trained, strict=True)]
    engine, side_by_side = _workers(setup, len(trials))
    key = (setup.recipe.model, setup.recipe.resolution)
    rate = tracking.measured_rates(None).get(key)
    costs = [images + EVALUATION * others for images, others in zip(trained, evaluated, strict=True)]
    network, checkpoint = _network_bytes(setup)
    arrays = [_array_bytes(trial, data) for trial in trials]
    at_a_time = len(trials) if joint else min(side_by_side, len(trials))
    kept = max((min(trial.recipe.epochs - 1, KEPT_CHECKPOINTS + 1) for trial in trials), default=0)
    disk = {"checkpoints": min(side_by_side, len(trials)) * (kept * checkpoint + network)}
    disk["arrays of trials"] = sum(sorted(arrays)[-at_a_time:])
    if joint:
        moments = (len(scored_updates(trial.recipe, count)) for trial, count in zip(trials, counts, strict=True))
        disk["weights to be scored"] = network * sum(moments)
    if setup.recipe.loader == "resident" and engine in ("processes", "torchrun"):
        sets = [setup.train] if setup.val is setup.train else [setup.train, setup.val]
        disk["staged images"] = sum(resident_bytes(part.images, setup.recipe.resolution) for part in sets)
    return DryRun(
        what,
        len(trials),
        finished,
        sum(trained),
        sum(evaluated),
        side_by_side,
        rate,
        None if rate is None else makespan(costs, side_by_side) / rate,
        disk,
        # A model is logged twice: as MLflow's, and as plain weights.
        {"arrays of trials": sum(arrays), "models": 2 * models * network, **(results or {})},
        _measuring(setup),
    )


def _workers(setup: TrainingSetup, trials: int) -> tuple[str, int]:
    """Engine of so many trials, and how many it runs at a time here; a cluster's machines are not known."""
    per_gpu = trials_on_gpu(setup.run.trials_per_gpu, setup.recipe.resolution)
    engine = choose_engine(setup.run.engine, setup.device, trials, per_gpu)
    several = engine == "processes" and trials
    return engine, len(worker_devices(setup.device, trials, setup.recipe.threads, per_gpu)) if several else 1


def _network_bytes(setup: TrainingSetup) -> tuple[int, int]:
    """Bytes of the network's weights and buffers, and of a checkpoint, which has the optimizer's state beside them."""
    recipe = setup.recipe
    model = build_model(recipe.model, setup.train.num_classes, image_size=recipe.resolution, seed=0)
    whole = sum(tensor.nbytes for tensor in model.state_dict().values())
    moments = 2 if recipe.optimizer == "adamw" else 1
    return whole, whole + moments * sum(parameter.nbytes for parameter in model.parameters())


def _array_bytes(trial: Trial, data: SharedData) -> int:
    """Bytes of what a trial measures, and sends to the server."""
    moments = len(scored_updates(trial.recipe, data.count(trial)))
    if trial.held_out is None:
        return _FLOAT32 * (moments * len(MEASURES) * data.count(trial) + len(data.val))
    held_out, whole = len(trial.held_out), len(data.train)
    shares = bytes_of_probabilities(held_out, data.train.num_classes, whole)
    return moments * (len(MEASURES) * _FLOAT32 * whole + shares) + _FLOAT32 * held_out


def _measuring(setup: TrainingSetup) -> str:
    recipe, asked = setup.recipe, setup.training
    words = {"model": recipe.model, "dataset": asked.dataset, "data": setup.source, "resolution": recipe.resolution}
    words |= {"threads": asked.threads, "device": setup.device.type, "epochs": 1}
    if len(setup.train) > (sample := max(_SAMPLE, 2 * setup.train.num_classes)):
        words |= {"limit": sample}
    return f"  train {' '.join(f'{key}={value}' for key, value in words.items() if value is not None)}"


def _room(parts: dict[str, int]) -> str:
    """Sum and parts of bytes, in a unit for people.

    >>> _room({"models": 3 * 10**9, "arrays": 2 * 10**6, "nothing": 0})
    '3.0 GB (models 3.0 GB, arrays 2.0 MB)'
    """
    named = ", ".join(f"{name} {_size(count)}" for name, count in parts.items() if count)
    return f"{_size(sum(parts.values()))}{named and f' ({named})'}"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
