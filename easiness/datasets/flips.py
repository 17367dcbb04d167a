"""Labels that are flipped on purpose: wrong labels that are known, to measure how well they are found."""

from dataclasses import replace

import numpy as np

from easiness.datasets.dataset import Dataset

# Purpose of the seed, so that no other draw from the same one is repeated.
_FLIP = 4


def flip_labels(dataset: Dataset, share: float, *, seed: int, confusion_KK: np.ndarray | None = None) -> Dataset:
    """Dataset with round(share · N) labels replaced by other classes, and the labels before in `given_labels`.

    Every example is as likely to be flipped. Its new class is drawn uniformly from the others; with `confusion_KK`,
    counts of examples by given and predicted class, in proportion to its row without the diagonal, and uniformly where
    that is empty. A ValueError if there is nothing to flip, or nothing to flip it to.
    """
    count, classes = round(share * len(dataset)), dataset.num_classes
    if not 0 < count < len(dataset) or classes < 2:
        raise ValueError(
            f"flip_labels is {share:g}, {count} of {len(dataset)} labels of {classes} classes; flip one or more, not "
            "all, of two classes or more"
        )
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_FLIP,)))
    rows = np.sort(rng.choice(len(dataset), count, replace=False))
    weights_KK = np.zeros((classes, classes)) if confusion_KK is None else np.array(confusion_KK, np.float64)
    np.fill_diagonal(weights_KK, 0)
    weights_KK[weights_KK.sum(axis=1) == 0] = 1
    np.fill_diagonal(weights_KK, 0)
    bounds_nK = np.cumsum(weights_KK, axis=1)[dataset.labels[rows]]
    draws_n = rng.random(count) * bounds_nK[:, -1]
    labels = dataset.labels.copy()
    labels[rows] = (draws_n[:, None] >= bounds_nK).sum(axis=1)
    groups = dataset.groups
    if groups is not None:
        groups = np.where(labels != dataset.labels, "mislabelled", groups)
    return replace(dataset, labels=labels, given_labels=dataset.labels, groups=groups)
