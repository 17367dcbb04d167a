"""Rates at other fractions are those of a matching at these fractions."""

import dataclasses

import numpy as np
import pytest

from easiness.analysis.matching.pairs import match_pairs
from easiness.analysis.matching.sensitivity import FRACTIONS, match_at_fractions
from easiness.analysis.matching.sides import MatchOptions, ScoredModel

QUICK = MatchOptions(draws=2, splits=5, threads=1)


@pytest.fixture(scope="module")
def models():
    rng = np.random.default_rng(0)
    common_N = rng.normal(size=400)
    # Whole losses: ties are broken alike in both.
    return [
        ScoredModel(
            name,
            tuple(range(10, 10 * moments + 10, 10)),
            [np.round(2 * (common_N + rng.normal(size=(4, 400)))).astype(np.float32) for _ in range(moments)],
        )
        for name, moments in (("a", 2), ("b", 3), ("c", 3))
    ]


LABELS = np.arange(400) % 3


@pytest.mark.parametrize("fraction", [0.1, 0.15])
def test_rates_are_those_of_a_matching_at_that_fraction(models, fraction):
    options = dataclasses.replace(QUICK, fraction=fraction)
    rows = match_at_fractions(models, LABELS, options, match_pairs(models, LABELS, options))
    sets = [row for row in rows if row.measure == "matching rate"]
    assert {row.fraction for row in sets} == {*FRACTIONS, fraction}
    assert len(sets) == (3 + 3 + 1) * 2 * 2 * len({*FRACTIONS, fraction})  # pairs at three moments, scopes, sets
    for each in {*FRACTIONS, fraction}:
        matched = {
            (row.epoch, row.scope, row.a, row.b, row.set): row
            for row in match_pairs(models, LABELS, dataclasses.replace(QUICK, fraction=each))
        }
        for row in sets:
            if row.fraction == each:
                expected = matched[row.epoch, row.scope, row.a, row.b, row.set]
                assert (row.rate, row.chance_given_classes) == (expected.rate, expected.chance_given_classes)
                assert row.corrected == expected.corrected
                assert row.ceiling == pytest.approx(expected.ceiling, abs=0.15)


def test_rank_biased_overlap_stands_beside_every_pair_and_end(models):
    options = dataclasses.replace(QUICK, fraction=0.1)
    rows = match_at_fractions(models, LABELS, options, match_pairs(models, LABELS, options))
    sets = {(row.epoch, row.scope, row.a, row.b, row.set): row for row in rows if row.fraction == 0.1}
    ranked = [row for row in rows if row.measure == "rank-biased overlap"]
    assert len(ranked) == len(sets) == 7 * 4
    for row in ranked:
        assert (row.fraction, row.ceiling) == (0.1, None)
        assert 0 < row.chance_given_classes < row.rate < 1
        assert row.updates_a == row.updates_b == 10 * row.epoch


def test_no_pairs_no_rows(models):
    assert match_at_fractions(models[:1], LABELS, QUICK, []) == []
