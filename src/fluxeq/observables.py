"""Observables of flux configurations, for any number of dimensions.

Conventions: an array of configurations is ``(n, 2 d, *shape)`` with channels k_t, k_x, ..., l_t, l_x, ...; ``k[nu, x]``
sits on the link from x to x + nu_hat; every direction is periodic.

    divergence  sum over nu of k[nu, x] - k[nu, x - nu_hat]
    f           sum over nu of |k[nu, x]| + |k[nu, x - nu_hat]| + 2 (l[nu, x] + l[nu, x - nu_hat])
    n           mean over sites of k_t
    |phi|^2     mean over sites of W(f + 2) / W(f)

Reference: Gattringer and Kloiber, Nucl. Phys. B 869 (2013) 56. Verified on configurations summed by hand in the tests.
"""

import math
from collections.abc import Callable

import numpy as np

from fluxeq.errors import InputError
from fluxeq.theory import Theory, weight_ratio

BLOCK = 2**16
"""Numbers of the arrays that are worked on at a time."""


def split(configurations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k and l of configurations ``(n, 2 d, *shape)``, each ``(n, d, *shape)``.

    Raises InputError if the number of channels is not twice the number of lattice directions.
    """
    d = configurations.ndim - 2
    if d < 1 or configurations.shape[1] != 2 * d:
        raise InputError(
            f"array of shape {configurations.shape}: configurations are (n, 2 d, *shape) with d = len(shape)"
        )
    return configurations[:, :d], configurations[:, d:]


def divergence(configurations: np.ndarray) -> np.ndarray:
    """Flux created at each site: 0 if closed, +1 at the tail, -1 at the head of an open worm; int64 ``(n, *shape)``."""
    k, _ = split(configurations)
    total = np.zeros((k.shape[0], *k.shape[2:]), dtype=np.int64)
    for nu in range(k.shape[1]):
        total += k[:, nu]
        total -= np.roll(k[:, nu], 1, axis=1 + nu)
    return total


def field_powers(configurations: np.ndarray) -> np.ndarray:
    """f, the power of |phi| that the links put at each site; int64 ``(n, *shape)``."""
    k, l = split(configurations)
    total = np.zeros((k.shape[0], *k.shape[2:]), dtype=np.int64)
    for nu in range(k.shape[1]):
        hops = np.abs(k[:, nu].astype(np.int64)) + 2 * l[:, nu].astype(np.int64)
        total += hops
        total += np.roll(hops, 1, axis=1 + nu)
    return total


def density(configurations: np.ndarray) -> np.ndarray:
    """Particle density n of each configuration; float64 ``(n,)``, quantised in units of 1 / (spatial volume)."""
    k, _ = split(configurations)
    return _site_mean(k[:, 0])


def phi2(theory: Theory, configurations: np.ndarray) -> np.ndarray:
    """|phi|^2 of each configuration; float64 ``(n,)``."""
    f = _in_blocks(field_powers, configurations)
    ratio = weight_ratio(theory, int(f.max(initial=0)))
    return _in_blocks(lambda powers: _site_mean(ratio[powers]), f)


def n_worms(configurations: np.ndarray) -> np.ndarray:
    """Number of open worms, half the sum of |divergence|; int64 ``(n,)``."""
    created = _in_blocks(lambda some: np.abs(divergence(some)).sum(axis=tuple(range(1, some.ndim - 1))), configurations)
    return created // 2


def hop_pairs(configurations: np.ndarray) -> np.ndarray:
    """Mean of l over all links of each configuration, the slowest simple observable; float64 ``(n,)``."""
    _, l = split(configurations)
    return _site_mean(l)


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], arrays: np.ndarray) -> np.ndarray:
    """A function of each of some arrays, of few at a time, so that what it makes on its way stays in the caches."""
    size = max(1, BLOCK // max(1, math.prod(arrays.shape[1:])))
    if len(arrays) <= size:
        return function(arrays)
    return np.concatenate([function(arrays[first : first + size]) for first in range(0, len(arrays), size)])


def _site_mean(values: np.ndarray) -> np.ndarray:
    """The mean over all axes but the first."""
    return values.mean(axis=tuple(range(1, values.ndim)), dtype=np.float64)
