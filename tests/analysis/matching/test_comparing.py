"""Degrees of freedom behind the interval of a rate."""

from easiness.analysis.matching.comparing import freedom


def test_two_trials_leave_one_degree_of_freedom_and_more_leave_more():
    assert freedom(2) == 1
    degrees = [freedom(trials) for trials in range(2, 30)]
    assert degrees == sorted(degrees)
    assert freedom(10) == 9
