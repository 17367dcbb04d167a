"""All runs behind the paper, at a chosen scale."""

import os
from pathlib import Path

import easiness
from easiness import tracking
from easiness.commandline import command
from easiness.recipes.paper import PaperPlan, paper_runs
from easiness.reporting.run import Report, check_report
from easiness.runs.checks import at_least, existing
from easiness.runs.public import LOG, public


@public
def paper(
    scale: str = "tiny",
    data: str | Path | None = None,
    imagenet: str | Path | None = None,
    dry_run: bool = False,
    seed: int = 0,
    name: str | None = None,
) -> Report | PaperPlan:
    """Run everything behind the paper's figures and tables, and make the page; a stopped call goes on where it was.

    Parameters
    ----------
    scale : str
        `tiny` (minutes: shows that it works), `small` (hours on two cores) or `full` (the paper's own size).
    data : path, optional
        Archive or folder of CIFAR-10; downloaded if not given.
    imagenet : path, optional
        Folder of ImageNet; its runs are left out if not given.
    dry_run : bool
        Print the plan, with the time that it takes, and run nothing.
    seed : int
        Seed from which all others are spawned.
    name : str, optional
        Name of the folder in reports/; paper-SCALE if not given.
    """
    everything, name = paper_runs(scale), name or f"paper-{scale}"
    places = {"cifar10": existing("data", data), "imagenet": existing("imagenet", imagenet)}
    at_least("seed", seed, 0)
    check_report(name)
    runs = [run for run in everything if imagenet is not None or "imagenet" not in run.name]
    with tracking.tracked_run("paper", f"paper, {scale}") as run_id:
        plan = PaperPlan(runs, len(everything) - len(runs), tracking.measured_rates(run_id), os.cpu_count() or 1)
        if dry_run:
            return plan
        LOG.info(plan.summary())
        made: dict[str, str] = {}
        for run in runs:
            LOG.info("\n=== %s", run.name)
            options = run.arguments(made) | {"data": places[run.name.split("-")[1]], "seed": seed}
            made[run.name] = getattr(easiness, run.entry)(**options).run_id
        return easiness.report(runs=list(made.values()), name=name)


if __name__ == "__main__":
    command(paper)
