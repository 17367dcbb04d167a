import math

import numpy as np
import pandas as pd
import pytest

from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN, changing_sets, diverse_sets, shared_sets
from easiness.reporting.rules import RULES


def matching(*intervals, kind="easy", epochs=None, scope="global", pairs=None):
    """Rows of one set: corrected intervals, by default of one pair at moments 1, 2, …"""
    rows = []
    for index, (low, high) in enumerate(intervals):
        a, b = pairs[index] if pairs else ("x", "y")
        low_rate, rate, high_rate = (0.12 + 0.88 * value for value in (low, (low + high) / 2, high))
        rows.append(
            {
                "a": a, "b": b, "set": kind, "scope": scope, "epoch": epochs[index] if epochs else index + 1,
                "rate": rate, "low": low_rate, "high": high_rate, "chance_given_classes": 0.12,
                "chance_given_classes_sd": 0.01, "corrected": (low + high) / 2, "corrected_low": low,
                "corrected_high": high, "chance_p": 0.001, "ceiling": 0.5, "trials_a": 4, "trials_b": 4,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.1, 0.3), (0.2, 0.4)], HOLDS),
        ([(0.0, 0.3), (0.2, 0.4)], UNKNOWN),  # 0 itself is luck
        ([(-0.1, 0.3), (0.2, 0.4)], UNKNOWN),
        ([(0.1, 0.3), (-0.1, 0.4)], UNKNOWN),
        ([(0.1, 0.3), (-0.4, -0.1)], FAILS),
        ([(0.1, 0.3), (-0.4, 0.04)], FAILS),  # a tenth of what could be shared is 0.043
        ([(0.1, 0.3), (-0.4, 0.05)], UNKNOWN),
        ([(-0.4, -0.1), (0.1, 0.3)], UNKNOWN),  # below luck at first only
        ([(np.nan, np.nan)], UNKNOWN),
    ],
)
def test_sets_are_shared_where_every_interval_lies_above_luck(intervals, expected):
    found = shared_sets(matching(*intervals), "easy")
    assert found.verdict == expected
    last = 0.12 + 0.88 * sum(intervals[-1]) / 2
    assert math.isnan(last) or f"{last:.3f} of the whole set (luck and class mix: 0.120)" in found.number
    assert math.isnan(last) or f"of what could be shared, over both ways to cut, {last / 0.5:.3f}" in found.number
    assert (expected == UNKNOWN) == ("would have been found" in found.number)


def test_one_pair_that_shares_nothing_is_enough_to_refute():
    pairs = [("x", "y"), ("x", "z")]
    found = shared_sets(matching((0.2, 0.3), (-0.2, -0.1), pairs=pairs, epochs=[1, 1]), "easy")
    assert found.verdict == FAILS
    assert "x and z share next to nothing beyond luck" in found.number
    assert "2 pairs share" in found.number


def test_the_other_set_and_both_ways_to_cut_count_where_they_belong():
    bad_hard = matching((-0.3, -0.2), kind="hard")
    assert shared_sets(pd.concat([matching((0.1, 0.2)), bad_hard]), "easy").verdict == HOLDS
    bad_class = matching((-0.3, 0.2), scope="per_class")
    assert shared_sets(pd.concat([matching((0.1, 0.2)), bad_class]), "easy").verdict == UNKNOWN


def test_without_a_match_run_nothing_is_claimed():
    assert shared_sets(None, "hard").verdict == UNKNOWN
    assert "-e match" in shared_sets(None, "hard").number
    assert shared_sets(matching((0.1, 0.2)), "hard").verdict == UNKNOWN
    assert changing_sets(None, "easy", {}).verdict == UNKNOWN
    assert diverse_sets(None).verdict == UNKNOWN


WHOLE = {"net0": {"epochs": 300.0, "schedule_epochs": 300}}


def moments(*rates, reach=0.05, last=100, ceiling=0.7, trials=10):
    return pd.DataFrame(
        [
            {"a": f"net{i}", "b": f"net{i}", "set": "easy", "scope": "global", "updates_a": 10, "updates_b": last,
             "rate": rate, "low": rate - reach, "high": rate + reach, "ceiling": ceiling, "trials_a": trials,
             "trials_b": trials}
            for i, rate in enumerate(rates)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.62], HOLDS),  # 0.08 below the ceiling, and √2 · 0.05 is 0.071
        ([0.64], UNKNOWN),
        ([0.2, 0.62], HOLDS),
        ([0.2, 0.64], UNKNOWN),  # every model must
        ([0.7], UNKNOWN),  # nine tenths of the ceiling are 0.63
        ([0.71], FAILS),
        ([0.72, 0.2], FAILS),  # one model refutes it, by 0.084 where there are two
        ([0.702, 0.2], UNKNOWN),
        ([math.nan], UNKNOWN),
    ],
)
def test_sets_change_where_less_stays_than_noise_leaves(rates, expected):
    found = changing_sets(moments(*rates), "easy", WHOLE)
    assert found.verdict == expected
    assert (expected == UNKNOWN) == ("would have been found" in found.number)
    assert found.claim == "Easy examples change during training"
    if expected == HOLDS:
        assert f"{rates[-1] / 0.7:.2f} of the 0.700 that could stay" in found.number


def test_a_part_of_a_training_is_named_in_the_claim():
    part = WHOLE | {"net1": {"epochs": 5.0, "schedule_epochs": 300}}
    assert changing_sets(moments(0.3, 0.3), "easy", part).claim == (
        "Easy examples change during the first 5 of 300 epochs or 300 of 300 epochs"
    )
    part.pop("net0")
    assert changing_sets(moments(0.3), "hard", part).claim == "Hard examples change during the first 5 of 300 epochs"


def test_a_single_moment_changes_nothing():
    found = changing_sets(moments(1, last=10), "easy", WHOLE)
    assert found.verdict == UNKNOWN
    assert "scored at a single moment, so that no change would have been found" in found.number


def diversities(*classes, models=("net",), error=0.01):
    """Rows of sets whose diversities are those of each class: easy, random, hard."""
    return pd.DataFrame(
        [
            {"class_name": f"class {c}", "model": model, "set": name, "images": 50, "diversity": value, "error": error}
            for model in models
            for c, values in enumerate(classes)
            for name, value in zip(("easy", "random", "hard"), values, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([(0.7, 0.8, 0.9)], HOLDS),
        ([(0.7, 0.8, 0.81)], UNKNOWN),
        ([(0.7, 0.8, 0.81)] * 40, HOLDS),  # on average over classes
        ([(0.7, 0.9, 0.8)], FAILS),
        ([(0.7, 0.8, 0.9)] * 9 + [(0.7, 0.9, 0.8)], UNKNOWN),  # a class that shows the reverse
        ([(0.7, 0.8, 0.9)] * 9 + [(0.7, 0.8, 0.77)], HOLDS),  # which it does not, of ten
    ],
)
def test_diversity_is_ordered_where_both_steps_say_so(classes, expected):
    found = diverse_sets(diversities(*classes))
    assert found.verdict == expected
    assert (expected == UNKNOWN) == ("would have been found (80 % power)" in found.number)


def test_every_model_must_show_the_order():
    both = diversities((0.7, 0.8, 0.9), models=("one", "two"))
    assert diverse_sets(both).verdict == HOLDS
    both.loc[(both["model"] == "two") & (both["set"] == "hard"), "diversity"] = 0.81
    found = diverse_sets(both)
    assert found.verdict == UNKNOWN
    assert "hard sets are +0.010 [" in found.number
    assert "of single classes under single models, 1 of 2 show both steps, and 0 a step reversed" in found.number
    both.loc[(both["model"] == "two") & (both["set"] == "hard"), "diversity"] = 0.7
    assert diverse_sets(both).verdict == FAILS


def test_rules_and_their_error_rates_stand_with_every_verdict():
    for rule in RULES.values():
        assert (
            f"{100 * rule.false:.1f} % of cases at most (shapes of losses counted together) with {rule.nothing}"
            in rule.rates
        )
        assert f"{100 * rule.found:.0f} % with {rule.effect}" in rule.rates
    assert diverse_sets(None).rates == RULES["diverse"].rates
    assert diverse_sets(None).rule == RULES["diverse"].text
