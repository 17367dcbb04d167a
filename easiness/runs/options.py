"""Options of a training and of a run, checked as they are given."""

import importlib.util
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from easiness.datasets import Dataset
from easiness.datasets.decisions import DECISIONS_SUFFIXES
from easiness.datasets.kept import KEPT_SUFFIXES
from easiness.datasets.opening import kind_of, refuse_place
from easiness.datasets.packed import VERIFY
from easiness.recipes.recipe import KINDS, LOADERS, Recipe, make_recipe
from easiness.runs.checks import at_least, existing, one_of, unused
from easiness.runs.weights import NONE
from easiness.trials.engines import ENGINES
from easiness.trials.steps import CAPTURE

DEVICES = ("auto", "cpu", "cuda")
LOG_MODELS = ("last", "all", "none")
_LONGEST_NAME = 100
_RUN_CHOICES = {"device": DEVICES, "engine": ENGINES, "verify": VERIFY, "log_models": LOG_MODELS, "capture": CAPTURE}


@dataclass(frozen=True)
class TrainingOptions:
    """Options that decide the numbers of a training. None takes the recipe's value for that dataset, or the weights'.

    Attributes
    ----------
    model : str
        Network of this package, of torchvision, or `package.module:function`.
    dataset : str, optional
        `folder` (one folder for each class), `table` (csv, tsv or parquet with path and label), `imagenet` (packed by
        `prepare`, or folders), `cifar10`, `planted`, `torchvision:NAME`, `hf:NAME_OR_PATH` or
        `package.module:function`; found out from `data` if not given, and `planted` without either.
    data : path, optional
        Folder, table or archive that holds the dataset; from Python also a `Dataset`, or a pair of them: training and
        validation set.
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
    data_seed : int, optional
        Seed of the data: which examples a limit leaves, how one tree is split, which pictures are drawn; `seed` if not
        given. Runs of different `seed` on the same part of the data have the same.
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
    dataset: str | None = None
    data: str | Path | Dataset | tuple[Dataset, Dataset] | None = None
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
    data_seed: int | None = None
    threads: int = 1
    keep: str | Path | None = None
    decisions: str | Path | None = None
    skip_bad: bool = False
    loader: str = "auto"

    def __post_init__(self) -> None:
        one_of("loader", self.loader, ("auto", *LOADERS))
        for name in ("limit", "limit_val"):
            at_least(name, getattr(self, name), 1)
        at_least("data_seed", self.data_seed, 0)
        existing("keep", self.keep, KEPT_SUFFIXES)
        existing("decisions", self.decisions, DECISIONS_SUFFIXES)
        if self.in_memory:
            unused("dataset", self.dataset, "data is a Dataset already")
            unused("skip_bad", self.skip_bad, "data is in memory")
        else:
            existing("data", self.data)
            place = None if self.data is None else Path(self.data).expanduser().absolute()
            refuse_place(self.kind, place, skip_bad=self.skip_bad)
        if self.kind in ("cifar10", "planted", "arrays"):
            reads_files = self.loader if self.loader in ("ffcv", "torchvision") else None
            unused("loader", reads_files, f"dataset={self.kind} is in memory; use loader=resident")

        kind = self.recipe_name
        one_of("recipe", kind, KINDS)
        if kind == "paper":
            for name in ("optimizer", "head_epochs"):
                unused(name, getattr(self, name), "recipe=paper is SGD on all layers; use recipe=finetune")
        elif self.weights == NONE:
            raise ValueError(f"recipe is {kind!r}, and weights is 'none': give the weights to start from")

    @cached_property
    def kind(self) -> str:
        """Word of the option `dataset`, found out from `data` where it is not given."""
        return self.dataset or kind_of(self.data)

    @property
    def in_memory(self) -> bool:
        """Whether `data` are images in memory."""
        return isinstance(self.data, Dataset | tuple)

    @property
    def seed_of_data(self) -> int:
        """Seed of the data: `data_seed`, or the seed of all."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def recipe_name(self) -> str:
        """Recipe that is meant where none is given."""
        return self.recipe or ("paper" if self.weights == NONE else "finetune")

    def make_recipe(self, **chosen: object) -> Recipe:
        """Recipe of these options, with more of its fields chosen; loader and precision are not settled yet."""
        names = {field.name for field in fields(Recipe)} & {field.name for field in fields(self)}
        options = {name: getattr(self, name) for name in names - {"model", "dataset", "loader", "weights"}}
        return make_recipe(self.kind, self.model, self.recipe_name, **options | chosen)


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
        Check of files before they are used: quick (of packed data, tables and a sample; of images, those that are new
        or changed) or full.
    log_models : str
        Trials whose final network is logged: last, all or none.
    capture : str
        Whether a GPU replays captured steps: auto (where it can), true, false, or compile, by torch.compile, which
        takes minutes and a C compiler, for long trainings.
    trials_per_gpu : int, optional
        Trials side by side on one GPU, each in a process of its own; if not given, four small ones where NVIDIA's
        multi-process service runs, else one.
    name : str, optional
        What the data are called in the list of runs, in reports and in MLflow's dataset; the name of their folder or
        file if not given.
    """

    device: str = "auto"
    engine: str = "auto"
    address: str = "auto"
    verify: str = "quick"
    log_models: str = "last"
    capture: str = "auto"
    trials_per_gpu: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in _RUN_CHOICES.items():
            one_of(name, getattr(self, name), allowed)
        at_least("trials_per_gpu", self.trials_per_gpu, 1)
        if self.name is not None and not (self.name.isprintable() and 0 < len(self.name.strip()) <= _LONGEST_NAME):
            raise ValueError(f"name is {self.name!r}, and must be 1 to {_LONGEST_NAME} characters that can be printed")
        if self.engine != "ray":
            unused("address", None if self.address == "auto" else self.address, "only engine=ray has a cluster")
        elif importlib.util.find_spec("ray") is None:
            raise ImportError("engine is 'ray', and Ray is not installed; install it with: pip install 'easiness[ray]'")
