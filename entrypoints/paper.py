"""All runs behind the paper, at a chosen scale: what is found on the server is taken from there, the rest is run."""

import os
from dataclasses import fields

from easiness import tracking
from easiness.commandline import command
from easiness.recipes.paper import ENTRIES, PaperRun, paper_runs
from easiness.runs.options import Setup
from entrypoints.ablate import ablate
from entrypoints.match import match
from entrypoints.report import report
from entrypoints.score import score

TAG = "easiness.paper_run"


def paper(
    scale: str = "tiny",
    data: str | None = None,
    imagenet: str | None = None,
    dry_run: bool = False,
    seed: int = 0,
    name: str | None = None,
) -> None:
    """Run everything behind the paper's figures and tables, and make the page; a stopped call goes on where it was.

    Parameters
    ----------
    scale : str
        `tiny` (minutes: shows that it works), `small` (hours on two cores) or `full` (the paper's own size).
    data : str, optional
        Archive or folder of CIFAR-10; downloaded where none is given.
    imagenet : str, optional
        Folder of ImageNet; its runs are left out where none is given.
    dry_run : bool
        Print the plan, with what is found and how long the rest will take, and run nothing.
    seed : int
        Seed from which all others are spawned.
    name : str, optional
        Of the folder in reports/; paper-SCALE where none is given.
    """
    places = {"cifar10": data, "imagenet": imagenet}
    everything = paper_runs(scale)
    plan = [run for run in everything if imagenet is not None or "imagenet" not in run.name]
    with tracking.tracked_run("paper", f"paper, {scale}") as run_id:
        found = _found(run_id, plan, places, seed)
        say_plan(run_id, plan, found, left_out=len(everything) - len(plan))
        if dry_run:
            return
        for run in plan:
            if run.name not in found:
                print(f"\n=== {run.name}", flush=True)
                found[run.name] = _execute(run_id, run, found, places, seed)
        report(runs=tuple(found[run.name] for run in plan), name=name or f"paper-{scale}")


def say_plan(run_id: str, plan: list[PaperRun], found: dict[str, str], *, left_out: int) -> None:
    """Print what will run, what is there already, and how long the rest will take at rates measured before."""
    rates = tracking.measured_rates(run_id)
    total, unknown = 0.0, 0
    print(f"{len(plan)} runs, {len(found)} of them found finished:")
    for run in plan:
        if run.name in found:
            state = f"found in run {found[run.name]}"
        else:
            seconds = estimate(run, rates)
            total += seconds or 0.0
            unknown += seconds is None
            state = "missing, " + ("no rate measured yet" if seconds is None else f"about {duration(seconds)}")
        print(f"  {run.name:<36} {state}\n      {run.command()}")
    if left_out:
        print(f"{left_out} runs on ImageNet are left out; imagenet=FOLDER takes them in")
    more = f", and {unknown} runs whose rate is not known yet" if unknown else ""
    print(f"still to do: about {duration(total)}{more}; re-scoring of stepwise comes on top", flush=True)


def estimate(run: PaperRun, rates: dict[tuple[str, int], float]) -> float | None:
    """Seconds that a run will take with one trial per processor; None where no trial of the model was measured."""
    if run.model_and_resolution is None:
        return 0.0
    rate = rates.get(run.model_and_resolution)
    return None if rate is None else run.images() / (rate * (os.cpu_count() or 1))


def duration(seconds: float) -> str:
    """Write a time for a person.

    Examples
    --------
    >>> [duration(seconds) for seconds in (40, 300, 7200, 200_000)]
    ['1 min', '5 min', '2.0 h', '2.3 days']
    """
    if seconds < 5400:
        return f"{max(round(seconds / 60), 1)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _found(run_id: str, plan: list[PaperRun], places: dict[str, str | None], seed: int) -> dict[str, str]:
    """Run ids of the finished runs of the plan, by name. What was made of a run that is gone must be made again."""
    known = tracking.runs_with_tag(run_id, TAG)
    found: dict[str, str] = {}
    for run in plan:
        if all(name in found for name in run.needs):
            key = _key(run, found, places, seed)
            if key in known:
                found[run.name] = known[key]
    return found


def _execute(run_id: str, run: PaperRun, found: dict[str, str], places: dict[str, str | None], seed: int) -> str:
    needed = tuple(found[name] for name in run.needs)
    if run.entry == "match":
        match(runs=needed, seed=seed)
    else:
        names = {each.name for each in fields(Setup)}
        setup = Setup(
            **{key: value for key, value in run.options.items() if key in names},
            data=places[run.options["dataset"]],
            seed=seed,
        )
        rest = {key: value for key, value in run.options.items() if key not in names}
        if run.entry == "score":
            score(setup, **rest)
        else:
            ablate(setup, scores=needed[0], **rest)
    made = tracking.children_of(run_id, ENTRIES)[-1].run_id
    tracking.set_tags(made, {TAG: _key(run, found, places, seed)})
    return made


def _key(run: PaperRun, found: dict[str, str], places: dict[str, str | None], seed: int) -> str:
    return run.digest([found[name] for name in run.needs], places.get(run.options.get("dataset")), seed)


if __name__ == "__main__":
    command(paper)
