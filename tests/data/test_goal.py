"""When an error is small enough, and how many configurations that requires: error^2 falls as 1 / N."""

import numpy as np
import pytest

from fluxeq.data.goal import Goal, parse_goals
from fluxeq.errors import InputError
from fluxeq.statistics import estimate

SHAPE = (6, 4)
RNG = np.random.default_rng(1)
SERIES = [RNG.normal(size=500) for _ in range(4)]
"""Unit variance, hence an error of 1 / sqrt(2000) = 0.022."""


def test_an_error_that_is_reached():
    error = estimate(SERIES).error
    assert Goal("n", 1.001 * error).reached(SERIES, SHAPE)
    assert not Goal("n", 0.999 * error).reached(SERIES, SHAPE)
    assert Goal("phi2", 1e300).shortfall(SERIES, SHAPE) == ""


def test_as_many_as_it_takes_are_enough():
    """A tenth of the error requires about 100 times as many configurations, and these suffice."""
    goal = Goal("n", 0.1 * estimate(SERIES).error)
    n_required = goal.n_required(SERIES, SHAPE)
    assert n_required == pytest.approx(100 * 2000)
    assert goal.shortfall(SERIES, SHAPE).endswith("is not reached with 2000 configurations; about 200000 are required")
    more = [RNG.normal(size=int(1.2 * n_required / 4)) for _ in range(4)]
    assert goal.reached(more, SHAPE)
    assert not goal.reached([one[: len(one) // 2] for one in more], SHAPE)


def test_an_error_that_cannot_be_trusted_is_not_reached():
    """Chains shorter than 100 tau_int in total: at least that many are required."""
    slow = [np.cumsum(RNG.normal(size=100)) for _ in range(4)]
    found = estimate(slow)
    assert found.status == "short"
    goal = Goal("n", 10 * found.error)
    assert not goal.reached(slow, SHAPE)
    assert goal.n_required(slow, SHAPE) == pytest.approx(100 * found.tau_int)


@pytest.mark.parametrize(
    "series", [[np.arange(7.0)] * 4, [np.full(20, 1.0), np.full(20, 2.0)]], ids=["short", "frozen"]
)
def test_no_error_at_all(series):
    n = sum(map(len, series))
    said = Goal("n", 1.0).shortfall(series, SHAPE)
    assert said == f"n=1 is not reached with {n} configurations; too few to estimate the number required; allow more"


@pytest.mark.parametrize("error", [1e-14, 1e-300, 5e-324])
def test_errors_beyond_reach(error):
    said = Goal("n", error).shortfall(SERIES, SHAPE)
    assert said == f"n={error:g} is not reached with 2000 configurations; out of reach; choose a larger error"


@pytest.mark.parametrize(("shape", "step"), [((6, 4), 1 / 4), ((6,), 1.0), ((3, 2, 5), 1 / 10)])
def test_a_constant_density(shape, step):
    """Its error is the change of the mean if one configuration had one more particle."""
    constant = [np.zeros(50)] * 4
    assert Goal("n", 1.001 * step / 200).reached(constant, shape)
    finer = Goal("n", 0.5 * step / 200)
    assert not finer.reached(constant, shape)
    assert finer.n_required(constant, shape) == pytest.approx(400)
    assert finer.reached([np.zeros(100)] * 4, shape)


def test_a_constant_field():
    constant = [np.full(50, 0.02)] * 4
    assert Goal("phi2", 1e-4).reached(constant, SHAPE)
    assert Goal("phi2", 1e-5).n_required(constant, SHAPE) == pytest.approx(2000)


def test_other_observables():
    """The size of their steps is unknown: their absolute value is used, or 1."""
    assert Goal("own", 0.5).n_required([np.zeros(50)] * 4, SHAPE) == 2
    assert Goal("own", 0.5).n_required([np.full(50, -4.0)] * 4, SHAPE) == 8


def test_goals_in_words():
    assert parse_goals(None) == []
    assert parse_goals("n=0.01") == parse_goals({"n": 0.01}) == [Goal("n", 0.01)]
    assert parse_goals({"n": 0.01, "phi2": 1e-3}) == [Goal("n", 0.01), Goal("phi2", 1e-3)]
    for until in ("n", "=1", "n=-1", "n=1=2", {"n": 0}, {"n": None}):
        with pytest.raises(InputError, match="must be an observable and its target error, as in"):
            parse_goals(until)
    with pytest.raises(InputError, match="observable 'm': choose one of n, phi2"):
        parse_goals("m=1")
