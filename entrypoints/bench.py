"""Measure what the README claims of speed, beside what a user would otherwise write; log a json and figures."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from easiness import benchmarks, figures, tracking
from easiness.commandline import caller_path, command, unknown
from easiness.datasets import open_dataset
from easiness.recipes.recipe import make_recipe
from easiness.runs.options import choose_device


@dataclass(frozen=True)
class Task:
    """Options of `bench`, settled; see there."""

    model: str
    data: str | None
    images: str | None
    limit: int
    trials: int
    epochs: int
    repeats: int
    scale: float
    threads: int
    device: torch.device


# What a benchmark measured, and figures by name.
Outcome = tuple[dict[str, object], dict[str, object]]


def bench(
    what: str = "all",
    model: str = "wide_resnet_16_4",
    data: str | None = None,
    images: str | None = None,
    limit: int = 500,
    trials: int = 2,
    epochs: int = 1,
    repeats: int = 5,
    scale: float = 1.0,
    threads: int = 1,
    device: str = "auto",
) -> None:
    """Measure speed side by side, in turns, and log a json and figures; the machine's own ceilings are printed first.

    Parameters
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
    if what != "all" and what not in BENCHES:
        raise ValueError(unknown("benchmark", what, (*BENCHES, "all")))
    floors = {"limit": (limit, 20), "trials": (trials, 1), "epochs": (epochs, 1), "repeats": (repeats, 1)}
    for name, (value, floor) in floors.items():
        if value < floor:
            raise ValueError(f"{name} is {value}, and must be at least {floor}")
    if not 0 < scale <= 1:
        raise ValueError(f"scale is {scale:g}, and must be above 0 and at most 1")
    if what == "loaders" and images is None:
        raise ValueError("what is 'loaders', and these are timed on image files: give a folder of them as images")
    task = Task(model, data, images, limit, trials, epochs, repeats, scale, threads, choose_device(device))
    with tracking.tracked_run("bench", f"bench {what}") as run_id, tempfile.TemporaryDirectory() as place:
        tracking.log_settings(run_id, {**vars(task), "what": what})
        folder = Path(place)
        measured: dict[str, object] = {}
        for name, measure in {"machine": _machine, **BENCHES}.items():
            if what not in ("all", name) and name != "machine":
                continue
            if name == "loaders" and images is None:
                print("\nloaders: left out, since no folder of image files is given as images")
                continue
            measured[name], drawn = measure(task)
            for title, figure in drawn.items():
                figures.save(figure, folder / f"{title}.png")
            _say(name, measured[name])
        (folder / "bench.json").write_text(json.dumps(measured, indent=1) + "\n")
        tracking.log_folder(run_id, folder, "bench")
        tracking.log_metrics(run_id, dict(_medians(measured)))
        print(f"\nrun id     {run_id}\nartifacts  {tracking.artifact_place(run_id)}")


def _machine(task: Task) -> Outcome:
    return benchmarks.bench_machine(task.device, repeats=task.repeats, threads=task.threads), {}


def _step(task: Task) -> Outcome:
    result = benchmarks.bench_step(task.model, task.device, repeats=task.repeats, threads=task.threads)
    shares = {f"{name}ing step": result[name]["share_of_sgemm"]["all"] for name in ("train", "score")}
    title = f"{task.model} on {task.device}: share of the matrix product's speed"
    return result, {"step": figures.contestants(shares, unit="share of sgemm · higher = better", title=title)}


def _loaders(task: Task) -> Outcome:
    table = benchmarks.bench_loaders([caller_path(task.images)], images=round(1000 * task.scale), repeats=task.repeats)
    rates = {row.loader: [row.least, row.images_per_second, row.most] for row in table.itertuples()}
    title = f"Training batches at 224 pixels, two workers, {table['data'][0]}"
    result = {row["loader"]: row for row in table.to_dict("records")}
    return result, {"loaders": figures.contestants(rates, unit="images per second · higher = better", title=title)}


def _score(task: Task) -> Outcome:
    recipe = make_recipe("cifar10", task.model, epochs=task.epochs, trials=task.trials, threads=task.threads)
    if task.data is None:
        train = benchmarks.noise(task.limit, recipe.resolution, 10)
    else:
        train = open_dataset("cifar10", caller_path(task.data), split="train", limit=task.limit)
    result = benchmarks.bench_score(recipe, train, task.device, repeats=task.repeats)
    title = f"{task.trials} trials of {task.epochs} epoch with scores, {task.model}, {len(train)} images, {task.device}"
    seconds = {name: line["all"] for name, line in result["seconds"].items()}
    return result, {"score": figures.contestants(seconds, unit="seconds · lower = better", title=title)}


def _scaling(task: Task) -> Outcome:
    counts = [round(count * task.scale) for count in (5_000, 10_000, 25_000, 50_000)]
    recipe = make_recipe("cifar10", "wide_resnet_10_1", epochs=1, threads=task.threads)
    result = benchmarks.bench_scaling(recipe, counts=counts, repeats=task.repeats)
    drawn = {}
    for name in ("examples", "trials", "processes"):
        series = result[name]
        drawn[f"scaling_{name}"] = figures.growth(
            series["sizes"],
            *([point["median"] for point in series[key]] for key in ("seconds", "gib")),
            time_exponent=series["time_exponent"],
            memory_exponent=series["memory_exponent"],
            x=f"number of {name}",
            title=f"A scoring against the number of {name}, {recipe.model}",
        )
    return result, drawn


def _matching(task: Task) -> Outcome:
    result = benchmarks.bench_matching(n=round(1_281_167 * task.scale))
    seconds = {"ours": [result["seconds"]], "one sort and intersection per draw": [result["naive_seconds"]]}
    title = f"Matching of {result['models']} models, {result['n']:,} examples, {result['moments']} moments"
    return result, {"matching": figures.contestants(seconds, unit="seconds · lower = better", title=title)}


BENCHES: dict[str, Callable[[Task], Outcome]] = {
    "step": _step,
    "loaders": _loaders,
    "score": _score,
    "scaling": _scaling,
    "matching": _matching,
}


def _medians(measured: object, name: str = "") -> list[tuple[str, float]]:
    """Every median and single number, by its path; without commas, which MLflow does not take in a name."""
    if isinstance(measured, dict) and "median" in measured:
        return [(name.replace(",", ""), measured["median"])]
    if isinstance(measured, dict):
        return [pair for key, value in measured.items() for pair in _medians(value, f"{name}/{key}".lstrip("/"))]
    if isinstance(measured, (int, float)):
        return [(name.replace(",", ""), float(measured))]
    return []


def _say(name: str, result: dict[str, object]) -> None:
    print(f"\n{name}")
    for key, value in _medians(result):
        print(f"  {key:<40} {value:.4g}")
    print("", flush=True)


if __name__ == "__main__":
    command(bench)
