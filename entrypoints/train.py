"""Train one trial, and log its network, its metrics and what it measured of every example."""

from easiness import tracking
from easiness.commandline import command
from easiness.experiments import Setup, log_experiment, open_experiment
from easiness.tracked_trials import tracked_trials


def train(setup: Setup, trial: int = 0) -> None:
    """Train one trial of a recipe; `score` takes it over where it asks for the same one.

    Parameters
    ----------
    setup : Setup
        Model, data and recipe.
    trial : int
        Number of the trial, from 0; its seeds are spawned from it.
    """
    if trial < 0:
        raise ValueError(f"trial is {trial}, and must be at least 0")
    experiment = open_experiment(setup)
    print(experiment.describe())
    with tracking.tracked_run("train", f"train {experiment.name}, trial {trial}") as run_id:
        log_experiment(run_id, experiment)
        (done,) = tracked_trials(
            experiment.recipe,
            experiment.train,
            experiment.val,
            run_id=run_id,
            numbers=[trial],
            device=experiment.device,
            engine=setup.engine,
            log_models=setup.log_models,
            score_pass=setup.score_pass,
            as_children=False,
        )
    print(f"\nrun id     {done.run_id}\nartifacts  {tracking.artifact_place(done.run_id)}")
    print(f"open       {tracking.how_to_open()}")


if __name__ == "__main__":
    command(train)
