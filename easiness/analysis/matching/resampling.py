"""Resampled sets: easy and hard sets under many reweightings of the trials.

Hundreds of sets are cut from millions of examples, so sets are selected, never sorted, and kept as packed
bits that are counted, never as lists of rows: a sample of the examples brackets each cut, one pass over the
losses decides everything outside the bracket, and only what lies inside is partitioned. The result is exact.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.sets import set_size

COLUMNS = 8192  # examples of one pass: with ROWS of them in float32, 1 MiB, which stays in a core's cache
ROWS = 32  # at most 256: rows of candidates are kept as bytes, which sort fastest
SAMPLE = 1 << 15
BLAS_ALONE = 1 << 18  # multiplications below which OpenBLAS stays in the calling thread
SLACK = 5.0  # standard errors between the sample's cut and the ends of its bracket

ENUMERATED = 10  # trials up to which all cuts into halves are made
MANY = 50  # cuts into halves of more trials

KINDS = ("easy", "hard")

Reader = Callable[[slice | NDArray], NDArray[np.float32]]


def half_samples(trials: int, draws: int, seed: int | np.random.SeedSequence) -> NDArray[np.float32]:
    """Weights (draws, M) of random halves of the trials, which move a mean as far as fresh trials would move it.

    Half-sample replication (McCarthy 1969): the mean of half of M trials varies around the mean of all by exactly the
    estimated variance of a mean of M trials. With odd M, one more trial has the weight that keeps this true. Other
    directions of the same length have faults: negative weights reorder skewed losses, and weights above 0 throughout
    never leave a trial out, which hides what a single trial decides (right or wrong). Trials drawn with replacement
    would leave fewer effective trials, in some draws more than in others. Rows sum to 1.
    """
    if trials < 2:
        raise ValueError(f"cannot reweight {trials} trial; the spread of trials needs at least 2")
    half = trials // 2
    weights_M = np.zeros(trials)
    weights_M[:half] = 1 / half
    if trials % 2:  # half · u + v = 1 and half · u² + v² = 2 / M
        u = (1 + math.sqrt(1 - (1 + 1 / half) * (1 - 2 / trials))) / (half + 1)
        weights_M[:half], weights_M[half] = u, 1 - half * u
    rows_DM = np.tile(weights_M.astype(np.float32), (draws, 1))
    return np.random.default_rng(seed).permuted(rows_DM, axis=1)


def half_cuts(
    trials: int, splits: int | None, seed: int | np.random.SeedSequence, half: int | None = None
) -> NDArray[np.float32]:
    """Weights (2, C, M) of the means of two disjoint halves of the trials: `splits` random cuts, or all where fewer.

    With `splits` None, all cuts of up to ten trials, `MANY` of more. With odd M one trial sits out each cut, and more
    do where `half` is less than half of the trials.
    """
    if trials < 2:
        raise ValueError(f"cannot halve {trials} trial; a ceiling needs at least 2")
    half, rng = half or trials // 2, np.random.default_rng(seed)
    if trials <= ENUMERATED:
        every = range(trials)
        cuts = [(a, b) for a in combinations(every, half) for b in combinations(sorted({*every} - {*a}), half) if a < b]
        if splits is not None and splits < len(cuts):
            cuts = [cuts[at] for at in rng.permutation(len(cuts))[:splits]]
    else:
        cuts = [np.split(rng.permutation(trials)[: 2 * half], 2) for _ in range(MANY if splits is None else splits)]
    weights_2CM = np.zeros((2, len(cuts), trials), dtype=np.float32)
    for side, rows_CH in enumerate(np.moveaxis(np.array(cuts), 1, 0)):
        np.put_along_axis(weights_2CM[side], rows_CH, 1 / half, axis=1)
    return weights_2CM


def trial_seed(losses_TMN: Sequence[NDArray], seed: int) -> tuple[NDArray[np.int64], np.random.SeedSequence]:
    """Canonical order of M trials, and a source of randomness, that depend only on the trials' losses at all moments.

    Whatever is drawn from the source for the trials in that order does not depend on the order in which they
    were listed. Models with different losses get independent sources; equal ones get equal sources.
    """
    hashes = [hashlib.blake2b(digest_size=16) for _ in losses_TMN[0]]
    for losses_MN in losses_TMN:
        for trial_hash, losses_N in zip(hashes, losses_MN, strict=True):
            trial_hash.update(np.ascontiguousarray(losses_N))
    digests = [trial_hash.digest() for trial_hash in hashes]
    order_M = np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)
    entropy = [int.from_bytes(digests[m]) for m in order_M]
    return order_M, np.random.SeedSequence([seed, *entropy])


def branch(source: np.random.SeedSequence, *path: int) -> np.random.SeedSequence:
    """Seed for one purpose; unlike that of `spawn`, the same however often it is asked for."""
    return np.random.SeedSequence(source.entropy, spawn_key=(*source.spawn_key, *path))


def packed_sets(
    losses_MN: NDArray,
    weights_DM: NDArray[np.float32],
    fraction: float,
    source: np.random.SeedSequence,
    *,
    order_M: NDArray[np.int64],
    members: list[NDArray[np.int64]] | None = None,
    threads: int = 2,
) -> dict[str, NDArray[np.uint8]]:
    """Easy and hard sets under each row of weights, as packed bits to be counted: (D, bytes) each.

    The losses of one moment are finite. Trials are summed up in the order of `order_M`, to which `weights_DM` belong.
    `members` lists the rows of each class: the fraction is then taken from every class, and the bits are in the order
    of the members. The bits stand in an order that is the same for all calls with the same N and `members`. `source`
    breaks ties at a cut, at random and anew for every row of weights.
    """
    groups = [None] if members is None else members
    sizes = [losses_MN.shape[1]] if members is None else [len(rows) for rows in members]
    ends = np.cumsum([-(-size // 8) for size in sizes])
    packed = {kind: np.zeros((len(weights_DM), ends[-1]), dtype=np.uint8) for kind in KINDS}

    def fill(start: int) -> None:
        block = slice(start, start + ROWS)
        rng = np.random.default_rng(branch(source, start))
        for rows, size, end in zip(groups, sizes, ends, strict=True):
            read = partial(_read, losses_MN, order_M, rows)
            out = {kind: packed[kind][block, end - -(-size // 8) : end] for kind in KINDS}
            _select(read, size, set_size(fraction, size), weights_DM[block], out, rng)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, len(weights_DM), ROWS)))
    return packed


def packed_rows(rows: NDArray, count: int, members: list[NDArray[np.int64]] | None = None) -> NDArray[np.uint8]:
    """Pack one set given by its rows, in the layout of `packed_sets`.

    >>> packed_rows(np.array([0, 9]), count=10)
    array([128,  64], dtype=uint8)
    """
    mask_N = np.zeros(count, dtype=bool)
    mask_N[rows] = True
    if members is None:
        return np.packbits(mask_N)
    return np.concatenate([np.packbits(mask_N[rows]) for rows in members])


def count_shared(a_DB: NDArray[np.uint8], b_DB: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Members that two packed sets share, row by row; a single row is compared with all rows of the other.

    >>> count_shared(np.array([[0b110]], np.uint8), np.array([[0b011], [0b110]], np.uint8))
    array([1, 2])
    """
    a_DB, b_DB = np.broadcast_arrays(np.atleast_2d(a_DB), np.atleast_2d(b_DB))
    return np.array([int(np.bitwise_count(a & b).sum(dtype=np.int64)) for a, b in zip(a_DB, b_DB, strict=True)])


def weighted(
    weights_bM: NDArray[np.float32], losses_MC: NDArray[np.float32], out_bC: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Weighted sums (b, C) of trials, in pieces too small for the BLAS to start threads, which compete with ours."""
    if out_bC is None:
        out_bC = np.empty((len(weights_bM), losses_MC.shape[1]), dtype=np.float32)
    step = max(BLAS_ALONE // weights_bM.size, 64)
    for start in range(0, losses_MC.shape[1], step):
        piece = slice(start, start + step)
        np.matmul(weights_bM, losses_MC[:, piece], out=out_bC[:, piece])
    return out_bC


def _read(losses_MN: NDArray, order_M: NDArray, rows: NDArray | None, columns: slice | NDArray) -> NDArray[np.float32]:
    """Columns of one group, the trials in canonical order."""
    at = columns if rows is None else rows[columns]
    return np.ascontiguousarray(losses_MN[:, at][order_M], dtype=np.float32)


def _select(
    read: Reader,
    count: int,
    size: int,
    weights_bM: NDArray[np.float32],
    out: dict[str, NDArray[np.uint8]],
    rng: np.random.Generator,
) -> None:
    """Write the bits of the `size` lowest and highest weighted means of one group of `count` examples."""
    if count <= SAMPLE:
        values_bC = weighted(weights_bM, read(slice(0, count)))
        out["easy"][:] = np.packbits(_lowest(values_bC, size, rng), axis=1)
        out["hard"][:] = np.packbits(_lowest(-values_bC, size, rng), axis=1)
        return
    sample_bS = weighted(weights_bM, read(np.sort(rng.choice(count, SAMPLE, replace=False))))
    brackets = _brackets(sample_bS, size / count)
    near = {kind: [] for kind in KINDS}
    # Kept between chunks: fresh memory of this size would be fetched from the system every time.
    values_bC = np.empty((len(weights_bM), COLUMNS), dtype=np.float32)
    inside_bC, near_bC = np.empty((2, len(weights_bM), COLUMNS), dtype=bool)
    for start in range(0, count, COLUMNS):
        stop = min(start + COLUMNS, count)
        values_bC, inside_bC, near_bC = (buffer[:, : stop - start] for buffer in (values_bC, inside_bC, near_bC))
        weighted(weights_bM, read(slice(start, stop)), values_bC)
        for kind in KINDS:
            if kind == "hard":
                np.negative(values_bC, out=values_bC)
            low_b, high_b = brackets[kind]
            np.less(values_bC, low_b, out=inside_bC)
            out[kind][:, start // 8 : -(-stop // 8)] = np.packbits(inside_bC, axis=1)
            np.less_equal(values_bC, high_b, out=near_bC)
            near_bC ^= inside_bC
            at = np.flatnonzero(near_bC)
            row, column = np.divmod(at, stop - start)
            near[kind].append((row.astype(np.uint8), column + start, values_bC.ravel()[at]))
    for kind in KINDS:
        row, column, value = (np.concatenate(parts) for parts in zip(*near[kind], strict=True))
        by_row = np.argsort(row, kind="stable")
        ends = np.cumsum(np.bincount(row, minlength=len(weights_bM)))
        for b, candidates in enumerate(np.split(by_row, ends[:-1])):
            bits = out[kind][b]
            wanted = size - int(np.bitwise_count(bits).sum(dtype=np.int64))
            chosen_N = np.zeros(count, dtype=bool)
            if 0 <= wanted <= len(candidates):
                chosen_N[column[candidates[_lowest(value[candidates][None], wanted, rng)[0]]]] = True
                bits |= np.packbits(chosen_N)
            else:  # the sample misjudged this cut: look at every example
                values_1N = weighted(weights_bM[b : b + 1], read(slice(0, count)))
                bits[:] = np.packbits(_lowest(values_1N if kind == "easy" else -values_1N, size, rng))


def _brackets(values_bS: NDArray, share: float) -> dict[str, tuple[NDArray, NDArray]]:
    """Ends between which each row's cut almost surely lies, estimated from a sample of the examples."""
    sampled = values_bS.shape[1]
    error = SLACK * math.sqrt(share * (1 - share) / sampled)
    low_at, high_at = math.floor((share - error) * sampled), math.ceil((share + error) * sampled)
    high_at = min(high_at, sampled - 1)
    sorted_bS = np.sort(values_bS, axis=1)
    # Nothing is known below the sample's lowest value, so a bracket that would begin there begins at -inf.
    nothing_b = np.full((len(values_bS), 1), -np.inf, dtype=np.float32)
    return {
        kind: (ascending_bS[:, low_at, None] if low_at > 0 else nothing_b, ascending_bS[:, high_at, None])
        for kind, ascending_bS in (("easy", sorted_bS), ("hard", -sorted_bS[:, ::-1]))
    }


def _lowest(values_bC: NDArray, size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mask of the `size` lowest values of each row; of values tied at the cut, some are drawn at random."""
    if size == 0:
        return np.zeros(values_bC.shape, dtype=bool)
    cut_b = np.partition(values_bC, size - 1, axis=1)[:, size - 1, None]
    mask_bC = values_bC <= cut_b
    surplus_b = np.count_nonzero(mask_bC, axis=1) - size
    for b in np.flatnonzero(surplus_b):
        tied = np.flatnonzero(values_bC[b] == cut_b[b])
        mask_bC[b, rng.choice(tied, surplus_b[b], replace=False)] = False
    return mask_bC
