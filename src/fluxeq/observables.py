"""Observables of flux configurations, for any number of dimensions, and their registry.

An observable is a function of a theory and an array of configurations that returns one number for each, float64
``(n,)``, registered in ``fluxeq.observables``; ``fluxeq.testing.check_observable`` tests it.

Conventions: an array of configurations is ``(n, 2 d, *shape)`` with channels k_t, k_x, ..., l_t, l_x, ...; ``k[nu, x]``
sits on the link from x to x + nu_hat; every direction is periodic.

    divergence  sum over nu of k[nu, x] - k[nu, x - nu_hat]
    f           sum over nu of |k[nu, x]| + |k[nu, x - nu_hat]| + 2 (l[nu, x] + l[nu, x - nu_hat])
    n           mean over sites of k_t
    |phi|^2     mean over sites of W(f + 2) / W(f)

Reference: Gattringer and Kloiber, Nucl. Phys. B 869 (2013) 56. Verified on hand-summed configurations in the tests.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fluxeq.errors import InputError
from fluxeq.registry import Registry
from fluxeq.theory import FluxTheory, weight_ratio

Observable = Callable[[FluxTheory, np.ndarray], np.ndarray]

BLOCK = 2**16
"""Number of array elements processed at a time."""


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
    """f, the power of |phi| at each site from its links; int64 ``(n, *shape)``."""
    k, l = split(configurations)
    total = np.zeros((k.shape[0], *k.shape[2:]), dtype=np.int64)
    for nu in range(k.shape[1]):
        hops = np.abs(k[:, nu].astype(np.int64)) + 2 * l[:, nu].astype(np.int64)
        total += hops
        total += np.roll(hops, 1, axis=1 + nu)
    return total


def n(theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """Particle density of each configuration; float64 ``(n,)``, quantised in units of 1 / (spatial volume)."""
    k, _ = split(configurations)
    return _site_mean(k[:, 0])


def phi2(theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """|phi|^2 of each configuration; float64 ``(n,)``."""
    f = _in_blocks(field_powers, configurations)
    ratio = weight_ratio(theory, int(f.max(initial=0)))
    return _in_blocks(lambda powers: _site_mean(ratio[powers]), f)


def n_worms(configurations: np.ndarray) -> np.ndarray:
    """Number of open worms, half the sum of |divergence|; int64 ``(n,)``."""
    created = _in_blocks(lambda some: np.abs(divergence(some)).sum(axis=tuple(range(1, some.ndim - 1))), configurations)
    return created // 2


def hop_pairs(configurations: np.ndarray) -> np.ndarray:
    """Mean of l over all links of each configuration, the simple observable with the longest autocorrelation;
    float64 ``(n,)``.
    """
    _, l = split(configurations)
    return _site_mean(l)


def observed(observable: str | Observable, theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """An observable of every configuration, by name or as a function; float64 ``(n,)``.

    Raises InputError if its function fails or does not return one finite number for each.
    """
    name, function = name_of(observable), OBSERVABLES[observable] if isinstance(observable, str) else observable
    return _in_blocks(lambda some: one_number_each(name, function, theory, some), configurations)


def name_of(observable: str | Observable) -> str:
    """The name of an observable; a function has its own name."""
    return observable if isinstance(observable, str) else getattr(observable, "__name__", type(observable).__name__)


def one_number_each(name: str, function: Observable, theory: FluxTheory, configurations: np.ndarray) -> np.ndarray:
    """Evaluate the function of an observable for some configurations. Raises InputError like ``observed``."""
    try:
        values = np.asarray(function(theory, configurations))
    except InputError:
        raise
    except Exception as error:  # anything raised by external code
        raise InputError(f"observable {name!r}: fails with {type(error).__name__}: {error}") from error
    if values.shape != (len(configurations),) or values.dtype.kind not in "biuf":
        found = f"{values.dtype} {values.shape}"
        raise InputError(f"observable {name!r}: must return one number each, float64 (n,), but returns {found}")
    if not np.isfinite(values).all():
        raise InputError(
            f"observable {name!r}: must return finite numbers, but returns {values[~np.isfinite(values)][0]}"
        )
    return values.astype(np.float64)


def _require_observable(name: str, found: Any) -> Observable:
    if not callable(found):
        raise InputError(f"observable {name!r}: must be a function of a theory and configurations")
    return found


OBSERVABLES: Registry[Observable] = Registry("observable", "observables", _require_observable, "n", "phi2")
"""All observables by name."""


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], arrays: np.ndarray) -> np.ndarray:
    """Apply a function to arrays in small blocks, so that intermediate results stay in the caches."""
    size = max(1, BLOCK // max(1, math.prod(arrays.shape[1:])))
    if len(arrays) <= size:
        return function(arrays)
    return np.concatenate([function(arrays[first : first + size]) for first in range(0, len(arrays), size)])


def _site_mean(values: np.ndarray) -> np.ndarray:
    """The mean over all axes but the first."""
    return values.mean(axis=tuple(range(1, values.ndim)), dtype=np.float64)
