"""Options of a training, checked and opened before a run begins: data, recipe and device."""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from easiness import tracking
from easiness.architectures import build_model, check_model
from easiness.datasets import Dataset, open_dataset
from easiness.datasets.dataset import limited
from easiness.datasets.decisions import DECISIONS_SUFFIXES, Decisions, decide, read_decisions
from easiness.datasets.duplicates import mark_duplicates
from easiness.datasets.kept import KEPT_SUFFIXES, kept_rows, read_kept
from easiness.datasets.packed import VERIFY
from easiness.loaders import choose_loader
from easiness.recipes.recipe import KINDS, LOADERS, Recipe, make_recipe
from easiness.recipes.schedule import scored_updates
from easiness.runs.checks import at_least, at_most, existing, one_of, processors, unused
from easiness.runs.decisions import log_decisions
from easiness.runs.public import absolute
from easiness.runs.weights import NONE, Start, fit_start, open_start, start_fields
from easiness.tracking import DataDescription
from easiness.trials.distributed import joined
from easiness.trials.engines import ENGINES, choose_engine, prepare_workers
from easiness.trials.engines.torchrun import join_training
from easiness.trials.precision import settle_precision

DEVICES = ("auto", "cpu", "cuda")
LOG_MODELS = ("last", "all", "none")
# More would fill the memory of any machine before the first update.
_GREATEST = {"trials": 1_000, "epochs": 10_000, "resolution": 4_096}
_RUN_CHOICES = {"device": DEVICES, "engine": ENGINES, "verify": VERIFY, "log_models": LOG_MODELS}


@dataclass(frozen=True)
class TrainingOptions:
    """Options that decide the numbers of a training. None takes the recipe's value for that dataset, or the weights'.

    Attributes
    ----------
    model : str
        Network of this package, of torchvision, or `package.module:function`.
    dataset : str
        cifar10, imagenet, folder or planted.
    data : path, optional
        Archive or folder that holds the dataset.
    weights : str
        Trained weights that all trials start from: `none`, weights of torchvision (`IMAGENET1K_V1`), a file (.pt) that
        holds a state_dict, `runs:/RUN_ID` of a network that `train` logged, or `timm:NAME`. Size and normalization of
        the images come with them; the last layer is new where the classes are others.
    recipe : str, optional
        `paper`, or `finetune`, the default with weights: the last layer first, then all layers at a tenth of the rate
        along a cosine.
    optimizer : str, optional
        Of `finetune`: `sgd` or `adamw`.
    head_epochs : int, optional
        Of `finetune`: first epochs, which train the last layer alone.
    epochs : int, optional
        Passes over the training set.
    schedule_epochs : int, optional
        Length of the learning rate schedule: 300, of imagenet 200, so that a trial is the beginning of the paper's
        training; `epochs` in `ablate`, whose arms are whole trainings.
    batch_size : int, optional
        Examples per update; the last batch of an epoch may be smaller.
    learning_rate : float, optional
        SGD learning rate (plain momentum, no Nesterov), or that of AdamW.
    weight_decay : float, optional
        L2 penalty on all parameters; of AdamW, decoupled from the gradient.
    resolution : int, optional
        Height and width of the network's input in pixels.
    augmentation : str, optional
        `shift_flip`, `resized_crop_flip` or `none`.
    shift : int, optional
        Greatest translation of `shift_flip` in pixels.
    padding : str, optional
        What comes in at the border of a translated image: `zero` (black) or `reflect` (its mirror image).
    normalization : str, optional
        `image`: every view minus its mean, divided by its standard deviation (global contrast normalization);
        `channel`: mean and standard deviation of each colour over the training set; `imagenet`: over ImageNet.
    precision : str, optional
        Precision of products and convolutions: `float32`, `bfloat16` or `auto`, which is bfloat16 on a GPU and float32
        on a CPU; weights and losses are float32.
    limit, limit_val : int, optional
        Size of a stratified subset of the training and of the validation set.
    seed : int
        Seed from which all others are spawned.
    threads : int
        Threads of one trial on the CPU.
    keep : path, optional
        List of the training examples to keep, .csv or .npy, as `ablate` writes it; the others are left out.
    decisions : path, optional
        decisions.csv of a review: examples to leave out, and labels to replace. The files of the data, and the
        validation set, stay as they are.
    skip_bad : bool
        Leave out files that cannot be read as images, instead of stopping.
    loader : str
        auto, ffcv (packed data), torchvision (any files) or resident (in memory).
    """

    model: str = "alexnet"
    dataset: str = "planted"
    data: str | Path | None = None
    weights: str = NONE
    recipe: str | None = None
    optimizer: str | None = None
    head_epochs: int | None = None
    epochs: int | None = None
    schedule_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    resolution: int | None = None
    augmentation: str | None = None
    shift: int | None = None
    padding: str | None = None
    normalization: str | None = None
    precision: str | None = None
    limit: int | None = None
    limit_val: int | None = None
    seed: int = 0
    threads: int = 1
    keep: str | Path | None = None
    decisions: str | Path | None = None
    skip_bad: bool = False
    loader: str = "auto"

    def __post_init__(self) -> None:
        one_of("loader", self.loader, ("auto", *LOADERS))
        for name in ("limit", "limit_val"):
            at_least(name, getattr(self, name), 1)
        existing("data", self.data)
        existing("keep", self.keep, KEPT_SUFFIXES)
        existing("decisions", self.decisions, DECISIONS_SUFFIXES)
        in_files = self.dataset in ("folder", "imagenet")
        if in_files and self.data is None:
            raise ValueError(f"data is not given, and dataset={self.dataset} is a folder of images; say data=FOLDER")
        if self.dataset == "planted":
            unused("data", self.data, "dataset=planted is drawn; use dataset=folder or cifar10")
        if not in_files:
            unused("skip_bad", self.skip_bad, f"dataset={self.dataset} has no files to skip")
            reads_files = self.loader if self.loader in ("ffcv", "torchvision") else None
            unused("loader", reads_files, f"dataset={self.dataset} is in memory; use loader=resident")

        kind = self.recipe_name
        one_of("recipe", kind, KINDS)
        if kind == "paper":
            for name in ("optimizer", "head_epochs"):
                unused(name, getattr(self, name), "recipe=paper is SGD on all layers; use recipe=finetune")
        elif self.weights == NONE:
            raise ValueError(f"recipe is {kind!r}, and weights is 'none': give the weights to start from")

    @property
    def recipe_name(self) -> str:
        """Recipe that is meant where none is given."""
        return self.recipe or ("paper" if self.weights == NONE else "finetune")

    def make_recipe(self, **chosen: object) -> Recipe:
        """Recipe of these options, with more of its fields chosen; loader and precision are not settled yet."""
        names = {field.name for field in fields(Recipe)} & {field.name for field in fields(self)}
        options = {name: getattr(self, name) for name in names - {"model", "dataset", "loader", "weights"}}
        return make_recipe(self.dataset, self.model, self.recipe_name, **options | chosen)


@dataclass(frozen=True)
class RunOptions:
    """Options that change where and how trials run, never their numbers.

    Attributes
    ----------
    device : str
        auto, cpu or cuda.
    engine : str
        auto, processes, inline or ray.
    address : str
        Address of the Ray cluster for engine=ray: auto finds the one that runs on this machine, local starts one.
    verify : str
        Check of packed data before they are used: quick (tables and a sample) or full.
    log_models : str
        Trials whose final network is logged: last, all or none.
    """

    device: str = "auto"
    engine: str = "auto"
    address: str = "auto"
    verify: str = "quick"
    log_models: str = "last"

    def __post_init__(self) -> None:
        for name, allowed in _RUN_CHOICES.items():
            one_of(name, getattr(self, name), allowed)
        if self.engine != "ray":
            unused("address", None if self.address == "auto" else self.address, "only engine=ray has a cluster")
        elif importlib.util.find_spec("ray") is None:
            raise ImportError("engine is 'ray', and Ray is not installed; install it with: pip install 'easiness[ray]'")


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
        return f"{self.recipe.model} on {self.recipe.dataset}{flipped}"

    @property
    def label_changes(self) -> dict[str, object]:
        """What made the labels others than those of the data, for manifests: a file by its checksum, and flips."""
        decisions = {} if self.decisions is None else {"decisions": self.decisions.sha256}
        return decisions | ({} if self.flips is None else {"flips": self.flips})

    def describe(self, trials: str) -> str:
        """One line: which data, how many, which trials, which part of a schedule, how trained."""
        recipe, train = self.recipe, self.train
        skipped = f", {len(train.skipped)} bad files skipped" if train.skipped else ""
        apart = f"{len(train)} training and {len(self.val)} validation images"
        images = f"{len(train)} images in {recipe.folds} folds" if recipe.folds else apart
        return (
            f"{self.name}: {images} of {train.num_classes} classes "
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
    # The machine that starts the trials of a cluster needs no GPU itself.
    device = choose_device(run.device, elsewhere=run.engine == "ray")
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
    if choose_engine(run.engine, device, recipe.trials) == "processes":
        prepare_workers()  # they start while the data are read
    root = absolute(training.data)
    common = {"seed": recipe.seed, "skip_bad": training.skip_bad, "verify": run.verify}
    tree = {"val_fraction": 0.0} if recipe.folds else {}
    whole = open_dataset(training.dataset, root, split="train", **common, **tree)
    train = limited(whole, training.limit, recipe.seed)
    at_least("limit_val", training.limit_val, train.num_classes, "one example of every class")
    val = None
    if not recipe.folds:
        val = open_dataset(training.dataset, root, split="val", limit=training.limit_val, **common)
    if training.keep is not None:
        path = absolute(training.keep)
        train = train.subset(kept_rows(train, read_kept(path), path))
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
    asked = replace(training, data=root)
    return TrainingSetup(recipe, train, val, device, asked, run, why_loader, decisions=decisions, start=said)


def log_training_setup(run_id: str, setup: TrainingSetup) -> None:
    """Log recipe and data of a run, and the fingerprint by which other runs find it."""
    source = str(setup.training.data or "built in")
    descriptions = [
        DataDescription(data.name, data.split, source, data.fingerprint, len(data), data.num_classes)
        for data in ([setup.train] if setup.val is setup.train else [setup.train, setup.val])
    ]
    settled = {"device": str(setup.device), "verify": setup.run.verify}
    tracking.log_settings(run_id, setup.recipe.settings() | settled)
    tracking.log_data(run_id, *descriptions)
    if setup.decisions is not None:
        log_decisions(run_id, setup.decisions)
    tracking.set_tags(
        run_id,
        {
            "easiness.fingerprint": setup.train.fingerprint,
            "easiness.recipe_digest": setup.recipe.digest(),
            "easiness.model": setup.recipe.model,
            "easiness.dataset": setup.recipe.dataset,
            **({} if setup.flips is None else {tracking.FLIPS: str(setup.flips)}),
            **({"easiness.common_random_numbers": "true"} if setup.recipe.common_random_numbers else {}),
            **({"easiness.weights": setup.recipe.weights} if setup.recipe.weights_sha256 else {}),
        },
    )


def choose_device(name: str, *, elsewhere: bool = False) -> torch.device:
    """Device by name; `auto` is the first GPU where there is one, `elsewhere` allows a GPU of other machines."""
    one_of("device", name, DEVICES)
    if name == "cuda" and elsewhere:
        return torch.device("cuda")
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
