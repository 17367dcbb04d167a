"""Wrong labels: which suspicion finds flipped labels best, all of them from the same trainings.

    python -m easiness.benchmarks.labels --dataset=cifar10 --data=cifar-10-binary.tar.gz --limit=10000

scores the images with folds, with 5 % and 20 % of their labels flipped, uniformly and as the network confuses classes,
for several seeds; ranks them in every way of `easiness.benchmarks.suspicions`; and writes a table for this dataset and
one page for all datasets in the folder. The same command goes on where it was cut off.
"""

import argparse
import datetime
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from easiness import figures
from easiness.analysis.intervals import student
from easiness.analysis.label_errors import found_among
from easiness.analysis.scores import roc_auc
from easiness.benchmarks.suspicions import IN_SAMPLE, in_sample, on_features, out_of_fold
from easiness.datasets import open_dataset
from easiness.figures.text_fit import file_name
from easiness.loaders import stage
from easiness.recipes.recipe import recipe_from
from easiness.recipes.schedule import updates_per_epoch
from easiness.runs.score.reading import Scores
from easiness.runs.score.run import score

# Trainings in all; two rounds, so that one and two can be compared.
FOLDS, ROUNDS = 4, 2

# Share of the images that a person may look through.
LOOKED_THROUGH = 0.05

# What a row of the table is about.
KEY = ["dataset", "images", "share", "flips", "suspicion", "epoch", "trainings"]

# What is judged: area under the curve, share of the flips among as many of the most suspicious, and precision and
# recall of the first 5 %; of cleanlab's `find_label_issues`, of what it flags.
JUDGED = ("auc", "found", "precision", "recall")

_ENDS = {"found": "found", "low": "found_low", "high": "found_high"}

# Ways that a reader looks for first, in the order of the figure's legend.
DRAWN = (
    "easiness",
    "EL2N",
    "AUM",
    "forgetting",
    "held-out loss",
    "cleanlab self confidence",
    "cleanlab normalized margin",
)


@dataclass(frozen=True)
class Setting:
    """One scoring: which share of the labels is flipped, how, and with which seed."""

    share: float
    flips: str  # uniform or confusion
    seed: int


def measure(setting: Setting, options: argparse.Namespace, confused_as: str | None) -> pd.DataFrame:
    """Score one setting, and judge every suspicion: columns `KEY`, seed, run_id and `JUDGED`."""
    flips = {"flip_labels": setting.share, "flip_by": setting.flips, "flip_from": confused_as}
    scores = scored(options, setting.seed, trials=FOLDS * ROUNDS, **flips)
    flipped_N = scores.table["flipped"].to_numpy()
    per_epoch = updates_per_epoch(scores.manifest.trained, scores.manifest.recipe["batch_size"])
    rows = []
    for suspicion, epoch, trainings, values_N in _ranked(scores, options, per_epoch):
        rows.append({"suspicion": suspicion, "epoch": epoch, "trainings": trainings} | judge(values_N, flipped_N))
    made = {"dataset": options.name, "images": len(flipped_N), **vars(setting), "run_id": scores.run_id}
    return pd.DataFrame(rows).assign(**made)


def judge(values_N: np.ndarray, flipped_N: np.ndarray) -> dict[str, float]:
    """`JUDGED` of a suspicion, or of a set (bool) of suspects, which has neither area nor order."""
    if values_N.dtype == bool:
        hits = float((values_N & flipped_N).sum())
        precision = hits / values_N.sum() if values_N.any() else math.nan
        return {"auc": math.nan, "found": math.nan, "precision": precision, "recall": hits / flipped_N.sum()}
    found, _ = found_among(values_N, flipped_N, int(flipped_N.sum()))
    precision, recall = found_among(values_N, flipped_N, math.ceil(LOOKED_THROUGH * len(values_N)))
    return {"auc": roc_auc(values_N, flipped_N), "found": found, "precision": precision, "recall": recall}


def scored(options: argparse.Namespace, seed: int, **chosen: object) -> Scores:
    """Score the images with folds, after every epoch of the beginning of the recipe's schedule."""
    return score(
        model=options.model,
        dataset=options.dataset,
        data=options.data,
        limit=options.limit,
        resolution=options.resolution,
        epochs=options.epochs,
        folds=FOLDS,
        seed=seed,
        log_models="all",
        **chosen,
    )


def _ranked(
    scores: Scores, options: argparse.Namespace, per_epoch: int
) -> Iterator[tuple[str, int, float, np.ndarray]]:
    """Suspicion, epoch, trainings that it took, and its values, higher = more likely wrong."""
    epochs = [math.ceil(update / per_epoch) for update in scores.manifest.updates]
    wanted = {epochs.index(epoch) for epoch in options.moments if epoch in epochs}
    # Of K trainings, K - 1 have seen an example: so many it takes until each was seen by `count`.
    for name, count, t, values_N in in_sample(scores):
        if t in wanted:
            yield name, epochs[t], count * FOLDS / (FOLDS - 1), values_N
    for name, count, t, values_N in out_of_fold(scores):
        if t in wanted:
            yield name, epochs[t], float(count * FOLDS), values_N
    data = {"split": "train", "limit": options.limit, "seed": scores.manifest.data_seed, "val_fraction": 0.0}
    images = open_dataset(options.dataset, options.data, **data)
    staged, _ = stage(images, images, recipe_from(scores.manifest.recipe), None)
    for name, count, values_N in on_features(scores, staged):
        yield name, epochs[-1], float(count * FOLDS), values_N


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of what is judged over seeds, with its 95 % interval (Student's t) within 0 and 1: auc, auc_low …."""
    rows = []
    for key, group in table.groupby(KEY, sort=False):
        row = dict(zip(KEY, key, strict=True)) | {"seeds": len(group)}
        for name in JUDGED:
            mean, reach = float(group[name].mean()), math.nan
            if len(group) > 1:
                reach = student(len(group) - 1) * float(group[name].std(ddof=1)) / math.sqrt(len(group))
            row |= {name: mean, f"{name}_low": max(mean - reach, 0), f"{name}_high": min(mean + reach, 1)}
        rows.append(row)
    return pd.DataFrame(rows)


def page(table: pd.DataFrame, commands: Sequence[str]) -> str:
    """Which suspicion wins in every setting, and all of them at the last epoch with all trainings, in markdown."""
    parts = [
        "# Which ranking finds wrong labels?",
        f"{datetime.date.today().isoformat()}, made by",
        "\n".join(f"    {command}" for command in commands),
        _INTRODUCTION,
        "![Share of the flipped labels that is found, over epochs](found.png)",
        "## Winners",
        _markdown(_winners(table)),
        "## All at the last epoch, with all trainings",
        *_last(table),
        "All epochs and numbers of trainings are in `labels.csv`.",
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = (
    "A share of the labels is flipped on purpose: to any other class (`uniform`), or as a network confuses classes "
    f"(`confusion`). Every suspicion comes from the same {FOLDS * ROUNDS} trainings in {FOLDS} folds, each of which "
    f"trains on {FOLDS - 1} of {FOLDS} parts and measures all: *in-sample* ones ({', '.join(IN_SAMPLE)}) average the "
    "trainings that saw an image, *held-out* ones (held-out loss, cleanlab, models on features) those that did not. "
    "*Found* is the share of the flipped labels among as many of the most suspicious images, [95 % interval over "
    "seeds]. Labels that were wrong before count as right, so that all figures are lower bounds."
)


def _winners(table: pd.DataFrame) -> pd.DataFrame:
    """Best suspicion of every setting and epoch, with all trainings, and the best of the other side of the cut."""
    rows = []
    most = table[table["trainings"] == table["trainings"].max()]
    named = [*KEY[:4], "epoch"]
    for key, group in most.groupby(named, sort=False):
        ordered = group.sort_values("found", ascending=False)
        seen = ordered["suspicion"].isin(IN_SAMPLE)
        both = {"in-sample": ordered[seen], "held out": ordered[~seen & ordered["found"].notna()]}
        row = dict(zip(named, key, strict=True))
        rows.append(row | {name: _said(part.iloc[0], "found") for name, part in both.items() if len(part)})
    return pd.DataFrame(rows)


_COLUMNS = {
    "found": "found",
    "auc": "area under the curve",
    "precision": "precision of the first 5 %",
    "recall": "recall",
}


def _last(table: pd.DataFrame) -> Iterator[str]:
    for (dataset, images, share, flips), group in table.groupby(KEY[:4], sort=False):
        last = group[(group["epoch"] == group["epoch"].max()) & (group["trainings"] == group["trainings"].max())]
        last = last.sort_values("found", ascending=False)
        rows = [[row["suspicion"], *(_interval(row, name) for name in _COLUMNS)] for _, row in last.iterrows()]
        yield f"**{dataset}, {images:,} images, {100 * share:g} % {flips}, epoch {group['epoch'].max()}**"
        yield _markdown(pd.DataFrame(rows, columns=["suspicion", *_COLUMNS.values()]))


def _said(row: pd.Series, name: str) -> str:
    return f"{row['suspicion']} {_interval(row, name)}"


def _interval(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if math.isnan(row[name]):
        return "–"
    return f"{row[name]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if math.isfinite(low) else "")


def _markdown(table: pd.DataFrame) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.fillna("–").to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def draw(table: pd.DataFrame) -> figures.Figure:
    """Figure of what the `DRAWN` suspicions find over epochs, one panel for every setting, with all trainings."""
    most = table[(table["trainings"] == table["trainings"].max()) & table["suspicion"].isin(DRAWN)]
    panels = {}
    for (dataset, share, flips), group in most.groupby(["dataset", "share", "flips"], sort=False):
        curves = [
            {"name": name, "epochs": part["epoch"].to_numpy()}
            | {end: part[column].to_numpy() for end, column in _ENDS.items()}
            for name, part in group.groupby("suspicion", sort=False)
        ]
        panels[f"{dataset}, {100 * share:g} % {flips}"] = curves
    return figures.found_over_epochs(panels, title="Flipped labels found")


def main(arguments: Sequence[str] | None = None) -> None:
    """Score what is not yet scored, and write the table, the figure and the page."""
    parser = argparse.ArgumentParser(prog="python -m easiness.benchmarks.labels", description=__doc__)
    parser.add_argument("--dataset", default="planted")
    parser.add_argument("--data", help="archive or folder")
    parser.add_argument("--name", help="of the dataset on the page; that of the option dataset if not given")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--resolution", type=int)
    parser.add_argument("--model", default="wide_resnet_10_1")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--moments", type=_numbers(int), default=(3, 5, 10, 20, 40), help="epochs that are judged")
    parser.add_argument("--shares", type=_numbers(float), default=(0.05, 0.2), help="of the labels that are flipped")
    parser.add_argument("--flips", type=_numbers(str), default=("uniform", "confusion"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("reports/labels"))
    options = parser.parse_args(arguments)
    options.name = options.name or options.dataset
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    (options.folder / "runs").mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m easiness.benchmarks.labels", *map(str, arguments or sys.argv[1:])])
    settings = [Setting(*one) for one in product(options.shares, options.flips, range(options.seeds))]
    confused_as = scored(options, seed=0, trials=FOLDS).run_id if "confusion" in options.flips else None
    tables = []
    for number, setting in enumerate(settings, 1):
        tables.append(measure(setting, options, confused_as if setting.flips == "confusion" else None))
        print(f"{number} of {len(settings)}: {setting}", file=sys.stderr, flush=True)
        found = pd.concat(tables, ignore_index=True).assign(command=command)
        found.to_csv(options.folder / "runs" / f"{file_name(options.name)}.csv", index=False)
    write(options.folder)


def write(folder: Path) -> None:
    """Write the table, the figure and the page of all datasets that were measured in a folder."""
    found = pd.concat([pd.read_csv(path) for path in sorted((folder / "runs").glob("*.csv"))], ignore_index=True)
    table = summary(found)
    table.round(5).to_csv(folder / "labels.csv", index=False)
    figures.save(draw(table), folder / "found.png")
    (folder / "README.md").write_text(page(table, list(found["command"].unique())), encoding="utf-8")


def _numbers(kind: type) -> Callable[[str], tuple]:
    return lambda text: tuple(kind(part) for part in text.split(","))


if __name__ == "__main__":
    main()
