"""Pictures of one class under a model: its easiest and hardest examples (Fig. 1), averages of its sets (Fig. 2)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.diversity import Diversity, OrderTest, diversity, order_test
from easiness.analysis.sets import easiest, hardest
from easiness.datasets import Dataset, open_dataset
from easiness.figures import Figure
from easiness.figures.text_fit import file_name
from easiness.loaders.resident import fit_images
from easiness.tracking import ScoreManifest

LOG = logging.getLogger("easiness")

# The classes that the paper shows; elsewhere it is the first class.
_SHEET_OF, _AVERAGES_OF = {"cifar10": "dog"}, {"cifar10": "horse"}

# Examples in each half of the contact sheet.
_PICTURES = 18


class TooFewImagesError(ValueError):
    """Set of fewer than two images, which has no variance."""


@dataclass(frozen=True)
class ClassDiversity:
    """Diversity of equally many easy, random and hard examples of a class, and the test of hard > random > easy."""

    class_name: str
    sets: dict[str, Diversity]
    test: OrderTest

    def order_test(self) -> dict[str, object]:
        """Test with the class it is about."""
        return {"class_name": self.class_name, **self.test._asdict()}


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


def reopen_dataset(manifest: ScoreManifest, example_ids_N: np.ndarray, root: Path | None) -> Dataset:
    """Open the N examples of a score run again, from the archive or folder that holds them now.

    Raises OSError if it is not there, ValueError if it cannot be read or has another fingerprint.
    """
    seed, skip_bad = manifest.recipe["seed"], bool(manifest.skipped)
    dataset = open_dataset(manifest.dataset, root, split="train", seed=seed, skip_bad=skip_bad)
    if not np.array_equal(example_ids_N, dataset.example_ids):
        dataset = dataset.subset(example_ids_N)
    if dataset.fingerprint != manifest.fingerprint:
        raise ValueError(
            f"the data at {root or 'their usual place'} have fingerprint {dataset.fingerprint[:12]}, and the scores "
            f"are of {manifest.fingerprint[:12]}"
        )
    return dataset


def look_at_classes(
    dataset: Dataset,
    tables: Mapping[str, pd.DataFrame],
    classes: tuple[str, str],
    *,
    fraction: float,
    seed: int,
    resolution: int,
) -> tuple[dict[str, Figure], dict[str, ClassDiversity]]:
    """Draw Fig. 1 and Fig. 2 under every model; a class too small for averages gets none, and a warning.

    Parameters
    ----------
    dataset : Dataset
        The N examples.
    tables : mapping of pandas.DataFrame
        By model, N rows: example_id, class_name, easiness (lower = easier).
    classes : tuple of str
        From `shown_classes`.
    fraction, seed, resolution
        As in `class_diversity`.

    Returns
    -------
    dict of Figure, dict of ClassDiversity
        By the name of their file, and by model.
    """
    charts, measured = {}, {}
    sheet_of, averages_of = classes
    look = {"fraction": fraction, "seed": seed, "resolution": resolution}
    for model, table in tables.items():
        charts[f"fig1_{file_name(sheet_of)}_{file_name(model)}"] = class_sheet(dataset, table, sheet_of, model)
        easiness_N = table["easiness"].to_numpy()
        try:
            measure = class_diversity(dataset, easiness_N, averages_of, **look)
        except TooFewImagesError as error:
            LOG.warning("no average images: %s", error)
            continue
        measured[model] = measure
        charts[f"fig2_{file_name(averages_of)}_{file_name(model)}"] = class_averages(measure, model)
    return charts, measured


def class_sheet(dataset: Dataset, table: pd.DataFrame, class_name: str, model: str) -> Figure:
    """Draw the easiest and the hardest examples of a class (Fig. 1), of N rows as in `look_at_classes`."""
    members = table[table["class_name"] == class_name].sort_values("easiness", kind="stable")
    count = min(_PICTURES, len(members) // 2) or 1
    ends = (members.head(count), members.tail(count)[::-1])
    images = ([dataset.images[row] for row in end.index] for end in ends)
    captions = ([f"#{row.example_id}\n{row.easiness:.2f} nats" for row in end.itertuples()] for end in ends)
    title = f"{class_name}: easiest and hardest of {len(members)}, {model}"
    return figures.easiest_and_hardest(*zip(images, captions, strict=True), title)


def class_diversity(
    dataset: Dataset, easiness_N: np.ndarray, class_name: str, *, fraction: float, seed: int, resolution: int
) -> ClassDiversity:
    """Average the easy, random and hard examples of a class, and measure how diverse they are.

    Parameters
    ----------
    dataset : Dataset
    easiness_N : numpy.ndarray
        (N,) lower = easier.
    class_name : str
    fraction : float
        Share of the class in each set; of fewer than two images TooFewImagesError is raised.
    seed : int
        Seed of the random set, the interval and the permutations.
    resolution : int
        Side in pixels of the squares that images of different sizes are cut to; images of one size stay as they are.
    """
    members = np.flatnonzero(dataset.labels == dataset.class_names.index(class_name))
    easiness_C = easiness_N[members]
    easy, hard = (cut(easiness_C, fraction, seed=seed) for cut in (easiest, hardest))
    if len(easy) < 2:
        raise TooFewImagesError(
            f"a share of {fraction:g} of the {len(members)} images of {class_name} leaves {len(easy)}, and diversity "
            "needs two"
        )
    random = np.random.default_rng(seed).choice(len(members), len(easy), replace=False)
    rows = {"easy": easy, "random": np.sort(random), "hard": hard}
    images = {name: _same_size(dataset, members[chosen], resolution) for name, chosen in rows.items()}
    sets = {name: diversity(images_BHWC, seed=seed) for name, images_BHWC in images.items()}
    return ClassDiversity(class_name, sets, order_test(images["easy"], images["random"], images["hard"], seed=seed))


def class_averages(measured: ClassDiversity, model: str) -> Figure:
    """Draw the average images with their diversity (Fig. 2)."""
    sets = measured.sets
    return figures.average_images(
        {name: (measure.average_HWC, measure.variance, measure.low, measure.high) for name, measure in sets.items()},
        title=(
            f"{measured.class_name}, {model}: averages of {sets['easy'].images} images\n"
            f"hard > random > easy: p = {measured.test.p:.2g}"
        ),
    )


def diversity_table(measured: Mapping[str, ClassDiversity]) -> pd.DataFrame:
    """Diversity of every set under every model: class_name, model, set, images, variance, low, high."""
    columns = ("images", "variance", "low", "high")
    return pd.DataFrame(
        [
            {"class_name": measure.class_name, "model": model, "set": name}
            | {column: getattr(images, column) for column in columns}
            for model, measure in measured.items()
            for name, images in measure.sets.items()
        ]
    )


def _same_size(dataset: Dataset, rows: np.ndarray, resolution: int) -> np.ndarray:
    if isinstance(dataset.images, np.ndarray):
        return dataset.images[rows]
    images = dataset.images.take(rows)
    if len(np.unique(images.sizes, axis=0)) == 1:
        return np.stack([images[row] for row in range(len(images))])
    return fit_images(images, resolution)
