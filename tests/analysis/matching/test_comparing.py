"""Probability that luck alone gives an overlap."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from easiness.analysis.matching.comparing import chance_to_share


def given_classes(a_K, b_K, n_K):
    """Exact probabilities to share at least 0, 1, 2, … members, and mean and sd of the number."""
    probability = np.ones(1)
    for a, b, n in zip(a_K, b_K, n_K, strict=True):
        probability = np.convolve(probability, hypergeom.pmf(np.arange(min(a, b) + 1), n, a, b))
    numbers = np.arange(len(probability))
    mean = probability @ numbers
    return probability[::-1].cumsum()[::-1], mean, np.sqrt(probability @ (numbers - mean) ** 2)


@pytest.mark.parametrize(
    ("a_K", "b_K", "n_K"),
    [([50], [50], [1000]), ([5, 30, 15], [10, 25, 15], [300, 400, 300]), ([10] * 10, [10] * 10, [100] * 10)],
)
def test_luck_is_that_of_random_sets_with_the_same_class_mix(a_K, b_K, n_K):
    exact, mean, sd = given_classes(a_K, b_K, n_K)
    close = [chance_to_share(shared, mean, sd) for shared in range(len(exact))]
    np.testing.assert_allclose(close, exact, atol=0.002)
    tail = exact < 0.05
    np.testing.assert_allclose(np.array(close)[tail], exact[tail], atol=0.001)


def test_sets_that_leave_nothing_to_luck():
    assert chance_to_share(10, 10.0, 0.0) == 1  # all of a class in both
    assert chance_to_share(1, 0.0, 0.0) == 0  # no class in both
    assert chance_to_share(0, 0.0, 0.0) == 1
