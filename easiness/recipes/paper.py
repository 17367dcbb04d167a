"""Runs behind the paper's figures and tables: one function for each, at three scales.

A docstring gives the command, its cost (in images trained on: `dry_run=true` turns them into hours at rates measured
before) and what the paper found. `tiny` shows that everything works, `small` is for a machine without a GPU, `full` is
the paper's size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from easiness.recipes.cost import EVALUATION, duration
from easiness.recipes.recipe import make_recipe

SCALES = ("tiny", "small", "full")

_CIFAR10, _IMAGENET = (50_000, 10_000), (1_281_167, 50_000)

_CIFAR10_MODELS = {
    "tiny": ("wide_resnet_10_1", "densenet_bc_10_12"),
    "small": ("wide_resnet_10_1", "densenet_bc_16_8", "resnext11_2x4d_8"),
    "full": ("wide_resnet_16_4", "densenet_bc_100_12", "resnext29_4x64d"),
}
# Part of CIFAR-10 on which scale small trains to the end.
_PART = {"limit": 10_000, "limit_val": 2_000}


@dataclass(frozen=True)
class PaperRun:
    """A run that the paper's results need."""

    name: str  # unique name, for reference by other runs
    entry: str  # entry point: score, match or ablate
    options: dict[str, object]  # parameters of the entry point, without the path of the data and seeds
    needs: tuple[str, ...] = field(default=())  # names of the score runs that it reads
    nth_seed: int = 0  # of runs that differ in nothing but their luck

    def arguments(self, run_ids: Mapping[str, str]) -> dict[str, object]:
        """Keywords of the call, without the place of the data; `run_ids` are those of `needs`, by their names."""
        if self.entry == "match":
            return self.options | {"runs": tuple(run_ids[name] for name in self.needs)}
        return self.options | ({"scores": tuple(run_ids[name] for name in self.needs)} if self.needs else {})

    def seeds(self, seed: int) -> dict[str, int]:
        """Keywords of the call: its own seed, and one for the data of all runs; `seed` is that of the whole."""
        return {"seed": seed + self.nth_seed} | ({} if self.entry == "match" else {"data_seed": seed})

    def command(self) -> str:
        """Words after `./run.sh`, without the place of the data; those of `needs` stand for run ids."""
        arguments = self.arguments({name: f"<{name}>" for name in self.needs})
        words = {
            key: ",".join(map(str, value)) if isinstance(value, tuple) else value for key, value in arguments.items()
        }
        words |= {key: value for key, value in self.seeds(0).items() if self.nth_seed}
        return " ".join([f"-e {self.entry}", *(f"-P {key}={value}" for key, value in words.items())])

    @property
    def model_and_resolution(self) -> tuple[str, int] | None:
        """Model and resolution, which decide the training speed; None if nothing is trained."""
        if self.entry == "match":
            return None
        recipe = make_recipe(self.options["dataset"], self.options["model"], resolution=self.options.get("resolution"))
        return recipe.model, recipe.resolution

    def images(self) -> float:
        """Number of images that all trainings together train on; evaluated images count as a third."""
        if self.entry == "match":
            return 0.0
        count, val_count = _CIFAR10 if self.options["dataset"] == "cifar10" else _IMAGENET
        count, val_count = self.options.get("limit", count), self.options.get("limit_val", val_count)
        epochs = self.options["epochs"]
        if self.entry == "score":
            scorings = len(self.options.get("score_at") or ()) or epochs
            return self.options["trials"] * (epochs * (count + val_count * EVALUATION) + scorings * count * EVALUATION)
        left = [1.0] + [1 - ratio for _ in self.options["strategies"] for ratio in self.options["ratios"]]
        return self.options["seeds"] * epochs * sum(share * count + val_count * EVALUATION for share in left)


def scores_cifar10(scale: str) -> list[PaperRun]:
    """Easiness on CIFAR-10 under three architectures; behind Fig. 1, 2 and 3, and of whole trainings Table 1.

    ``-e score -P dataset=cifar10 -P model=wide_resnet_16_4 -P epochs=300``, and the same for densenet_bc_100_12 and
    resnext29_4x64d. Easiness is taken at the end of epoch 5, before the rate is first divided; for Table 1 alone these
    are whole trainings, shorter at scale tiny, and other runs at scale small. Full: ten trials of 300 epochs, 150
    million images for each model; WRN 16-4 does 27 of them a second on one core of a server. Small: 25,000 images, ten
    trials of the first five epochs, 1.25 million images for each model.
    """
    size = {
        "tiny": {"limit": 500, "limit_val": 200, "trials": 2, "epochs": 2, "schedule_epochs": 2},
        "small": {"limit": 25_000, "limit_val": 2_000, "trials": 10, "epochs": 5},
        "full": {"trials": 10, "epochs": 300},
    }[scale]
    return _score_runs("cifar10", _CIFAR10_MODELS[scale], size)


def whole_cifar10(scale: str) -> list[PaperRun]:
    """Table 1 on CIFAR-10 at scale small: whole trainings of their own, and what they share; elsewhere none.

    ``-e score -P dataset=cifar10 -P model=wide_resnet_10_1 -P epochs=30 -P schedule_epochs=30``, and the same for the
    others; then ``-e match``. 10,000 images, four trials, 1.2 million images for each model.
    """
    if scale != "small":
        return []
    size = _PART | {"trials": 4, "epochs": 30, "schedule_epochs": 30}
    scored = _score_runs("cifar10", _CIFAR10_MODELS[scale], size, "-whole")
    return [*scored, *_match_runs("cifar10", scored, "-whole")]


def match_cifar10(scale: str) -> list[PaperRun]:
    """Fig. 1 (dog), Fig. 2 (horse), Fig. 3 and Table 1 on CIFAR-10, from the three score runs.

    ``-e match``. Minutes. Table 1 of the paper: WRN .18 easy and .255 hard, DenseNet-BC .24 and .279, ResNeXt .129 and
    .174; chance .1.
    """
    return _match_runs("cifar10", scores_cifar10(scale))


def ablate_cifar10(scale: str) -> list[PaperRun]:
    """Fig. 4 (a): accuracy of WRN 16-4 after removing easy, hard or random examples of CIFAR-10, and stepwise.

    ``-e ablate -P dataset=cifar10 -P model=wide_resnet_16_4 -P epochs=300``. Full: 111 trainings, 855 million images,
    and the re-scoring of stepwise. Small: 10,000 images, arms of 30 epochs, five seeds, each with a score run of its
    own, so that intervals contain the luck of scoring; once with weights by easiness, once by rank. The paper: hard
    costs most at every ratio, easy falls sharply where very much is removed, stepwise is best.
    """
    strategies = ("easy", "hard", "random", "stepwise")
    if scale == "small":
        scored = [
            replace(run, name=f"{run.name}-{nth}", nth_seed=nth)
            for nth in range(1, 6)
            for run in _score_runs("cifar10", _CIFAR10_MODELS[scale][:1], _PART | {"trials": 4, "epochs": 5})
        ]
        size = {"ratios": (0.3, 0.5, 0.7, 0.9), "seeds": len(scored), "epochs": 30}
        return [
            *scored,
            *(_ablate_run(scored, strategies, size | {"weighting": name}, f"-{name}") for name in ("inverse", "rank")),
        ]
    size = {
        "tiny": {"ratios": (0.3,), "seeds": 2, "epochs": 2},
        "full": {"ratios": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "seeds": 3, "epochs": 300},
    }[scale]
    return [_ablate_run(scores_cifar10(scale)[:1], strategies, size)]


def scores_imagenet(scale: str) -> list[PaperRun]:
    """Easiness on ImageNet under AlexNet, ResNet-18, ResNet-50 and DenseNet-121; behind Fig. 1 (c, d) and Fig. 3.

    ``-e score -P dataset=imagenet -P model=alexnet -P epochs=200``, and the same for the others. Full: ten trials of
    200 epochs, 2.6 billion images for each model. The smaller scales leave ImageNet out.
    """
    models = ("alexnet", "resnet18", "resnet50", "densenet121") if scale == "full" else ()
    return _score_runs("imagenet", models, {"trials": 10, "epochs": 200})


def match_imagenet(scale: str) -> list[PaperRun]:
    """Fig. 1 (panda) and Fig. 3 on ImageNet, from the four score runs.

    ``-e match``. The paper: all six pairs share far more than chance (.1), most at early epochs.
    """
    return _match_runs("imagenet", scores_imagenet(scale))


def ablate_imagenet(scale: str) -> list[PaperRun]:
    """Fig. 4 (b): random against stepwise for ResNet-50 on ImageNet.

    ``-e ablate -P dataset=imagenet -P model=resnet50 -P strategies=random,stepwise -P epochs=200``. Full: 33
    trainings, 6.1 billion images, and the re-scoring of stepwise. The paper: stepwise is about 1.1 points better at
    ratio .3.
    """
    size = {"ratios": (0.1, 0.2, 0.3, 0.4, 0.5), "seeds": 3, "epochs": 200}
    scored = [run for run in scores_imagenet(scale) if run.options["model"] == "resnet50"]
    return [_ablate_run([run], ("random", "stepwise"), size) for run in scored]


def _score_runs(dataset: str, models: tuple[str, ...], size: dict[str, object], suffix: str = "") -> list[PaperRun]:
    runs = {model: {"model": model, "dataset": dataset, **size} for model in models}
    return [PaperRun(f"score-{dataset}-{model}{suffix}", "score", options) for model, options in runs.items()]


def _match_runs(dataset: str, scored: list[PaperRun], suffix: str = "") -> list[PaperRun]:
    return [PaperRun(f"match-{dataset}{suffix}", "match", {}, tuple(run.name for run in scored))] if scored else []


def _ablate_run(
    scored: list[PaperRun], strategies: tuple[str, ...], size: dict[str, object], suffix: str = ""
) -> PaperRun:
    """Ablation with the model and the data of score runs."""
    of_scores = scored[0].options
    dataset, limits = of_scores["dataset"], {key: value for key, value in of_scores.items() if key.startswith("limit")}
    options = {"model": of_scores["model"], "dataset": dataset, "strategies": strategies, **limits, **size}
    return PaperRun(f"ablate-{dataset}{suffix}", "ablate", options, tuple(run.name for run in scored))


PAPER_RUNS = (
    scores_cifar10,
    match_cifar10,
    whole_cifar10,
    ablate_cifar10,
    scores_imagenet,
    match_imagenet,
    ablate_imagenet,
)


def paper_runs(scale: str) -> list[PaperRun]:
    """All runs behind the paper at a scale, each after the runs that it needs.

    Examples
    --------
    >>> [run.name for run in paper_runs("tiny")][-2:]
    ['match-cifar10', 'ablate-cifar10']
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}, and must be one of {', '.join(SCALES)}")
    return [run for make_runs in PAPER_RUNS for run in make_runs(scale)]


@dataclass(frozen=True)
class PaperPlan:
    """Runs behind the paper that will be made, and their cost.

    Attributes
    ----------
    runs : list of PaperRun
        Each after those that it needs.
    left_out : int
        Number of runs on ImageNet that are left out, for want of its images.
    rates : mapping of float
        Images that one trial trains on in a second, by model and resolution, where it was measured.
    processors : int
        Trials side by side.
    """

    runs: list[PaperRun]
    left_out: int
    rates: Mapping[tuple[str, int], float]
    processors: int

    def seconds(self, run: PaperRun) -> float | None:
        """Time that a run takes from the beginning; None where no trial of the model was measured."""
        if run.model_and_resolution is None:
            return 0.0
        rate = self.rates.get(run.model_and_resolution)
        return None if rate is None else run.images() / (rate * self.processors)

    def summary(self) -> str:
        """Commands and their times, finished trials not counted."""
        lines = [f"{len(self.runs)} runs; finished trials are taken over, and what follows is the time without any:"]
        for run in self.runs:
            seconds = self.seconds(run)
            time = "no rate measured yet" if seconds is None else f"about {duration(seconds)}"
            lines.append(f"  {run.name:<36} {time}\n      {run.command()}")
        if self.left_out:
            lines.append(f"{self.left_out} runs on ImageNet are left out; imagenet=FOLDER includes them")
        known = [seconds for seconds in map(self.seconds, self.runs) if seconds is not None]
        unknown = len(self.runs) - len(known)
        more = f", and {unknown} runs whose rate is not known yet" if unknown else ""
        lines.append(f"in all about {duration(sum(known))}{more}; re-scoring of stepwise comes on top")
        return "\n".join(lines)
