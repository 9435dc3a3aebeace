"""The error at which sampling may stop, and how many configurations it takes to reach it.

    error^2 ~ 1 / N,    and N >= 100 tau_int for an error that can be trusted

A constant series has no error. It counts as having the one that it would have, had a single configuration differed: n
changes in steps of 1 / N_x, |phi|^2, where hops are rare, by less than it is, and so are others taken, if they are not
0; else by 1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fluxeq.errors import InputError
from fluxeq.observables import OBSERVABLES
from fluxeq.statistics import SHORTEST, estimate

BEYOND_REACH = 1e15
"""Configurations that nobody will make."""


class Goal(NamedTuple):
    """The error of an observable that is small enough to stop."""

    observable: str
    error: float

    def reached(self, series: Sequence[np.ndarray], shape: Sequence[int]) -> bool:
        """Whether the error, from one series a chain on a lattice, can be trusted and is small enough."""
        return self.needed(series, shape) <= sum(map(len, series))

    def missed(self, series: Sequence[np.ndarray], shape: Sequence[int]) -> str:
        """One line that says how far the goal is; empty if it is reached."""
        needed, n = self.needed(series, shape), sum(map(len, series))
        if needed <= n:
            return ""
        if math.isnan(needed):
            way_out = "they are too few to tell how many it takes, allow more"
        elif needed > BEYOND_REACH:
            way_out = "no number within reach would do"
        else:
            way_out = f"about {_rounded_up(needed)} would do"
        return f"{self.observable}={self.error:g} is not reached with {n} configurations; {way_out}"

    def needed(self, series: Sequence[np.ndarray], shape: Sequence[int]) -> float:
        """About how many configurations it takes, from those of some; nan if nobody can tell yet."""
        found, n = estimate(series), sum(map(len, series))
        if found.status == "constant":
            step = 1 / math.prod(shape[1:]) if self.observable == "n" else abs(found.value) or 1.0
            return step / self.error
        if found.error is None or found.tau_int is None:
            return math.nan
        ratio = found.error / self.error
        return max(n * ratio * ratio, SHORTEST * found.tau_int)


def goals_of(until: str | Mapping[str, float] | None) -> list[Goal]:
    """Goals from n=0.001, or from observables and their errors; InputError for anything else."""
    if until is None:
        return []
    pairs = list(until.items()) if isinstance(until, Mapping) else [until.rpartition("=")[::2]]
    return [_goal(until, name, error) for name, error in pairs]


def _goal(until: str | Mapping[str, float], name: str, error: str | float) -> Goal:
    try:
        value = float(error)
    except (TypeError, ValueError):
        value = 0.0
    if not 0 < value < math.inf or not name or "=" in name:
        raise InputError(f"until {until!r:.80}: an observable and the error to reach, as in n=0.001 or phi2=1e-4")
    OBSERVABLES[name]
    return Goal(name, value)


def _rounded_up(number: float) -> int:
    """The next whole number with two digits that are not 0."""
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / step) * step
