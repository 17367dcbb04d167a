"""A run of benchmarks: one or all of them measured, and logged as a json and figures."""

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from easiness import figures, tracking
from easiness.architectures import check_model
from easiness.benchmarks.loaders import bench_loaders
from easiness.benchmarks.machine import bench_machine
from easiness.benchmarks.matching import MatchingSize, bench_matching
from easiness.benchmarks.scaling import bench_scaling, noise
from easiness.benchmarks.score import bench_score
from easiness.benchmarks.step import bench_step
from easiness.datasets import open_dataset
from easiness.recipes.recipe import make_recipe
from easiness.runs.checks import at_least, at_most, existing, one_of, processors, unused
from easiness.runs.public import logged_run, public
from easiness.runs.setup import choose_device

log = logging.getLogger("easiness")


@dataclass(frozen=True)
class Benchmarks:
    """Result of `bench`."""

    run_id: str
    measured: dict[str, object]  # by name of the benchmark, as in the run's bench.json; `machine` are its ceilings
    artifacts: str  # address of the json and the figures

    def summary(self) -> str:
        """Every median and single number, one a line, and where the rest is."""
        lines = []
        for name, result in self.measured.items():
            lines += [name, *(f"  {key:<40} {value:.4g}" for key, value in _medians(result)), ""]
        return "\n".join([*lines, f"run id     {self.run_id}", f"artifacts  {self.artifacts}"])


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, and at what size.

    Attributes
    ----------
    what : str
        step, loaders, score, scaling, matching or all.
    model : str
        Network of the steps and of the scoring; scaling takes wide_resnet_10_1, whose time is not compute alone.
    data : str, optional
        Archive of CIFAR-10 for the scoring; drawn pixels without it, which take as long.
    images : str, optional
        Folder with one folder of image files for each class, for loaders; `all` leaves them out without it.
    limit : int
        Examples of the scoring.
    trials : int
        Trials of the scoring.
    epochs : int
        Epochs of every trial.
    repeats : int
        Rounds that count, after one to warm up.
    scale : float
        Share of the full size of scaling (50,000 examples), matching (1,281,167) and a round of loaders (1,000).
    threads : int
        Threads of one trial on the CPU.
    device : str
        auto, cpu or cuda.
    """

    what: str = "all"
    model: str = "wide_resnet_16_4"
    data: str | Path | None = None
    images: str | Path | None = None
    limit: int = 500
    trials: int = 2
    epochs: int = 1
    repeats: int = 5
    scale: float = 1.0
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        one_of("what", self.what, (*BENCHES, "all"))
        for name, (least, most) in _RANGES.items():
            at_least(name, getattr(self, name), least)
            at_most(name, getattr(self, name), most)
        processors("threads", self.threads)
        for name, users in {"data": ("score", "all"), "images": ("loaders", "all")}.items():
            existing(name, getattr(self, name))
            if self.what not in users:
                unused(name, getattr(self, name), f"what={self.what} reads no files")
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale is {self.scale:g}, and must be above 0 and at most 1")
        if self.what == "loaders" and self.images is None:
            raise ValueError("what is 'loaders', and these are timed on image files: give a folder of them as images")


# Least and most of some options.
_RANGES = {"limit": (20, 50_000), "trials": (1, 1_000), "epochs": (1, 1_000), "repeats": (1, 1_000)}

# Measurements, and figures by name.
_Outcome = tuple[dict[str, object], dict[str, figures.Figure]]


@public
def bench(options: BenchOptions) -> Benchmarks:
    """Measure speed side by side, in turns, and log a json and figures; the machine's own ceilings come first.

    Parameters
    ----------
    options : BenchOptions
        What to measure, and at what size.
    """
    paths = {name: getattr(options, name) for name in ("data", "images")}
    paths = {name: None if path is None else Path(path).expanduser() for name, path in paths.items()}
    check_model(options.model, make_recipe("cifar10", options.model).resolution)
    options = replace(options, **paths, device=str(choose_device(options.device)))
    chosen = dict(BENCHES) if options.what == "all" else {options.what: BENCHES[options.what]}
    if options.images is None and chosen.pop("loaders", None):
        log.info("loaders are left out; to time them, give a folder of image files as images")
    with logged_run("bench", f"bench {options.what}") as run_id, tempfile.TemporaryDirectory() as files:
        folder = Path(files)
        measured: dict[str, object] = {}
        for name, measure in {"machine": _machine, **chosen}.items():
            log.info("measuring %s", name)
            measured[name], drawn = measure(options)
            for title, figure in drawn.items():
                figures.save(figure, folder / f"{title}.png")
            tracking.log_metrics(run_id, dict(_medians(measured[name], name)))
        (folder / "bench.json").write_text(json.dumps(measured, indent=1) + "\n")
        tracking.log_folder(run_id, folder, "bench")
        return Benchmarks(run_id, measured, tracking.artifact_place(run_id))


def _machine(options: BenchOptions) -> _Outcome:
    return bench_machine(torch.device(options.device), repeats=options.repeats, threads=options.threads), {}


def _step(options: BenchOptions) -> _Outcome:
    device = torch.device(options.device)
    result = bench_step(options.model, device, repeats=options.repeats, threads=options.threads)
    shares = {
        f"{name}, {way}": measured["share_of_matmul"]["all"]
        for name, step in (("training", result["train"]), ("scoring", result["score"]))
        for way, measured in step.items()
        if isinstance(measured, dict)
    }
    title = f"Steps of {options.model} on {options.device} in {result['precision']}, beside the matrix product"
    return result, {"step": figures.speed_bars(shares, unit="share of its speed · higher = better", title=title)}


def _loaders(options: BenchOptions) -> _Outcome:
    result = bench_loaders(options.images, images=round(1000 * options.scale), repeats=options.repeats)
    rates = {name: [row["least"], row["images_per_second"], row["most"]] for name, row in result.items()}
    title = f"Training batches at 224 pixels, two workers, {options.images.name}"
    return result, {"loaders": figures.speed_bars(rates, unit="images per second · higher = better", title=title)}


def _score(options: BenchOptions) -> _Outcome:
    epochs, trials = options.epochs, options.trials
    recipe = make_recipe("cifar10", options.model, epochs=epochs, trials=trials, threads=options.threads)
    if options.data is None:
        train = noise(options.limit, recipe.resolution, 10)
    else:
        train = open_dataset("cifar10", options.data, split="train", limit=options.limit)
    result = bench_score(recipe, train, torch.device(options.device), repeats=options.repeats)
    size = f"{trials} trials of {epochs} epoch{'' if epochs == 1 else 's'}"
    title = f"{size} with scores, {options.model}, {len(train)} images, {options.device}"
    seconds = {name: line["all"] for name, line in result["seconds"].items()}
    return result, {"score": figures.speed_bars(seconds, unit="seconds · lower = better", title=title)}


def _scaling(options: BenchOptions) -> _Outcome:
    counts = [round(count * options.scale) for count in (5_000, 10_000, 25_000, 50_000)]
    recipe = make_recipe("cifar10", "wide_resnet_10_1", epochs=1, threads=options.threads)
    result = bench_scaling(recipe, counts=counts, repeats=options.repeats)
    drawn = {}
    for name in ("examples", "trials", "processes"):
        series = result[name]
        drawn[f"scaling_{name}"] = figures.scaling_curves(
            series["sizes"],
            *([point["median"] for point in series[key]] for key in ("seconds", "gib")),
            time_exponent=series["time_exponent"],
            memory_exponent=series["memory_exponent"],
            x=f"number of {name}",
            title=f"A scoring against the number of {name}, {recipe.model}",
        )
    return result, drawn


def _matching(options: BenchOptions) -> _Outcome:
    result = bench_matching(MatchingSize(n=round(1_281_167 * options.scale)))
    seconds = {"ours": [result["seconds"]], "one sort and intersection per draw": [result["naive_seconds"]]}
    title = f"Matching of {result['models']} models, {result['n']:,} examples, {result['moments']} moments"
    return result, {"matching": figures.speed_bars(seconds, unit="seconds · lower = better", title=title)}


BENCHES: dict[str, Callable[[BenchOptions], _Outcome]] = {
    "step": _step,
    "loaders": _loaders,
    "score": _score,
    "scaling": _scaling,
    "matching": _matching,
}


def _medians(measured: object, name: str = "") -> list[tuple[str, float]]:
    """Every median and single number, by its path; without commas, which MLflow does not take in a name."""
    if isinstance(measured, dict) and "median" in measured:
        measured = measured["median"]
    if isinstance(measured, dict):
        return [pair for key, value in measured.items() for pair in _medians(value, f"{name}/{key}".lstrip("/"))]
    return [(name.replace(",", ""), float(measured))] if isinstance(measured, (int, float)) else []
