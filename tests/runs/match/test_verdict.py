"""The verdict of a matching in every case."""

import math

import pandas as pd
import pytest

from easiness.runs.match.tables import match_models
from easiness.runs.match.verdict import detectable_rate, judge, trial_error, verdicts
from tests.runs.match.test_tables import QUICK, make_models, make_table


def test_verdict_of_sets_that_are_shared():
    results = match_models(make_models(("a", "b", "c")), make_table(), QUICK, paper_models={})
    entries = verdicts(results.pairs)
    assert [(entry["scope"], entry["set"]) for entry in entries] == [
        ("global", "easy"), ("global", "hard"), ("per_class", "easy"), ("per_class", "hard")
    ]  # fmt: skip
    last = results.pairs.query("scope == 'global' and set == 'easy' and epoch == 2")
    entry = entries[0]
    assert (entry["pairs"], entry["epoch"]) == (3, 2)
    assert (entry["rate_min"], entry["rate_max"]) == (last["rate"].min(), last["rate"].max())
    assert entry["corrected_low_min"] == last["corrected_low"].min() > 0
    assert entry["beyond_chance"] == {"last": True, "all": True}
    assert "beyond chance in every pair, at every moment" in entry["sentence"]
    possible = last["rate"] / last["ceiling"]
    assert f"of what could be shared, {possible.min():.2f} to {possible.max():.2f} is;" in entry["sentence"]
    assert f"{last['rate'].min():.2f} to {last['rate'].max():.2f}" in entry["sentence"]


def rows_of(low_by_epoch, chance_p=0.001):
    """Rows of pairs whose corrected interval, 0.2 long, begins where the test says."""
    return pd.DataFrame(
        [
            {"a": "a", "b": b, "set": "easy", "scope": "global", "epoch": epoch + 1, "chance_given_classes": 0.1,
             "chance_given_classes_sd": 0.01, "chance_p": chance_p, "corrected": low + 0.1, "corrected_low": low,
             "corrected_high": low + 0.2, "trials_a": 4, "trials_b": 4, "ceiling": 0.7}
            | {name: 0.1 + 0.9 * (low + reach) for name, reach in (("low", 0), ("rate", 0.1), ("high", 0.2))}
            for b, lows in low_by_epoch.items() for epoch, low in enumerate(lows)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lows", "judged"),
    [
        ({"b": [-0.1, 0.3]}, "of what could be shared, 0.66 is; beyond chance in every pair, but not at all moments"),
        ({"b": [0.2, -0.1], "c": [0.2, 0.3]}, "in 1 of 2 pairs the luck of trials or examples can give as much"),
        ({"b": [0.2, -0.1], "c": [0.2, 0.3]}, "and a rate of 0.23 would have been found (80 % power)"),
        ({"b": [math.nan, math.nan]}, "no interval, since a side has one trial only"),
    ],
)
def test_verdict_says_what_is_missing(lows, judged):
    (entry,) = verdicts(rows_of(lows))
    assert judged in entry["sentence"]


def test_verdict_is_about_the_last_moment_that_all_pairs_have():
    (entry,) = verdicts(rows_of({"b": [0.2, 0.2, 0.9], "c": [0.2, 0.1]}))
    assert (entry["epoch"], entry["corrected_low_min"]) == (2, 0.1)


def test_a_pair_that_shares_next_to_nothing_at_the_last_moment_refutes():
    """Next to nothing is below a tenth of what could be shared, 0.16, by Holm's correction over three pairs."""
    rows = rows_of({"b": [-0.7, 0.2], "c": [0.2, -0.24], "d": [0.2, 0.3]})
    judged = judge(rows)
    assert (judged.beyond_at_last, judged.beyond_always) == (False, False)
    assert judged.refuting["b"].tolist() == ["c"]
    assert judged.reaching["b"].tolist() == ["b", "c"]
    barely = rows_of({"b": [-0.7, 0.2], "c": [0.2, -0.15], "d": [0.2, 0.3]})
    assert judge(barely).refuting.empty
    assert judge(barely[barely["b"] == "c"]).refuting["b"].tolist() == ["c"]  # alone, it would


def test_power_is_that_of_students_t():
    (row,) = rows_of({"b": [-0.1]}).itertuples()
    error, degrees = trial_error(row)
    assert degrees == 6
    assert error == pytest.approx(0.09 / 2.447, rel=1e-3)
    # 3.34 is where the noncentral t with six degrees of freedom exceeds 2.447 in 80 %.
    assert detectable_rate(row) == pytest.approx(0.1 + math.hypot(3.34 * error, 2.8 * 0.01), abs=0.002)


@pytest.mark.parametrize(("chance_p", "beyond"), [(0.025, True), (0.03, False)])
def test_an_interval_above_chance_does_not_outweigh_the_luck_of_the_examples(chance_p, beyond):
    judged = judge(rows_of({"b": [0.2]}, chance_p))
    assert (judged.beyond_at_last, judged.beyond_always) == (beyond, beyond)
    assert not len(judged.refuting)
