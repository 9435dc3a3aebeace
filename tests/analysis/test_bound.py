"""Three-valued verdicts."""

import math

import pytest

from fluxeq.analysis.claims.bound import ABOVE_ZERO, Bound, all_hold, undecided
from fluxeq.analysis.spread import Interval


@pytest.mark.parametrize(
    ("low", "high", "n", "holds"),
    [
        (10, 30, 3, True),
        (2, 9.9, 3, False),
        (2, 30, 3, None),
        (60, 70, 3, False),
        (20, 51, 3, None),
        (20, 30, 1, None),  # one instance has no interval
        (math.nan, 30, 3, None),
        (-math.inf, 5, 3, False),
    ],
)
def test_a_whole_interval_decides(low, high, n, holds):
    assert Bound("a", Interval(low, high), n, least=10, most=50).holds is holds


def test_equal_accuracies_are_not_more():
    assert Bound("a", Interval(0.0, 0.0), 3, least=ABOVE_ZERO).holds is False
    assert Bound("a", Interval(1e-12, 1.0), 3, least=ABOVE_ZERO).holds is True


def test_one_that_fails_decides_over_all():
    yes, no, open_ = (
        Bound(name, Interval(low, high), 3, least=1) for name, low, high in (("y", 1, 2), ("n", 0, 0), ("o", 0, 2))
    )
    assert all_hold([yes, yes]) is True
    assert all_hold([yes, open_]) is None
    assert all_hold([yes, open_, no]) is False
    assert undecided([yes, open_]) == "undecided by o: the interval contains the threshold; more instances decide it"
    assert "one instance has no interval" in undecided([open_._replace(n=1)])
