"""Every random decision of a trial, as a pure function of (seed, architecture, trial, epoch, example id).

Nothing here depends on the batch size, the number of workers, the device or earlier draws. So every loader yields the
same views, and a resumed trial continues as if it had never stopped.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# One stream per decision: two decisions about one image never share a number.
_SHIFT_DOWN, _SHIFT_RIGHT, _FLIP, _CROP = 0, 1, 2, 16
_CROP_ATTEMPTS = 10
_CROP_SCALE = (0.08, 1.0)  # share of the image's area
_CROP_RATIO = (3 / 4, 4 / 3)  # width / height


@dataclass(frozen=True)
class TrialSeeds:
    """Independent seeds of one trial: initial weights, order of examples, augmentation, and dropout (`noise`)."""

    initialization: int
    order: int
    augmentation: int
    noise: int


def trial_seeds(seed: int, architecture: str, trial: int) -> TrialSeeds:
    """Spawn the seeds of one trial from the seed of the run.

    Each architecture has seeds of its own: what a network finds easy early on is partly luck of its last batches, and
    shared luck would count as agreement of architectures. An empty name is the same for all: common random numbers, a
    control. Seeds have 32 bits, since torch's generator silently drops the higher bits.

    Examples
    --------
    >>> trial_seeds(0, "alexnet", 1) == trial_seeds(0, "alexnet", 1)
    True
    >>> trial_seeds(0, "alexnet", 1) == trial_seeds(0, "resnet18", 1)
    False
    """
    name = np.frombuffer(hashlib.sha256(architecture.encode()).digest()[:16], "<u4") if architecture else ()
    children = np.random.SeedSequence(seed, spawn_key=(*map(int, name), trial)).spawn(4)
    return TrialSeeds(*(int(child.generate_state(1)[0]) for child in children))


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed for dropout during one epoch: a resumed trial needs no saved generator state."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """(N,) int64 order of the N = `count` examples in one epoch, each row once."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def _mix(x: np.ndarray) -> np.ndarray:
    """Finalizer of SplitMix64 (Steele, Lea & Flood 2014): every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniforms(seed: int, epoch: int, example_ids: np.ndarray, stream: int) -> np.ndarray:
    """(N,) float64 uniform numbers in [0, 1), from a counter-based hash.

    `seed` is `TrialSeeds.augmentation`, epochs count from 0, `example_ids` are (N,) integers (equal ids get equal
    numbers), and `stream` is the number of the decision that the draw is for.
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
    """Translation of every image in pixels, (N,) int64 down and right in [-shift, shift], and its (N,) bool flip."""
    span = 2 * shift + 1
    down = (uniforms(seed, epoch, example_ids, _SHIFT_DOWN) * span).astype(np.int64) - shift
    right = (uniforms(seed, epoch, example_ids, _SHIFT_RIGHT) * span).astype(np.int64) - shift
    return down, right, flips(seed, epoch, example_ids)


def flips(seed: int, epoch: int, example_ids: np.ndarray) -> np.ndarray:
    """(N,) bool: whether an image is mirrored left to right in this epoch (half of the cases)."""
    return uniforms(seed, epoch, example_ids, _FLIP) < 0.5


def crop_boxes(seed: int, epoch: int, example_ids: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes of random resized crops, the "scale and aspect ratio augmentation" of ImageNet training.

    From `sizes` (N, 2), height and width in pixels, to (N, 4) int64: top, left, height, width, inside the image and at
    least one pixel. Area and logarithm of the aspect ratio are uniform. A box that does not fit is drawn again, ten
    times at most; then the largest centred box of an allowed aspect ratio is taken (as Szegedy et al. 2015 and
    torchvision do).
    """
    ids = np.asarray(example_ids)
    height, width = (np.asarray(sizes)[:, k].astype(np.float64) for k in (0, 1))
    aspect = np.clip(width / height, *_CROP_RATIO)
    box_w = np.where(width / height > _CROP_RATIO[1], np.rint(height * aspect), width)
    box_h = np.where(width / height < _CROP_RATIO[0], np.rint(width / aspect), height)
    top, left = (height - box_h) // 2, (width - box_w) // 2
    low, high = (np.log(bound) for bound in _CROP_RATIO)
    waiting = np.arange(len(ids))
    for attempt in range(_CROP_ATTEMPTS):
        stream = _CROP + 4 * attempt
        u_area, u_ratio, u_top, u_left = (uniforms(seed, epoch, ids[waiting], stream + k) for k in range(4))
        area = height[waiting] * width[waiting] * (_CROP_SCALE[0] + (_CROP_SCALE[1] - _CROP_SCALE[0]) * u_area)
        wide = np.exp(low + (high - low) * u_ratio)
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
