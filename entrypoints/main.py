"""The whole in one command, on the embedded dataset: score two models, match, ablate a little, report."""

import easiness
from easiness import tracking
from easiness.commandline import command
from easiness.reporting.run import Report, check_report
from easiness.runs.ablate.arms import Plan
from easiness.runs.checks import at_least
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.public import public, say
from easiness.runs.setup import check_training


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
    with tracking.tracked_run("main", f"main: {', '.join(models)} on planted") as run_id:
        scores = [say(easiness.score(model=model, trials=trials, **common)).run_id for model in models]
        matching = say(easiness.match(runs=scores)).run_id
        # Half of so few easy examples may be all of a class: a warning, and an accuracy that shows it.
        removing = {"ratios": ratios, "seeds": seeds, "allow_empty": True}
        ablation = say(easiness.ablate(model=models[0], scores=scores[0], **removing, **common)).run_id
        made = easiness.report(runs=[*scores, matching, ablation], name=name)
        tracking.set_tags(run_id, {"mlflow.note.content": f"The page is in the child run `report {name}`."})
    return made


if __name__ == "__main__":
    command(main)
