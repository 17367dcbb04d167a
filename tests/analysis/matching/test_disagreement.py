"""Disagreement of architectures: planted examples come first, noise alone stays small."""

import numpy as np
import pytest

from easiness.analysis.matching.disagreement import PRIOR_FREEDOM, disagreement


def test_matches_a_plain_version():
    rng = np.random.default_rng(0)
    a_MN, b_MN = rng.normal(size=(3, 20)), rng.normal(size=(5, 20))
    errors, means = [], []
    for losses_MN in (a_MN, b_MN):
        ranks_MN = np.argsort(np.argsort(losses_MN, axis=1), axis=1) / 19
        own_N, freedom = ranks_MN.var(axis=0, ddof=1), len(losses_MN) - 1
        pooled_N = (freedom * own_N + PRIOR_FREEDOM * own_N.mean()) / (freedom + PRIOR_FREEDOM)
        errors.append(pooled_N / len(losses_MN))
        means.append(ranks_MN.mean(axis=0))
    result = disagreement(a_MN, b_MN)
    np.testing.assert_allclose(result.difference_N, means[0] - means[1])
    np.testing.assert_allclose(result.z_N, (means[0] - means[1]) / np.sqrt(errors[0] + errors[1]))
    assert (np.diff(np.abs(result.z_N[result.order_N])) <= 0).all()


def test_planted_examples_lead_and_the_sign_says_for_whom_they_are_hard():
    rng = np.random.default_rng(1)
    mean_N = rng.normal(size=3000)
    a_MN, b_MN = mean_N + rng.normal(size=(2, 6, 3000))
    b_MN *= 100  # another scale of losses is no disagreement
    a_MN[:, :10] = mean_N[:10] + 8 + rng.normal(size=(6, 10))
    b_MN[:, :10] = 100 * (mean_N[:10] - 8 + rng.normal(size=(6, 10)))
    result = disagreement(a_MN, b_MN)
    assert set(result.order_N[:10]) == set(range(10))
    assert (result.z_N[:10] > 0).all()


def test_noise_alone_stays_near_a_standard_normal():
    rng = np.random.default_rng(2)
    mean_N = rng.normal(size=5000)
    result = disagreement(*(mean_N + rng.normal(size=(2, 8, 5000))))
    assert result.z_N.std() == pytest.approx(1, abs=0.1)
    assert np.abs(result.z_N).max() < 7


def test_sides_swap_signs():
    a_MN, b_MN = np.random.default_rng(3).normal(size=(2, 3, 50))
    np.testing.assert_allclose(disagreement(a_MN, b_MN).z_N, -disagreement(b_MN, a_MN).z_N)


def test_trials_without_noise():
    a_MN, b_MN = np.tile([0.0, 1.0, 2.0], (2, 1)), np.tile([2.0, 1.0, 0.0], (2, 1))
    np.testing.assert_array_equal(disagreement(a_MN, b_MN).z_N, [-np.inf, 0, np.inf])


def test_bad_input_is_refused():
    losses_MN = np.zeros((2, 3))
    with pytest.raises(ValueError, match="two trials on each side, got 2 and 1"):
        disagreement(losses_MN, losses_MN[:1])
    with pytest.raises(ValueError, match="same examples"):
        disagreement(losses_MN, losses_MN[:, :2])
    with pytest.raises(ValueError, match="not finite"):
        disagreement(losses_MN, losses_MN + np.nan)


@pytest.mark.parametrize("tails", ["normal", "heavy"])
@pytest.mark.parametrize("trials", [(4, 4), (6, 3)])
@pytest.mark.parametrize("differing", [0, 1200])
def test_permuted_trials_tell_how_many_luck_gives(trials, tails, differing, monkeypatch):
    """Also where the models differ on many other examples."""
    monkeypatch.setattr("easiness.analysis.matching.disagreement.noise_limit", lambda trials, count: 3.0)
    rng = np.random.default_rng(4)
    found = lucky = 0
    for _ in range(6):
        mean_N, apart_N = rng.normal(size=4000), np.zeros(4000)
        apart_N[:differing] = rng.normal(size=differing)
        noise = [rng.normal(size=(m, 4000)) if tails == "normal" else rng.standard_t(3, size=(m, 4000)) for m in trials]
        result = disagreement(mean_N + apart_N + noise[0], mean_N - apart_N + noise[1])
        assert result.limit == 3.0
        assert result.beyond == (np.abs(result.z_N) >= 3.0).sum()
        found += int((np.abs(result.z_N[differing:]) >= 3.0).sum())
        lucky += result.by_luck
    # Two counts of about a hundred, each with an error of its root; one example in 4,000 would be six.
    assert found > 60
    assert abs(lucky * (1 - differing / 4000) - found) < 3.3 * np.sqrt(2 * found)


def test_equal_models_have_as_many_beyond_as_luck_gives():
    rng = np.random.default_rng(5)
    mean_N = rng.normal(size=20_000)
    result = disagreement(*(mean_N + rng.normal(size=(2, 10, 20_000))))
    assert result.beyond <= 6
    assert result.by_luck <= 6
    planted = np.where(np.arange(20_000) < 100, 8.0, 0.0)
    result = disagreement(mean_N + planted + rng.normal(size=(10, 20_000)), mean_N + rng.normal(size=(10, 20_000)))
    assert result.beyond > 50
    assert result.by_luck <= 6
