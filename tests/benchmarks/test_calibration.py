"""Calibration of the matching in a few worlds, with limits that follow from the error of so few draws."""

import math

import numpy as np
import pytest

from easiness.benchmarks.calibration import COVERAGE, FALSE, TRUTHS, WIDTH, Line, World, calibrate, main, page

DRAWS = 60


def error(share, draws):
    """How far a share may be off by luck, once in 2,000 runs."""
    return 3.3 * math.sqrt(share * (1 - share) / draws)


@pytest.mark.parametrize(
    "world",
    [
        World("Gaussian", shared=False, examples=1000, trials=4),
        World("log-normal", shared=False, examples=1000, trials=10),
        World("bimodal", shared=False, examples=1000, trials=3),
        World("one trial × 5", shared=False, examples=1000, trials=4),
    ],
    ids=lambda world: world.shape,
)
def test_intervals_cover_and_are_narrow_verdicts_hold_and_ceilings_are_right(world):
    lines = list(calibrate(world, DRAWS, fractions=(0.2,)))
    assert [line.set for line in lines] == ["easy", "hard"]
    for line in lines:
        assert line.coverage > COVERAGE[0] - error(COVERAGE[0], DRAWS)
        # Both widths are spreads, with a relative error of √(1 / 2n).
        assert line.width < WIDTH * (1 + 3.3 * math.sqrt(0.5 / (TRUTHS * DRAWS)))
        assert line.false < FALSE + error(FALSE, TRUTHS * DRAWS)
        # A rate of 200 members has a spread of about 0.035; halves step it up by a factor of at most 2.
        assert abs(line.bias) < 3.3 * 0.07 / math.sqrt(DRAWS / 5)


def test_unrelated_rankings_are_called_shared_as_often_as_promised_in_all_worlds_together():
    worlds = [World(shape, False, 1000, 2) for shape in ("Gaussian", "log-normal", "bimodal")]
    lines = [line for world in worlds for line in calibrate(world, 40, fractions=(0.1, 0.2), seed=1)]
    # Easy and hard sets, and sets of both fractions, depend on each other: count each world once.
    assert 0 < np.mean([line.false for line in lines]) < FALSE + error(FALSE, 3 * TRUTHS * 40)


def test_page_names_the_lines_outside_their_limits():
    world = World("bimodal", shared=True, examples=1000, trials=3)
    good = Line(world, 0.1, "easy", coverage=0.95, width=1.1, false=0.02, bias=-0.01, draws=1000)
    bad = Line(world, 0.1, "hard", coverage=0.89, width=1.4, false=0.04, bias=0.05, draws=1000)
    assert good.complaints() == []
    assert bad.complaints() == ["coverage", "width", "false verdicts"]
    text = page([good, bad], "python")
    assert "| hard | 0.89 | 1.40 | 0.040 | +0.050 | coverage, width, false verdicts |" in text
    assert "| easy | 0.95 | 1.10 | 0.020 | -0.010 |  |" in text
    summary = "0.920 (0.89 to 0.95) | 1.25 (1.40) | 0.030 (0.040) | +0.020 (-0.010 to +0.050) | 1 of 2"
    assert f"| shared | 1000 | 3 | {summary} |" in text


def test_page_is_printed(monkeypatch, capsys):
    monkeypatch.setattr("easiness.benchmarks.calibration.worlds", lambda fast: [World("Gaussian", False, 1000, 2)])
    main(["matching", "--draws", "5", "--fast"])
    assert "`python -m easiness.benchmarks.calibration matching --draws 5 --fast`" in capsys.readouterr().out
