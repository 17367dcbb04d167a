"""Labels flipped on purpose in a score run: the options, the flips, and how well the scores find them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from easiness.analysis.label_errors import LEAST_FLIPS, found_among, wrong_labels
from easiness.analysis.scores import roc_auc
from easiness.datasets.flips import flip_labels
from easiness.runs.checks import one_of, unused
from easiness.runs.score.reading import Scores, load_scores
from easiness.runs.score.tables import suspicion
from easiness.runs.setup import TrainingSetup

WAYS = ("uniform", "confusion")

# Parts of a ranking that a person may look through.
_SHARES = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class FlipOptions:
    """Wrong labels made on purpose, to measure how well the scores find them. The files of the data stay as they are.

    Attributes
    ----------
    flip_labels : float
        Share of the training labels to flip, from 0 (none) to below 1.
    flip_by : str
        New classes: `uniform` over the others, or as in the `confusion` of the predictions of `flip_from`.
    flip_from : str, optional
        Run id of a score run of the same classes, for `flip_by=confusion`; its held-out predictions are taken where it
        has folds.
    """

    flip_labels: float = 0.0
    flip_by: str = "uniform"
    flip_from: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.flip_labels < 1:
            raise ValueError(f"flip_labels is {self.flip_labels}, and must be a share of the labels, from 0 to below 1")
        one_of("flip_by", self.flip_by, WAYS)
        if self.flip_by == "uniform":
            unused("flip_from", self.flip_from, "flip_by is uniform")
        elif self.flip_from is None:
            raise ValueError("flip_by is 'confusion', and flip_from is not given; name a score run with flip_from=ID")
        if not self.flip_labels and self.flip_by != "uniform":
            raise ValueError(f"flip_by is {self.flip_by!r}, and flip_labels is 0; flip a share, such as 0.05")


def confusion_counts(scores: Scores) -> np.ndarray:
    """(K, K) int64 examples of a score run by given class and by predicted one, held-out where it has folds."""
    table, names = scores.table, scores.manifest.class_names
    if "suggested_label" in table:
        number_of = {name: label for label, name in enumerate(names)}
        predicted = table["suggested_label"].map(number_of).fillna(-1).to_numpy(np.int64)
    elif "predicted" in table:
        predicted = table["predicted"].to_numpy(np.int64)
    else:
        raise ValueError(f"score run {scores.run_id} has no predictions; make it again")
    if not (predicted.min() >= 0 and predicted.max() < len(names)):
        raise ValueError(f"score run {scores.run_id} predicts a class that it does not have; make it again")
    counts_KK = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts_KK, (table["label"].to_numpy(np.int64), predicted), 1)
    return counts_KK


def flip_training(setup: TrainingSetup, options: FlipOptions) -> TrainingSetup:
    """Setup with a share of its training labels flipped, by its recipe's seed; the same where the share is 0."""
    if not options.flip_labels:
        return setup
    confusion_KK, classes = None, setup.train.class_names
    if options.flip_from is not None:
        scores = load_scores(options.flip_from)
        if scores.manifest.class_names != classes:
            raise ValueError(
                f"flip_from is {options.flip_from}, a run of {len(scores.manifest.class_names)} other classes than the "
                f"{len(classes)} of these data; name a run of the same"
            )
        confusion_KK = confusion_counts(scores)
    train = flip_labels(setup.train, options.flip_labels, seed=setup.recipe.seed, confusion_KK=confusion_KK)
    val = train if setup.val is setup.train else setup.val  # one data set, of which trials hold parts out
    count = int((train.labels != train.given_labels).sum())
    flips = {"share": options.flip_labels, "by": options.flip_by, "from": options.flip_from, "count": count}
    return replace(setup, train=train, val=val, flips=flips)


def flip_metrics(table: pd.DataFrame, seed: int) -> dict[str, float]:
    """How well the suspicion of a table finds its flipped labels, and how many of the others it takes for wrong.

    `flips_auc` is the area under the ROC curve; precision and recall are of as many examples as there are flips, and of
    the first 1, 5 and 10 % of all; `wrong_labels_share` with `_low` and `_high` is the estimate of `wrong_labels`.
    Nothing where no label was flipped.
    """
    if "flipped" not in table:
        return {}
    suspicion_N, flipped_N = suspicion(table), table["flipped"].to_numpy()
    flips = int(flipped_N.sum())
    metrics = {"flips": flips, "flips_auc": roc_auc(suspicion_N, flipped_N)}
    counts = {"": flips} | {f"_of_{share:.0%}".rstrip("%"): math.ceil(share * len(table)) for share in _SHARES}
    for name, count in counts.items():
        precision, recall = found_among(suspicion_N, flipped_N, count, seed)
        metrics |= {f"flips_precision{name}": precision, f"flips_recall{name}": recall}
    estimate = wrong_labels(suspicion_N, flipped_N, seed)
    if math.isfinite(estimate.share):
        metrics |= {
            "wrong_labels_share": estimate.share,
            "wrong_labels_low": estimate.low,
            "wrong_labels_high": estimate.high,
        }
    return metrics


def describe_flips(metrics: Mapping[str, float], examples: int) -> str:
    """Sentences for people on what `flip_metrics` found among so many examples."""
    flips = int(metrics["flips"])
    rest = examples - flips
    found = (
        f"{flips:,} labels were flipped on purpose. By suspicion, area under the curve {metrics['flips_auc']:.3f}; of "
        f"the {flips:,} most suspicious {100 * metrics['flips_precision']:.0f} % are flips; the first 5 % hold "
        f"{100 * metrics['flips_recall_of_5']:.0f} % of the flips. "
    )
    if "wrong_labels_share" not in metrics:
        return f"{found}How many of the other {rest:,} labels are wrong cannot be told: flip {LEAST_FLIPS} or more"
    share, low, high = (100 * metrics[f"wrong_labels_{end}"] for end in ("share", "low", "high"))
    none = ", so that there may be none" if low * rest < 100 else ""
    return (
        f"{found}Of the other {rest:,} labels about {share:.1f} % look as suspicious as the flips; {low:.1f} to "
        f"{high:.1f} % are wrong (95 %){none}. This supposes that wrong labels are found as easily as flips: of "
        "classes that people confuse they are harder to find, and may be many more (flip_by=confusion makes flips like "
        "them). Pictures that are hard and rightly labelled look wrong, too"
    )
