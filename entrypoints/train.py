"""Train one trial, and log its network, its metrics and what it measured of every example."""

import numpy as np

from easiness import tracking
from easiness.runs.ablate.tables import mean_by_group
from easiness.runs.options import Setup, log_training_setup, prepare_training, training_command
from easiness.runs.tracked_trials import tracked_trials


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
    experiment = prepare_training(setup)
    print(experiment.describe(f"one trial, number {trial},"))
    with tracking.tracked_run("train", f"train {experiment.name}, trial {trial}") as run_id:
        log_training_setup(run_id, experiment)
        (done,) = tracked_trials(
            experiment.recipe,
            experiment.train,
            experiment.val,
            run_id=run_id,
            numbers=[trial],
            device=experiment.device,
            engine=setup.engine,
            address=setup.address,
            log_models=setup.log_models,
            score_pass=setup.score_pass,
            as_children=False,
        )
        epochs, correct = tracking.read_validation(done.run_id)
    print(f"\nvalidation accuracy {epochs[-1]['val_accuracy']:.1%} after {epochs[-1]['update']} updates")
    classes = np.asarray(experiment.val.class_names, object)[experiment.val.labels]
    print(f"accuracy by class  {in_words(mean_by_group(correct, classes))}")
    if experiment.val.groups is not None:
        print(f"accuracy by group  {in_words(mean_by_group(correct, experiment.val.groups))}")
    print(f"\nrun id     {done.run_id}\nartifacts  {tracking.artifact_place(done.run_id)}")
    print(f"open       {tracking.how_to_open()}")


def in_words(accuracy: dict[str, float]) -> str:
    """The eight lowest of some accuracies, lowest first."""
    lowest = sorted(accuracy.items(), key=lambda item: item[1])[:8]
    return ", ".join(f"{name} {share:.1%}" for name, share in lowest) + (", …" if len(accuracy) > len(lowest) else "")


if __name__ == "__main__":
    training_command(train)
