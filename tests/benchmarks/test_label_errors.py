"""Coverage of the estimate of wrong labels, at a glance; docs/label-errors.md has it at length."""

import pytest

from easiness.analysis import label_errors
from easiness.benchmarks.label_errors import WORLDS, cover


@pytest.mark.parametrize("world", WORLDS)
def test_the_interval_holds_the_truth_where_it_is_known(monkeypatch, world):
    monkeypatch.setattr(label_errors, "_RESAMPLINGS", 50)
    found = cover(WORLDS[world], (2_000, 100), 0.05, repeats=12, seed=0)
    assert found["high_holds"] >= 11 / 12
    assert found["low_holds"] >= 9 / 12
