"""Diversity of images against plain loops and known truths."""

import math
from itertools import combinations

import numpy as np
import pytest

from easiness.analysis import diversity as module
from easiness.analysis.diversity import diversity


def noisy_images(count, spread, seed=0, size=6):
    """Images that all show the same, under noise of so many grey levels."""
    rng = np.random.default_rng(seed)
    same = np.random.default_rng(99).normal(128, 20, (size, size, 3))
    return np.clip(np.round(same + rng.normal(0, spread, (count, size, size, 3))), 0, 255).astype(np.uint8)


def test_average_and_diversity_match_plain_arithmetic():
    images = noisy_images(9, 20)
    measured = diversity(images)
    np.testing.assert_allclose(measured.average_HWC, sum(images.astype(float)) / 9)
    plain = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in combinations(images, 2)]
    assert measured.diversity == pytest.approx(1 - np.mean(plain))
    assert measured.images == 9


def test_it_is_the_variance_over_images_of_one_brightness_and_contrast():
    images = noisy_images(9, 20)
    pixels = images.reshape(9, -1).astype(float)
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / pixels.std(axis=1, keepdims=True)
    assert diversity(images).diversity == pytest.approx(pixels.var(axis=0, ddof=1).mean())


def test_contrast_and_brightness_alone_do_not_move_it():
    """Every image is stretched by a factor of its own and moved: its variance grows ninefold, its diversity not."""
    images = np.random.default_rng(0).integers(60, 90, (20, 5, 5, 3)).astype(np.uint8)
    stretched = images - np.uint8(60)
    for index, factor in enumerate([1, 2, 3, 4] * 5):
        stretched[index] = stretched[index] * factor + index
    before, after = diversity(images), diversity(stretched)
    assert stretched.var() > 5 * images.var()
    assert after.diversity == pytest.approx(before.diversity, rel=1e-12)
    assert after.error == pytest.approx(before.error, rel=1e-12)


def test_large_sets_are_worked_on_in_blocks(monkeypatch):
    images = noisy_images(11, 20)
    whole = diversity(images)
    monkeypatch.setattr(module, "BLOCK", 3 * 6 * 6 * 3)
    assert diversity(images)[1:] == pytest.approx(whole[1:])


@pytest.mark.parametrize("spread", [10, 60])
def test_intervals_hold_the_truth_in_ninety_five_of_a_hundred_sets(spread):
    draws = 600
    measured = [diversity(noisy_images(30, spread, seed, size=4)) for seed in range(draws)]
    truth = np.mean([each.diversity for each in measured])
    covered = np.mean([each.low <= truth <= each.high for each in measured])
    assert abs(covered - 0.95) < 3.3 * math.sqrt(0.95 * 0.05 / draws)
    # The error is that of the number, and not merely large.
    assert np.mean([each.error for each in measured]) == pytest.approx(
        np.std([each.diversity for each in measured]), rel=0.15
    )


def test_what_looks_alike_is_less_diverse():
    alike, different = diversity(noisy_images(30, 10)), diversity(noisy_images(30, 40))
    assert alike.high < different.low


def test_equal_images_have_no_diversity_and_images_without_contrast_look_like_nothing():
    images = noisy_images(1, 20).repeat(5, axis=0)
    assert diversity(images)[1:5] == pytest.approx((0, 0, 0, 0), abs=1e-12)
    flat = diversity(np.full((5, 4, 4, 3), 255, np.uint8))
    assert (flat.diversity, flat.error) == (1, 0)


def test_two_images_have_no_interval():
    measured = diversity(noisy_images(2, 20))
    assert 0 < measured.diversity < 1
    assert all(map(math.isnan, (measured.error, measured.low, measured.high)))


def test_bad_images_are_refused():
    images = noisy_images(4, 30)
    for bad in (images[:1], images.astype(float), images[0], images[:, :0]):
        with pytest.raises(ValueError, match="at least two images"):
            diversity(bad)
