"""Everything around the networks at ImageNet's size: seconds and peak memory of opening, scores, match, ablate, report.

The pictures are drawn, of a few pixels, in .beton files as `prepare` writes them; the losses of every trial are drawn,
too, and nothing is trained. All else is what the commands do. Each step runs in a process of its own, so that its peak
is its own; the interpreter with torch and MLflow is in it.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from easiness import tracking
from easiness.benchmarks.guard import guarded
from easiness.benchmarks.timing import peak_gib, seconds_of
from easiness.datasets import Dataset, open_dataset
from easiness.datasets.beton import MANIFEST, RAW, BetonFile, BetonImages, BetonWriter, EncodedImage, read_index
from easiness.datasets.packed import Part, write_manifest
from easiness.loaders import Staged, stage
from easiness.loaders.ffcv import why_no_ffcv
from easiness.loaders.resident import StagedResident
from easiness.machine import usable_cores
from easiness.recipes.recipe import make_recipe
from easiness.recipes.schedule import scored_updates
from easiness.reporting.run import report
from easiness.runs.ablate.run import ablate
from easiness.runs.match.run import match
from easiness.runs.score.reading import load_scores
from easiness.runs.score.run import score
from easiness.trials.evaluation import ExampleMetrics
from easiness.trials.trial import Progress, TrialTask
from easiness.trials.trial_folder import CORRECT, EPOCHS, MODEL, Ledger, array_file, metrics_files, tensor_file

SIDE = 8  # pixels of the pictures
MODELS = ("resnet18", "alexnet")

# Options of every training.
_OPTIONS = {"dataset": "imagenet", "epochs": 2, "device": "cpu", "engine": "inline", "log_models": "none"}


@dataclass(frozen=True)
class ImageNetSize:
    """Place of the drawn data and of all runs, and their size."""

    place: Path
    examples: int = 1_281_167
    validated: int = 50_000
    classes: int = 1000
    trials: int = 4

    @property
    def data(self) -> Path:
        """Folder of the packed data."""
        return self.place / "data"


def draw_data(size: ImageNetSize) -> None:
    """Write both .beton files and their manifest."""
    size.data.mkdir()
    counts = {"train": size.examples, "val": size.validated}
    parts = {split: _draw_part(size, split, count) for split, count in counts.items()}
    write_manifest(size.data / MANIFEST, parts)


def _draw_part(size: ImageNetSize, split: str, count: int) -> Part:
    path = size.data / f"{split}-{'0' * 12}.beton"
    rng, digests = np.random.default_rng(int(split == "val")), bytearray()
    labels_N = np.sort(np.arange(count) % size.classes)
    with BetonWriter(path, count) as writer:
        for start in range(0, count, 10_000):
            labels = labels_N[start : start + 10_000].tolist()
            pixels = rng.integers(0, 256, (len(labels), SIDE, SIDE, 3), np.uint8)
            for label, image in zip(labels, pixels, strict=True):
                writer.add(EncodedImage(RAW, SIDE, SIDE, image.tobytes()), label)
                # What is stored is the pixels, so that one digest serves for both.
                digests += hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        written = writer.finish()
    names = [f"n{k:08d}" for k in range(size.classes)]
    sources = [f"{split}/{names[label]}/{row}.JPEG" for row, label in enumerate(labels_N.tolist())]
    table, beton, rows = np.frombuffer(digests, np.uint8).reshape(-1, 16), BetonFile(path), np.arange(count)
    images = BetonImages(beton, rows, read_index(beton).records, table)
    data = Dataset(size.data.name, split, images, labels_N, tuple(names), np.array(sources), rows, table)
    return Part(
        file=path.name,
        examples=count,
        fingerprint=data.fingerprint,
        class_names=names,
        sources=sources,
        digests=table.tobytes().hex(),
        stored=table.tobytes().hex(),
        settings={},
        origin="0" * 64,
        skipped=[],
        **written._asdict(),
    )


def _draw_trial(task: TrialTask, device: torch.device, report: Callable[[Progress], None]) -> None:
    """Leave what a trial leaves, with drawn losses: in part of the example, in part of the network, in part luck."""
    ledger = Ledger(task.folder)
    if ledger.done:
        return
    ids_N, labels_N = _columns(task.scored or task.train)
    common, own = (
        np.random.default_rng(seed).standard_normal(int(ids_N.max()) + 1, np.float32)[ids_N]
        for seed in (0, list(task.recipe.model.encode()))
    )
    rng = np.random.default_rng(task.recipe.trial_seeds(task.trial).initialization)
    ledger = Ledger(task.folder)
    updates = scored_updates(task.recipe, len(ids_N))
    for number, update in enumerate(updates):
        losses_N = np.exp(0.7 * common + 0.5 * own + 0.5 * rng.standard_normal(len(ids_N), np.float32) - number / 10)
        # Of two classes: the label's share is exp(-loss).
        wrong_N = -np.expm1(-losses_N)
        other_N = (labels_N + 1 + rng.integers(0, task.train.num_classes - 1, len(labels_N))) % task.train.num_classes
        predicted_N = np.where(losses_N > np.log(2), other_N, labels_N)
        margin_N, right_N = -losses_N - np.log(wrong_N), predicted_N == labels_N
        columns = (losses_N, np.sqrt(2) * wrong_N, margin_N, right_N, predicted_N)
        ledger.update(metrics_files(update, ExampleMetrics(*(column.astype(np.float32) for column in columns))))
    val_correct_N = (rng.random(len(_columns(task.val)[0])) < 0.5).astype(np.float32)
    epochs = [_epoch(epoch, updates, float(val_correct_N.mean())) for epoch in range(1, task.recipe.epochs + 1)]
    report(Progress(task.name, len(ids_N), epochs[-1]))
    files = {MODEL: tensor_file({}), CORRECT: array_file(val_correct_N)}
    files[EPOCHS] = lambda path: path.write_text(json.dumps(epochs))
    ledger.update(files)
    ledger.mark_done()


def _columns(staged: Staged) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels of the examples."""
    if isinstance(staged, StagedResident):
        return staged.example_ids, staged.labels
    rows = slice(None) if staged.rows is None else staged.rows
    return staged.columns.example_ids[rows], staged.columns.labels[rows]


def _epoch(epoch: int, updates: tuple[int, ...], accuracy: float) -> dict[str, float]:
    numbers = {"train_loss": 1.0, "val_loss": 1.0, "val_accuracy": accuracy, "learning_rate": 0.1}
    numbers |= {"images_per_second": 1.0, "training_seconds": 1.0 * epoch, "scoring_seconds": 1.0 * epoch}
    return {"epoch": epoch, "update": updates[-1] if updates else epoch, "time": time.time_ns() // 1_000_000} | numbers


def opening(size: ImageNetSize) -> None:
    """Open the training and the validation set."""
    for split in ("train", "val"):
        open_dataset("imagenet", size.data, split=split)


def staging(size: ImageNetSize, normalization: str) -> None:
    """Open both sets, and stage them; with `channel`, with the statistics of every colour."""
    data = [open_dataset("imagenet", size.data, split=split) for split in ("train", "val")]
    loader = "torchvision" if why_no_ffcv() else "ffcv"
    recipe = make_recipe("imagenet", MODELS[0], normalization=normalization, loader=loader, resolution=SIDE)
    stage(*data, recipe, None)


def scoring(size: ImageNetSize, model: str) -> None:
    """Log drawn trials, tables, previews and pages of one network."""
    with mock.patch("easiness.trials.engines.run_trial", _draw_trial):
        score(model=model, data=size.data, trials=size.trials, **_OPTIONS)


def reading(size: ImageNetSize) -> None:
    """Read the scores of a network back, with the losses of all its trials."""
    (run, *_) = tracking.find_score_runs(None)
    assert load_scores(run.run_id).losses_TMN.shape[1:] == (size.trials, size.examples)


def matching(size: ImageNetSize) -> None:
    """Match both networks, with figures of images."""
    match(data=size.data)


def ablation(size: ImageNetSize, strategies: tuple[str, ...]) -> None:
    """Choose the arms, and log drawn trainings of them."""
    with mock.patch("easiness.trials.engines.run_trial", _draw_trial):
        ablate(model=MODELS[0], data=size.data, strategies=strategies, ratios=(0.1, 0.2), seeds=2, **_OPTIONS)


def page(size: ImageNetSize) -> None:
    """Make the report of all runs."""
    report(folder=size.place / "report")


# By name, in the order in which each uses what those before it have left.
STEPS: dict[str, Callable[[ImageNetSize], None]] = {
    "open train and val": opening,
    "open and stage": partial(staging, normalization="image"),
    "open and stage, with channel statistics": partial(staging, normalization="channel"),
    "score, first network": partial(scoring, model=MODELS[0]),
    "score, second network": partial(scoring, model=MODELS[1]),
    "load_scores, all losses": reading,
    "match, with pictures": matching,
    "ablate: easy, hard, random": partial(ablation, strategies=("easy", "hard", "random")),
    "ablate: stepwise": partial(ablation, strategies=("stepwise",)),
    "report": page,
}


def measure(name: str, size: ImageNetSize) -> dict[str, float]:
    """Seconds, seconds of all cores and peak memory of a step, in this process, with all runs in the place's store."""
    with _store(size.place):
        used, seconds = time.process_time(), seconds_of(partial(STEPS[name], size))
    return {"seconds": seconds, "cpu_seconds": time.process_time() - used, "peak_gib": peak_gib()}


@contextmanager
def _store(place: Path) -> Iterator[None]:
    settings = {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "EASINESS_WORK": f"{place}/work"}
    with mock.patch.dict(os.environ, settings), chdir(place):
        yield


def table(rows: dict[str, dict[str, object]]) -> str:
    """Measurements in markdown."""
    lines = ["| step | seconds | of all cores | peak GiB |", "|---|---|---|---|"]
    for name, row in rows.items():
        numbers = [row.get("error"), "", ""]
        if result := row.get("result"):
            numbers = [f"{result['seconds']:,.0f}", f"{result['cpu_seconds']:,.0f}", f"{result['peak_gib']:.1f}"]
        lines.append(f"| {' | '.join([name, *numbers])} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and how far it is; exit status 1 where a step failed."""
    parser = argparse.ArgumentParser(prog="python -m easiness.benchmarks.imagenet_size", description=__doc__)
    parser.add_argument("--examples", type=int, default=ImageNetSize.examples)
    parser.add_argument("--classes", type=int, default=ImageNetSize.classes)
    parser.add_argument("--trials", type=int, default=ImageNetSize.trials, help="of each network")
    parser.add_argument("--minutes", type=float, default=60, help="after which a step is given up")
    parser.add_argument("--folder", type=Path, help="for all files, some 4 GB; the system's temporary one if not given")
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        validated = max(options.classes, options.examples // 25)
        size = ImageNetSize(Path(folder), options.examples, validated, options.classes, options.trials)
        draw_data(size)
        for name in STEPS:
            rows[name] = guarded(measure, (name, size), 60 * options.minutes)
            print(name, rows[name].get("result", rows[name].get("traceback")), file=sys.stderr, flush=True)
    print(f"{size.examples:,} examples, {size.classes:,} classes, {size.trials} trials, {usable_cores()} cores\n")
    print(table(rows))
    sys.exit(any("error" in row for row in rows.values()))


if __name__ == "__main__":
    main()
