"""Pictures of one class under a model: its easiest and hardest examples (Fig. 1), averages of its sets (Fig. 2)."""

import logging
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.diversity import Diversity, diversity
from easiness.analysis.sets import easiest, hardest, set_size
from easiness.datasets import Dataset, open_dataset
from easiness.datasets.dataset import rows_of_classes
from easiness.datasets.opening import PLAIN, kind_of
from easiness.datasets.splitting import one_side
from easiness.figures import Figure
from easiness.figures.text_fit import file_name
from easiness.loaders.resident import fit_image
from easiness.machine import usable_cores
from easiness.tracking import ScoreManifest

LOG = logging.getLogger("easiness")

# The classes that the paper shows; elsewhere it is the first class.
_SHEET_OF, _AVERAGES_OF = {"cifar10": "dog"}, {"cifar10": "horse"}

# Examples in each half of the contact sheet.
_PICTURES = 18

# Images of a set at least: the spread of their likeness needs three.
_FEWEST = 3

_MEASURED = ("images", "diversity", "error", "low", "high")


def shown_classes(dataset: str, class_names: tuple[str, ...], class_name: str | None) -> tuple[str, str]:
    """Class of the contact sheet and class of the averages: the one asked for, or those of the paper.

    Examples
    --------
    >>> shown_classes("cifar10", ("cat", "dog", "horse"), None)
    ('dog', 'horse')
    """
    if class_name is None:
        return _SHEET_OF.get(dataset, class_names[0]), _AVERAGES_OF.get(dataset, class_names[0])
    if class_name not in class_names:
        near = [name for name in class_names if class_name.lower() in name.lower()] or list(class_names)
        shown = ", ".join(near[:12]) + (" …" if len(near) > 12 else "")
        raise ValueError(f"there is no class {class_name!r}; class_name must be one of {shown}")
    return class_name, class_name


def reopen_dataset(
    manifest: ScoreManifest, table: pd.DataFrame, data: str | Path | Dataset | None, word: str | None = None
) -> Dataset:
    """Open the N examples of a score run again, from the archive, table or folder that holds them now, or from memory.

    `table` has their example_id and label, which follow a person's decisions where there were such. `word` is the
    option `dataset`, found out from `data` if not given; of the manifest, only words that are known to name no code are
    followed. Raises OSError if the data are not there, ValueError if they cannot be read or have another fingerprint.
    """
    options = {"seed": manifest.data_seed or 0, "val_fraction": 0.0 if manifest.folds else 0.2}
    if isinstance(data, Dataset):
        try:
            return _same_examples(data, manifest, table, str(data))
        except ValueError:
            if manifest.folds:
                raise
            return _same_examples(one_side(data, "train", **options), manifest, table, str(data))
    options["skip_bad"] = bool(manifest.skipped)
    try:
        dataset = open_dataset(word or _word_of(manifest, data), data, split="train", **options)
        return _same_examples(dataset, manifest, table, str(data or "their usual place"))
    except (OSError, ValueError) as error:
        if word or ":" not in str(manifest.opened_as):
            raise
        raise ValueError(
            f"{error}; these data were opened by dataset={manifest.opened_as}, and only a command may name that"
        ) from error


def _same_examples(dataset: Dataset, manifest: ScoreManifest, table: pd.DataFrame, where: str) -> Dataset:
    """Examples of a table of scores; a ValueError if they are not those of the manifest."""
    example_ids_N = table["example_id"].to_numpy()
    if not np.array_equal(example_ids_N, dataset.example_ids):
        dataset = dataset.subset(example_ids_N)
    if manifest.label_changes:
        dataset = replace(dataset, labels=table["label"].to_numpy(np.int64))
    if dataset.fingerprint != manifest.fingerprint:
        raise ValueError(
            f"the data at {where} have fingerprint {dataset.fingerprint[:12]}, and the scores are of "
            f"{manifest.fingerprint[:12]}"
        )
    return dataset


def _word_of(manifest: ScoreManifest, data: str | Path | None) -> str:
    """Word of the option `dataset` where a command does not give it."""
    taken, scored = kind_of(data), manifest.opened_as
    if data is None and scored not in PLAIN:
        raise ValueError("the command does not say where they are")
    # What is drawn has no place; folders of images may be those of ImageNet, whose val is flat.
    return scored if data is None or scored == "planted" or {taken, scored} == {"folder", "imagenet"} else taken


def look_at_classes(
    dataset: Dataset,
    tables: Mapping[str, pd.DataFrame],
    classes: tuple[str, str],
    moments: Mapping[str, str],
    *,
    fraction: float,
    seed: int,
    resolution: int,
    unit: str = "",
) -> tuple[dict[str, Figure], pd.DataFrame]:
    """Draw Fig. 1 and Fig. 2 under every model, and measure the diversity of every class.

    Parameters
    ----------
    dataset : Dataset
        The N examples.
    tables : mapping of pandas.DataFrame
        By model, N rows: example_id, class_name, score (lower = easier).
    classes : tuple of str
        From `shown_classes`.
    moments : mapping of str
        By model, when its score was taken, and which it is: `980 updates (epoch 5 of 300), by EL2N`.
    fraction, seed, resolution
        As in `class_sets`.
    unit : str
        Unit of the score.

    Returns
    -------
    dict of Figure, pandas.DataFrame
        Figures by the name of their file; class_name, model, set, and the numbers of `Diversity`. A class too small for
        three images in each set has no rows, and a warning names it.
    """
    sheet_of, averages_of = classes
    charts, rows, small = {}, [], set()
    look = {"fraction": fraction, "seed": seed, "resolution": resolution}
    members = rows_of_classes(dataset.labels, dataset.num_classes)
    for model, table in tables.items():
        named = f"{model} after {moments[model]}"
        charts[f"fig1_{file_name(sheet_of)}_{file_name(model)}"] = class_sheet(dataset, table, sheet_of, named, unit)
        sets_of = partial(_sets, dataset, table["score"].to_numpy(), model=model, **look)
        with ThreadPoolExecutor(usable_cores()) as pool:  # a third of all images may be decoded
            sets_by_class = list(pool.map(sets_of, range(dataset.num_classes), members))
        for class_name, sets in zip(dataset.class_names, sets_by_class, strict=True):
            if sets is None:
                small.add(class_name)
                continue
            rows += [
                {"class_name": class_name, "model": model, "set": name}
                | {column: getattr(measured, column) for column in _MEASURED}
                for name, measured in sets.items()
            ]
            if class_name == averages_of:
                charts[f"fig2_{file_name(class_name)}_{file_name(model)}"] = class_averages(sets, class_name, named)
    if small:
        shown = ", ".join(sorted(small)[:12]) + (" …" if len(small) > 12 else "")
        LOG.warning("no diversity where a share of %g leaves fewer than %d images: %s", fraction, _FEWEST, shown)
    return charts, pd.DataFrame(rows, columns=["class_name", "model", "set", *_MEASURED])


def class_sheet(dataset: Dataset, table: pd.DataFrame, class_name: str, named: str, unit: str) -> Figure:
    """Draw the easiest and the hardest examples of a class (Fig. 1), of N rows as in `look_at_classes`.

    `named` is the model, the moment and the score, in its `unit`.
    """
    members = table[table["class_name"] == class_name].sort_values("score", kind="stable")
    count = min(_PICTURES, len(members) // 2) or 1
    ends = (members.head(count), members.tail(count)[::-1])
    images = ([dataset.images[row] for row in end.index] for end in ends)
    captions = ([f"#{row.example_id}\n{row.score:.2f} {unit}".rstrip() for row in end.itertuples()] for end in ends)
    title = f"{class_name}: easiest and hardest of {len(members)}, {named}"
    return figures.easiest_and_hardest(*zip(images, captions, strict=True), title)


def class_averages(sets: Mapping[str, Diversity], class_name: str, named: str) -> Figure:
    """Draw the average images with their diversity (Fig. 2); `named` is the model and the moment."""
    title = f"{class_name}, {named}: averages of {sets['easy'].images} images"
    averages = {name: (each.average_HWC, each.diversity, each.low, each.high) for name, each in sets.items()}
    return figures.average_images(averages, title=title)


def class_sets(
    dataset: Dataset,
    scores_N: np.ndarray,
    class_name: str,
    model: str,
    *,
    fraction: float,
    seed: int,
    resolution: int,
) -> dict[str, Diversity] | None:
    """Average the easy, random and hard examples of a class, and measure how diverse they are.

    Parameters
    ----------
    dataset : Dataset
    scores_N : numpy.ndarray
        (N,) lower = easier.
    class_name, model : str
        Each model and class has a random set of its own: a shared one would be shared luck.
    fraction : float
        Share of the class in each set; None is returned where it leaves fewer than three images.
    seed : int
        Seed of ties and of the random sets.
    resolution : int
        Side in pixels of the squares that images of different sizes are cut to; images of one size stay as they are.
    """
    number = dataset.class_names.index(class_name)
    members = np.flatnonzero(dataset.labels == number)
    look = {"fraction": fraction, "seed": seed, "resolution": resolution}
    return _sets(dataset, scores_N, number, members, model=model, **look)


def _sets(
    dataset: Dataset,
    scores_N: np.ndarray,
    number: int,
    members: np.ndarray,
    *,
    model: str,
    fraction: float,
    seed: int,
    resolution: int,
) -> dict[str, Diversity] | None:
    """As `class_sets`, of the class with this number and these rows."""
    size = set_size(fraction, len(members)) if len(members) else 0
    if size < _FEWEST:
        return None
    scores_C = scores_N[members]
    easy, hard = (cut(scores_C, fraction, seed=seed) for cut in (easiest, hardest))
    rng = np.random.default_rng([seed, zlib.crc32(model.encode()), number])
    rows = {"easy": easy, "random": np.sort(rng.choice(len(members), size, replace=False)), "hard": hard}
    return {name: diversity(_same_size(dataset, members[chosen], resolution)) for name, chosen in rows.items()}


def _same_size(dataset: Dataset, rows: np.ndarray, resolution: int) -> np.ndarray:
    if isinstance(dataset.images, np.ndarray):
        return dataset.images[rows]
    images = dataset.images.take(rows)
    fitted = (images[row] for row in range(len(images)))
    if len(np.unique(images.sizes, axis=0)) > 1:
        fitted = (fit_image(image, resolution) for image in fitted)
    return np.stack(list(fitted))
