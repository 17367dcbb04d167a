"""Exact duplicates: examples whose pixels another example has, too, whatever the format of their files."""

import logging
from dataclasses import replace

import numpy as np

from easiness.datasets.dataset import Dataset, digest_keys

LOG = logging.getLogger("easiness")


def mark_duplicates(train: Dataset, val: Dataset | None) -> Dataset:
    """Training set with `Dataset.duplicates`, and a warning of how many there are.

    Each item says where the same content is, too: `train`, `other label` (in train, under another label), `val`; joined
    by a comma, empty for most. There may be no validation set. A ValueError if every validation example is a training
    example.
    """
    keys = digest_keys(train.digests)
    keys_of_val = keys[:0] if val is None else digest_keys(val.digests)
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    label = np.zeros(len(counts), np.int64)
    label[group] = train.labels  # of one of each group
    conflicting = np.zeros(len(counts), bool)
    conflicting[group[label[group] != train.labels]] = True
    leaked = np.isin(keys_of_val, keys)
    if len(leaked) and leaked.all():
        raise ValueError(f"every validation example of {train.name} is a training example, too; give another val")
    marks = {"train": counts[group] > 1, "other label": conflicting[group], "val": np.isin(keys, keys_of_val)}
    if any(rows.any() for rows in marks.values()):
        of_val = f"; {leaked.sum():,} of {len(leaked):,} validation examples are training examples, too"
        LOG.warning(
            "exact duplicates: %s training examples share their content with another, %s of them under another label%s",
            *(f"{marks[name].sum():,}" for name in ("train", "other label")),
            of_val if len(leaked) else "",
        )
    code_N = sum(rows.astype(np.int64) << bit for bit, rows in enumerate(marks.values()))
    codes, kind_N = np.unique(code_N, return_inverse=True)
    words = [", ".join(name for bit, name in enumerate(marks) if code >> bit & 1) for code in codes]
    return replace(train, duplicates=np.array(words)[kind_N])
