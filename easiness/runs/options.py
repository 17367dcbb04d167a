"""What every training entry point is given: model, data and recipe, checked and opened before a run begins."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import torch

from easiness import tracking
from easiness.architectures import build_model
from easiness.commandline import caller_path, command
from easiness.datasets import Dataset, open_dataset
from easiness.datasets.kept import kept_rows, read_kept
from easiness.loaders import choose_loader
from easiness.recipes.recipe import LOADERS, Recipe, make_recipe
from easiness.tracking import DataDescription
from easiness.trials.distributed import joined
from easiness.trials.engines import choose_engine, prepare_workers
from easiness.trials.engines.torchrun import join_training
from easiness.trials.precision import settle_precision
from easiness.trials.training import scored_updates

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Setup:
    """Options of every entry point that trains. None takes the recipe's own value for that dataset.

    Attributes
    ----------
    model : str
        Of this package, of torchvision, or `package.module:function`.
    dataset : str
        cifar10, imagenet, folder or planted.
    data : str or None
        Archive or folder that holds it.
    trials, epochs, schedule_epochs, batch_size, learning_rate, resolution, augmentation, shift, normalization
        Fields of `Recipe`.
    precision, score_at
        Fields of `Recipe`.
    limit, limit_val : int or None
        Size of a stratified subset of the training and of the validation set.
    seed : int
        Seed from which all others are spawned.
    threads : int
        Threads of one trial on the CPU.
    engine : str
        auto, processes, inline or ray.
    address : str
        Of a Ray cluster for engine=ray: auto finds the one that runs on this machine, local starts one for this run.
    device : str
        auto, cpu or cuda.
    skip_bad : bool
        Leave out files that are no images, instead of stopping.
    keep : str or None
        List of the training examples to keep, .csv or .npy, as `ablate` writes it; the others are left out.
    loader : str
        auto, ffcv (packed data), torchvision (any files) or resident (in memory).
    verify : str
        How to check packed data before they are used: quick (tables and a sample) or full.
    score_pass : str
        each: every trial scores as it goes; joint: one pass over the data scores all trials, for data slow to decode.
    log_models : str
        Of which trials to log the final network: last, all or none.
    """

    model: str = "alexnet"
    dataset: str = "planted"
    data: str | None = None
    trials: int | None = None
    epochs: int | None = None
    schedule_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    resolution: int | None = None
    augmentation: str | None = None
    shift: int | None = None
    normalization: str | None = None
    precision: str | None = None
    score_at: tuple[int, ...] = field(default=())
    limit: int | None = None
    limit_val: int | None = None
    seed: int = 0
    threads: int = 1
    engine: str = "auto"
    address: str = "auto"
    device: str = "auto"
    skip_bad: bool = False
    keep: str | None = None
    loader: str = "auto"
    verify: str = "quick"
    score_pass: str = "each"
    log_models: str = "last"


@dataclass(frozen=True)
class TrainingSetup:
    """A recipe with its data, on a device.

    Attributes
    ----------
    recipe : Recipe
        How to train, and when to measure.
    train, val : Dataset
        Training and validation set.
    device : torch.device
        Where to train.
    setup : Setup
        The options that it was made from.
    why_loader : str
        Why the recipe's loader was taken.
    """

    recipe: Recipe
    train: Dataset
    val: Dataset
    device: torch.device
    setup: Setup
    why_loader: str

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return f"{self.recipe.model} on {self.recipe.dataset}"

    def describe(self, trials: str | None = None) -> str:
        """One line for a person: which data, how many, which trials (all, if not said), how trained."""
        recipe = self.recipe
        trials = f"{recipe.trials} trials" if trials is None else trials
        return (
            f"{self.describe_data()}; {trials} of {recipe.epochs} epochs, batch {recipe.batch_size}, "
            f"learning rate {recipe.learning_rate:g}, on {self.device}"
        )

    def describe_data(self) -> str:
        """One line for a person: which data, and how many."""
        train = self.train
        skipped = f", {len(train.skipped)} bad files skipped" if train.skipped else ""
        return (
            f"{self.name}: {len(train)} training and {len(self.val)} validation images of {train.num_classes} classes "
            f"(fingerprint {train.fingerprint[:12]}{skipped}); loader {self.recipe.loader} ({self.why_loader})"
        )


def prepare_training(setup: Setup, *, many: bool = False) -> TrainingSetup:
    """Check the options, open the data, and try the model on an image of that size.

    Parameters
    ----------
    setup : Setup
        The options.
    many : bool
        Whether several trials will be run, so that their workers can start while the data are read.

    Raises
    ------
    ValueError
        If an option is not allowed, or the model cannot take such images.
    FileNotFoundError
        If the data are not there.
    """
    names = {each.name for each in fields(Recipe)} & {each.name for each in fields(Setup)}
    chosen = {name: getattr(setup, name) for name in names - {"model", "dataset", "loader"}}
    recipe = make_recipe(setup.dataset, setup.model, **chosen)
    # The machine that starts the trials of a cluster needs no GPU itself.
    device = choose_device(setup.device, elsewhere=setup.engine == "ray")
    if many and choose_engine(setup.engine, device, recipe.trials) == "processes":
        prepare_workers()
    root = None if setup.data is None else caller_path(setup.data)
    common = {"seed": recipe.seed, "skip_bad": setup.skip_bad, "verify": setup.verify}
    train = open_dataset(setup.dataset, root, split="train", limit=setup.limit, **common)
    val = open_dataset(setup.dataset, root, split="val", limit=setup.limit_val, **common)
    if setup.keep is not None:
        path = caller_path(setup.keep)
        train = train.subset(kept_rows(train, read_kept(path), path))
    if setup.loader not in ("auto", *LOADERS):
        raise ValueError(f"loader is {setup.loader!r}, and must be one of auto, {', '.join(LOADERS)}")
    loader, why_loader = choose_loader(setup.loader, recipe, train, val)
    # What `auto` comes to decides the numbers, so it belongs to the names by which trials are known.
    recipe = replace(recipe, loader=loader, precision=settle_precision(recipe.precision, device))
    scored_updates(recipe, len(train))
    build_model(recipe.model, train.num_classes, image_size=recipe.resolution, seed=0)
    return TrainingSetup(recipe, train, val, device, setup, why_loader)


def log_training_setup(run_id: str, experiment: TrainingSetup) -> None:
    """Log recipe and data of a run, and the fingerprint by which other runs find it."""
    source = experiment.setup.data or "built in"
    descriptions = [
        DataDescription(data.name, data.split, source, data.fingerprint, len(data), data.num_classes)
        for data in (experiment.train, experiment.val)
    ]
    settled = {"device": str(experiment.device), "verify": experiment.setup.verify}
    tracking.log_settings(run_id, experiment.recipe.settings() | settled)
    tracking.log_data(run_id, *descriptions)
    tracking.set_tags(
        run_id,
        {
            "easiness.fingerprint": experiment.train.fingerprint,
            "easiness.recipe_digest": experiment.recipe.digest(),
            "easiness.model": experiment.recipe.model,
            "easiness.dataset": experiment.recipe.dataset,
        },
    )


def choose_device(name: str, *, elsewhere: bool = False) -> torch.device:
    """Device by name; `auto` is the first GPU where there is one.

    Parameters
    ----------
    name : str
        `auto`, `cpu` or `cuda`.
    elsewhere : bool
        Whether it is a device of other machines, so that a GPU need not be here.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if name not in DEVICES:
        raise ValueError(f"device is {name!r}, and must be one of {', '.join(DEVICES)}")
    if name == "cuda" and elsewhere:
        return torch.device("cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', and torch finds no GPU; use device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def training_command(function: Callable[..., None]) -> None:
    """Run an entry point that trains; under `torchrun` in the first process, while the others help it to train."""
    with joined() as ranks:
        if not ranks.is_main:
            join_training(ranks)
            return
        command(function)
        if ranks.size > 1:
            ranks.broadcast(None)
