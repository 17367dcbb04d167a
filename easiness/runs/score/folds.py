"""Folds of a score run: the images that each trial leaves out, and what it says of them."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import tracking
from easiness.analysis.folds import held_out, in_sample, make_folds, mean_probabilities, suggested
from easiness.analysis.label_errors import confidently_other
from easiness.datasets.dataset import Dataset, digest_keys
from easiness.datasets.groups import GROUPS_SUFFIXES, read_groups
from easiness.datasets.opening import is_one_tree
from easiness.recipes.recipe import Recipe, make_recipe
from easiness.recipes.schedule import scored_updates, updates_per_epoch
from easiness.runs.checks import existing, unused
from easiness.runs.options import TrainingOptions
from easiness.runs.public import absolute
from easiness.runs.setup import TrainingSetup
from easiness.runs.trial_log import Trial, TrialRecord
from easiness.trials.trial_folder import HELD_OUT, measure_file

LOG = logging.getLogger("easiness")

# Where the data have no validation set.
DEFAULT_FOLDS = 5


_NAMED = 5


@dataclass(frozen=True, eq=False)
class Folds:
    """Split of N examples in K folds; trial m leaves fold m mod K out."""

    fold_N: np.ndarray  # (N,) int64, 0 to K - 1
    count: int  # K; 0 where nothing is held out

    @property
    def trained(self) -> int:
        """Number of examples that a trial trains on; the fewest, where folds differ."""
        sizes = np.bincount(self.fold_N, minlength=self.count)
        return len(self.fold_N) - int(sizes.max() if self.count else 0)

    def fold_of(self, trial: int) -> int | None:
        """Fold that a trial leaves out."""
        return trial % self.count if self.count else None

    def trials(self, recipe: Recipe) -> list[Trial]:
        """All trials of a recipe; with folds, scored after equal numbers of updates, whatever the size of the fold."""
        if not self.count:
            return [Trial(recipe, number) for number in range(recipe.trials)]
        folds = [np.flatnonzero(self.fold_N == fold) for fold in range(self.count)]
        rests = [np.flatnonzero(self.fold_N != fold) for fold in range(self.count)]
        if len({updates_per_epoch(len(rest), recipe.batch_size) for rest in rests}) > 1:
            recipe = replace(recipe, score_at=scored_updates(recipe, self.trained))
        numbers = [(number, number % self.count) for number in range(recipe.trials)]
        return [
            Trial(recipe, number, rests[fold], tags={"easiness.fold": str(fold)}, held_out=folds[fold])
            for number, fold in numbers
        ]

    def strata(self, labels_N: np.ndarray) -> np.ndarray:
        """Number of the class and fold of every example: within one, a trial has seen all examples or none.

        Trials are compared there: what one has memorized, another may have held out.
        """
        return labels_N * self.count + self.fold_N if self.count else labels_N

    def in_sample(self, values_MN: np.ndarray) -> np.ndarray:
        """Values of the trials that trained on an example, see `easiness.analysis.folds.in_sample`."""
        return in_sample(values_MN, self.fold_N, self.count) if self.count else values_MN


def choose_folds(
    training: TrainingOptions, folds: int | None, trials: int | None, groups: str | Path | None
) -> dict[str, int | None]:
    """Numbers of folds and of trials, as asked for; else about five folds of data without a validation set.

    Where folds are not asked for, the trials decide, see `default_folds`; where trials are not, they are the recipe's
    number, or the next multiple of the folds.
    """
    existing("groups", groups, GROUPS_SUFFIXES)
    if folds is None:
        folds = 0
        with suppress(OSError, ValueError):  # what is wrong with the data is said when they are opened
            folds = default_folds(trials) if is_one_tree(training.kind, training.data) else 0
    if folds:
        unused("limit_val", training.limit_val, "folds hold out training images; leave it out, or say folds=0")
    else:
        unused("groups", groups, "folds=0 holds nothing out; say folds=5")
    if folds > 1 and trials is None:
        least = make_recipe(training.kind, training.model).trials
        trials = -(-least // folds) * folds
    return {"folds": folds, "trials": trials}


def default_folds(trials: int | None) -> int:
    """Folds of data without a validation set: five, or as many below as divide the trials; else one for each trial.

    >>> [default_folds(trials) for trials in (None, 10, 8, 3, 7, 1)]
    [5, 5, 4, 3, 7, 0]
    """
    if trials is None:
        return DEFAULT_FOLDS
    dividing = (folds for folds in range(DEFAULT_FOLDS, 1, -1) if trials % folds == 0)
    return next(dividing, trials if trials > 1 else 0)


def split_folds(setup: TrainingSetup, groups: str | Path | None) -> Folds:
    """Folds of the images of a run, stratified; copies of one content and groups stay in one fold."""
    train, count = setup.train, setup.recipe.folds
    if not count:
        return Folds(np.zeros(len(train), np.int64), 0)
    groups_N = train.fold_groups if groups is None else read_groups(absolute(groups), train)
    copies_N = digest_keys(train.digests)
    fold_N = make_folds(train.labels, count, setup.recipe.seed, copies_N=copies_N, groups_N=groups_N)
    _warn_of_lone_classes(train, fold_N)
    if not is_one_tree(setup.training.kind, setup.training.data):
        LOG.info("folds hold out training images, and the validation set of %s is not used or scored", train.name)
    return Folds(fold_N, count)


def held_out_columns(
    dataset: Dataset,
    folds: Folds,
    losses_MN: np.ndarray,
    predicted_MN: np.ndarray,
    probabilities: np.ndarray,
) -> dict[str, np.ndarray]:
    """Columns `held_out.HELD_OUT_COLUMNS` at one moment, from what all trials measured of all examples.

    `probabilities` are from `read_probabilities`; higher `heldout_loss` and `memorization` = harder (nats), higher
    `heldout_share` = more of the trials that held it out agree with the label.
    """
    loss_N = held_out(losses_MN, folds.fold_N, folds.count).mean(axis=0, dtype=np.float64)
    agree = held_out(predicted_MN, folds.fold_N, folds.count) == dataset.labels
    labels_N, shares_N = suggested(probabilities)
    return {
        "fold": folds.fold_N,
        "heldout_loss": loss_N,
        "heldout_share": agree.mean(axis=0),
        "memorization": loss_N - folds.in_sample(losses_MN).mean(axis=0, dtype=np.float64),
        "suggested_label": np.asarray(dataset.class_names, object)[labels_N],
        "suggested_share": shares_N.astype(np.float64),
    }


def held_out_metrics(table: pd.DataFrame, probabilities: np.ndarray | None, classes: int) -> dict[str, float]:
    """Accuracy and mean loss of the images by the trials that held them out, and how many labels these doubt.

    None without folds.
    """
    if probabilities is None:
        return {}
    names = {"heldout_accuracy": "heldout_share", "heldout_loss": "heldout_loss"}
    doubted = confidently_other(probabilities, table["label"].to_numpy(), classes).sum()
    return {metric: float(table[column].mean()) for metric, column in names.items()} | {
        "suspicious_labels": float(doubted)
    }


def read_probabilities(records: Sequence[TrialRecord], folds: Folds, update: int, classes: int) -> np.ndarray:
    """Mean class probabilities of every example by the trials that held it out, see `mean_probabilities`."""
    rounds = []
    for start in range(0, len(records), folds.count):
        whole = None
        for record in records[start : start + folds.count]:
            trial = tracking.open_trial(record.run_id, record.fingerprint)
            part = trial.read(measure_file(HELD_OUT, update), np.load)
            if whole is None:
                whole = np.empty((len(folds.fold_N), part.shape[1]), part.dtype)
            whole[record.trial.held_out] = part
        rounds.append(whole)
    return mean_probabilities(rounds, classes)


def _warn_of_lone_classes(train: Dataset, fold_N: np.ndarray) -> None:
    """Name the classes whose images all lie in one fold: where that is held out, no trial has seen such a class."""
    cells = np.unique(np.stack([train.labels, fold_N]), axis=1)
    lone = [train.class_names[k] for k in np.flatnonzero(np.bincount(cells[0], minlength=train.num_classes) == 1)]
    if lone:
        more = f" and {len(lone) - _NAMED:,} more" * (len(lone) > _NAMED)
        LOG.warning(
            "%s classes have all their images in one fold (%s%s): no trial that holds these out has seen their class, "
            "so their held-out loss says nothing; give each class at least two images that may be parted",
            f"{len(lone):,}",
            ", ".join(lone[:_NAMED]),
            more,
        )
