"""The verdict of a matching in every case."""

import math

import pandas as pd
import pytest

from easiness.runs.match.tables import match_models
from easiness.runs.match.verdict import judge, verdicts
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
    assert f"{last['rate'].min():.2f} to {last['rate'].max():.2f}" in entry["sentence"]


def rows_of(low_by_epoch, chance_p=0.001):
    """Rows of one pair whose corrected interval begins where the test says."""
    return pd.DataFrame(
        [
            {"a": "a", "b": b, "set": "easy", "scope": "global", "epoch": epoch + 1, "rate": 0.5,
             "chance_given_classes": 0.1, "chance_p": chance_p, "corrected": 0.44, "corrected_low": low,
             "corrected_high": low + 0.5}
            for b, lows in low_by_epoch.items() for epoch, low in enumerate(lows)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lows", "judged"),
    [
        ({"b": [-0.1, 0.3]}, "intervals from 0.30 up: beyond chance in every pair, but not at all moments"),
        ({"b": [0.2, -0.1], "c": [0.2, 0.3]}, "in 1 of 2 pairs the luck of trials or examples can give as much"),
        ({"b": [math.nan, math.nan]}, "no interval, since a side has one trial only"),
    ],
)
def test_verdict_says_what_is_missing(lows, judged):
    (entry,) = verdicts(rows_of(lows))
    assert judged in entry["sentence"]


def test_verdict_is_about_the_last_moment_that_all_pairs_have():
    (entry,) = verdicts(rows_of({"b": [0.2, 0.2, 0.9], "c": [0.2, 0.1]}))
    assert (entry["epoch"], entry["corrected_low_min"]) == (2, 0.1)


def test_a_pair_at_chance_at_the_last_moment_refutes():
    rows = rows_of({"b": [-0.7, 0.2], "c": [0.2, -0.6], "d": [0.2, 0.3]})
    judged = judge(rows)
    assert (judged.beyond_at_last, judged.beyond_always) == (False, False)
    assert judged.refuting["b"].tolist() == ["c"]
    assert judged.reaching["b"].tolist() == ["b", "c"]


@pytest.mark.parametrize(("chance_p", "beyond"), [(0.025, True), (0.03, False)])
def test_an_interval_above_chance_does_not_outweigh_the_luck_of_the_examples(chance_p, beyond):
    judged = judge(rows_of({"b": [0.2]}, chance_p))
    assert (judged.beyond_at_last, judged.beyond_always) == (beyond, beyond)
    assert not len(judged.refuting)
