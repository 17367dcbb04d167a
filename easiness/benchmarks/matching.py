"""Time the matching of ImageNet-sized scores, beside the naive way."""

import resource
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.matching.pairs import match_pairs
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.analysis.sets import set_size

CLASSES = 1000


def bench_matching(
    n: int = 1_281_167,
    trials: int = 10,
    moments: int = 10,
    models: int = 4,
    draws: int = 200,
    *,
    naive_draws: int = 3,
    threads: int = 2,
    seed: int = 0,
    folder: str | None = None,
) -> dict[str, float]:
    """Time the matching of all pairs of models at all moments, easy and hard, on drawn losses in mapped files.

    The naive way averages resampled trials, sorts, and calls `numpy.intersect1d` for each draw. It is timed on
    `naive_draws` draws of every moment, right after the fast way has matched that moment in full; its total is
    the median of these times the number of draws and moments, an extrapolation. The fast way does more: chance,
    ceilings and rank correlations are within its time.

    Parameters
    ----------
    n, trials, moments, models, draws : int
        Size of the task. One class for each thousand, if the examples suffice.
    naive_draws : int
        Draws of the naive way that are really timed, at each moment.
    threads : int
    seed : int
    folder : str, optional
        Where to put the files, 4 × n × trials × moments × models bytes, removed at the end. By default the system's
        temporary folder.

    Returns
    -------
    dict of float
        ``seconds`` in all and ``seconds_per_moment`` (median); ``naive_seconds_per_draw`` (median) and
        ``naive_seconds`` (extrapolated); ``ratio``; ``peak_gib``, the highest resident memory of this process so
        far, mapped files and the naive way included; and the size of the task.

    Examples
    --------
    >>> measured = bench_matching(n=2000, trials=2, moments=1, models=2, draws=4, naive_draws=1)
    >>> measured["seconds"] > 0 and measured["ratio"] > 0
    True
    """
    rng = np.random.default_rng(seed)
    labels_N = np.arange(n) % min(CLASSES, n)
    options = MatchOptions(scopes=("global",), draws=draws, seed=seed, threads=threads)
    seconds, naive_seconds = [], []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        # All files stay mapped, so that the peak counts what one call over all moments would hold.
        losses_TAMN = _draw_losses(Path(place), n, trials, moments, models, rng)
        for losses_AMN in losses_TAMN:
            scored = [ScoredModel(f"model {a}", (1,), [losses_MN]) for a, losses_MN in enumerate(losses_AMN)]
            start = time.perf_counter()
            match_pairs(scored, labels_N, options)
            seconds.append(time.perf_counter() - start)
            for _ in range(naive_draws):
                start = time.perf_counter()
                _match_naively(losses_AMN, set_size(options.fraction, n), rng)
                naive_seconds.append(time.perf_counter() - start)
    naive = float(np.median(naive_seconds)) * draws * moments
    # Kibibytes, but bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds": sum(seconds),
        "seconds_per_moment": float(np.median(seconds)),
        "naive_seconds_per_draw": float(np.median(naive_seconds)),
        "naive_seconds": naive,
        "naive_draws_timed": naive_draws * moments,
        "ratio": naive / sum(seconds),
        "peak_gib": peak / 2**30,
        "n": n,
        "trials": trials,
        "moments": moments,
        "models": models,
        "draws": draws,
        "threads": threads,
    }


def _draw_losses(
    place: Path, n: int, trials: int, moments: int, models: int, rng: np.random.Generator
) -> list[list[NDArray[np.float32]]]:
    """Losses that models share in part, for each moment and model as a mapped file."""
    common_N = rng.standard_normal(n, dtype=np.float32)
    own_AN = rng.standard_normal((models, n), dtype=np.float32)
    losses_TAMN = []
    for moment in range(moments):
        losses_TAMN.append([])
        for model in range(models):
            path = place / f"{moment}-{model}.npy"
            losses_MN = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(trials, n))
            for trial in range(trials):
                noise_N = rng.standard_normal(n, dtype=np.float32)
                losses_MN[trial] = np.exp(0.7 * common_N + 0.5 * own_AN[model] + 0.5 * noise_N - moment / 10)
            losses_TAMN[-1].append(np.load(path, mmap_mode="r"))
    return losses_TAMN


def _match_naively(losses_AMN: list[NDArray], size: int, rng: np.random.Generator) -> list[float]:
    """Overlap of all pairs in one bootstrap draw, by sorting and set arithmetic."""
    orders = []
    for losses_MN in losses_AMN:
        drawn = rng.integers(len(losses_MN), size=len(losses_MN))
        orders.append(np.argsort(losses_MN[drawn].mean(axis=0)))
    ends = (slice(0, size), slice(-size, None))
    return [len(np.intersect1d(a[end], b[end])) / size for a, b in combinations(orders, 2) for end in ends]
