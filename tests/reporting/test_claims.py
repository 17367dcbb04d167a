import numpy as np
import pandas as pd
import pytest

from easiness.reporting.claims import FAILS, HOLDS, UNKNOWN, changing_sets, diverse_sets, shared_sets


def matching(*intervals, kind="easy", epochs=None, scope="global", rate=0.4, pairs=None):
    """Rows of one set: corrected intervals, by default of one pair at moments 1, 2, …"""
    rows = []
    for index, (low, high) in enumerate(intervals):
        a, b = pairs[index] if pairs else ("x", "y")
        rows.append(
            {
                "a": a, "b": b, "set": kind, "scope": scope, "epoch": epochs[index] if epochs else index + 1,
                "rate": rate, "chance_given_classes": 0.12, "corrected": (low + high) / 2, "corrected_low": low,
                "corrected_high": high, "chance_p": 0.001,
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
        ([(0.1, 0.3), (-0.4, 0.0)], FAILS),
        ([(-0.4, -0.1), (0.1, 0.3)], UNKNOWN),  # below luck at first only
        ([(np.nan, np.nan)], UNKNOWN),
    ],
)
def test_sets_are_shared_where_every_interval_lies_above_luck(intervals, expected):
    found = shared_sets(matching(*intervals), "easy")
    assert found.verdict == expected
    assert "0.400 of the whole set (luck and class mix: 0.120)" in found.number


def test_one_pair_that_shares_nothing_is_enough_to_refute():
    pairs = [("x", "y"), ("x", "z")]
    found = shared_sets(matching((0.2, 0.3), (-0.2, -0.1), pairs=pairs, epochs=[1, 1]), "easy")
    assert found.verdict == FAILS
    assert "x and z share no more than luck" in found.number
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
    assert changing_sets(None, "easy").verdict == UNKNOWN
    assert diverse_sets({}).verdict == UNKNOWN


def moments(*intervals, last=100):
    return pd.DataFrame(
        [
            {"a": f"net{i}", "set": "easy", "scope": "global", "updates_a": 10, "updates_b": last,
             "rate": (low + high) / 2, "low": low, "high": high}
            for i, (low, high) in enumerate(intervals)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.1, 0.2), (0.3, 0.49)], HOLDS),
        ([(0.1, 0.2), (0.3, 0.51)], UNKNOWN),
        ([(0.1, 0.2), (0.6, 0.7)], UNKNOWN),
        ([(0.51, 0.8), (0.6, 0.7)], FAILS),
        ([(np.nan, np.nan)], UNKNOWN),
    ],
)
def test_sets_change_where_less_than_half_stays(intervals, expected):
    assert changing_sets(moments(*intervals), "easy").verdict == expected


def test_a_single_moment_changes_nothing():
    found = changing_sets(moments((1, 1), last=10), "easy")
    assert (found.verdict, found.number) == (UNKNOWN, "every model was scored at a single moment")


def order(p_hard, p_easy):
    return {"class_name": "dog", "hard_minus_random": 1.0, "random_minus_easy": 2.0, "p_hard": p_hard, "p_easy": p_easy}


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ([(0.01, 0.04)], HOLDS),
        ([(0.01, 0.06)], UNKNOWN),
        ([(0.01, 0.96)], FAILS),
        ([(0.01, 0.01), (0.2, 0.01)], UNKNOWN),
        ([(0.01, 0.01), (0.99, 0.01)], FAILS),
    ],
)
def test_diversity_is_ordered_where_both_tests_say_so(tests, expected):
    assert diverse_sets({f"net{i}": order(*each) for i, each in enumerate(tests)}).verdict == expected
