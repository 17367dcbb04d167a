"""Folder of one trial: file names, and the ledger of the files in it that are whole."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from easiness.files import Checksum, DamagedError, Write, read_mark, verify, write_mark, write_whole
from easiness.trials.evaluation import MEASURES, ExampleMetrics

LEDGER, MODEL = "ledger.json", "model.pt"
EPOCHS, CORRECT = "validation/epochs.json", "validation/correct.npy"
# Class probabilities of the examples that a trial with folds held out, beside the measures.
HELD_OUT = "heldout_probs"

# Above so many entries of examples by classes, the greatest probabilities of each example are kept alone.
GREATEST_ENTRIES, TOP = 50_000_000, 5

# Checkpoints that are kept: where the last one is damaged, training goes on from the one before.
KEPT_CHECKPOINTS = 2


class Ledger:
    """Record of the files in a trial's folder, by name: what it does not name is not there, for anybody.

    A file is entered once it is on the disk, and struck out before it is removed. Opening a ledger compares every file
    with its checksum; those that differ are left out, and the end of the trial with them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Checksum] = {}
        self.done = False
        self._damage: dict[str, str] = {}  # by file
        if not (folder / LEDGER).exists():
            return
        try:
            content = read_mark(folder / LEDGER)
        except DamagedError as error:
            self._damage[LEDGER] = str(error)
            return
        for name, expected in content["files"].items():
            try:
                verify(folder / name, expected, name)
                self.files[name] = expected
            except DamagedError as error:
                self._damage[name] = str(error)
        if self._damage:
            for name in (MODEL, EPOCHS, CORRECT):
                self.files.pop(name, None)
        self.done = content["done"] and not self._damage

    @property
    def trained(self) -> bool:
        """Whether the trial has its final network; a joint trial may still wait for its evaluation."""
        return EPOCHS in self.files

    @property
    def damage(self) -> str:
        """Files that are not as they were written, in words; empty if there are none."""
        return "; ".join(self._damage.values())

    def update(self, files: Mapping[str, Write], without: Collection[str] = ()) -> None:
        """Write files and enter them; strike others out and remove them."""
        self.files |= write_whole(self.folder, files)
        for name in without:
            self.files.pop(name, None)
        self._save()
        for name in without:
            (self.folder / name).unlink(missing_ok=True)

    def mark_done(self) -> None:
        """Record that the trial is complete."""
        self.done = True
        self._save()

    def set_aside_damaged(self) -> None:
        """Move damaged files to the folder `damaged`."""
        for name in self._damage:
            path, aside = self.folder / name, self.folder / "damaged" / name
            if path.exists():
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.replace(aside)
        self._damage = {}
        self._save()

    def has(self, update: int, *, held_out: bool = False) -> bool:
        """Whether the measures after `update` updates, or the weights for them, are there; probabilities with folds."""
        if held_out and measure_file(HELD_OUT, update) not in self.files:
            return False
        return weights_file(update) in self.files or all(measure_file(name, update) in self.files for name in MEASURES)

    def waiting_updates(self) -> set[int]:
        """Updates whose weights a joint trial keeps for the evaluation."""
        return {_number(name) for name in self.files if name.startswith("weights/")}

    def checkpoints(self) -> list[int]:
        """Epochs after which training can go on, ascending."""
        return sorted(_number(name) for name in self.files if name.startswith("checkpoints/"))

    def old_checkpoints(self) -> list[str]:
        """Files of the checkpoints that the next one makes superfluous."""
        return [checkpoint_file(epoch) for epoch in self.checkpoints()[: 1 - KEPT_CHECKPOINTS]]

    def _save(self) -> None:
        write_mark(self.folder / LEDGER, {"done": self.done, "files": self.files})


def is_done(folder: Path) -> bool:
    """Whether the trial in this folder is complete, and everything in it is as it was written."""
    return Ledger(folder).done


def is_trained(folder: Path) -> bool:
    """Whether the trial in this folder has its final network, and everything in it is as it was written."""
    return Ledger(folder).trained


def receive_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of another machine's folder; its ledger comes last."""

    def write(content: bytes) -> Write:
        return lambda path: path.write_bytes(content)

    write_whole(folder, {name: write(content) for name, content in files.items() if name != LEDGER})
    write_whole(folder, {LEDGER: write(files[LEDGER])})


def remove_folder(folder: Path) -> None:
    """Remove a trial's folder; without its ledger, what a killed process leaves of it is nothing."""
    (folder / LEDGER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def weights_file(update: int) -> str:
    """File of a joint trial's weights after `update` updates, until they are evaluated."""
    return f"weights/updates={update:06d}.pt"


def checkpoint_file(epoch: int) -> str:
    """File from which training goes on after `epoch` epochs."""
    return f"checkpoints/epoch={epoch:06d}.pt"


def measure_file(measure: str, update: int) -> str:
    """Path in a trial's folder, and artifact path, of one measure after `update` updates.

    Examples
    --------
    >>> measure_file("losses", 391)
    'losses/updates=000391.npy'
    """
    return f"{measure}/updates={update:06d}.npy"


def artifact_files(updates: Sequence[int], *, held_out: bool = False) -> list[str]:
    """Paths of everything that a trial with these scored moments leaves for readers; `held_out`: one with folds."""
    measures = (*MEASURES, HELD_OUT) if held_out else MEASURES
    return [*(measure_file(measure, update) for measure in measures for update in updates), EPOCHS, CORRECT]


def metrics_files(update: int, metrics: ExampleMetrics) -> dict[str, Write]:
    """Files of every measure after `update` updates, (N,) each."""
    return {measure_file(measure, update): array_file(getattr(metrics, measure)) for measure in MEASURES}


def probabilities_file(update: int, probabilities_NK: np.ndarray, examples: int) -> dict[str, Write]:
    """File of (N, K) class probabilities after `update` updates; of the greatest, where `examples` in all have many."""
    classes = probabilities_NK.shape[1]
    if _has_greatest_alone(examples, classes):
        shares, labels = torch.from_numpy(probabilities_NK).topk(min(TOP, classes))
        probabilities_NK = np.empty(labels.shape, [("label", "<i4"), ("share", "<f2")])
        probabilities_NK["label"], probabilities_NK["share"] = labels.numpy(), shares.numpy()
    return {measure_file(HELD_OUT, update): array_file(probabilities_NK)}


def bytes_of_probabilities(rows: int, classes: int, examples: int) -> int:
    """Size of the array in `probabilities_file` for so many rows."""
    return rows * (min(TOP, classes) * 6 if _has_greatest_alone(examples, classes) else classes * 2)


def _has_greatest_alone(examples: int, classes: int) -> bool:
    return examples * classes > GREATEST_ENTRIES


def read_measure(folder: Path, measure: str, updates: Sequence[int]) -> np.ndarray:
    """(T, N) float32 of one measure at T scored moments."""
    return np.stack([np.load(folder / measure_file(measure, update)) for update in updates])


def array_file(array: np.ndarray) -> Write:
    """File of an array, for `Ledger.update`."""

    def write(path: Path) -> None:
        with path.open("wb") as file:  # by a name, numpy would append .npy
            np.save(file, array)

    return write


def tensor_file(state: dict[str, object]) -> Write:
    """File of tensors for `torch.load(weights_only=True)`, for `Ledger.update`."""
    return lambda path: torch.save(state, path)


def _number(name: str) -> int:
    return int(Path(name).stem.partition("=")[2])
