"""A train run: one trial of a recipe, logged on the run, which a later `score` uses."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.runs.ablate.tables import mean_by_group
from easiness.runs.checks import at_least
from easiness.runs.options import RunOptions, TrainingOptions
from easiness.runs.public import logged_run, public
from easiness.runs.setup import log_training_setup, prepare_training, under_torchrun
from easiness.runs.tracked_trials import SharedData, TrialOptions, run_tracked_trials
from easiness.runs.trial_log import Trial

LOG = logging.getLogger("easiness")


@dataclass(frozen=True, eq=False)
class TrainedTrial:
    """A finished trial.

    Attributes
    ----------
    epochs : pandas.DataFrame
        One row per epoch: train_loss, val_loss, val_accuracy, learning_rate, …
    accuracy_by_class, accuracy_by_group : dict of float
        Validation accuracy of the final network; the latter is empty where no groups are known.
    """

    run_id: str
    epochs: pd.DataFrame
    accuracy_by_class: dict[str, float]
    accuracy_by_group: dict[str, float]

    def summary(self) -> str:
        """Accuracies, and where the run is."""
        last = self.epochs.iloc[-1]
        lines = [f"validation accuracy {last['val_accuracy']:.1%} after {last['update']:.0f} updates"]
        for name, accuracy in (("class", self.accuracy_by_class), ("group", self.accuracy_by_group)):
            lowest = sorted(accuracy.items(), key=lambda item: item[1])[:8]
            more = ", …" if len(accuracy) > len(lowest) else ""
            if lowest:
                lines.append(f"accuracy by {name}  {', '.join(f'{key} {share:.1%}' for key, share in lowest)}{more}")
        return "\n".join([*lines, "", tracking.whereabouts(self.run_id)])


@public
@under_torchrun
def train(
    training: TrainingOptions,
    score_at: tuple[int, ...] = (),
    common_random_numbers: bool = False,
    trial: int = 0,
    device: str = "auto",
    verify: str = "quick",
    log_model: bool = True,
    name: str | None = None,
) -> TrainedTrial:
    """Train one trial of a recipe; a later `score` of the same recipe uses it instead of training again.

    Parameters
    ----------
    training : TrainingOptions
        Model, data and recipe.
    score_at : tuple of int
        Updates after which every training example is measured; empty: at the end of every epoch.
    common_random_numbers : bool
        Give all architectures the same seeds, as a control.
    trial : int
        Number of the trial, from 0; its seeds are spawned from it.
    device : str
        auto, cpu or cuda.
    verify : str
        Check of files before they are used: quick (of packed data, tables and a sample; of images, those that are new
        or changed) or full.
    log_model : bool
        Log the final network.
    name : str, optional
        What the data are called in the list of runs, in reports and in MLflow's dataset; the name of their folder or
        file if not given.

    Returns
    -------
    TrainedTrial
        Its run, epochs and validation accuracies.
    """
    at_least("trial", trial, 0)
    chosen = {"trials": 1, "score_at": score_at, "common_random_numbers": common_random_numbers}
    setup = prepare_training(training, RunOptions(device=device, verify=verify, name=name), **chosen)
    LOG.info(setup.describe(f"one trial, number {trial}"))
    with logged_run("train", f"train {setup.name}, trial {trial}", {*setup.settings, "trial"}) as run_id:
        log_training_setup(run_id, setup)
        wanted = Trial(setup.recipe, trial)
        options = TrialOptions(with_model=[wanted.name] if log_model else [], as_children=False)
        with SharedData(setup.train, setup.val) as data:
            (record,) = run_tracked_trials([wanted], data, run_id, setup.device, setup.run, options)
        epochs, correct_N = tracking.read_validation(record.run_id)
    val = setup.val
    by_class = mean_by_group(correct_N, np.asarray(val.class_names, object)[val.labels])
    by_group = {} if val.groups is None else mean_by_group(correct_N, val.groups)
    return TrainedTrial(record.run_id, pd.DataFrame(epochs), by_class, by_group)
