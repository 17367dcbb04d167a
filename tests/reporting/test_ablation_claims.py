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
    found = hard_worth_more(accuracies({"hard": 0.0, "easy": gain}))
    assert found.verdict == expected
    assert "over the ratios 10, 30, 70 %" in found.number


def test_the_number_is_the_paired_mean_in_points():
    found = hard_worth_more(accuracies({"hard": 0.0, "easy": 0.05}))
    assert f"{100 * (0.05 + np.mean(NOISE)):+.2f} points of accuracy [" in found.number
    assert "over 3 seeds; taken alone, 3 of them lie above 0 and 0 below" in found.number


@pytest.mark.parametrize(("gain", "expected"), [(-0.05, HOLDS), (0.05, FAILS), (0.0, UNKNOWN)])
def test_many_easy_examples_hurt_where_random_is_better_at_the_greatest_ratio(gain, expected):
    table = accuracies({"random": 0.0, "easy": gain})
    # What happens at small ratios is no matter.
    table.loc[(table["strategy"] == "easy") & (table["ratio"] < 0.5), "accuracy"] -= 10 * gain
    found = many_easy_hurt(table)
    assert found.verdict == expected
    assert "with 70 % removed" in found.number


def test_few_removed_say_nothing_of_many():
    assert many_easy_hurt(accuracies({"random": 0.0, "easy": -0.5}, ratios=(0.1, 0.4))).verdict == UNKNOWN


def test_stepwise_is_easy_up_to_its_first_step():
    gains = {"easy": 0.0, "stepwise": 0.05}
    assert stepwise_beats_easy(accuracies(gains)).verdict == HOLDS
    assert "ratios 30, 70 %" in stepwise_beats_easy(accuracies(gains)).number
    assert stepwise_beats_easy(accuracies(gains, ratios=(0.1,))).verdict == UNKNOWN


def test_stepwise_against_random_is_judged_at_the_papers_ratio():
    table = accuracies({"random": 0.0, "stepwise": 0.05})
    table.loc[(table["strategy"] == "stepwise") & (table["ratio"] != 0.3), "accuracy"] -= 0.5
    found = stepwise_beats_random(table)
    assert found.verdict == HOLDS
    assert "+1.1 points for ResNet-50" in found.number
    elsewhere = stepwise_beats_random(accuracies({"random": 0.0, "stepwise": -0.05}, ratios=(0.5,)))
    assert elsewhere.verdict == FAILS


@pytest.mark.parametrize("judge", [hard_worth_more, many_easy_hurt, stepwise_beats_easy, stepwise_beats_random])
def test_what_was_not_measured_is_not_judged(judge):
    assert judge(None).verdict == UNKNOWN
    assert "-e ablate" in judge(None).number
    missing = judge(accuracies({}))
    assert missing.verdict == UNKNOWN
    assert "were not both run" in missing.number
    one_seed = judge(accuracies({"easy": 0.1, "hard": 0.0, "random": 0.3, "stepwise": 0.5}, seeds=1))
    assert one_seed.verdict == UNKNOWN
    assert "one seed, so no interval" in one_seed.number


def test_a_seed_that_lacks_an_arm_is_left_out():
    table = accuracies({"hard": 0.0, "easy": 0.05})
    table = table.drop(table[(table["strategy"] == "easy") & (table["seed"] == 2)].index)
    assert "over 2 seeds" in hard_worth_more(table).number
