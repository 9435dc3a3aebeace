"""Chart of numbers with their 95 % intervals and the ranges required by a claim: the geometry of a small SVG image.

The axis is logarithmic if everything shown is positive. The template is ``templates/chart.svg``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fluxeq.analysis.claims.bound import Bound

WIDTH, LEFT, RIGHT = 420.0, 172.0, 408.0
"""Width of the image, left and right end of the axis."""
ROW, TOP, BOTTOM = 20.0, 4.0, 24.0
"""Height of a row, margins above the first and below the last."""
MOST = 8
"""Maximum number of rows."""
SUPERSCRIPT = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
LEAST_SPAN = 0.01
"""Span of a linear axis if all numbers are equal."""


@dataclass(frozen=True)
class Line:
    """A row of the chart; positions along the axis in its units."""

    name: str
    text: str
    y: float
    at: float | None
    low: float
    high: float
    wanted_from: float
    wanted_to: float
    limits: tuple[float, ...]
    holds: bool | None


@dataclass(frozen=True)
class Chart:
    """A chart: its rows, ticks, and text alternative."""

    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    height: float
    words: str
    n_left_out: int


def worst_first(bounds: Sequence[Bound]) -> list[Bound]:
    """Sort bounds: violated, undecided, then the others; within these groups by distance from the threshold."""
    order = {False: 0, None: 1, True: 2}
    return sorted(bounds, key=lambda bound: (order[bound.holds], _margin(bound)))


def _margin(bound: Bound) -> float:
    """Distance of a number inside its nearest threshold; a ratio if everything is positive."""
    value, limits = bound.value, [limit for limit in (bound.least, bound.most) if math.isfinite(limit)]
    if math.isnan(value) or not limits:
        return 0.0
    size: Callable[[float], float] = math.log if min(value, *limits) > 1e-300 and value < math.inf else float
    return min(
        size(value) - size(bound.least) if bound.least in limits else math.inf,
        size(bound.most) - size(value) if bound.most in limits else math.inf,
    )


def chart(bounds: Sequence[Bound], *, logarithmic: bool = True) -> Chart | None:
    """The chart of some numbers, the worst ones if there are many; None if none is finite.

    The axis is also linear if anything on it is not positive.
    """
    shown = list(bounds) if len(bounds) <= MOST else worst_first(bounds)[:MOST]
    finite = [x for x in (end for bound in shown for end in _ends(bound)) if math.isfinite(x)]
    if not finite:
        return None
    logarithmic = logarithmic and min(finite) > 0
    low, high = _range(finite, logarithmic=logarithmic)

    def place(x: float) -> float:
        if math.isnan(x):
            return math.nan
        share = (_size(x, logarithmic) - _size(low, logarithmic)) / (_size(high, logarithmic) - _size(low, logarithmic))
        return round(LEFT + (RIGHT - LEFT) * min(max(share, 0.0), 1.0), 1)

    lines = tuple(_line(bound, TOP + (i + 0.5) * ROW, place) for i, bound in enumerate(shown))
    ticks = tuple((place(tick), short(tick)) for tick in _ticks(low, high, logarithmic=logarithmic))
    words = "; ".join(f"{bound.name or 'all'}: {number(bound)}" for bound in shown)
    return Chart(lines, ticks, TOP + len(shown) * ROW + BOTTOM, words, len(bounds) - len(shown))


def number(bound: Bound) -> str:
    """A number with its interval and required range, in words."""
    return f"{short(bound.value)}{bound.interval}{f', required {bound.wanted}' if bound.wanted else ''}"


def short(value: float) -> str:
    """Three digits, or two digits and a power of ten."""
    mantissa, e, exponent = f"{value:.3g}".partition("e")
    if not e:
        return mantissa
    power = f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
    factor = f"{float(mantissa):.2g}"
    return power if factor == "1" else f"{factor} \N{MULTIPLICATION SIGN} {power}"


def _ends(bound: Bound) -> list[float]:
    limits = [0.0 if 0 < limit < 1e-300 else limit for limit in (bound.least, bound.most)]
    return [bound.value, *bound.interval, *limits]


def _line(bound: Bound, y: float, place: Callable[[float], float]) -> Line:
    value, low, high, least, most = _ends(bound)
    known = not math.isnan(value)
    return Line(
        bound.name,
        number(bound),
        y,
        place(value) if known else None,
        place(low) if known else 0.0,
        place(high) if known else 0.0,
        place(least),
        place(most),
        tuple(place(limit) for limit in (least, most) if math.isfinite(limit)),
        bound.holds,
    )


def _range(finite: list[float], *, logarithmic: bool) -> tuple[float, float]:
    """The ends of the axis, with margins."""
    low, high = min(finite), max(finite)
    if logarithmic:
        room = max((high / low) ** 0.06, 1.3)
        return low / room, high * room
    room = 0.06 * max(high - low, LEAST_SPAN)
    return low - room, high + room


def _size(x: float, logarithmic: bool) -> float:
    return math.log(x) if logarithmic and x > 0 else -math.inf if logarithmic else x


def _ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    """Up to five round numbers within the axis, if three digits are enough."""
    if logarithmic:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        powers = [10.0**power for power in range(first, last + 1, max(1, math.ceil((last - first) / 4)))]
        if len(powers) > 1:
            return powers
        return [
            x for power in (first - 1, first) for x in (10.0**power * digit for digit in (1, 2, 5)) if low < x < high
        ]
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 5)
    ticks = [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [tick for tick in ticks if float(f"{tick:.3g}") == tick]
