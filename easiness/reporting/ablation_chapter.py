"""Chapter on an ablate run: what examples are worth, and what was really removed."""

import pandas as pd

from easiness.reporting.blocks import Block, Chart, Heading, Table, Text
from easiness.runs.ablate.figures import ablation_figures
from easiness.runs.ablate.reading import Ablation

# Caption and alternative text of a figure, by its name.
_WORDS = {
    "accuracy": (
        "Accuracy after removing a share of the training set (Fig. 4). Points are single seeds.",
        "Lines of accuracy against the share removed, one per strategy, with nothing removed as a level.",
    ),
    "accuracy_by_updates": (
        "The same accuracies against the updates that training took.",
        "Lines of accuracy against updates of training, one per strategy.",
    ),
    "accuracy_by_seconds": (
        "The same accuracies against the seconds that training took.",
        "Lines of accuracy against seconds of training, one per strategy.",
    ),
    "worst_class": (
        "Accuracy of the class that each network knows worst.",
        "Lines of the worst class's accuracy against the share removed, one per strategy.",
    ),
    "differences": (
        "Accuracy minus that of random at the same ratio and seed, with the 95 % interval over seeds.",
        "Intervals around the difference to random, one per strategy and ratio, with 0 as a level.",
    ),
    "removed": (
        "What was really removed: the share of each difficulty decile that is gone.",
        "Shares removed of the ten difficulty deciles, one row per strategy and ratio.",
    ),
}


# Captions of the tables, by name.
_CAPTIONS = {
    "differences": "Accuracy minus that of random at the same ratio and seed, a fraction; above 0 = better.",
    "costs": "Accuracy minus that with nothing removed, at the same seed, a fraction; below 0 = it costs.",
    "accuracy": "Every arm: its accuracy, what it was trained on, and what that took.",
    "removed": "Share of each difficulty decile (1 = easiest), class or group that every arm really removed.",
    "class_accuracy": "Accuracy of every arm on each class.",
    "group_accuracy": "Accuracy of every arm on each group that is known from how the data were made.",
}


def ablation_chapter(key: str, ablation: Ablation) -> list[Block]:
    """Section on what examples are worth; `key` names the dataset and begins the names of its files."""
    manifest, tables = ablation.manifest, ablation.tables
    stem = f"{key}_{ablation.title}"
    shown = [tables.get(name, pd.DataFrame()) for name in ("accuracy", "removed", "differences")]
    figures = ablation_figures(*shown, manifest.strategies, ablation.title)
    about = (
        f"{manifest.seeds} trainings per arm of {manifest.recipe['epochs']} epochs each, after removing by "
        f"{ablation.scored}. The **ablation ratio** is the share of the "
        "training set that is removed. Accuracy is that of the last epoch on the validation set."
    )
    means = ablation.mean_accuracy()
    return [
        Heading(f"What examples are worth (Fig. 4): {ablation.title}"),
        Text(about),
        *(Chart(f"{stem}_{name}", *_WORDS[name], lambda figure=figure: figure) for name, figure in figures.items()),
        Table(f"{stem}_mean_accuracy", "Accuracy at the last epoch, mean over seeds.", means),
        *(
            Table(f"{stem}_{name}", caption, tables[name], folded=True)
            for name, caption in _CAPTIONS.items()
            if name in tables
        ),
    ]
