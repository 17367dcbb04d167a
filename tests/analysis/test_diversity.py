"""Diversity of images against plain loops and known truths."""

import numpy as np
import pytest

from easiness.analysis.diversity import diversity, order_test


def noisy_images(count, spread, seed=0, size=6):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(128, spread, (count, size, size, 3)), 0, 255).astype(np.uint8)


def test_average_and_variance_match_plain_arithmetic():
    images = noisy_images(9, 40)
    measured = diversity(images)
    plain = images.astype(float)
    np.testing.assert_allclose(measured.average_HWC, sum(plain) / 9)
    assert measured.variance == pytest.approx(plain.var(axis=0, ddof=1).mean())
    assert measured.images == 9


def test_variance_is_summed_over_all_pixels_of_large_images():
    images = noisy_images(3, 40, size=100)
    assert diversity(images, draws=2).variance == pytest.approx(images.astype(float).var(axis=0, ddof=1).mean())


def test_interval_matches_a_plain_bootstrap():
    images = noisy_images(40, 30)
    measured = diversity(images, draws=4000)
    rng = np.random.default_rng(1)
    plain = [images[rng.integers(40, size=40)].astype(float).var(axis=0, ddof=1).mean() for _ in range(2000)]
    low, high = np.percentile(plain, [2.5, 97.5]) * 40 / 39
    assert (measured.low, measured.high) == pytest.approx((low, high), rel=0.02)
    assert measured.low < measured.variance < measured.high


def test_equal_images_have_no_diversity():
    measured = diversity(np.full((5, 4, 4, 3), 255, np.uint8))
    assert (measured.variance, measured.low, measured.high) == (0, 0, 0)


def test_diversity_is_reproducible():
    images = noisy_images(10, 30)
    assert diversity(images, seed=3)[1:] == diversity(images, seed=3)[1:]
    assert diversity(images, seed=3).low != diversity(images, seed=4).low


def test_order_is_found_where_there_is_one():
    easy, middle, hard = (noisy_images(30, spread, seed) for seed, spread in enumerate((20, 30, 40)))
    result = order_test(easy, middle, hard)
    assert result.p == max(result.p_hard, result.p_easy) == pytest.approx(1 / 2001)
    assert result.hard_minus_random == pytest.approx(diversity(hard).variance - diversity(middle).variance)
    assert result.random_minus_easy == pytest.approx(diversity(middle).variance - diversity(easy).variance)
    assert order_test(hard, middle, easy).p > 0.99


def test_half_an_order_is_not_enough():
    easy, middle, hard = noisy_images(30, 20, 0), noisy_images(30, 40, 1), noisy_images(30, 40, 2)
    result = order_test(easy, middle, hard)
    assert result.p_easy < 0.01
    assert result.p > 0.05


def test_p_values_are_even_where_nothing_differs():
    p = [order_test(*(noisy_images(8, 30, 3 * i + j, 3) for j in range(3)), permutations=99).p_hard for i in range(200)]
    assert 0.4 < np.mean(p) < 0.6
    assert np.mean(np.array(p) <= 0.1) < 0.18  # 0.1 expected, standard deviation 0.021


def test_equal_images_prove_nothing():
    images = noisy_images(1, 30).repeat(6, axis=0)
    assert order_test(images, images, images).p == 1


def test_bad_images_are_refused():
    images = noisy_images(4, 30)
    for bad in (images[:1], images.astype(float), images[0], images[:, :0]):
        with pytest.raises(ValueError, match="at least two images"):
            diversity(bad)
    with pytest.raises(ValueError, match="different sizes"):
        order_test(images, images, noisy_images(4, 30, size=5))
    with pytest.raises(ValueError, match="at least 1 draw"):
        diversity(images, draws=0)
    with pytest.raises(ValueError, match="at least 1 permutation"):
        order_test(images, images, images, permutations=0)
