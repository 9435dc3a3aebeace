"""The small charts of claims."""

import math

import pytest

from fluxeq.analysis.claims.bound import ABOVE_ZERO, Bound
from fluxeq.analysis.spread import Interval
from fluxeq.report.chart import LEFT, MOST, RIGHT, chart, number, short, worst_first


def bound(value, low, high, **wanted):
    return Bound("a", Interval(low, high), 3, value=value, **wanted)


def test_equal_ratios_are_equal_distances_on_a_logarithmic_axis():
    found = chart([bound(10.0, 1.0, 100.0, least=10), bound(100.0, 100.0, 100.0, least=10)])
    first, second = found.lines
    assert first.high - first.at == pytest.approx(first.at - first.low, abs=0.2)
    assert first.limits == (first.at,)
    assert first.wanted_to == RIGHT
    assert second.at == first.high
    assert [text for _, text in found.ticks] == ["1", "10", "100"]


def test_an_axis_with_zero_on_it_is_linear():
    found = chart([bound(0.0, -1.0, 1.0, least=ABOVE_ZERO)])
    (line,) = found.lines
    assert line.at == line.wanted_from == pytest.approx((LEFT + RIGHT) / 2)
    assert number(bound(0.0, -1.0, 1.0, least=ABOVE_ZERO)) == "0 [-1 ... 1], required above 0"


def test_ticks_say_different_things():
    """Also if all numbers are equal, so that the axis is very short."""
    found = chart([bound(1.0, 1.0, 1.0)], logarithmic=False)
    assert [text for _, text in found.ticks] == ["1"]
    assert [text for _, text in chart([bound(0.5, 0.25, 1.0)], logarithmic=False).ticks] == ["0.4", "0.6", "0.8", "1"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_cannot_be_drawn_leaves_a_gap(value):
    lost, there = bound(value, value, value, least=10), bound(20.0, 15.0, 30.0, least=10)
    line, _ = chart([lost, there]).lines
    assert line.at == (None if math.isnan(value) else RIGHT)
    assert chart([bound(math.nan, math.nan, math.nan)]) is None
    assert chart([]) is None


def test_of_many_numbers_the_worst_are_drawn():
    many = [bound(10.0 + i, 10.0 + i, 10.0 + i, least=10) for i in range(MOST)]
    wrong, undecided = bound(5.0, 4.0, 6.0, least=10), bound(10.5, 9.0, 12.0, least=10)
    assert worst_first([*many, undecided, wrong])[:3] == [wrong, undecided, many[0]]
    found = chart([*many, undecided, wrong])
    assert len(found.lines) == MOST
    assert found.n_left_out == 2
    assert found.words.startswith("a: 5 [4 ... 6], required at least 10; ")


@pytest.mark.parametrize(
    ("value", "text"),
    [(13.44, "13.4"), (0.05, "0.05"), (1e-8, "10⁻⁸"), (23400.0, "2.3 \N{MULTIPLICATION SIGN} 10⁴"), (math.inf, "inf")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text
