"""Removal: weights, draws against a sequential sampler, quotas, stepwise plans, what was really removed."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easiness.analysis.removal import (
    FLOOR,
    Step,
    check_classes,
    draw_removed,
    removal_count,
    removal_weights,
    removed_shares,
    stepwise_plan,
)

STRATEGIES = ["easy", "hard", "random"]
WEIGHTINGS = ["inverse", "rank", "reflect"]
ARMS = [("easy", weighting) for weighting in WEIGHTINGS] + [
    ("hard", "inverse"),
    ("hard", "rank"),
    ("random", "inverse"),
]

# From denormals to the largest float, with zeros and ties on purpose.
losses = st.one_of(
    st.floats(0, 20), st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e-7, 1.0, 1e300, np.finfo(float).max])
)
easiness_lists = st.lists(losses, min_size=1, max_size=40)
arms = st.tuples(st.sampled_from(STRATEGIES), st.sampled_from(WEIGHTINGS))
seeds = st.integers(0, 2**32)
tenths = st.integers(0, 99).map(lambda k: k / 100)
relaxed = settings(deadline=None, max_examples=50)  # no deadline: the machine may be busy


# ---- weights ----


def test_weights_of_a_worked_example():
    easiness_N = [0.5, 2.0, 0.25, 0.5]
    expected = {
        ("easy", "inverse"): [2, 0.5, 4, 2],
        ("easy", "rank"): [2.5, 1, 4, 2.5],
        ("easy", "reflect"): [1.5, FLOOR, 1.75, 1.5],
        ("hard", "inverse"): [0.5, 2, 0.25, 0.5],
        ("hard", "rank"): [2.5, 4, 1, 2.5],
        ("hard", "reflect"): [0.5, 2, 0.25, 0.5],
        ("random", "inverse"): [1, 1, 1, 1],
        ("random", "rank"): [1, 1, 1, 1],
        ("random", "reflect"): [1, 1, 1, 1],
    }
    for (strategy, weighting), weights in expected.items():
        assert removal_weights(easiness_N, strategy, weighting).tolist() == weights, (strategy, weighting)


@relaxed
@given(easiness_lists, arms)
def test_weights_are_positive_finite_and_follow_easiness(easiness_N, arm):
    weights_N = removal_weights(easiness_N, *arm)
    assert weights_N.dtype == np.float64
    assert weights_N.shape == (len(easiness_N),)
    assert (weights_N > 0).all()
    assert np.isfinite(np.log(weights_N)).all()
    sign = {"easy": -1, "hard": 1, "random": 0}[arm[0]]
    for a, b in itertools.pairwise(np.argsort(easiness_N)):
        assert sign * (weights_N[b] - weights_N[a]) >= 0
        if easiness_N[a] == easiness_N[b]:
            assert weights_N[a] == weights_N[b]


@relaxed
@given(easiness_lists)
def test_hard_mirrors_easy(easiness_N):
    product_N = removal_weights(easiness_N, "hard") * removal_weights(easiness_N, "easy")
    np.testing.assert_allclose(product_N, 1, rtol=1e-15)
    sum_N = removal_weights(easiness_N, "hard", "rank") + removal_weights(easiness_N, "easy", "rank")
    assert (sum_N == len(easiness_N) + 1).all()


@relaxed
@given(easiness_lists, arms, st.randoms(use_true_random=False))
def test_weights_follow_a_permutation(easiness_N, arm, random):
    order = list(range(len(easiness_N)))
    random.shuffle(order)
    permuted = removal_weights(np.array(easiness_N)[order], *arm)
    assert (permuted == removal_weights(easiness_N, *arm)[order]).all()


def test_below_the_floor_all_are_equal():
    weights_N = removal_weights([0.0, 1e-12, FLOOR, 2 * FLOOR], "easy")
    assert weights_N.tolist() == [2.0**23, 2.0**23, 2.0**23, 2.0**22]
    # The floor is where float32 stops telling losses apart: next below probability 1 is 1 - 2**-24.
    certain = np.float32(1)
    assert -math.log(np.nextafter(certain, np.float32(0))) < FLOOR < -math.log(1 - 2.0**-22)


def test_equal_easiness_is_drawn_as_random():
    for strategy, weighting in ARMS:
        weights_N = removal_weights(np.full(5, 0.7), strategy, weighting)
        assert len(set(weights_N)) == 1


# ---- draws: the distribution ----


def chi_square_bound(freedom):
    """Value that a chi-square variable exceeds with probability below 1e-6 (Laurent, Massart 2000)."""
    t = math.log(1e6)
    return freedom + 2 * math.sqrt(freedom * t) + 2 * t


def draw_one_by_one(weights_N, count, rng):
    """The definition: draw, take out, renormalize, draw again."""
    left = list(range(len(weights_N)))
    taken = []
    for _ in range(count):
        p = np.array([weights_N[i] for i in left])
        taken.append(left.pop(rng.choice(len(left), p=p / p.sum())))
    return tuple(sorted(taken))


def exact_distribution(weights_N, count):
    """Probability of every set, summed over all orders in which it can be drawn."""
    probability = Counter()
    for order in itertools.permutations(range(len(weights_N)), count):
        p, left = Fraction(1), sum(map(Fraction, weights_N))
        for i in order:
            p *= Fraction(weights_N[i]) / left
            left -= Fraction(weights_N[i])
        probability[tuple(sorted(order))] += p
    return {drawn: float(p) for drawn, p in probability.items()}


def distance_from(counts, probability):
    draws = sum(counts.values())
    assert min(probability.values()) * draws >= 5, "too few draws for chi-square"
    return sum((counts[drawn] - draws * p) ** 2 / (draws * p) for drawn, p in probability.items())


EASINESS_5 = np.array([0.3, 1.5, 0.9, 0.6, 0.6])


def draw_many(draws, count, easiness_N=EASINESS_5, **arm):
    rng = np.random.default_rng(20190911)
    return Counter(tuple(map(int, draw_removed(easiness_N, count, seed=rng, **arm))) for _ in range(draws))


@pytest.mark.parametrize(("strategy", "weighting"), ARMS)
@pytest.mark.parametrize("count", [1, 3])
def test_draw_has_the_exact_distribution(strategy, weighting, count):
    # Reflected, the hardest weighs next to nothing: compare with it left out of the sets.
    weights_N = removal_weights(EASINESS_5, strategy, weighting)
    probability = {drawn: p for drawn, p in exact_distribution(weights_N, count).items() if p > 1e-6}
    counts = draw_many(4000, count, strategy=strategy, weighting=weighting)
    assert counts.keys() <= probability.keys()
    assert distance_from(counts, probability) < chi_square_bound(len(probability) - 1)


def test_draw_and_sequential_draws_agree():
    draws = 4000
    rng = np.random.default_rng(1)
    weights_N = removal_weights(EASINESS_5, "easy")
    one_pass = draw_many(draws, 3, strategy="easy")
    one_by_one = Counter(draw_one_by_one(weights_N, 3, rng) for _ in range(draws))
    sets = one_pass.keys() | one_by_one.keys()
    assert min(one_pass[s] + one_by_one[s] for s in sets) >= 10
    # Two samples of one size: sum of (a - b)² / (a + b).
    distance = sum((one_pass[s] - one_by_one[s]) ** 2 / (one_pass[s] + one_by_one[s]) for s in sets)
    assert distance < chi_square_bound(len(sets) - 1)


def test_the_distribution_check_catches_a_wrong_sampler():
    # Weighted noise without the logarithm looks right and is not: what the check above is there to refuse.
    rng = np.random.default_rng(2)
    weights_N = removal_weights(EASINESS_5, "easy")
    wrong = Counter(tuple(sorted(map(int, np.argsort(-weights_N * rng.random(5))[:3]))) for _ in range(4000))
    probability = exact_distribution(weights_N, 3)
    assert distance_from(wrong, probability) > 3 * chi_square_bound(len(probability) - 1)


def test_draw_follows_a_permutation_in_distribution():
    order = np.array([3, 0, 4, 1, 2])
    weights_N = removal_weights(EASINESS_5, "easy")
    probability = {
        tuple(sorted(int(np.flatnonzero(order == i)[0]) for i in drawn)): p
        for drawn, p in exact_distribution(weights_N, 2).items()
    }
    counts = draw_many(4000, 2, EASINESS_5[order], strategy="easy")
    assert distance_from(counts, probability) < chi_square_bound(len(probability) - 1)


def test_balanced_draw_has_the_exact_distribution_within_each_class():
    labels_N = np.array([0, 0, 0, 1, 1])
    rng = np.random.default_rng(3)
    counts = Counter(
        tuple(map(int, draw_removed(EASINESS_5, 3, strategy="easy", seed=rng, labels_N=labels_N, balanced=True)))
        for _ in range(4000)
    )
    # Quotas of 3 × 3/5 = 1.8 and 3 × 2/5 = 1.2: two of the first class, one of the second.
    weights_N = removal_weights(EASINESS_5, "easy")
    first = exact_distribution(weights_N[:3], 2)
    second = exact_distribution(weights_N[3:], 1)
    probability = {a + tuple(i + 3 for i in b): first[a] * second[b] for a, b in itertools.product(first, second)}
    assert counts.keys() <= probability.keys()
    assert distance_from(counts, probability) < chi_square_bound(len(probability) - 1)


def test_weights_of_any_size_are_drawn_in_their_order():
    # Each weight is at least 1e5 times the next: a draw out of order has a probability of about 1e-5.
    easiness_N = np.array([1e300, 1e-1, 1e4, 1e150, 0.0])
    for count, expected in [(1, [4]), (2, [1, 4]), (3, [1, 2, 4]), (4, [1, 2, 3, 4])]:
        assert draw_removed(easiness_N, count, strategy="easy", seed=0).tolist() == expected
    for count, expected in [(1, [0]), (2, [0, 3]), (3, [0, 2, 3])]:
        assert draw_removed(easiness_N, count, strategy="hard", seed=0).tolist() == expected


def expected_shares(weights_N, count, groups=10):
    """Share of each tenth of the rows that goes in a large draw: 1 - exp(-t w), t such that `count` go."""
    low, high = 0.0, 1 / weights_N.min()
    for _ in range(60):
        t = (low + high) / 2
        low, high = (t, high) if -np.expm1(-t * weights_N).sum() < count else (low, t)
    return -np.expm1(-t * weights_N).reshape(groups, -1).mean(axis=1)


@pytest.mark.parametrize(("strategy", "weighting"), [("easy", "inverse"), ("hard", "rank")])
def test_imagenet_sized_draw_takes_what_theory_says(strategy, weighting):
    n, count = 1_280_000, 384_000
    easiness_N = np.linspace(0.0, 5.0, n)
    removed = draw_removed(easiness_N, count, strategy=strategy, weighting=weighting, seed=5)
    assert len(removed) == count
    assert (np.diff(removed) > 0).all()
    measured = np.bincount(removed // (n // 10), minlength=10) / (n // 10)
    # Neighbours are alike: one row in 128 stands for all.
    expected = expected_shares(removal_weights(easiness_N, strategy, weighting)[64::128], count / 128)
    # Six standard deviations of a share of 128,000 rows are at most 0.0084.
    np.testing.assert_allclose(measured, expected, atol=0.0084)


# ---- draws: the sets ----


@relaxed
@given(easiness_lists, arms, seeds, st.data())
def test_draw_is_an_ascending_subset_of_exact_size(easiness_N, arm, seed, data):
    n = len(easiness_N)
    count = data.draw(st.sampled_from(sorted({0, 1, n // 2, n - 1} & set(range(n)))))
    removed = draw_removed(easiness_N, count, strategy=arm[0], weighting=arm[1], seed=seed)
    assert removed.dtype == np.int64
    assert removed.shape == (count,)
    assert (np.diff(removed) > 0).all()
    assert set(removed.tolist()) <= set(range(n))


@relaxed
@given(st.lists(st.tuples(losses, st.integers(0, 4)), min_size=1, max_size=60), arms, seeds, st.data())
def test_balanced_draw_takes_the_same_share_of_every_class(rows, arm, seed, data):
    easiness_N, labels_N = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    n = len(rows)
    count = data.draw(st.integers(0, n - 1))
    removed = draw_removed(
        easiness_N, count, strategy=arm[0], weighting=arm[1], seed=seed, labels_N=labels_N, balanced=True
    )
    assert removed.shape == (count,)
    assert (np.diff(removed) > 0).all()
    taken = Counter(labels_N[removed].tolist())
    share = {k: Fraction(count * size, n) for k, size in Counter(labels_N.tolist()).items()}
    extra = [share[k] % 1 for k in share if taken[k] > math.floor(share[k])]
    others = [share[k] % 1 for k in share if taken[k] == math.floor(share[k])]
    assert all(0 <= taken[k] - math.floor(share[k]) <= 1 for k in share)
    # Largest remainder: no class that was rounded down had more left over than one rounded up.
    assert max(others, default=0) <= min(extra, default=1)


def test_equal_remainders_are_served_in_random_order():
    labels_N = np.repeat([0, 1, 2], 4)
    served = Counter(
        int(labels_N[draw_removed(np.ones(12), 1, strategy="random", seed=seed, labels_N=labels_N, balanced=True)[0]])
        for seed in range(60)
    )
    assert min(served[k] for k in range(3)) >= 8


def test_balanced_takes_any_labels():
    labels_N = np.array(["owl", "cat", "owl", "cat"])
    removed = draw_removed([1, 2, 3, 4], 2, strategy="hard", seed=0, labels_N=labels_N, balanced=True)
    assert sorted(labels_N[removed]) == ["cat", "owl"]


@relaxed
@given(easiness_lists, arms, seeds)
def test_one_seed_one_draw_and_smaller_inside_larger(easiness_N, arm, seed):
    def draw(count, seed):
        return draw_removed(easiness_N, count, strategy=arm[0], weighting=arm[1], seed=seed).tolist()

    n = len(easiness_N)
    assert draw(n // 2, seed) == draw(n // 2, seed) == draw(n // 2, np.random.default_rng(seed))
    assert draw(n // 2, seed) == draw(n // 2, np.random.SeedSequence(seed))
    assert set(draw(n // 3, seed)) <= set(draw(n // 2, seed))


def test_seeds_differ_and_global_random_state_is_left_alone():
    easiness_N = np.arange(1.0, 101.0)
    np.random.seed(7)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    drawn = {tuple(draw_removed(easiness_N, 50, strategy="easy", seed=seed)) for seed in range(20)}
    assert len(drawn) == 20
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_input_is_left_alone_and_float32_is_welcome():
    easiness_N = np.array([0.5, 0.0, 2.0], dtype=np.float32)
    easiness_N.flags.writeable = False
    assert removal_weights(easiness_N, "easy").dtype == np.float64
    assert len(draw_removed(easiness_N, np.int64(2), strategy="easy", seed=0)) == 2


# ---- the published table ----

# Decile and share that went, in percent, at ratio 0.3.
TABLE = {
    ("easy", "reflect"): (35, 15),
    ("easy", "rank"): (52, 3),
    ("easy", "inverse"): (100, 2),
    ("hard", "inverse"): (0, 78),
}


def measured_table(easiness_N, labels_N, seeds=5):
    """Percent of the easiest and of the hardest decile, mean over seeds, by arm."""
    table = {}
    for strategy, weighting in TABLE:
        shares = [
            removed_shares(
                easiness_N,
                labels_N,
                draw_removed(easiness_N, 15_000, strategy=strategy, weighting=weighting, seed=seed),
                num_classes=10,
            ).deciles
            for seed in range(seeds)
        ]
        table[strategy, weighting] = 100 * np.mean(shares, axis=0)[[0, 9]]
    return table


@pytest.fixture(scope="module")
def reference_scores(shared_data):
    with np.load(shared_data / "reference-scores" / "cifar10_train_reference_scores.npz") as scores:
        return dict(scores)


def test_published_table_is_that_of_el2n(reference_scores):
    """The table and EL2N agree to one percentage point; its lowest score never meets the floor."""
    easiness_N = reference_scores["el2n_epoch20"]
    assert easiness_N.min() > 40 * FLOOR
    for arm, measured in measured_table(easiness_N, reference_scores["labels"]).items():
        np.testing.assert_allclose(measured, TABLE[arm], atol=1.0, err_msg=str(arm))


@pytest.mark.parametrize("name", ["forgetting_epoch200", "grand_init"])
def test_published_table_is_not_that_of_another_score(reference_scores, name):
    measured = measured_table(reference_scores[name], reference_scores["labels"], seeds=2)
    assert max(abs(measured[arm] - TABLE[arm]).max() for arm in TABLE) > 3


def test_measured_deciles_are_those_of_theory(reference_scores):
    easiness_N = np.sort(reference_scores["el2n_epoch20"])
    labels_N = np.zeros(len(easiness_N), dtype=int)
    for strategy, weighting in ARMS:
        removed = draw_removed(easiness_N, 15_000, strategy=strategy, weighting=weighting, seed=0)
        measured = removed_shares(easiness_N, labels_N, removed, num_classes=1).deciles
        expected = expected_shares(removal_weights(easiness_N, strategy, weighting), 15_000)
        # Five standard deviations of a share of 5,000 rows are at most 0.036.
        np.testing.assert_allclose(measured, expected, atol=0.036)


# ---- counts and plans ----


def test_counts():
    assert removal_count(0, 10) == 0
    assert removal_count(0.3, 50_000) == 15_000
    assert removal_count(0.1, 1_281_167) == 128_117
    assert [removal_count(0.5, n) for n in (1, 3, 5)] == [0, 2, 2]
    assert removal_count(3 * 0.1, 15) == removal_count(0.3, 15) == 4


@relaxed
@given(tenths, st.integers(1, 2_000_000))
def test_count_is_nearest_to_the_ratio(ratio, n):
    exact = Fraction(round(ratio * 100), 100) * n
    if exact > n - Fraction(1, 2):
        with pytest.raises(ValueError, match="removes all"):
            removal_count(ratio, n)
    elif exact < n - Fraction(1, 2):
        count = removal_count(ratio, n)
        assert abs(count - exact) <= Fraction(1, 2)
        assert 0 <= count < n


@pytest.mark.parametrize("ratio", [1, 1.0, 1.5, -0.1, -1e-9, math.nan, math.inf, -math.inf])
def test_bad_ratios_are_named(ratio):
    with pytest.raises(ValueError, match=f"ablation ratio {ratio} is not"):
        removal_count(ratio, 100)
    with pytest.raises(ValueError, match=f"ablation ratio {ratio} is not"):
        stepwise_plan([0.1, ratio], 100)


def test_a_ratio_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r"0\.9 removes all 2 examples"):
        removal_count(0.9, 2)
    with pytest.raises(ValueError, match="of 0 examples"):
        removal_count(0.0, 0)


def step_sizes(ratio, n, step=0.1):
    return [taken.after - taken.before for taken in stepwise_plan([ratio], n, step)]


def test_sizes_of_steps():
    assert step_sizes(0.3, 50_000) == [5000, 5000, 5000]
    assert step_sizes(0.25, 50_000) == [5000, 5000, 2500]
    assert step_sizes(0.05, 50_000) == [2500]
    assert step_sizes(0.0, 50_000) == []
    assert step_sizes(0.99, 100) == [10] * 9 + [9]
    assert step_sizes(0.5, 100, step=0.25) == [25, 25]
    assert step_sizes(0.5, 100, step=0.9) == [50]


def test_plan_passes_through_the_ratios_on_the_way():
    tenth = [Step(10 * k, 10 * k + 10) for k in range(9)]
    assert stepwise_plan([0.5], 100) == tenth[:5]
    assert stepwise_plan([0.3, 0.1, 0.5, 0.3, 0.0], 100) == tenth[:5]
    assert stepwise_plan([k / 10 for k in range(10)], 100) == tenth
    assert stepwise_plan([0.0], 100) == stepwise_plan([], 100) == []
    # 3 * 0.1 is above 0.3 in floating point, and 4.5 examples would round apart from removal_count(0.3, 15).
    assert [taken.after for taken in stepwise_plan([0.4], 15)] == [2, 3, 4, 6]


def test_a_ratio_off_the_path_is_a_side_branch():
    with_branch = stepwise_plan([0.25, 0.3], 100)
    assert with_branch == [Step(0, 10), Step(10, 20), Step(20, 25), Step(20, 30)]
    assert stepwise_plan([0.22, 0.28], 100) == [Step(0, 10), Step(10, 20), Step(20, 22), Step(20, 28)]
    assert stepwise_plan([0.04], 100) == [Step(0, 4)]
    assert stepwise_plan([0.97], 100)[-1] == Step(90, 97)


@relaxed
@given(st.lists(tenths, max_size=6), st.integers(200, 100_000), st.sampled_from([0.05, 0.1, 0.15, 0.3]))
def test_plan_reaches_every_ratio_on_one_path(ratios, n, step):
    plan = stepwise_plan(ratios, n, step)
    afters = [taken.after for taken in plan]
    assert afters == sorted(set(afters))
    reached = {0}
    for taken in plan:
        assert taken.before in reached
        assert 0 < taken.after - taken.before <= math.ceil(step * n)
        reached.add(taken.after)
    assert {removal_count(ratio, n) for ratio in ratios} <= reached
    assert max(reached) == max((removal_count(ratio, n) for ratio in ratios), default=0)
    # A step lies on the path or is asked for, and no step begins beside the path.
    grid = {removal_count(k * step, n) for k in range(math.ceil(1 / step - 1e-9))}
    assert {taken.before for taken in plan} <= grid
    assert set(afters) - grid <= {removal_count(ratio, n) for ratio in ratios}
    # What is asked for besides does not change the way to a ratio.
    origin = {taken.after: taken.before for taken in plan}
    for ratio in ratios:
        way, here = [], removal_count(ratio, n)
        while here:
            way.insert(0, here - origin[here])
            here = origin[here]
        assert way == step_sizes(ratio, n, step)


@relaxed
@given(st.integers(0, 9), st.integers(10, 100_000))
def test_grid_counts_are_those_of_one_shot_removal(tenth, n):
    # So that stepwise and random are compared at the same size; 3 * 0.1 must not round apart from 0.3.
    ratio = float(f"0.{tenth}")
    counts = step_sizes(ratio, n)
    assert sum(counts) == removal_count(ratio, n) == round(ratio * n)
    assert len(counts) == tenth
    assert all(abs(count - n / 10) <= 1 for count in counts)


@pytest.mark.parametrize("step", [0, 1, -0.1, math.nan, math.inf])
def test_bad_step_is_named(step):
    with pytest.raises(ValueError, match=f"step {step} is not"):
        stepwise_plan([0.3], 100, step)


def test_step_of_less_than_one_example_is_refused():
    with pytest.raises(ValueError, match=r"step 0\.1 of 9 examples"):
        step_sizes(0.3, 9)


# ---- classes and shares ----


def test_emptied_classes_are_named():
    labels_N = np.array([0, 0, 1, 2, 2], dtype=np.uint8)
    names = ["cat", "owl", "fox", "absent"]
    assert check_classes(labels_N, np.array([0, 3]), names) == []
    assert check_classes(labels_N, np.array([], dtype=int), names) == []
    with pytest.raises(ValueError, match=r"removing 3 of 5 examples leaves none of 2 of 4 classes: owl, fox;"):
        check_classes(labels_N, np.array([2, 3, 4]), names)
    assert check_classes(labels_N, np.array([2, 3, 4]), names, allow_empty=True) == ["owl", "fox"]


def test_many_emptied_classes_are_counted():
    labels_N = np.arange(100)
    with pytest.raises(ValueError, match="c7 and 42 more;") as caught:
        check_classes(labels_N, np.arange(50), [f"c{k}" for k in range(100)])
    assert "c8" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_balanced_draw_empties_no_class_of_ten():
    labels_N = np.repeat(np.arange(10), 10)
    easiness_N = 1.0 + labels_N
    removed = draw_removed(easiness_N, 90, strategy="easy", seed=0, labels_N=labels_N, balanced=True)
    assert check_classes(labels_N, removed, [str(k) for k in range(10)]) == []
    assert (removed_shares(easiness_N, labels_N, removed, num_classes=10).classes == 0.9).all()


def test_shares_of_a_worked_example():
    easiness_N = np.arange(20)[::-1] / 10
    labels_N = np.array([0] * 15 + [2] * 5)
    shares = removed_shares(easiness_N, labels_N, np.array([19, 18, 17, 0, 1]), num_classes=3)
    np.testing.assert_array_equal(shares.deciles, [1, 0.5, 0, 0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(shares.classes, [2 / 15, math.nan, 3 / 5])


@relaxed
@given(st.lists(st.tuples(losses, st.integers(0, 3)), min_size=1, max_size=60), seeds, st.data())
def test_shares_add_up_to_what_was_removed(rows, seed, data):
    easiness_N, labels_N = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    n = len(rows)
    removed = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1)))), dtype=np.int64)
    shares = removed_shares(easiness_N, labels_N, removed, num_classes=4, seed=seed)
    assert shares.deciles.shape == (10,)
    present = ~np.isnan(shares.deciles)
    assert present.sum() == min(n, 10)
    sizes_K = np.bincount(labels_N, minlength=4)
    assert np.nansum(shares.classes * sizes_K) == pytest.approx(len(removed))
    if n % 10 == 0:
        assert shares.deciles.sum() * n / 10 == pytest.approx(len(removed))
    for share in (*shares.deciles[present], *shares.classes[sizes_K > 0]):
        assert 0 <= share <= 1


def test_ties_between_deciles_are_broken_by_the_seed():
    def shares(seed):
        return removed_shares(np.zeros(100), np.zeros(100, int), np.arange(30), num_classes=1, seed=seed)

    assert (shares(0).deciles == shares(0).deciles).all()
    assert (shares(0).deciles != shares(1).deciles).any()
    # Thirty of a hundred equals, wherever they stand, are no easiest three deciles.
    assert shares(0).deciles.max() < 1


# ---- bad input ----


@pytest.mark.parametrize(
    ("easiness_N", "message"),
    [
        ([], r"shape \(0,\)"),
        ([[0.1, 0.2]], r"shape \(1, 2\)"),
        (0.5, r"shape \(\)"),
        ([0.1, math.nan, math.nan], "2 of 3 scores are not finite"),
        ([0.1, 0.2, math.inf], "1 of 3 scores are not finite"),
    ],
)
def test_bad_easiness_is_named(easiness_N, message):
    with pytest.raises(ValueError, match=message):
        draw_removed(easiness_N, 0, strategy="random", seed=0)
    with pytest.raises(ValueError, match=message):
        removed_shares(easiness_N, [0], [], num_classes=1)


def test_negative_scores_take_ranks_alone():
    with pytest.raises(
        ValueError, match=r"1 of 2 scores are negative, first -0.5 in row 0, and weighting is 'inverse'"
    ):
        draw_removed([-0.5, 0.2], 1, strategy="easy", seed=0)
    assert removal_weights([-0.5, 0.2], "easy", "rank").tolist() == [2, 1]
    assert removed_shares([-0.5, 0.2], [0, 0], [0], num_classes=1).classes.tolist() == [0.5]


def test_unknown_words_are_named_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown strategy 'stepwise'; choose from easy, hard, random"):
        removal_weights([1.0], "stepwise")
    with pytest.raises(ValueError, match="unknown weighting 'log'; choose from inverse, rank, reflect"):
        draw_removed([1.0, 2.0], 1, strategy="random", weighting="log", seed=0)


@pytest.mark.parametrize("count", [-1, 3, 4])
def test_count_must_leave_something(count):
    with pytest.raises(ValueError, match=f"cannot remove {count} of 3 examples; take 0 to 2"):
        draw_removed([1.0, 2.0, 3.0], count, strategy="easy", seed=0)


def test_a_ratio_is_refused_as_a_count():
    with pytest.raises(TypeError):
        draw_removed([1.0, 2.0], 0.5, strategy="easy", seed=0)


def test_balanced_needs_labels_that_fit():
    with pytest.raises(ValueError, match="needs labels_N"):
        draw_removed([1.0, 2.0], 1, strategy="easy", seed=0, balanced=True)
    with pytest.raises(ValueError, match=r"labels \(3,\) and easiness \(2,\) must have the same shape"):
        draw_removed([1.0, 2.0], 1, strategy="easy", seed=0, balanced=True, labels_N=[0, 1, 1])


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ([0, 0, 1], "lists 1 of 3 rows twice"),
        ([-1], "rows -1 to -1 reach beyond the 3 examples"),
        ([3], "rows 3 to 3 reach beyond the 3 examples"),
        ([True, False, True], "got bool"),
        ([0.0], "got float64"),
        ([[0], [1]], "of shape \\(2, 1\\)"),
    ],
)
def test_bad_rows_are_named(removed, message):
    with pytest.raises(ValueError, match=message):
        removed_shares([1.0, 2.0, 3.0], [0, 1, 1], removed, num_classes=2)
    with pytest.raises(ValueError, match=message):
        check_classes([0, 1, 1], removed, ["cat", "owl"])


@pytest.mark.parametrize(
    ("labels_N", "message"),
    [
        ([0, 1, 2], "from 0 to 1, got 0 to 2"),
        ([-1, 1, 0], "from 0 to 1, got -1 to 1"),
        ([0.0, 1.0, 1.0], "got float64"),
        ([0, 1], "same shape"),
    ],
)
def test_bad_labels_are_named(labels_N, message):
    with pytest.raises(ValueError, match=message):
        removed_shares([1.0, 2.0, 3.0], labels_N, [0], num_classes=2)
