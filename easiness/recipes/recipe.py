"""How a network is trained and scored: one frozen `Recipe`, and one function per kind of data.

A variant calls the base and replaces fields; nothing is ever changed in place.
"""

import dataclasses
import difflib
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

# Part of every digest: raise it when the same recipe starts to give other numbers, so that no old trial is taken for a
# new one.
ALGORITHM = 1

# Networks without normalization layers do not learn at rate 0.1 (AlexNet on `planted`: chance; README has the figures).
_WITHOUT_NORMALIZATION = ("alexnet", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg13", "vgg16", "vgg19")

AUGMENTATIONS = ("shift_flip", "resized_crop_flip", "none")
NORMALIZATIONS = ("image", "channel")
LOADERS = ("resident", "ffcv", "torchvision")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """All that decides the numbers of a trial, and how many trials there are.

    Attributes
    ----------
    model : str
        A name that `build_model` knows.
    dataset : str
        A name that `open_dataset` knows.
    resolution : int
        Height and width in pixels of what the network sees.
    epochs : int
        Passes over the training set.
    schedule_epochs : int
        Length of the schedule that the milestones refer to; `epochs` unless a trial begins a longer training.
    batch_size : int
        Examples per update; the last batch of an epoch may be smaller.
    learning_rate, momentum, weight_decay : float
        Of SGD with Nesterov-free momentum, as in the paper.
    milestones : tuple of float
        Shares of the schedule after which the rate is divided by ten.
    augmentation : str
        `shift_flip`, `resized_crop_flip` or `none`.
    shift : int
        Greatest translation of `shift_flip` in pixels.
    normalization : str
        `image`: every view minus its mean, divided by its standard deviation (global contrast normalization);
        `channel`: mean and standard deviation of each colour over the training set.
    score_at : tuple of int or None
        Updates after which every training example is measured; empty: at the end of every epoch. In Python, None
        measures none of them, ever: what counts is the validation set.
    trials : int
        Number of independent trials M; does not change any one of them.
    seed : int
        Seed from which all seeds of all trials are spawned.
    threads : int
        Threads of one trial on the CPU; other values give sums in another order, so it is part of the recipe.
    loader : str
        `resident`, `ffcv` or `torchvision`: decoders round differently, so it is part of the recipe, too.
    precision : str
        Of products and convolutions: `float32`, `bfloat16` or `auto`, which is bfloat16 on a GPU and float32 on a CPU;
        weights and losses are float32.
    """

    model: str
    dataset: str
    resolution: int
    epochs: int
    schedule_epochs: int
    batch_size: int
    learning_rate: float
    milestones: tuple[float, ...]
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augmentation: str = "shift_flip"
    shift: int = 4
    normalization: str = "image"
    score_at: tuple[int, ...] | None = ()
    trials: int = 10
    seed: int = 0
    threads: int = 1
    loader: str = "resident"
    precision: str = "auto"

    def __post_init__(self) -> None:
        least = {
            "epochs": 1,
            "batch_size": 2,
            "trials": 1,
            "seed": 0,
            "threads": 1,
            "resolution": 1,
            "shift": 0,
        }
        for name, floor in least.items():
            value = getattr(self, name)
            if value < floor:
                raise ValueError(f"{name} is {value}, and must be at least {floor}")
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
        for name, allowed in (
            ("augmentation", AUGMENTATIONS),
            ("normalization", NORMALIZATIONS),
            ("loader", LOADERS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, and must be one of {', '.join(allowed)}")
        if self.augmentation == "shift_flip" and self.shift >= self.resolution:
            raise ValueError(f"shift is {self.shift} pixels, and must be below the resolution ({self.resolution})")

    def settings(self) -> dict[str, object]:
        """Fields as plain values, ready for json."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """SHA-256 of what decides the numbers of a trial: all fields but the number of trials."""
        fields = self.settings() | {"algorithm": ALGORITHM}
        del fields["trials"]
        if self.loader == "resident":  # trials from before there was a choice keep their names
            del fields["loader"]
        if self.precision == "float32":
            del fields["precision"]
        return _sha256(fields)

    def trial_digest(self, trial: int, fingerprints: tuple[str, ...]) -> str:
        """Name by which a trial is known: its recipe, its number and the fingerprints of its data.

        For a model of the user's own, the file that holds it, too; not what that file imports.

        Parameters
        ----------
        trial : int
            Number of the trial, from 0.
        fingerprints : tuple of str
            Of the training set and of the validation set.
        """
        content = {"recipe": self.digest(), "trial": trial, "data": list(fingerprints)}
        if ":" in self.model:  # the user's own: what is edited is another network
            content["source"] = _source_digest(self.model.partition(":")[0])
        return _sha256(content)

    def learning_rate_at(self, update: int, updates_per_epoch: int) -> float:
        """Rate of the update that is number `update` from 0: divided by ten after every milestone passed.

        Examples
        --------
        >>> paper = cifar10("wide_resnet_16_4", epochs=300)
        >>> [paper.learning_rate_at(epoch * 391, 391) for epoch in (0, 149, 150, 250)]
        [0.1, 0.1, 0.01, 0.001]
        """
        total = self.schedule_epochs * updates_per_epoch
        passed = sum(update >= round(share * total) for share in self.milestones)
        return self.learning_rate / 10**passed


def recipe_from(settings: dict[str, object]) -> Recipe:
    """Recipe whose `settings()` were written to json and read back.

    Raises
    ------
    ValueError
        If a field is unknown or missing: another version wrote it.
    """
    try:
        return Recipe(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})
    except TypeError as error:
        raise ValueError(f"these are no settings of this version's recipes ({error})") from None


def _source_digest(module: str) -> str | None:
    """SHA-256 of the file of a module; None where there is none, which building the model will say."""
    try:
        spec = importlib.util.find_spec(module)
        return None if spec is None else hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    except (ImportError, ValueError, OSError, TypeError):
        return None


def _sha256(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _rate(model: str) -> float:
    return 0.01 if model in _WITHOUT_NORMALIZATION else 0.1


def cifar10(model: str = "wide_resnet_16_4", *, epochs: int = 5) -> Recipe:
    """Recipe of the paper for CIFAR-10: rate 0.1, divided by ten after 150 and 250 of 300 epochs.

    The paper gives no batch size; 128 is what its three architectures were published with, or near it.
    """
    return Recipe(
        model=model,
        dataset="cifar10",
        resolution=32,
        epochs=epochs,
        schedule_epochs=epochs,
        batch_size=128,
        learning_rate=_rate(model),
        milestones=(150 / 300, 250 / 300),
    )


def planted(model: str = "alexnet", *, epochs: int = 3) -> Recipe:
    """Recipe for the drawn dataset: small batches, so that three passes over 2,000 images are updates enough.

    A trial is the first half of a schedule, which ends where the rate would be divided for the first time: three passes
    with a rate divided twice within them leave AlexNet near chance.
    """
    return dataclasses.replace(
        cifar10(model, epochs=epochs),
        dataset="planted",
        schedule_epochs=2 * epochs,
        resolution=64,
        batch_size=32,
        shift=8,
        trials=4,
    )


def folder(model: str = "resnet18", *, epochs: int = 5) -> Recipe:
    """Recipe for a folder of images that fit into memory, each scaled and cut to a square of 64 pixels."""
    return dataclasses.replace(cifar10(model, epochs=epochs), dataset="folder", resolution=64, batch_size=32, shift=8)


def imagenet(model: str = "resnet50", *, epochs: int = 5) -> Recipe:
    """Recipe of the paper for ImageNet: rate 0.1, divided by ten after 100, 150 and 190 of 200 epochs."""
    return dataclasses.replace(
        cifar10(model, epochs=epochs),
        dataset="imagenet",
        resolution=224,
        batch_size=256,
        milestones=(100 / 200, 150 / 200, 190 / 200),
        augmentation="resized_crop_flip",
    )


RECIPES = {"cifar10": cifar10, "planted": planted, "folder": folder, "imagenet": imagenet}


def make_recipe(dataset: str, model: str, **chosen: object) -> Recipe:
    """Recipe of a kind of data with some fields chosen.

    Parameters
    ----------
    dataset, model : str
        Names; only `dataset` is looked up here.
    **chosen
        Fields of `Recipe`; None leaves the recipe's own value.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        For an unknown dataset, or a value that a field does not allow.

    Examples
    --------
    >>> make_recipe("cifar10", "wide_resnet_16_4", epochs=3, trials=None).trials
    10
    """
    if dataset not in RECIPES:
        near = difflib.get_close_matches(dataset, RECIPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(RECIPES)}"
        raise ValueError(f"unknown dataset {dataset!r}; {hint}")
    fields = {name: value for name, value in chosen.items() if value is not None}
    epochs = fields.pop("epochs", None)
    base = RECIPES[dataset](model) if epochs is None else RECIPES[dataset](model, epochs=epochs)
    return dataclasses.replace(base, **fields)
