"""Matching of ImageNet-sized scores, timed beside one sort and intersection per draw."""

import tempfile
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.matching.pairs import match_pairs
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.analysis.sets import set_size
from easiness.benchmarks.timing import peak_gib, seconds_of

CLASSES = 1000


@dataclass(frozen=True)
class MatchingSize:
    """Size of a matching: examples n, trials of each model, scored moments, models, bootstrap draws."""

    n: int = 1_281_167
    trials: int = 10
    moments: int = 10
    models: int = 4
    draws: int = 200


def bench_matching(
    size: MatchingSize | None = None,
    *,
    naive_draws: int = 3,
    folder: str | Path | None = None,
) -> dict[str, float]:
    """Time the matching of all pairs of models at all moments, easy and hard, on drawn losses in mapped files.

    The naive way averages resampled trials, sorts, and calls `numpy.intersect1d` for each draw. It is timed on
    `naive_draws` draws of every moment, right after the fast way has matched that moment in full; its total is
    the median of these times the number of draws and moments, an extrapolation. The fast way does more: chance,
    ceilings and rank correlations are within its time.

    The files take 4 × n × trials × moments × models bytes in `folder` (by default the system's temporary one) and are
    removed at the end.

    The result holds ``seconds`` in all and ``seconds_per_moment`` (median); ``naive_seconds_per_draw`` (median) and
    ``naive_seconds`` (extrapolated); ``ratio``; ``peak_gib``, the highest resident memory of this process so far,
    mapped files and the naive way included; and the size.
    """
    size = size or MatchingSize()
    rng = np.random.default_rng(0)
    labels_N = np.arange(size.n) % min(CLASSES, size.n)
    options = MatchOptions(scopes=("global",), draws=size.draws)
    seconds, naive_seconds = [], []
    with tempfile.TemporaryDirectory(dir=folder) as losses_folder:
        # All files stay mapped, so that the peak counts what one call over all moments would hold.
        for losses_AMN in _draw_losses(Path(losses_folder), size, rng):
            scored = [ScoredModel(f"model {a}", (1,), [losses_MN]) for a, losses_MN in enumerate(losses_AMN)]
            seconds.append(seconds_of(partial(match_pairs, scored, labels_N, options)))
            naive = partial(_match_naively, losses_AMN, set_size(options.fraction, size.n), rng)
            naive_seconds += [seconds_of(naive) for _ in range(naive_draws)]
    naive_total = float(np.median(naive_seconds)) * size.draws * size.moments
    return {
        "seconds": sum(seconds),
        "seconds_per_moment": float(np.median(seconds)),
        "naive_seconds_per_draw": float(np.median(naive_seconds)),
        "naive_seconds": naive_total,
        "naive_draws_timed": naive_draws * size.moments,
        "ratio": naive_total / sum(seconds),
        "peak_gib": peak_gib(),
        **vars(size),
        "threads": options.threads,
    }


def _draw_losses(folder: Path, size: MatchingSize, rng: np.random.Generator) -> list[list[NDArray[np.float32]]]:
    """Losses that models share in part, for each moment and model as a mapped file."""
    common_N = rng.standard_normal(size.n, dtype=np.float32)
    model_AN = rng.standard_normal((size.models, size.n), dtype=np.float32)
    losses_TAMN = []
    for moment in range(size.moments):
        losses_TAMN.append([])
        for model in range(size.models):
            path = folder / f"{moment}-{model}.npy"
            losses_MN = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(size.trials, size.n))
            for trial in range(size.trials):
                noise_N = rng.standard_normal(size.n, dtype=np.float32)
                losses_MN[trial] = np.exp(0.7 * common_N + 0.5 * model_AN[model] + 0.5 * noise_N - moment / 10)
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
