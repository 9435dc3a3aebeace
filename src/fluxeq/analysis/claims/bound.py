"""Comparison of a number and its 95 % interval with thresholds: holds, does not hold, or undecided."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fluxeq.analysis.spread import Interval

ABOVE_ZERO = math.nextafter(0.0, 1.0)
"""The smallest positive number, for a strict inequality: accuracies may be equal."""


class Bound(NamedTuple):
    """The requirement of a claim that a number lie between ``least`` and ``most``."""

    name: str
    interval: Interval
    n: int
    """Number of instances behind the interval; a single one gives no interval."""
    least: float = -math.inf
    most: float = math.inf
    value: float = math.nan
    """The number, from all instances."""

    def __str__(self) -> str:
        """The number with its interval."""
        return f"{self.value:.3g}{self.interval}"

    @property
    def wanted(self) -> str:
        """The required range in words; empty if unbounded."""
        strictly_above = self.least == ABOVE_ZERO
        least = "above 0" if strictly_above else f"at least {self.least:.3g}" if self.least > -math.inf else ""
        most = f"at most {self.most:.3g}" if self.most < math.inf else ""
        return " and ".join(part for part in (least, most) if part)

    @property
    def holds(self) -> bool | None:
        """Whether the whole interval is in the required range; None if only a part is, or there is no interval."""
        low, high = self.interval
        if self.n < 2 or math.isnan(low) or math.isnan(high):
            return None
        if self.least <= low and high <= self.most:
            return True
        return False if high < self.least or low > self.most else None


def all_hold(bounds: Sequence[Bound]) -> bool | None:
    """False if any bound does not hold, else None if any is undecided, else True."""
    found = [bound.holds for bound in bounds]
    return False if False in found else None if None in found else True


def undecided(bounds: Sequence[Bound]) -> str:
    """The undecided bounds and the reason, in words."""
    names = [bound.name for bound in bounds if bound.holds is None]
    few = any(bound.n < 2 for bound in bounds if bound.holds is None)
    why = "one instance has no interval" if few else "the interval contains the threshold"
    return f"undecided by {', '.join(names)}: {why}; more instances decide it"
