"""What may be compared, and how it is grouped."""

import numpy as np
import pytest

from easiness.analysis.matching.resampling import trial_seed
from easiness.analysis.matching.sides import MatchOptions, ScoredModel, averages, make_frame


def test_a_model_without_losses_or_of_uneven_shape_is_refused():
    with pytest.raises(ValueError, match="0 moments"):
        ScoredModel("net", (), [])
    with pytest.raises(ValueError, match="2 moments but losses at 1"):
        ScoredModel("net", (1, 2), [np.zeros((2, 3))])
    with pytest.raises(ValueError, match="one shape"):
        ScoredModel("net", (1, 2), [np.zeros((2, 3)), np.zeros((3, 3))])
    with pytest.raises(ValueError, match="one shape"):
        ScoredModel("net", (1,), [np.zeros(3)])


def test_options_are_checked():
    with pytest.raises(ValueError, match="scopes must be among"):
        MatchOptions(scopes=("local",))
    with pytest.raises(ValueError, match="at least 2 draws"):
        MatchOptions(draws=1)


def test_classes_without_examples_make_no_group():
    model = ScoredModel("net", (1,), [np.zeros((1, 4))])
    frame = make_frame([model], np.array([3, 0, 3, 0]), MatchOptions())
    np.testing.assert_array_equal(frame.members["per_class"], [[1, 3], [0, 2]])
    assert frame.members["global"] is None


def test_averages_come_in_the_order_asked_for():
    losses_TMN = np.random.default_rng(0).normal(size=(3, 2, 50))
    model = ScoredModel("net", (1, 2, 3), list(losses_TMN))
    seeds = trial_seed(model.losses, 0)
    means = averages([(model, moment, seeds) for moment in (2, 0, 1)], MatchOptions())
    for (easiness_N, ranks_N, _), moment in zip(means, (2, 0, 1), strict=True):
        np.testing.assert_allclose(easiness_N, losses_TMN[moment].mean(axis=0))
        np.testing.assert_array_equal(np.argsort(ranks_N), np.argsort(easiness_N))
