"""Winding numbers of the flux: how often it winds around the lattice in time, and in the first direction of space."""

import numpy as np

from fluxeq.tasks.regression import regression
from fluxeq.theory import FluxTheory


def temporal(theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """The flux through any time slice, the particle number: n times the spatial volume."""
    return _winding(configurations, 0)


def spatial(theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """The flux through any plane across the first direction of space."""
    return _winding(configurations, 1)


def _winding(configurations: np.ndarray, nu: int) -> np.ndarray:
    k = configurations[:, nu].astype(np.float64)  # int8 is too small for sums
    return k.sum(axis=tuple(range(1, k.ndim))) / k.shape[1 + nu]


WINDINGS = regression("winding:WINDINGS", ["winding:temporal", "winding:spatial"])
"""The task to predict both."""
