"""Recipe of a training: one frozen dataclass, and one function per dataset.

A variant calls the base function and replaces fields.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from easiness.recipes.custom import source_digest
from easiness.recipes.randomness import TrialSeeds, trial_seeds

# Part of every digest: raise it when the same recipe starts to give other numbers, so that no old trial is reused for
# it.
ALGORITHM = 2

# Networks without normalization layers do not learn at rate 0.1 (AlexNet on `planted`: chance); docs/method.md has the
# figures.
_WITHOUT_NORMALIZATION = ("alexnet", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg13", "vgg16", "vgg19")

LOADERS = ("resident", "ffcv", "torchvision")
_CHOICES = {
    "augmentation": ("shift_flip", "resized_crop_flip", "none"),
    "padding": ("zero", "reflect"),
    "normalization": ("image", "channel", "imagenet", "fixed"),
    "loader": LOADERS,
    "precision": ("auto", "float32", "bfloat16"),
    "optimizer": ("sgd", "adamw"),
    "schedule": ("steps", "cosine"),
}

# Fields that never change the numbers of a trial: how many there are, and the name of what `weights_sha256` proves.
_NOT_IN_DIGEST = ("trials", "weights")

Value = TypeVar("Value")


def neutral(value: Value) -> Value:
    """Field with a default that changes nothing: with that value it is left out of the digest.

    So a trial without what the field is about keeps its name, and is found again.
    """
    return dataclasses.field(default=value, metadata={"neutral": True})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the numbers of a trial, and the number of trials."""

    model: str  # see `build_model`
    dataset: str  # data whose recipe it is: a key of `RECIPES`, see `recipe_of`
    resolution: int  # height and width in pixels of the network's input
    epochs: int  # passes over the training set
    # Length of the learning rate schedule; longer than `epochs` where a trial is the beginning of a whole training.
    schedule_epochs: int
    batch_size: int  # examples per update; the last batch of an epoch may be smaller
    learning_rate: float  # of SGD (plain momentum, no Nesterov) or AdamW
    milestones: tuple[float, ...]  # shares of the schedule after which the learning rate is divided by ten
    momentum: float = 0.9  # of AdamW, the first beta
    weight_decay: float = 1e-4  # L2 penalty on all parameters; of AdamW, decoupled from the gradient
    augmentation: str = "shift_flip"  # or resized_crop_flip, none
    shift: int = 4  # largest translation of shift_flip in pixels
    padding: str = "zero"  # what comes in at the border of a translated image: black, or `reflect`, its mirror image
    # `image`: every view minus its mean, divided by its standard deviation (global contrast normalization); `channel`:
    # mean and standard deviation of each colour over the training set; `imagenet`: over ImageNet; `fixed`: the values
    # below, which come with weights.
    normalization: str = "image"
    # Updates after which every training example is scored; empty: at the end of every epoch. None, from Python only:
    # never, because only the validation accuracy is wanted.
    score_at: tuple[int, ...] | None = ()
    trials: int = 10  # number of independent trials M; does not change any of them
    seed: int = 0  # the seeds of all trials are spawned from it
    threads: int = 1  # CPU threads per trial; part of the recipe, because the number changes the order of sums
    loader: str = "resident"  # or ffcv, torchvision; part of the recipe, because decoders round differently
    # Precision of products and convolutions: `float32`, `bfloat16` or `auto` (bfloat16 on a GPU, float32 on a CPU);
    # weights and losses are float32.
    precision: str = "auto"
    common_random_numbers: bool = False  # seeds that all architectures share: a control
    # Parts of the training set: trial m trains on all but part m mod folds, and measures every example; 0: on all.
    folds: int = neutral(0)
    weights: str = neutral("none")  # name of the trained weights that all trials start from
    weights_sha256: str = neutral("")  # SHA-256 (hex) of their file
    new_head: bool = neutral(False)  # whether the last layer is drawn anew for every trial, not read
    optimizer: str = neutral("sgd")  # or adamw
    schedule: str = neutral("steps")  # `steps` at the milestones, or `cosine` down to zero
    validate_every: int = neutral(1)  # epochs from one validation to the next; the last one is always validated
    head_epochs: int = neutral(0)  # first epochs that train the last layer alone; all follow at a tenth of the rate
    colour_mean: tuple[float, ...] = neutral(())  # of red, green, blue in grey levels, for normalization `fixed`
    colour_std: tuple[float, ...] = neutral(())

    def __post_init__(self) -> None:
        minima = {"epochs": 1, "batch_size": 2, "trials": 1, "threads": 1, "resolution": 1, "validate_every": 1}
        minima |= dict.fromkeys(("seed", "shift", "folds", "head_epochs"), 0)
        for name, minimum in minima.items():
            value = getattr(self, name)
            if value < minimum:
                raise ValueError(f"{name} is {value}, and must be at least {minimum}")
        if self.schedule_epochs < self.epochs:
            raise ValueError(f"schedule_epochs is {self.schedule_epochs}, and must be at least epochs ({self.epochs})")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate is {self.learning_rate}, and must be positive and finite")
        for name in ("momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be in [0, 1)")
        if any(not 0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones are {self.milestones}, and must be shares of the training between 0 and 1")
        score_at = self.score_at or ()
        if any(update < 0 for update in score_at) or len(set(score_at)) < len(score_at):
            raise ValueError(f"score_at is {self.score_at}, and must be different numbers of updates, none below 0")
        if self.folds == 1:
            raise ValueError("folds is 1, which leaves nothing to train on; use 2 or more, or 0 to hold nothing out")
        if self.folds and self.trials % self.folds:
            least = -(-self.trials // self.folds) * self.folds
            raise ValueError(
                f"trials is {self.trials}, and must be a multiple of folds ({self.folds}), so that every example is "
                f"held out as often as any other; use trials={least}, or other folds"
            )
        if self.folds and self.validate_every > 1:
            raise ValueError(f"validate_every is {self.validate_every}, and with folds every epoch is validated")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, and must be one of {', '.join(allowed)}")
        if self.head_epochs >= self.schedule_epochs:
            raise ValueError(f"head_epochs is {self.head_epochs}, and must be below schedule_epochs: all layers follow")
        if (self.weights == "none") != (not self.weights_sha256):
            raise ValueError(f"weights is {self.weights!r}, and their SHA-256 is {self.weights_sha256!r}: give both")
        if self.weights_sha256 and not re.fullmatch("[0-9a-f]{64}", self.weights_sha256):
            raise ValueError(f"weights_sha256 is {self.weights_sha256!r}, and must be 64 hexadecimal digits")
        self._check_colours()
        if self.augmentation == "shift_flip" and self.shift >= self.resolution:
            raise ValueError(f"shift is {self.shift} pixels, and must be below the resolution ({self.resolution})")

    def _check_colours(self) -> None:
        colours = self.colour_mean, self.colour_std
        if self.normalization != "fixed" and any(colours):
            raise ValueError(f"normalization is {self.normalization!r}, and fixed colours are for 'fixed' alone")
        if self.normalization == "fixed" and not (
            all(len(values) == 3 and all(map(math.isfinite, values)) for values in colours) and min(self.colour_std) > 0
        ):
            raise ValueError("normalization is 'fixed', whose values come with weights; use image, channel or imagenet")

    def settings(self) -> dict[str, object]:
        """Fields as plain values, ready for json."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """SHA-256 (hex) of what decides the numbers of a trial."""
        content = self.settings() | {"algorithm": ALGORITHM}
        for field in dataclasses.fields(self):
            unchanged = field.metadata.get("neutral") and getattr(self, field.name) == field.default
            if unchanged or field.name in _NOT_IN_DIGEST:
                del content[field.name]
        return _sha256(content)

    def trial_seeds(self, trial: int) -> TrialSeeds:
        """Seeds of one trial, numbered from 0."""
        return trial_seeds(self.seed, "" if self.common_random_numbers else self.model, trial)

    def trial_digest(self, trial: int, fingerprints: tuple[str, ...]) -> str:
        """SHA-256 (hex) of recipe, trial number and fingerprints of the training and validation set.

        With folds, the fingerprints are of the examples that it trains on, and of all that it measures.

        For a user's model it includes the file that defines it, but not what that file imports.
        """
        content = {"recipe": self.digest(), "trial": trial, "data": list(fingerprints)}
        if ":" in self.model:  # a user's model: an edited file is another network
            content["source"] = source_digest(self.model)
        return _sha256(content)

    def length(self) -> str:
        """Say which part of its schedule a trial is.

        Examples
        --------
        >>> cifar10(epochs=5).length(), cifar10(epochs=300).length()
        ('the first 5 of 300 epochs', 'a whole training of 300 epochs')
        """
        if self.epochs < self.schedule_epochs:
            return f"the first {self.epochs} of {self.schedule_epochs} epochs"
        return f"a whole training of {self.epochs} epochs"

    def learning_rate_at(self, update: int, updates_per_epoch: int) -> float:
        """Learning rate of an update (counted from 0).

        It is divided by ten after every milestone passed, or falls along half a cosine; after the epochs of the last
        layer alone, all this happens at a tenth.

        Examples
        --------
        >>> paper = cifar10("wide_resnet_16_4", epochs=300)
        >>> [paper.learning_rate_at(epoch * 391, 391) for epoch in (0, 149, 150, 250)]
        [0.1, 0.1, 0.01, 0.001]
        >>> tuned = make_recipe("folder", "resnet18", recipe="finetune", epochs=5)
        >>> [round(tuned.learning_rate_at(epoch * 13, 13), 4) for epoch in range(5)]
        [0.1, 0.01, 0.0085, 0.005, 0.0015]
        """
        head, total = (epochs * updates_per_epoch for epochs in (self.head_epochs, self.schedule_epochs))
        if update < head:
            return self.learning_rate
        rate = self.learning_rate / 10 if head else self.learning_rate
        if self.schedule == "cosine":
            return rate * (1 + math.cos(math.pi * (update - head) / (total - head))) / 2
        passed = sum(update >= round(share * total) for share in self.milestones)
        return rate / 10**passed


def recipe_from(settings: dict[str, object]) -> Recipe:
    """Recipe with the given `settings()`, as read back from json; a ValueError if a field is unknown or missing."""
    try:
        return Recipe(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})
    except TypeError as error:
        raise ValueError(f"not the settings of a recipe ({error})") from None


def _sha256(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def cifar10(model: str = "wide_resnet_16_4", *, epochs: int = 5) -> Recipe:
    """Paper's recipe for CIFAR-10: the first `epochs` of 300, rate 0.1, divided by ten after 150 and 250.

    The paper gives no batch size; its three architectures were published with 128 or close to it.
    """
    return Recipe(
        model=model,
        dataset="cifar10",
        resolution=32,
        epochs=epochs,
        schedule_epochs=300,
        batch_size=128,
        learning_rate=0.01 if model in _WITHOUT_NORMALIZATION else 0.1,
        milestones=(150 / 300, 250 / 300),
    )


def planted(model: str = "alexnet", *, epochs: int = 3) -> Recipe:
    """Recipe for the drawn dataset: small batches, so that three passes over 2,000 images are enough updates.

    The rate is constant, since the first milestone is far: three passes with two divisions leave AlexNet near chance.
    """
    return dataclasses.replace(
        cifar10(model, epochs=epochs),
        dataset="planted",
        resolution=64,
        batch_size=32,
        shift=8,
        trials=4,
    )


def folder(model: str = "resnet18", *, epochs: int = 5) -> Recipe:
    """Recipe for a folder of images that fit in memory, each scaled and cropped to a square of 64 pixels.

    The rate is constant, as in `planted`.
    """
    return dataclasses.replace(cifar10(model, epochs=epochs), dataset="folder", resolution=64, batch_size=32, shift=8)


def imagenet(model: str = "resnet50", *, epochs: int = 5) -> Recipe:
    """Paper's recipe for ImageNet: the first `epochs` of 200, rate 0.1, divided by ten after 100, 150 and 190."""
    return dataclasses.replace(
        cifar10(model, epochs=epochs),
        dataset="imagenet",
        schedule_epochs=200,
        resolution=224,
        batch_size=256,
        milestones=(100 / 200, 150 / 200, 190 / 200),
        augmentation="resized_crop_flip",
    )


def finetune(base: Recipe, optimizer: str = "sgd") -> Recipe:
    """Recipe that goes on from trained weights, as a whole training of the base's epochs.

    The last layer alone for one epoch, then all layers at a tenth of the rate along a cosine; with SGD at the base's
    rate, with AdamW at 0.001.
    """
    adamw = {"learning_rate": 1e-3, "weight_decay": 0.05} if optimizer == "adamw" else {}
    lengths = {"schedule_epochs": base.epochs, "head_epochs": min(1, base.epochs - 1)}
    return dataclasses.replace(base, optimizer=optimizer, schedule="cosine", **lengths, **adamw)


RECIPES = {"cifar10": cifar10, "planted": planted, "folder": folder, "imagenet": imagenet}

# torchvision's sets of 28 or 32 pixels, for which the recipe of CIFAR-10 was made.
_SMALL = ("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "SVHN", "USPS")

KINDS = ("paper", "finetune")

# Words of the option `dataset`, as messages list them.
DATASETS = (*RECIPES, "table", "torchvision:NAME", "hf:NAME", "package.module:function")


def recipe_of(dataset: str) -> Callable[[str], Recipe]:
    """Recipe function for a word of the option `dataset`, so that the same pictures are trained alike by every door.

    >>> [recipe_of(word).__name__ for word in ("table", "hf:beans", "torchvision:MNIST", "imagenet")]
    ['folder', 'folder', 'cifar10', 'imagenet']
    """
    door, _, name = dataset.partition(":")
    if dataset in RECIPES:
        return RECIPES[dataset]
    if (door and name) or dataset in ("arrays", "hf", "table"):
        return cifar10 if door == "torchvision" and name in _SMALL else folder
    near = difflib.get_close_matches(dataset, (*RECIPES, "table"))
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"unknown dataset {dataset!r}; {hint}there are {', '.join(DATASETS)}")


def make_recipe(dataset: str, model: str, recipe: str = "paper", **chosen: object) -> Recipe:
    """Recipe of a dataset, `paper` or `finetune`, with some fields replaced; None leaves the recipe's default.

    Examples
    --------
    >>> make_recipe("cifar10", "wide_resnet_16_4", epochs=3, trials=None).trials
    10
    """
    base = recipe_of(dataset)(model)
    fields = {name: value for name, value in chosen.items() if value is not None}
    if recipe not in KINDS:
        raise ValueError(f"recipe is {recipe!r}, and must be one of {', '.join(KINDS)}")
    if recipe == "finetune":
        epochs = fields.get("epochs", base.epochs)
        longest = max(epochs, base.schedule_epochs)
        base = dataclasses.replace(base, epochs=epochs, schedule_epochs=longest)
        base = finetune(base, fields.get("optimizer", base.optimizer))
    return dataclasses.replace(base, **fields)
