"""Sums over all hops against the other exact results, and cases that are too large."""

from dataclasses import replace

import pytest

from fluxeq import exact
from fluxeq.enumeration import ACCURACY, enumerated
from fluxeq.errors import InputError, StabilityError
from fluxeq.theory import Theory

POINTS = [
    (Theory(3.0, 0, 0.7), (2,)),
    (Theory(4.0, 0, -0.7), (5,)),
    (Theory(8.0, 0, 0.9), (2, 2)),
    (Theory(4.25, 1, 0.9), (2, 2)),
]


@pytest.mark.parametrize(("theory", "shape"), POINTS)
def test_against_other_oracles(theory, shape):
    found, expected = enumerated(theory, shape), exact.solve(theory, shape)
    assert (found.n, found.phi2) == pytest.approx((expected.n, expected.phi2), abs=10 * ACCURACY)
    assert found.truncation < ACCURACY
    wrong = exact.solve(replace(theory, mu=theory.mu + 0.01), shape)
    assert abs(found.n - wrong.n) > 100 * ACCURACY


def test_more_bonds_a_site():
    """Nearly empty, so that few hops suffice."""
    theory, shape = Theory(120.0, 0, 2.4), (3, 2)
    expected = exact.free_field(theory, shape)
    assert expected.n > 100 * ACCURACY
    assert enumerated(theory, shape).n == pytest.approx(expected.n, abs=10 * ACCURACY)


def test_too_many_hops():
    with pytest.raises(InputError, match="on 8x8: too many hops to enumerate; choose a smaller lattice, or a smaller"):
        enumerated(Theory(4.01, 1, 1.5), (8, 8))
    with pytest.raises(StabilityError):
        enumerated(Theory(4.0, 0, 0.7), (2, 2))
