"""Split of data without a validation set: a share of every class, drawn by seed."""

import logging
from dataclasses import replace

import numpy as np

from easiness.datasets.dataset import Dataset, rows_of_classes
from easiness.datasets.image_files import printable

LOG = logging.getLogger("easiness")


def drawn_val(
    labels: np.ndarray, class_names: tuple[str, ...], where: str, *, seed: int, val_fraction: float
) -> np.ndarray:
    """(N,) bool, which examples are val: this share of every class, at least one, never all.

    A ValueError for a class of one example, or another share than in [0, 1); with 0, none is val.
    """
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}, and must be at least 0 and below 1")
    in_val, rng = np.zeros(len(labels), bool), np.random.default_rng(seed)
    if val_fraction == 0:
        return in_val
    for name, members in zip(class_names, rows_of_classes(labels, len(class_names)), strict=True):
        if len(members) == 1:
            raise ValueError(
                f"class {printable(name)} of {where} has 1 image, and train and val need one each; add some"
            )
        if len(members):
            count = min(max(round(val_fraction * len(members)), 1), len(members) - 1)
            in_val[members[rng.permutation(len(members))[:count]]] = True
    return in_val


def one_side(whole: Dataset, split: str, *, seed: int, val_fraction: float) -> Dataset:
    """Split `train` or `val` of data that have no validation set, numbered from 0 as if it were alone.

    With `val_fraction` 0, all of it is train.
    """
    where = whole.name
    in_val = drawn_val(whole.labels, whole.class_names, where, seed=seed, val_fraction=val_fraction)
    if not in_val.any():
        if split == "val":
            raise ValueError(f"val_fraction is 0, which leaves {where} without a val; open train alone")
        LOG.info("%s has no validation set, and all of it is train", where)
        return replace(whole, split="train")
    if split == "train":
        LOG.info(
            "%s has no validation set: %s of each class is val, by seed %s: %s images, not trained on or scored",
            where,
            f"{val_fraction:.0%}",
            seed,
            f"{in_val.sum():,}",
        )
        if whole.fold_groups is not None:
            LOG.warning("%s: val is drawn without regard to its groups; use folds, or give a column split", where)
    rows = np.flatnonzero(in_val == (split == "val"))
    keys = np.char.mod("%012d", np.arange(len(whole)))
    side = replace(whole, split=split, tree_keys=keys).subset(rows)
    return replace(side, example_ids=np.arange(len(side)))


def with_classes_of(train: Dataset, val: Dataset) -> Dataset:
    """Validation set whose labels are numbers of the training set's classes, which are found by their names.

    A ValueError if it has another class.
    """
    if val.class_names == train.class_names:
        return val
    number = {name: k for k, name in enumerate(train.class_names)}
    used = [val.class_names[k] for k in np.unique(val.labels)]
    strange = [printable(name) for name in used if name not in number]
    if strange:
        raise ValueError(
            f"the validation set of {train.name} has {len(strange):,} classes that the training set has not, such as "
            f"{strange[0]}; give both the same classes"
        )
    numbers = np.array([number.get(name, 0) for name in val.class_names])
    return replace(val, class_names=train.class_names, labels=numbers[val.labels])


def undivided(train: Dataset, val: Dataset) -> tuple[str, np.ndarray]:
    """Fingerprint of the one tree that was split into these two, and (N,) int64 rows of the training set in it."""
    names = ("labels", "sources", "digests")
    both = {name: np.concatenate([getattr(train, name), getattr(val, name)]) for name in names}
    order = np.argsort(np.concatenate([train.tree_keys, val.tree_keys]), kind="stable")
    columns = {name: column[order] for name, column in both.items()}
    ids, no_images = np.arange(len(order)), np.empty((len(order), 0))
    whole = Dataset(train.name, "train", no_images, class_names=train.class_names, example_ids=ids, **columns)
    rows = np.empty_like(order)
    rows[order] = ids
    return whole.fingerprint, rows[: len(train)]
