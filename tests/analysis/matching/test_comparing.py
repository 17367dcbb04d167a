"""Student's quantiles against printed tables."""

import pytest

from easiness.analysis.matching.comparing import freedom, student_quantile


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.706), (2, 4.303), (5, 2.571), (18, 2.101), (200, 1.972)])
def test_quantiles_are_those_of_the_tables(degrees, quantile):
    assert student_quantile(degrees) == pytest.approx(quantile, rel=1e-3)


def test_two_trials_leave_one_degree_of_freedom_and_more_leave_more():
    assert freedom(2) == 1
    degrees = [freedom(trials) for trials in range(2, 30)]
    assert degrees == sorted(degrees)
    assert freedom(10) == 9
