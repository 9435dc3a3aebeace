"""The periodic lattice: valid shapes and nearest neighbours.

Conventions: a shape is (N_t, N_x, ...), time first; sites are numbered in row-major order; every direction is periodic.
Verified in the tests against coordinates stepped one by one.
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np

from fluxeq.errors import InputError

MOST_SITES = 2**31
"""Sites are counted with 32 bits."""


def shape_name(shape: Iterable[int]) -> str:
    """The name of a lattice, as 60x4."""
    return "x".join(map(str, shape))


def require_shape(shape: Sequence[int]) -> None:
    """Raise InputError unless every extent is at least 2 (on an extent of 1 a link would join a site to itself)."""
    name = shape_name(shape) or "empty"
    if not shape or any(not isinstance(extent, Integral) or extent < 2 for extent in shape):
        raise InputError(f"shape {name:.80}: every extent must be an integer of at least 2, time first")
    if math.prod(map(int, shape)) > MOST_SITES:
        raise InputError(f"shape {name:.80}: choose smaller extents, of at most {MOST_SITES} sites together")


def neighbours(shape: Sequence[int]) -> np.ndarray:
    """Neighbours of each site, row-major: first all x + nu_hat, then all x - nu_hat; int64 ``(2 d, V)``."""
    sites = np.arange(math.prod(shape)).reshape(shape)
    return np.stack([np.roll(sites, step, nu).ravel() for step in (-1, 1) for nu in range(len(shape))])
