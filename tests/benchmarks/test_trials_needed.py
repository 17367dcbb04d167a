"""Predictions of the trials needed, in a small share of the settings of the page."""

import numpy as np
import pytest

from easiness.benchmarks.trials_needed import NAMES, World, main, measure


@pytest.mark.parametrize("name", ["log-normal", "noisier the harder"])
def test_predictions_come_true_within_the_error_that_the_page_states(name):
    for line in measure(World(name, 1000), 5):
        assert len(line.error) == 3
        # Means of five, whose standard deviation is at most 0.07 from 4 trials and 0.04 from 10, and what the truth
        # itself varies with 1,000 examples (0.015).
        limit = {4: 0.1, 10: 0.06}[line.measured]
        assert np.abs(line.error).max() < limit
        assert max(line.outside) < limit


def test_the_page_holds_every_world(monkeypatch, capsys):
    monkeypatch.setattr("easiness.benchmarks.trials_needed.MEASURED", (4,))
    monkeypatch.setattr("easiness.benchmarks.trials_needed.TRUTHS", 2)
    monkeypatch.setattr("easiness.benchmarks.trials_needed.EXAMPLES", (200,))
    main(["--draws", "1"])
    said = capsys.readouterr().out
    assert said.count("\n| ") == 2 + 2 * len(NAMES)
    assert "From 4 trials of 200 examples" in said
