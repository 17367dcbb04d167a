import numpy as np
import pandas as pd
import pytest

from easiness.reporting.ablation_claims import (
    hard_worth_more,
    many_easy_hurt,
    stepwise_beats_easy,
    stepwise_beats_random,
)
from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN

NOISE = (0.001, -0.001, 0.0005)


def accuracies(gains, *, ratios=(0.1, 0.3, 0.7), seeds=3):
    """Accuracies that differ by strategy as told, the same for every ratio, with a little noise; 0 is 90 %."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        luck = rng.normal(0, 0.02)  # shared by all arms of a seed, so that pairing matters
        rows.append({"strategy": "none", "ratio": 0.0, "seed": seed, "accuracy": 0.9 + luck})
        rows += [
            {"strategy": name, "ratio": ratio, "seed": seed, "accuracy": 0.8 + luck + gain + NOISE[seed] * index}
            for index, (name, gain) in enumerate(gains.items())
            for ratio in ratios
        ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("gain", "expected"), [(0.05, HOLDS), (-0.05, FAILS), (0.0, UNKNOWN)])
def test_hard_examples_are_worth_more_where_losing_them_costs_more(gain, expected):
    found = hard_worth_more(accuracies({"hard": 0.0, "easy": gain, "random": gain}))
    assert found.verdict == expected
    words = {HOLDS: "it shows at 10, 30 %", FAILS: "the reverse shows at 10, 30 %", UNKNOWN: "no ratio shows it"}
    assert found.number.startswith(words[expected])
    assert "70 %:" not in found.number  # where very much is removed, easy collapses


def test_hard_examples_are_held_against_random_and_against_easy():
    against_easy = hard_worth_more(accuracies({"hard": 0.0, "easy": 0.05, "random": 0.0}))
    against_random = hard_worth_more(accuracies({"hard": 0.0, "easy": 0.0, "random": 0.05}))
    assert against_easy.verdict == against_random.verdict == UNKNOWN
    assert hard_worth_more(accuracies({"hard": 0.0, "easy": 0.05, "random": -0.05})).verdict == FAILS


def test_the_number_is_the_paired_mean_in_points_with_its_interval():
    found = stepwise_beats_easy(accuracies({"easy": 0.0, "stepwise": 0.05}, ratios=(0.3,)))
    low, high = (100 * (0.05 + np.mean(NOISE) + sign * 4.303 * np.std(NOISE, ddof=1) / 3**0.5) for sign in (-1, 1))
    mean = 100 * (0.05 + np.mean(NOISE))
    assert f"stepwise instead of easy leaves, by percent removed, 30 %: {mean:+.2f} [{low:+.2f}, {high:+.2f}]" in (
        found.number
    )
    assert "points of accuracy over 3 seeds" in found.number


@pytest.mark.parametrize(("gain", "expected"), [(-0.05, HOLDS), (0.05, FAILS), (0.0, UNKNOWN)])
def test_many_easy_examples_hurt_where_random_is_better_at_great_ratios(gain, expected):
    table = accuracies({"random": 0.0, "easy": gain})
    # What happens at small ratios is no matter.
    table.loc[(table["strategy"] == "easy") & (table["ratio"] < 0.5), "accuracy"] -= 10 * gain
    found = many_easy_hurt(table)
    assert found.verdict == expected
    assert "by percent removed, 70 %:" in found.number


def test_few_removed_say_nothing_of_many():
    few = many_easy_hurt(accuracies({"random": 0.0, "easy": -0.5}, ratios=(0.1, 0.4)))
    assert few.verdict == UNKNOWN
    assert "random and easy were not all run at a ratio from 50 % to 100 %" in few.number


def test_stepwise_is_easy_up_to_its_first_step():
    gains = {"easy": 0.0, "stepwise": 0.05}
    assert stepwise_beats_easy(accuracies(gains)).verdict == HOLDS
    assert stepwise_beats_easy(accuracies(gains)).number.startswith("it shows at 30, 70 %")
    assert stepwise_beats_easy(accuracies(gains, ratios=(0.1,))).verdict == UNKNOWN


def test_stepwise_against_random_says_at_which_ratios_and_beside_it_what_the_paper_prints():
    table = accuracies({"random": 0.0, "stepwise": 0.05})
    table.loc[(table["strategy"] == "stepwise") & (table["ratio"] == 0.7), "accuracy"] -= 0.05
    found = stepwise_beats_random(table)
    assert found.verdict == HOLDS
    assert found.number.startswith("it shows at 10, 30 %")
    assert "+1.1 points at 30 % for ResNet-50" in found.number


def test_ratios_that_contradict_each_other_leave_it_open():
    table = accuracies({"random": 0.0, "stepwise": 0.05})
    table.loc[(table["strategy"] == "stepwise") & (table["ratio"] == 0.7), "accuracy"] -= 0.1
    found = stepwise_beats_random(table)
    assert found.verdict == UNKNOWN
    assert found.number.startswith("it shows at 10, 30 %, and the reverse at 70 %")


def test_holm_asks_more_of_the_best_of_several_ratios():
    """A difference that is found where one ratio is looked at, and not where ten are."""
    gains = {"random": 0.0, "stepwise": 0.0021}
    assert stepwise_beats_random(accuracies(gains, ratios=(0.3,))).verdict == UNKNOWN
    table = accuracies({"random": 0.0, "stepwise": 0.004}, ratios=[0.05 * k for k in range(1, 11)])
    others = (table["strategy"] == "stepwise") & (table["ratio"] != 0.05)
    table.loc[others, "accuracy"] -= 0.004
    assert stepwise_beats_random(table[table["ratio"] <= 0.05]).verdict == HOLDS
    assert stepwise_beats_random(table).verdict == UNKNOWN


@pytest.mark.parametrize("judge", [hard_worth_more, many_easy_hurt, stepwise_beats_easy, stepwise_beats_random])
def test_what_was_not_measured_is_not_judged(judge):
    assert judge(None).verdict == UNKNOWN
    assert "-e ablate" in judge(None).number
    missing = judge(accuracies({}))
    assert missing.verdict == UNKNOWN
    assert "were not all run" in missing.number
    one_seed = judge(accuracies({"easy": 0.1, "hard": 0.0, "random": 0.3, "stepwise": 0.5}, seeds=1))
    assert one_seed.verdict == UNKNOWN
    assert "one seed, with which no difference would have been found" in one_seed.number


def test_cannot_tell_says_what_would_have_been_found():
    """Two degrees of freedom and one ratio: 5.65 standard errors, where the noncentral t exceeds 4.303 in 80 %."""
    found = stepwise_beats_easy(accuracies({"easy": 0.0, "stepwise": 0.0}, ratios=(0.3,)))
    needed = 5.65 * 100 * np.std(NOISE, ddof=1) / 3**0.5
    assert f"differences of {needed:.2f} points would have been found (80 % power)" in found.number


def test_arms_that_are_equal_to_the_last_digit_show_nothing():
    table = accuracies({"easy": 0.0, "stepwise": 0.0})
    table["accuracy"] = 0.5
    assert stepwise_beats_easy(table).verdict == UNKNOWN


def test_a_seed_that_lacks_an_arm_is_left_out():
    table = accuracies({"random": 0.0, "easy": -0.05})
    table = table.drop(table[(table["strategy"] == "easy") & (table["seed"] == 2)].index)
    assert "over 2 seeds" in many_easy_hurt(table).number
