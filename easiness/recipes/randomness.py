"""Every random decision of a trial, as a pure function of (seed, epoch, example id).

Nothing here depends on the batch size, on the number of workers, on the device or on what was drawn before, so that any
loader yields the same views and a trial that was cut off goes on as if it never had been.
"""

from dataclasses import dataclass

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# One stream per decision: two decisions about one image never share a number.
_SHIFT_DOWN, _SHIFT_RIGHT, _FLIP, _CROP = 0, 1, 2, 16
_CROP_ATTEMPTS = 10


@dataclass(frozen=True)
class TrialSeeds:
    """Seeds of one trial, each spawned for its own purpose, so that trials are independent in all of them.

    Attributes
    ----------
    initialization : int
        Weights before the first update.
    order : int
        In which order the examples of every epoch come.
    augmentation : int
        Shifts, crops and flips.
    noise : int
        What the network itself draws while it trains (dropout).
    """

    initialization: int
    order: int
    augmentation: int
    noise: int


def trial_seeds(seed: int, trial: int) -> TrialSeeds:
    """Spawn the seeds of trial number `trial` from the seed of the whole run.

    Parameters
    ----------
    seed : int
        Seed of the run, at least 0.
    trial : int
        Number of the trial, from 0.

    Returns
    -------
    TrialSeeds
        Four 32-bit integers: torch's generator drops the higher bits of a seed without a word.

    Examples
    --------
    >>> trial_seeds(0, 1) == trial_seeds(0, 1), trial_seeds(0, 1) == trial_seeds(0, 2)
    (True, False)
    """
    children = np.random.SeedSequence(seed, spawn_key=(trial,)).spawn(4)
    return TrialSeeds(*(int(child.generate_state(1)[0]) for child in children))


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed for what a network draws during one epoch: a resumed trial needs no saved generator state."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Order of the examples in one epoch.

    Parameters
    ----------
    seed : int
        `TrialSeeds.order`.
    epoch : int
        From 0.
    count : int
        Number of examples N.

    Returns
    -------
    numpy.ndarray
        (N,) int64, every row of the dataset once.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def _mix(x: np.ndarray) -> np.ndarray:
    """Finalizer of SplitMix64 (Steele, Lea & Flood 2014): every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniforms(seed: int, epoch: int, example_ids: np.ndarray, stream: int) -> np.ndarray:
    """Uniform numbers, one per example, from a counter-based hash.

    Parameters
    ----------
    seed : int
        `TrialSeeds.augmentation`.
    epoch : int
        From 0.
    example_ids : numpy.ndarray
        (N,) integer ids; equal ids get equal numbers.
    stream : int
        Which decision the number is for.

    Returns
    -------
    numpy.ndarray
        (N,) float64 in [0, 1).
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        key = _mix(np.uint64(seed) + _GOLDEN)
        key = _mix(key + _GOLDEN * np.uint64(epoch + 1))
        key = _mix(key + _GOLDEN * np.uint64(stream + 1))
        bits = _mix(key ^ _mix(np.asarray(example_ids).astype(np.uint64) * _GOLDEN + _GOLDEN))
    return (bits >> np.uint64(11)) * 2.0**-53


def shifts_and_flips(
    seed: int, epoch: int, example_ids: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation and mirroring of every image in one epoch.

    Parameters
    ----------
    seed, epoch, example_ids
        As in `uniforms`.
    shift : int
        Greatest translation in pixels, the same in both directions.

    Returns
    -------
    down, right : numpy.ndarray
        (N,) int64 in [-shift, shift].
    flip : numpy.ndarray
        (N,) bool, True where the image is mirrored left to right (half of the cases).
    """
    span = 2 * shift + 1
    down = (uniforms(seed, epoch, example_ids, _SHIFT_DOWN) * span).astype(np.int64) - shift
    right = (uniforms(seed, epoch, example_ids, _SHIFT_RIGHT) * span).astype(np.int64) - shift
    return down, right, flips(seed, epoch, example_ids)


def flips(seed: int, epoch: int, example_ids: np.ndarray) -> np.ndarray:
    """(N,) bool: which images are mirrored left to right in this epoch (half of the cases)."""
    return uniforms(seed, epoch, example_ids, _FLIP) < 0.5


def crop_boxes(
    seed: int,
    epoch: int,
    example_ids: np.ndarray,
    sizes: np.ndarray,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> np.ndarray:
    """Boxes of random resized crops, the "scale and aspect ratio augmentation" of ImageNet training.

    Area and logarithm of the aspect ratio are uniform, and a box that does not fit is drawn again, ten times at most;
    then the largest centred box of an allowed aspect ratio is taken (as Szegedy et al. 2015 and torchvision do).

    Parameters
    ----------
    seed, epoch, example_ids
        As in `uniforms`.
    sizes : numpy.ndarray
        (N, 2) height and width of every image in pixels.
    scale : tuple of float
        Least and greatest share of the image's area.
    ratio : tuple of float
        Least and greatest width / height.

    Returns
    -------
    numpy.ndarray
        (N, 4) int64: top, left, height, width; always inside the image, at least one pixel.
    """
    ids = np.asarray(example_ids)
    height, width = (np.asarray(sizes)[:, k].astype(np.float64) for k in (0, 1))
    aspect = np.clip(width / height, *ratio)
    box_w = np.where(width / height > ratio[1], np.rint(height * aspect), width)
    box_h = np.where(width / height < ratio[0], np.rint(width / aspect), height)
    top, left = (height - box_h) // 2, (width - box_w) // 2
    waiting = np.arange(len(ids))
    for attempt in range(_CROP_ATTEMPTS):
        stream = _CROP + 4 * attempt
        u_area, u_ratio, u_top, u_left = (uniforms(seed, epoch, ids[waiting], stream + k) for k in range(4))
        area = height[waiting] * width[waiting] * (scale[0] + (scale[1] - scale[0]) * u_area)
        wide = np.exp(np.log(ratio[0]) + (np.log(ratio[1]) - np.log(ratio[0])) * u_ratio)
        w, h = np.rint(np.sqrt(area * wide)), np.rint(np.sqrt(area / wide))
        fits = (w >= 1) & (h >= 1) & (w <= width[waiting]) & (h <= height[waiting])
        rows = waiting[fits]
        box_h[rows], box_w[rows] = h[fits], w[fits]
        top[rows] = np.floor(u_top[fits] * (height[rows] - h[fits] + 1))
        left[rows] = np.floor(u_left[fits] * (width[rows] - w[fits] + 1))
        waiting = waiting[~fits]
        if not len(waiting):
            break
    return np.stack([top, left, np.maximum(box_h, 1), np.maximum(box_w, 1)], axis=1).astype(np.int64)
