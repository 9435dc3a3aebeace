"""Winding numbers of the flux in time and in the first spatial direction."""

import numpy as np

from fluxeq.tasks.regression import regression
from fluxeq.theory import FluxTheory


def temporal(theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """The flux through a time slice: the particle number, n times the spatial volume."""
    return _winding(configurations, 0)


def spatial(theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """The flux through a plane perpendicular to the first spatial direction."""
    return _winding(configurations, 1)


def _winding(configurations: np.ndarray, nu: int) -> np.ndarray:
    k = configurations[:, nu].astype(np.float64)  # sums overflow int8
    return k.sum(axis=tuple(range(1, k.ndim))) / k.shape[1 + nu]


WINDINGS = regression("winding:WINDINGS", ["winding:temporal", "winding:spatial"])
"""The regression task with both as targets."""
