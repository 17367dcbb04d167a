"""Whole studies in one command: the embedded dataset from scores to page, and the runs behind the paper."""

from pathlib import Path

from easiness import tracking
from easiness.machine import usable_cores
from easiness.recipes.paper import PaperPlan, paper_runs
from easiness.reporting.run import Report, check_report, report
from easiness.runs.ablate.plan import Plan
from easiness.runs.ablate.run import ablate
from easiness.runs.checks import at_least, existing
from easiness.runs.match.run import match
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.public import LOG, logged_run, name_dry_run, public, say
from easiness.runs.score.run import score
from easiness.runs.setup import check_training

# The calls that a `PaperRun` names.
_CALLS = {"score": score, "match": match, "ablate": ablate}


@public
def main(
    models: tuple[str, ...] = ("wide_resnet_10_1", "densenet_bc_10_12"),
    trials: int = 3,
    epochs: int = 4,
    limit: int = 1000,
    resolution: int = 32,
    ratios: tuple[float, ...] = (0.2, 0.5),
    seeds: int = 3,
    seed: int = 0,
    name: str = "main",
) -> Report:
    """Do the whole on the embedded dataset: score models, match them, ablate a little, and make the page.

    Parameters
    ----------
    models : tuple of str
        Two or more; the ablation takes the first.
    trials, epochs, limit, resolution, seed, ratios, seeds
        As in `score` and `ablate`, and small, so that two cores take minutes.
    name : str
        Name of the folder in reports/.
    """
    if len(set(models)) < max(len(models), 2):
        raise ValueError(f"models is {','.join(models)!r}, and matching needs at least two, all different")
    at_least("trials", trials, 2, "stepwise scores what is left with as many")
    at_least("limit", limit, 20, "half as many are for validation, of ten classes")
    common = {"epochs": epochs, "limit": limit, "limit_val": limit // 2, "resolution": resolution, "seed": seed}
    for model in models:
        check_training(TrainingOptions(model=model, **common), RunOptions(), trials=trials)
    Plan(ratios=ratios, seeds=seeds).check(limit)
    check_report(name)
    common |= {"dataset": "planted", "log_models": "none"}
    with logged_run("main", f"main: {', '.join(models)} on planted") as run_id:
        scores = [say(score(model=model, trials=trials, **common)).run_id for model in models]
        matching = say(match(runs=scores)).run_id
        # Half of so few easy examples may be all of a class: a warning, and an accuracy that shows it.
        removing = {"ratios": ratios, "seeds": seeds, "allow_empty": True}
        ablation = say(ablate(model=models[0], scores=scores[:1], **removing, **common)).run_id
        made = report(runs=[*scores, matching, ablation], name=name)
        tracking.set_tags(run_id, {"mlflow.note.content": f"The page is in the child run `report {name}`."})
    return made


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
    plan = PaperPlan(runs, len(everything) - len(runs), tracking.measured_rates(None), usable_cores())
    if dry_run:
        name_dry_run(f"paper, {scale}")
        return plan
    with logged_run("paper", f"paper, {scale}"):
        LOG.info(plan.summary())
        made: dict[str, str] = {}
        for run in runs:
            LOG.info("\n=== %s", run.name)
            options = run.arguments(made) | run.seeds(seed) | {"data": places[run.name.split("-")[1]]}
            made[run.name] = _CALLS[run.entry](**options).run_id
        return report(runs=list(made.values()), name=name)
