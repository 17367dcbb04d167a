"""Diversity of a set of images: its average image, and a number with an interval.

The more a set's images differ, the more uniform their average looks. The number is the variance of each pixel
over the images, averaged over pixels and channels. It and all its resamples follow from the products of each
image with each other: thousands of resamples cost one pass over the pixels, in float64.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PIXELS = 1 << 14


class Diversity(NamedTuple):
    """Average and diversity of a set of images."""

    average_HWC: NDArray[np.float64]  # grey levels, 0 to 255
    variance: float  # mean per-pixel variance (unbiased), in squared grey levels; higher = more diverse
    low: float  # ends of the 95 % percentile interval of the variance over resampled images
    high: float
    images: int


class OrderTest(NamedTuple):
    """Test of the order hard > random > easy of diversity."""

    hard_minus_random: float  # differences of variance, in squared grey levels
    random_minus_easy: float
    p_hard: float  # one-sided permutation p-values of the two differences
    p_easy: float
    p: float  # p-value of the whole order, the larger of the two: both must hold (an intersection–union test)


def diversity(images_BHWC: NDArray[np.uint8], draws: int = 2000, seed: int = 0) -> Diversity:
    """Average at least two uint8 images, and measure how much they differ.

    The interval is from `draws` resamples of the images.

    >>> images_BHWC = np.zeros((4, 2, 2, 3), np.uint8)
    >>> images_BHWC[2:] = 10
    >>> measured = diversity(images_BHWC)
    >>> float(measured.average_HWC.mean()), round(measured.variance, 1)
    (5.0, 33.3)
    """
    _check_images(images_BHWC)
    if draws < 1:
        raise ValueError(f"an interval needs at least 1 draw, got {draws}")
    count = len(images_BHWC)
    products_BB = _products(images_BHWC)
    counts_DB = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    # A resample repeats images, which takes 1/B off its variance on average.
    resampled_D = _variances(products_BB, counts_DB) * count / (count - 1)
    low, high = np.percentile(resampled_D, [2.5, 97.5])
    variance = float(_variances(products_BB, np.ones((1, count)))[0])
    average_HWC = images_BHWC.mean(axis=0, dtype=np.float64)
    return Diversity(average_HWC, variance, float(low), float(high), count)


def order_test(
    easy_BHWC: NDArray[np.uint8],
    random_BHWC: NDArray[np.uint8],
    hard_BHWC: NDArray[np.uint8],
    permutations: int = 2000,
    seed: int = 0,
) -> OrderTest:
    """Test by permutation whether hard images are more diverse than random ones, and these than easy ones.

    At least two uint8 images each, of one size; the numbers may differ. The images of two sets are shuffled between
    the two; images that are in both sets make the test cautious. No p-value is below 1 / (permutations + 1).

    >>> rng = np.random.default_rng(0)
    >>> easy, middle, hard = (rng.integers(0, w, (20, 4, 4, 3), np.uint8) for w in (20, 80, 200))
    >>> order_test(easy, middle, hard).p < 0.01
    True
    """
    for images_BHWC in (easy_BHWC, random_BHWC, hard_BHWC):
        _check_images(images_BHWC)
    if permutations < 1:
        raise ValueError(f"a test needs at least 1 permutation, got {permutations}")
    rng = np.random.default_rng(seed)
    upper, p_hard = _exceeds(hard_BHWC, random_BHWC, permutations, rng)
    lower, p_easy = _exceeds(random_BHWC, easy_BHWC, permutations, rng)
    return OrderTest(upper, lower, p_hard, p_easy, max(p_hard, p_easy))


def _exceeds(
    more_BHWC: NDArray, less_BHWC: NDArray, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Difference of two sets' variances and the p-value of its being positive."""
    if more_BHWC.shape[1:] != less_BHWC.shape[1:]:
        raise ValueError(f"images of different sizes: {more_BHWC.shape[1:]} and {less_BHWC.shape[1:]}")
    products_BB = _products(np.concatenate([more_BHWC, less_BHWC]))
    first_B = np.arange(len(products_BB)) < len(more_BHWC)
    first_DB = np.concatenate([first_B[None], rng.permuted(np.tile(first_B, (permutations, 1)), axis=1)])
    difference_D = _variances(products_BB, first_DB) - _variances(products_BB, ~first_DB)
    # A shuffle that only swaps equal images must count as a tie, whatever the rounding.
    rounding = 1e-12 * products_BB.max()
    reached = int((difference_D[1:] >= difference_D[0] - rounding).sum())
    return float(difference_D[0]), (1 + reached) / (1 + permutations)


def _products(images_BHWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean over pixels and channels of the product of each image with each other."""
    pixels_BP = images_BHWC.reshape(len(images_BHWC), -1)
    products_BB = np.zeros((len(pixels_BP),) * 2)
    for start in range(0, pixels_BP.shape[1], PIXELS):
        chunk_BP = pixels_BP[:, start : start + PIXELS].astype(np.float64)
        products_BB += chunk_BP @ chunk_BP.T
    return products_BB / pixels_BP.shape[1]


def _variances(products_BB: NDArray[np.float64], counts_DB: NDArray) -> NDArray[np.float64]:
    """Mean per-pixel variance (unbiased) of sets that hold each image so many times."""
    counts_DB = counts_DB.astype(np.float64)
    size_D = counts_DB.sum(axis=1)
    squares_D = counts_DB @ np.diagonal(products_BB) / size_D
    mean_D = ((counts_DB @ products_BB) * counts_DB).sum(axis=1) / size_D**2
    return (squares_D - mean_D) * size_D / (size_D - 1)


def _check_images(images_BHWC: NDArray) -> None:
    if images_BHWC.dtype != np.uint8 or images_BHWC.ndim != 4 or len(images_BHWC) < 2 or images_BHWC.size == 0:
        raise ValueError(
            f"needs at least two images (B, H, W, C) of uint8, got {images_BHWC.dtype} of shape {images_BHWC.shape}"
        )
