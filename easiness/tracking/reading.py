"""Arrays of trials, read back."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from easiness.tracking.artifacts import fetch
from easiness.tracking.server import get_run


def read_trials(
    run_ids: Sequence[str],
    measure: str,
    updates: Sequence[int],
    fingerprint: str,
    tracking_uri: str | None = None,
    *,
    mapped: Path | None = None,
) -> np.ndarray:
    """Read one measure of M trials at T scored moments: (T, M, N) float32.

    ValueError if a trial is not of the data with this fingerprint. With a folder `mapped`, the array lies in a file
    there and is mapped, read-only, instead of held in memory.
    """
    values_TMN = None
    for m, run_id in enumerate(run_ids):
        tags = get_run(run_id, tracking_uri).data.tags
        if tags.get("easiness.fingerprint") != fingerprint:
            raise ValueError(
                f"trial run {run_id} is of data {tags.get('easiness.fingerprint')}, the others of {fingerprint}: they "
                "cannot be combined"
            )
        with tempfile.TemporaryDirectory() as downloads:
            folder = fetch(run_id, measure, tracking_uri, folder=Path(downloads))
            for t, update in enumerate(updates):
                path = folder / f"updates={update:06d}.npy"
                if not path.exists():
                    raise FileNotFoundError(f"trial run {run_id} has no {measure} after {update} updates")
                values_N = np.load(path)
                if values_TMN is None:
                    shape = (len(updates), len(run_ids), len(values_N))
                    values_TMN = _new_array(shape, None if mapped is None else mapped / f"{measure}.npy")
                values_TMN[t, m] = values_N
    if mapped is None:
        return values_TMN
    values_TMN.flush()
    return np.load(mapped / f"{measure}.npy", mmap_mode="r")


def read_validation(run_id: str) -> tuple[list[dict[str, float]], np.ndarray]:
    """Metrics of every epoch of a trial, and (N_val,) float32 that is 1 where its final network is right."""
    with tempfile.TemporaryDirectory() as downloads:
        folder = fetch(run_id, "validation", folder=Path(downloads))
        return json.loads((folder / "epochs.json").read_text()), np.load(folder / "correct.npy")


def _new_array(shape: tuple[int, ...], file: Path | None) -> np.ndarray:
    return np.empty(shape, np.float32) if file is None else np.lib.format.open_memmap(file, "w+", np.float32, shape)
