"""Setup of a training, opened before a run begins: recipe, data and device."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from easiness import tracking
from easiness.architectures import build_model, check_model
from easiness.datasets import Dataset, open_dataset
from easiness.datasets.dataset import limited
from easiness.datasets.decisions import Decisions, decide, read_decisions
from easiness.datasets.duplicates import mark_duplicates
from easiness.datasets.kept import kept_rows, read_kept
from easiness.datasets.opening import open_in_memory
from easiness.datasets.splitting import with_classes_of
from easiness.loaders import choose_loader
from easiness.recipes.recipe import Recipe
from easiness.recipes.schedule import scored_updates
from easiness.runs.checks import at_least, at_most, one_of, processors, unused
from easiness.runs.decisions import log_decisions
from easiness.runs.options import DEVICES, RunOptions, TrainingOptions
from easiness.runs.public import absolute
from easiness.runs.weights import Start, fit_start, open_start, start_fields
from easiness.tracking import DataDescription
from easiness.trials.distributed import joined
from easiness.trials.engines import choose_engine, device_on_cluster, prepare_workers, trials_on_gpu
from easiness.trials.engines.torchrun import join_training
from easiness.trials.precision import settle_precision

LOG = logging.getLogger("easiness")

# More would fill the memory of any machine before the first update.
_GREATEST = {"trials": 1_000, "epochs": 10_000, "resolution": 4_096}


@dataclass(frozen=True)
class TrainingSetup:
    """A recipe with its data, on a device."""

    recipe: Recipe  # how to train, and when to measure; loader and precision are settled
    train: Dataset  # training set
    val: Dataset  # validation set; with folds, the training set, of which each trial holds a part out
    device: torch.device  # where to train
    training: TrainingOptions  # the options that it was made from
    run: RunOptions  # likewise
    why_loader: str  # why the recipe's loader was chosen
    decisions: Decisions | None = None  # decisions of a review, which the training set follows
    flips: dict[str, object] | None = None  # share and way of labels that were flipped on purpose, and how many
    start: str = ""  # where the trials start from, in words

    @property
    def name(self) -> str:
        """Name in the UI."""
        flipped = "" if self.flips is None else f" with {self.flips['count']} labels flipped on purpose"
        return f"{self.recipe.model} on {self.train.name}{flipped}"

    @property
    def source(self) -> str | None:
        """Place of the data, as it was asked for; None for the default, and for data in memory."""
        return None if self.training.in_memory or self.training.data is None else str(self.training.data)

    @property
    def settings(self) -> dict[str, object]:
        """Settled options, by name: those of the recipe, and the device."""
        return self.recipe.settings() | {"device": str(self.device)}

    @property
    def label_changes(self) -> dict[str, object]:
        """What made the labels others than those of the data, for manifests: a file by its checksum, and flips."""
        decisions = {} if self.decisions is None else {"decisions": self.decisions.sha256}
        return decisions | ({} if self.flips is None else {"flips": self.flips})

    def describe(self, trials: str) -> str:
        """One line: which data, how many, which trials, which part of a schedule, how trained."""
        recipe, train = self.recipe, self.train
        skipped = f", {len(train.skipped)} bad files skipped" if train.skipped else ""
        images = f"{len(train)} training and {len(self.val)} validation images of {train.num_classes} classes"
        if recipe.folds:
            images = f"{len(train)} images of {train.num_classes} classes in {recipe.folds} folds"
        return (
            f"{self.name}: {images} "
            f"(fingerprint {train.fingerprint[:12]}{skipped}); loader {recipe.loader} ({self.why_loader}); "
            f"{trials}: {recipe.length()}, batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}, on "
            f"{self.device}{self.start and f'; {self.start}'}"
        )


def check_training(
    training: TrainingOptions, run: RunOptions, **chosen: object
) -> tuple[Recipe, torch.device, Start | None]:
    """Refuse what is wrong with the options alone, before data are read; the recipe, the device and the weights.

    `chosen` are more fields of `Recipe`, where None takes the recipe's value.
    """
    recipe = training.make_recipe(**chosen)
    for name, most in _GREATEST.items():
        at_most(name, getattr(recipe, name), most)
    if run.engine != "ray":
        processors("threads", training.threads)
    if recipe.augmentation != "shift_flip":
        for name in ("shift", "padding"):
            unused(name, getattr(training, name), f"augmentation={recipe.augmentation} does not translate images")
    device = choose_device(run.device, cluster=run.address if run.engine == "ray" else None)
    start = open_start(training.weights, training.model)
    if start is not None:
        asked = {"resolution": training.resolution, "normalization": training.normalization}
        recipe = training.make_recipe(**chosen | start_fields(start, asked))
        at_most("resolution", recipe.resolution, _GREATEST["resolution"])
    check_model(recipe.model, recipe.resolution)
    return recipe, device, start


def prepare_training(training: TrainingOptions, run: RunOptions, **chosen: object) -> TrainingSetup:
    """Check the options, open the data, and try the model on them; `chosen` as in `check_training`."""
    recipe, device, start = check_training(training, run, **chosen)
    if (
        choose_engine(run.engine, device, recipe.trials, trials_on_gpu(run.trials_per_gpu, recipe.resolution))
        == "processes"
    ):
        prepare_workers()  # they start while the data are read
    asked = training if training.in_memory else replace(training, data=absolute(training.data))
    whole, train, val = _open_data(asked, run, recipe)
    if training.keep is not None:
        path, count = absolute(training.keep), len(train)
        train = train.subset(kept_rows(train, read_kept(path), path))
        LOG.info("keep leaves %s of %s training images", f"{len(train):,}", f"{count:,}")
    decisions = None if training.decisions is None else read_decisions(absolute(training.decisions))
    if decisions is not None:  # after limit and keep, whose draws and lists are of the data as they are
        train = decide(train, decisions, whole, () if val is None else val.sources)
    train = mark_duplicates(train, val)
    val = train if val is None else val
    loader, why_loader = choose_loader(training.loader, recipe, train, val)
    # What `auto` comes to decides the numbers, so it belongs to the names by which trials are known.
    recipe = replace(recipe, loader=loader, precision=settle_precision(recipe.precision, device))
    scored_updates(recipe, len(train))
    if ":" in recipe.model or train.num_classes < 2:  # the others were built before
        build_model(recipe.model, train.num_classes, image_size=recipe.resolution, seed=0)
    said = ""
    if start is not None:
        recipe, said = fit_start(start, recipe, train.class_names)
    return TrainingSetup(recipe, train, val, device, asked, run, why_loader, decisions=decisions, start=said)


def _open_data(training: TrainingOptions, run: RunOptions, recipe: Recipe) -> tuple[Dataset, Dataset, Dataset | None]:
    """Whole training set, the part of it that is used, and the validation set; None with folds."""
    taken = training.dataset is None and training.data is not None and not training.in_memory
    if taken:
        LOG.info("dataset is not given: %s is taken for %s", training.kind, training.data)

    def opened(split: str, limit: int | None) -> Dataset:
        more = {"limit": limit, "seed": training.seed_of_data, "val_fraction": 0.0 if recipe.folds else 0.2}
        if training.in_memory:
            found = open_in_memory(training.data, split, **more)
        else:
            more |= {"split": split, "skip_bad": training.skip_bad, "verify": run.verify}
            found = open_dataset(training.kind, training.data, **more)
        return found if run.name is None else replace(found, name=run.name)

    try:
        whole = opened("train", None)
        train = limited(whole, training.limit, training.seed_of_data)
        at_least("limit_val", training.limit_val, whole.num_classes, "one example of every class")
        val = None if recipe.folds else with_classes_of(whole, opened("val", training.limit_val))
    except (ValueError, OSError) as error:
        if taken:
            error.args = (f"{error} (dataset={training.kind} was taken for data={training.data})",)
        raise
    return whole, train, val


def log_training_setup(run_id: str, setup: TrainingSetup) -> None:
    """Log recipe and data of a run, and the fingerprint by which other runs find it."""
    source = setup.source or ("memory" if setup.training.in_memory else "built in")
    descriptions = [
        DataDescription(data.name, data.split, source, data.fingerprint, len(data), data.num_classes)
        for data in ([setup.train] if setup.val is setup.train else [setup.train, setup.val])
    ]
    tracking.log_settings(run_id, setup.settings)
    tracking.log_data(run_id, *descriptions)
    if setup.decisions is not None:
        log_decisions(run_id, setup.decisions)
    tracking.set_tags(
        run_id,
        {
            "easiness.fingerprint": setup.train.fingerprint,
            "easiness.recipe_digest": setup.recipe.digest(),
            "easiness.model": setup.recipe.model,
            "easiness.dataset": setup.train.name,
            **({} if setup.flips is None else {tracking.FLIPS: str(setup.flips)}),
            **({"easiness.common_random_numbers": "true"} if setup.recipe.common_random_numbers else {}),
            **({"easiness.weights": setup.recipe.weights} if setup.recipe.weights_sha256 else {}),
        },
    )


def choose_device(name: str, *, cluster: str | None = None) -> torch.device:
    """Device by name; `auto` is a GPU where there is one: on this machine, or in the Ray cluster at this address."""
    one_of("device", name, DEVICES)
    if cluster is not None:
        return device_on_cluster(cluster) if name == "auto" else torch.device(name)
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', and torch finds no GPU; use device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def under_torchrun(function: Callable[..., object]) -> Callable[..., object]:
    """Run a training call in the first process that torchrun started; the others train along, and get None."""

    @functools.wraps(function)
    def call(*arguments: object, **options: object) -> object:
        with joined() as ranks:
            if not ranks.is_main:
                return join_training(ranks)
            result = function(*arguments, **options)
            if ranks.size > 1:
                ranks.broadcast(None)
            return result

    return call
