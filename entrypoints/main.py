"""The whole in one command, on the embedded dataset: score two models, match, ablate a little, report."""

import logging

import easiness
from easiness import tracking
from easiness.commandline import command
from easiness.reporting.run import Report
from easiness.runs.public import public

LOG = logging.getLogger("easiness")


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
    if len(models) < 2:
        raise ValueError(f"models is {','.join(models)!r}, and matching needs at least two")
    common = {"epochs": epochs, "limit": limit, "limit_val": limit // 2, "resolution": resolution, "seed": seed}
    common |= {"dataset": "planted", "log_models": "none"}
    with tracking.tracked_run("main", f"main: {', '.join(models)} on planted") as run_id:
        scores = [_said(easiness.score(model=model, trials=trials, **common)) for model in models]
        matching = _said(easiness.match(runs=[each.run_id for each in scores]))
        # Half of so few easy examples may be all of a class: a warning, and an accuracy that shows it.
        removing = {"ratios": ratios, "seeds": seeds, "allow_empty": True}
        ablation = easiness.ablate(model=models[0], scores=scores[0].run_id, **removing, **common)
        runs = [*(each.run_id for each in scores), matching.run_id, _said(ablation).run_id]
        made = easiness.report(runs=runs, name=name)
        tracking.set_tags(run_id, {"mlflow.note.content": f"The page is in the child run `report {name}`."})
    return made


def _said(result: object) -> object:
    LOG.info("%s\n", result.summary())
    return result


if __name__ == "__main__":
    command(main)
