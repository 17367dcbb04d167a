"""What an ablate run says of a dataset: what examples are worth, and what was really removed."""

import pandas as pd

from easiness.figures.text_fit import file_name
from easiness.reporting.blocks import Block, Chart, Heading, Table, Text
from easiness.reporting.sources import AblationSource
from easiness.runs.ablate.figures import ablation_figures

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


def ablation_chapter(key: str, source: AblationSource) -> list[Block]:
    """Assemble the section on what examples are worth.

    Parameters
    ----------
    key : str
        Of the dataset; begins the names of its files.
    source : AblationSource
    """
    settings, tables = source.settings, source.tables
    stem = f"{key}_{file_name(source.title)}"
    accuracy, removed = tables["accuracy"], tables.get("removed", pd.DataFrame())
    figures = ablation_figures(
        accuracy, removed, tables.get("differences", pd.DataFrame()), settings["strategies"], source.title
    )
    blocks: list[Block] = [
        Heading(f"What examples are worth (Fig. 4): {source.title}"),
        Text(
            f"{settings['seeds']} trainings per arm of {settings['recipe']['epochs']} epochs each; easiness after "
            f"{settings['moment']} updates, from score run {settings['scores']}. The **ablation ratio** is "
            "the share of the "
            "training set that is removed. Accuracy is that of the last epoch on the validation set."
        ),
    ]
    blocks += [Chart(f"{stem}_{name}", *_WORDS[name], lambda figure=figure: figure) for name, figure in figures.items()]
    captions = {
        "differences": "Accuracy minus that of random at the same ratio and seed, a fraction; above 0 = better.",
        "costs": "Accuracy minus that with nothing removed, at the same seed, a fraction; below 0 = it costs.",
        "accuracy": "Every arm: its accuracy, what it was trained on, and what that took.",
        "removed": "Share of each difficulty decile (1 = easiest), class or group that every arm really removed.",
        "class_accuracy": "Accuracy of every arm on each class.",
        "group_accuracy": "Accuracy of every arm on each group that is known from how the data were made.",
    }
    blocks.append(
        Table(f"{stem}_mean_accuracy", "Accuracy at the last epoch, mean over seeds.", mean_accuracy(accuracy))
    )
    return blocks + [
        Table(f"{stem}_{name}", caption, tables[name], folded=True)
        for name, caption in captions.items()
        if name in tables
    ]


def mean_accuracy(accuracy: pd.DataFrame) -> pd.DataFrame:
    """One row per ratio, one column per strategy, means over seeds."""
    means = accuracy.pivot_table(index="ratio", columns="strategy", values="accuracy", sort=False)
    return means.sort_index().reset_index().rename_axis(None, axis="columns")
