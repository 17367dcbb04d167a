"""Diversity of a set of images: one less the mean correlation of two of them.

The more a set's images differ, the more uniform their average looks. The variance of each pixel over the images would
say so, too, but grows with the images' contrast: images of high contrast vary more though they may all show the
same. So each image is taken less its own mean and over its own standard deviation; the mean per-pixel variance of
what is left is one less the mean correlation (Pearson's, over pixels and channels) of two different images. Neither
contrast nor brightness moves it.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from easiness.analysis.intervals import student

BLOCK = 1 << 18  # pixels that are worked on at a time: 2 MiB stay in a cache


class Diversity(NamedTuple):
    """Average and diversity of a set of images."""

    average_HWC: NDArray[np.float64]  # grey levels, 0 to 255
    diversity: float  # 1 - mean correlation: 0 = all alike, 1 = no more alike than noise; higher = more diverse
    error: float  # standard error over images; NaN of two images
    low: float  # ends of the 95 % interval by Student's t
    high: float
    images: int


def diversity(images_BHWC: NDArray[np.uint8]) -> Diversity:
    """Average at least two uint8 images, and measure how little they look alike.

    The mean over pairs is a U-statistic, whose standard error over images is its jackknife: each image has its mean
    correlation with the others. An image without contrast correlates with nothing.

    >>> images_BHWC = np.zeros((4, 2, 2, 3), np.uint8)
    >>> images_BHWC[:2, 0], images_BHWC[2:, 1] = 10, 200
    >>> measured = diversity(images_BHWC)
    >>> round(measured.diversity, 3)  # two of six pairs look alike, four are each other's negative
    1.333
    """
    if images_BHWC.dtype != np.uint8 or images_BHWC.ndim != 4 or len(images_BHWC) < 2 or images_BHWC.size == 0:
        raise ValueError(
            f"needs at least two images (B, H, W, C) of uint8, got {images_BHWC.dtype} of shape {images_BHWC.shape}"
        )
    count = len(images_BHWC)
    sum_P = sum(image_bP.sum(axis=0) for image_bP in _standardised(images_BHWC))
    alike_B = np.concatenate([
        (image_bP @ sum_P - (image_bP**2).sum(axis=1)) / (count - 1) for image_bP in _standardised(images_BHWC)
    ])  # fmt: skip
    value, error = 1 - float(alike_B.mean()), math.nan
    if count > 2:
        error = 2 * (count - 1) / (count - 2) * float(alike_B.std(ddof=1)) / math.sqrt(count)
    reach = student(count - 1) * error
    average_HWC = images_BHWC.mean(axis=0, dtype=np.float64)
    return Diversity(average_HWC, value, error, value - reach, value + reach, count)


def _standardised(images_BHWC: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
    """Images of mean 0 and length 1, some at a time; those without contrast are 0."""
    pixels_BP = images_BHWC.reshape(len(images_BHWC), -1)
    step = max(BLOCK // pixels_BP.shape[1], 1)
    for start in range(0, len(pixels_BP), step):
        image_bP = pixels_BP[start : start + step].astype(np.float64)
        image_bP -= image_bP.mean(axis=1, keepdims=True)
        length_b1 = np.linalg.norm(image_bP, axis=1, keepdims=True)
        # The mean of equal pixels may be off by a rounding.
        yield np.divide(image_bP, length_b1, out=np.zeros_like(image_bP), where=length_b1 > 1e-6)
