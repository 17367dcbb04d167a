"""The whole in one command, on the embedded dataset: score two models, match, ablate a little, report."""

from dataclasses import replace

from easiness import tracking
from easiness.commandline import command
from easiness.reporting.selection import KINDS
from easiness.runs.options import Setup
from entrypoints.ablate import ablate
from entrypoints.match import match
from entrypoints.report import REPORTS, report
from entrypoints.score import score


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
) -> None:
    """Do the whole on the embedded dataset: score models, match them, ablate a little, and make the page.

    Parameters
    ----------
    models : tuple of str
        Two or more; the ablation takes the first.
    trials, epochs, limit, resolution
        As in `score`, and small, so that two cores take minutes.
    ratios, seeds
        As in `ablate`.
    seed : int
        Seed from which all others are spawned.
    name : str
        Of the folder in reports/.
    """
    if len(models) < 2:
        raise ValueError(f"models is {','.join(models)!r}, and matching needs at least two")
    common = Setup(
        dataset="planted",
        trials=trials,
        epochs=epochs,
        limit=limit,
        limit_val=limit // 2,
        resolution=resolution,
        seed=seed,
        log_models="none",
    )
    with tracking.tracked_run("main", f"main: {', '.join(models)} on planted") as run_id:
        for model in models:
            score(replace(common, model=model))
        scores = [run.run_id for run in tracking.children_of(run_id, ["score"])]
        match(runs=tuple(scores))
        ablate(replace(common, model=models[0], trials=None), scores=scores[0], ratios=ratios, seeds=seeds)
        report(runs=tuple(run.run_id for run in tracking.children_of(run_id, KINDS)), name=name)
        tracking.set_tags(
            run_id, {"mlflow.note.content": f"The page is in the child run `report {name}`: `index.html`."}
        )
    print(f"\nlook at    {(REPORTS / name / 'index.html').absolute()}")


if __name__ == "__main__":
    command(main)
