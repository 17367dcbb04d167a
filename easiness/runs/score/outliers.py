"""Trials of a run that stand apart from the others, by name and run."""

import logging
from collections.abc import Sequence

import numpy as np

from easiness.analysis.outliers import outliers
from easiness.runs.trial_log import TrialRecord

LOG = logging.getLogger("easiness")


def refuse_outliers(said: str, *, allow: bool) -> None:
    """Refuse trials that stand apart, as `describe_outliers` says; a warning where they are allowed."""
    if said and not allow:
        raise ValueError(
            f"{said}; look at the curves of its run, then lower learning_rate or take another seed, or average it in "
            "with allow_outliers=true"
        )
    if said:
        LOG.warning("%s; averaged in, since allow_outliers is true", said)


def describe_outliers(records: Sequence[TrialRecord], losses_MN: np.ndarray, labels_N: np.ndarray) -> str:
    """Name the trials whose losses stand apart, with their runs and the reason; empty if there are none."""
    return name_outliers([f"{record.trial.name} (run {record.run_id})" for record in records], losses_MN, labels_N)


def name_outliers(names: Sequence[str], losses_MN: np.ndarray, labels_N: np.ndarray) -> str:
    """Say of trials with these names what `describe_outliers` says."""
    found = outliers(losses_MN, labels_N)
    said = "; ".join(f"{names[outlier.trial]} stands apart: {outlier.describe()}" for outlier in found)
    if len(found) == len(names) == 2:
        said += "; which of the two is bad cannot be told"
    return said
