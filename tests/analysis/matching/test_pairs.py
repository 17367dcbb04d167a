"""Matching: known truths, coverage of the interval, blindness to order, bad input."""

import dataclasses
import math

import numpy as np
import pytest

from easiness.analysis.matching.pairs import match_external, match_moments, match_pairs, moment_overlaps
from easiness.analysis.matching.sides import MatchOptions, ScoredModel
from easiness.analysis.sets import chance_given_classes, easiest, hardest, overlap

QUICK = MatchOptions(draws=50, splits=5, threads=1)
GLOBAL = dataclasses.replace(QUICK, scopes=("global",))


def draw_losses(mean_N, trials, rng, labels_N=None, noise=1.0, swing=0.0):
    """Trials that scatter around each example's mean; with `swing`, each also shifts whole classes."""
    losses_MN = mean_N + noise * rng.normal(size=(trials, len(mean_N)))
    if swing:
        losses_MN += swing * rng.normal(size=(trials, labels_N.max() + 1))[:, labels_N]
    return losses_MN.astype(np.float32)


def draw_models(count=3, trials=4, examples=600, moments=2, seed=0):
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, 5, examples)
    common_N = rng.normal(size=examples) + 0.5 * labels_N
    return [
        ScoredModel(
            f"net{i}",
            tuple(range(100, 100 * (moments + 1), 100)),
            [draw_losses(common_N + 0.5 * rng.normal(size=examples), trials, rng) for _ in range(moments)],
        )
        for i in range(count)
    ], labels_N


def test_rows_hold_what_the_sets_say():
    models, labels_N = draw_models()
    rows = match_pairs(models, labels_N, QUICK)
    assert len(rows) == 2 * 2 * 3 * 2  # moments, scopes, pairs, sets
    by_name = {model.name: model for model in models}
    for row in rows:
        a, b = (by_name[name].losses[row.epoch - 1].astype(float).mean(axis=0) for name in (row.a, row.b))
        cut = {"easy": easiest, "hard": hardest}[row.set]
        labels = labels_N if row.scope == "per_class" else None
        set_a, set_b = cut(a, labels_N=labels), cut(b, labels_N=labels)
        assert row.rate == len(set(set_a) & set(set_b)) / len(set_a) == overlap(set_a, set_b)
        assert (row.chance_given_classes, row.chance_given_classes_sd) == chance_given_classes(set_a, set_b, labels_N)
        assert row.chance == pytest.approx(len(set_a) / 600)
        assert row.corrected == pytest.approx((row.rate - row.chance_given_classes) / (1 - row.chance_given_classes))
        ranks = [np.argsort(np.argsort(side)) for side in (a, b)]
        assert row.rank_correlation == pytest.approx(np.corrcoef(*ranks)[0, 1])
        assert 0 <= row.low < row.rate < row.high <= 1
        assert row.corrected_interval[0] < row.corrected < row.corrected_interval[1]
        assert (row.updates_a, row.updates_b) == (100 * row.epoch,) * 2
        assert (row.trials_a, row.trials_b, row.n) == (4, 4, 600)


def test_class_mix_explains_more_than_plain_chance():
    models, labels_N = draw_models()
    row = match_pairs(models, labels_N, GLOBAL)[0]
    assert row.chance_given_classes > 1.5 * row.chance


def test_a_model_against_its_copy_matches_wholly_even_inside_ties():
    [model], labels_N = draw_models(count=1)
    rounded = [np.round(losses_MN) for losses_MN in model.losses]
    copies = [ScoredModel(name, model.updates, rounded) for name in ("one", "two")]
    for row in match_pairs(copies, labels_N, QUICK):
        assert (row.rate, row.low, row.high, row.rank_correlation) == (1, 1, 1, pytest.approx(1))


def test_opposed_models_share_nothing():
    [model], labels_N = draw_models(count=1)
    mirror = ScoredModel("mirror", model.updates, [-losses_MN for losses_MN in model.losses])
    for row in match_pairs([model, mirror], labels_N, GLOBAL):
        assert (row.rate, row.rank_correlation) == (0, pytest.approx(-1))


def test_shared_ties_are_not_counted_as_agreement():
    labels_N = np.zeros(5000, int)
    flat = [ScoredModel(f"{level}", (1,), [np.full((2, 5000), level, np.float32)]) for level in (0, 1)]
    for row in match_pairs(flat, labels_N, GLOBAL):
        assert abs(row.rate - row.chance) < 5 * row.chance_sd
        assert math.isnan(row.rank_correlation)


def test_order_of_models_trials_and_threads_changes_nothing():
    models, labels_N = draw_models(trials=5)
    expected = match_pairs(models, labels_N, QUICK)
    shuffled = [
        ScoredModel(model.name, model.updates, [losses_MN[[3, 1, 4, 0, 2]] for losses_MN in model.losses])
        for model in reversed(models)
    ]
    assert match_pairs(shuffled, labels_N, dataclasses.replace(QUICK, threads=2)) == expected
    assert match_moments(shuffled[0], labels_N, QUICK) == match_moments(models[-1], labels_N, QUICK)
    assert match_pairs(models, labels_N, dataclasses.replace(QUICK, seed=1)) != expected


def test_mapped_losses_give_the_same_rows(tmp_path):
    models, labels_N = draw_models()
    mapped = []
    for model in models:
        for moment, losses_MN in enumerate(model.losses):
            np.save(tmp_path / f"{model.name}-{moment}.npy", losses_MN)
        files = [tmp_path / f"{model.name}-{moment}.npy" for moment in range(2)]
        mapped.append(ScoredModel(model.name, model.updates, [np.load(file, mmap_mode="r") for file in files]))
    assert match_pairs(mapped, labels_N, QUICK) == match_pairs(models, labels_N, QUICK)


@pytest.mark.parametrize("trials", [2, 3, 6])
@pytest.mark.parametrize("kind", ["easy", "hard"])
def test_ceiling_is_what_trials_share_with_as_many_fresh_ones_of_the_other_noise(trials, kind):
    rng = np.random.default_rng(trials)
    mean_N = rng.normal(size=20_000)
    cut = {"easy": easiest, "hard": hardest}[kind]

    def draw(noise):  # skewed, where the formula of Spearman and Brown would promise 0.05 too much
        return np.exp(1.5 * draw_losses(mean_N, trials, rng, noise=noise))

    expected = overlap(*(cut(draw(noise).mean(axis=0)) for noise in (1.0, 0.5)))
    models = [ScoredModel(name, (1,), [draw(noise)]) for name, noise in (("noisy", 1.0), ("clean", 0.5))]
    rows = match_pairs(models, np.zeros(20_000, int), GLOBAL)
    [ceiling] = [row.ceiling for row in rows if row.set == kind]
    assert ceiling == pytest.approx(expected, abs=0.025)
    assert match_pairs(models, np.zeros(20_000, int), dataclasses.replace(GLOBAL, splits=0))[0].low == rows[0].low


def coverage(how, trials, draws_of_truth, simulations, options, *, swing=0.0, noise=1.0, kind="easy", seed=0):
    """Share of intervals that hold the rate fresh trials give on average, and widths beside the true spread."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, 10, 1000)
    common_N = rng.normal(size=1000)
    mean_a_N, mean_b_N = (common_N + 0.6 * rng.normal(size=1000) for _ in "ab")
    cut = {"easy": easiest, "hard": hardest}[kind]

    def fresh():
        a_MN = draw_losses(mean_a_N, trials[0], rng, labels_N, noise, swing)
        if how == "external":
            return a_MN, mean_b_N[None]
        b_MN = draw_losses(mean_b_N, trials[1], rng, labels_N, noise, swing)
        if how == "moments":  # one trial's luck lasts
            b_MN += (a_MN - mean_a_N).astype(np.float32) / 2
        return a_MN, b_MN

    def match(a_MN, b_MN):
        a = ScoredModel("a", (1,), [a_MN])
        if how == "external":
            return match_external(a, b_MN[0], labels_N, name="b", higher_is_easier=False, options=options)
        if how == "moments":
            return match_moments(ScoredModel("a", (1, 2), [a_MN, b_MN]), labels_N, options=options)
        return match_pairs([a, ScoredModel("b", (1,), [b_MN])], labels_N, options)

    rates = [overlap(*(cut(side.mean(axis=0)) for side in fresh()), count=1000) for _ in range(draws_of_truth)]
    truth, spread = np.mean(rates), np.std(rates)
    rows = [next(row for row in match(*fresh()) if row.set == kind) for _ in range(simulations)]
    width = np.mean([row.high - row.low for row in rows]) / (2 * 1.96 * spread)
    return np.mean([row.low <= truth <= row.high for row in rows]), width


@pytest.mark.parametrize("how", ["pairs", "moments", "external"])
def test_interval_covers_the_truth_and_is_no_wider_than_it_must_be(how):
    covered, width = coverage(how, (4, 4), 1000, 100, dataclasses.replace(GLOBAL, draws=60, splits=0))
    # A coverage of 0.92 gives less than this once in 2,000 runs; percentiles of resamples give about a half.
    assert covered > 0.92 - 3.3 * math.sqrt(0.92 * 0.08 / 100)
    # The upper side: few degrees of freedom cost width (2.45 for 1.96), needless caution costs more.
    assert 0.85 < width < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "trials", "swing", "noise", "kind"),
    [
        ("pairs", (2, 2), 0.0, 1.0, "hard"),
        ("pairs", (4, 4), 0.0, 1.0, "easy"),
        ("pairs", (4, 4), 0.4, 1.0, "hard"),
        ("pairs", (10, 10), 0.0, 1.0, "easy"),
        ("pairs", (10, 10), 0.4, 1.0, "hard"),
        ("pairs", (10, 10), 0.0, 0.25, "easy"),
        ("pairs", (3, 10), 0.4, 1.0, "easy"),
        ("moments", (4, 4), 0.0, 1.0, "easy"),
        ("moments", (10, 10), 0.4, 1.0, "hard"),
        ("external", (4, 4), 0.0, 1.0, "easy"),
        ("external", (10, 10), 0.4, 1.0, "hard"),
    ],
)
def test_interval_covers_the_truth_in_92_to_98_percent_of_1000_draws(how, trials, swing, noise, kind):
    options = MatchOptions(scopes=("global",), splits=0, threads=1)
    covered, _ = coverage(how, trials, 4000, 1000, options, swing=swing, noise=noise, kind=kind)
    assert 0.92 <= covered <= 0.98


@pytest.mark.parametrize("trials", [(1, 4), (4, 1), (1, 1)])
def test_one_trial_gives_no_interval_and_no_ceiling(trials):
    rng = np.random.default_rng(0)
    pair = [ScoredModel(f"{i}", (1,), [draw_losses(np.zeros(100), t, rng)]) for i, t in enumerate(trials)]
    for row in match_pairs(pair, np.zeros(100, int), QUICK):
        assert math.isnan(row.low)
        assert math.isnan(row.high)
        assert math.isnan(row.ceiling)
        assert 0 <= row.rate <= 1


def test_moments_pair_by_index_up_to_the_shorter_course():
    models, labels_N = draw_models(count=2, moments=3)
    short = ScoredModel("short", (7, 9), models[0].losses[:2])
    rows = match_pairs([short, models[1]], labels_N, GLOBAL)
    assert [(row.epoch, row.updates_a, row.updates_b) for row in rows] == [(1, 100, 7)] * 2 + [(2, 200, 9)] * 2
    rows = match_pairs([short, *models], labels_N, GLOBAL)
    assert [row.epoch for row in rows] == [1] * 6 + [2] * 6 + [3] * 2


def test_two_moments_of_one_model():
    [model], labels_N = draw_models(count=1, moments=3)
    rows = match_moments(model, labels_N, options=QUICK)
    assert [(row.scope, row.set) for row in rows] == [
        ("global", "easy"), ("global", "hard"), ("per_class", "easy"), ("per_class", "hard")
    ]  # fmt: skip
    first, last = (losses_MN.mean(axis=0, dtype=float) for losses_MN in (model.losses[0], model.losses[2]))
    assert rows[0].rate == overlap(easiest(first), easiest(last))
    assert (rows[0].updates_a, rows[0].updates_b, rows[0].epoch) == (100, 300, 1)
    assert rows[0].low < rows[0].rate < rows[0].high
    for row in match_moments(ScoredModel("still", (1, 2), model.losses[:1] * 2), labels_N, QUICK):
        assert (row.rate, row.low, row.high) == (1, 1, 1)


def test_heat_map_of_moments():
    [model], labels_N = draw_models(count=1, moments=3)
    for kind, cut in (("easy", easiest), ("hard", hardest)):
        for labels in (None, labels_N):
            sets = [cut(losses_MN.mean(axis=0, dtype=float), labels_N=labels) for losses_MN in model.losses]
            expected = [[overlap(a, b) for b in sets] for a in sets]
            np.testing.assert_allclose(moment_overlaps(model, kind, labels_N=labels), expected)


def test_outside_scores_with_their_polarity():
    [model], labels_N = draw_models(count=1)
    rng = np.random.default_rng(3)
    hardness_N = model.losses[0].mean(axis=0) + rng.normal(size=600)
    rows = match_external(model, hardness_N, labels_N, name="el2n", higher_is_easier=False, options=QUICK)
    mirrored = match_external(model, -hardness_N, labels_N, name="el2n", higher_is_easier=True, options=QUICK)
    assert rows == mirrored
    assert len(rows) == 2 * 2 * 2
    first = rows[0]
    assert first.rate == overlap(easiest(model.losses[0].mean(axis=0, dtype=float)), easiest(hardness_N))
    assert (first.a, first.b, first.updates_b, first.trials_b) == ("net0", "el2n", -1, 0)
    assert first.low < first.rate < first.high
    opposed = match_external(model, hardness_N, labels_N, name="el2n", higher_is_easier=True, options=QUICK)
    assert opposed[0].rank_correlation == pytest.approx(-first.rank_correlation)


def test_bad_input_is_refused_with_the_reason():
    models, labels_N = draw_models(count=2)
    with pytest.raises(ValueError, match=r"at least two models, got \['net0'\]"):
        match_pairs(models[:1], labels_N)
    with pytest.raises(ValueError, match="different names"):
        match_pairs([models[0], models[0]], labels_N)
    with pytest.raises(ValueError, match="'labels': 599"):
        match_pairs(models, labels_N[:-1])
    with pytest.raises(ValueError, match="class numbers"):
        match_pairs(models, labels_N - 1)
    shorter = ScoredModel("short", (1,), [models[0].losses[0][:, :-1]])
    with pytest.raises(ValueError, match="'short': 599"):
        match_pairs([models[0], shorter], labels_N)
    with pytest.raises(ValueError, match="fraction must be above 0"):
        match_pairs(models, labels_N, dataclasses.replace(QUICK, fraction=0))
    with pytest.raises(ValueError, match=r"el2n has scores of shape \(3,\)"):
        match_external(models[0], [1, 2, 3], labels_N, name="el2n", higher_is_easier=False)
    with pytest.raises(ValueError, match="600 of 600 scores are not finite"):
        match_external(models[0], np.full(600, np.nan), labels_N, name="el2n", higher_is_easier=False)
    models[1].losses[1][2, :5] = np.nan
    with pytest.raises(ValueError, match=r"net1 after 200 updates: .*trial 2: 5 of 600"):
        match_pairs(models, labels_N, QUICK)
