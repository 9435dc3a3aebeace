"""Target precision of sampling, and the number of configurations required to reach it.

    error^2 ~ 1 / N,    and N >= 100 tau_int for a reliable error

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
"""Number of configurations considered out of reach."""


class Goal(NamedTuple):
    """An observable and its target error."""

    observable: str
    error: float

    def reached(self, series: Sequence[np.ndarray], shape: Sequence[int]) -> bool:
        """Whether the error is reliable and small enough, given one series per chain on a lattice."""
        return self.n_required(series, shape) <= sum(map(len, series))

    def shortfall(self, series: Sequence[np.ndarray], shape: Sequence[int]) -> str:
        """One line on what it takes to reach the goal; empty if it is reached."""
        n_required, n = self.n_required(series, shape), sum(map(len, series))
        if n_required <= n:
            return ""
        if math.isnan(n_required):
            way_out = "too few to estimate the number required; allow more"
        elif n_required > BEYOND_REACH:
            way_out = "out of reach; choose a larger error"
        else:
            way_out = f"about {_rounded_up(n_required)} are required"
        return f"{self.observable}={self.error:g} is not reached with {n} configurations; {way_out}"

    def n_required(self, series: Sequence[np.ndarray], shape: Sequence[int]) -> float:
        """Estimated number of configurations required, given the series so far; nan if there is no estimate yet."""
        found, n = estimate(series), sum(map(len, series))
        if found.status == "constant":
            step = 1 / math.prod(shape[1:]) if self.observable == "n" else abs(found.value) or 1.0
            return step / self.error
        if found.error is None or found.tau_int is None:
            return math.nan
        ratio = found.error / self.error
        return max(n * ratio * ratio, SHORTEST * found.tau_int)


def parse_goals(until: str | Mapping[str, float] | None) -> list[Goal]:
    """Parse goals such as n=0.001, or a mapping of observables to errors; InputError for anything else."""
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
        raise InputError(f"until {until!r:.80}: must be an observable and its target error, as in n=0.001 or phi2=1e-4")
    OBSERVABLES[name]
    return Goal(name, value)


def _rounded_up(number: float) -> int:
    """Round up to two significant digits."""
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / step) * step
