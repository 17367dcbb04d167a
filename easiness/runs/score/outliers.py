"""Trials of a run that stand apart from the others, by name and run."""

from collections.abc import Sequence

import numpy as np

from easiness.analysis.outliers import outliers
from easiness.runs.trial_log import TrialRecord


def describe_outliers(records: Sequence[TrialRecord], losses_MN: np.ndarray, labels_N: np.ndarray) -> str:
    """Name the trials whose losses stand apart, with their runs and the reason; empty if there are none."""
    found = outliers(losses_MN, labels_N)
    said = "; ".join(
        f"{records[outlier.trial].trial.name} (run {records[outlier.trial].run_id}) stands apart: {outlier.describe()}"
        for outlier in found
    )
    if len(found) == len(records) == 2:
        said += "; which of the two is bad cannot be told"
    return said
