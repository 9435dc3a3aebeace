"""Mapping a function over many examples in batches of equal size, with few different sizes to compile."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

CACHE_BYTES = 2**22
"""Maximum size of an array in a function of many examples on a CPU, to fit its caches."""
ROOM_BYTES = 2**24
"""Training sets up to this size share compiled functions; larger ones are padded to a power of two."""


def mapped(function: Callable[[Any], Any], examples: Any, largest: int) -> Any:
    """Apply ``function`` to every example, vectorised within batches of at most ``largest``.

    For use in a compiled function. The batch size divides the number of examples, since a remainder would be compiled
    separately.
    """
    n = len(jax.tree.leaves(examples)[0])
    size = next(size for size in range(max(1, min(largest, n)), 0, -1) if n % size == 0)
    return jax.vmap(function)(examples) if size == n else jax.lax.map(function, examples, batch_size=size)


def vectorised(function: Callable[[jax.Array], Any], x: jax.Array) -> Any:
    """Apply ``function`` to every example of ``(n, ...)``, on a CPU within batches whose arrays fit its caches.

    For use in a compiled function.
    """
    if jax.default_backend() != "cpu":
        return jax.vmap(function)(x)
    traced_once = jax.jit(lambda example: function(example), inline=True)
    equations = jax.make_jaxpr(traced_once)(jax.ShapeDtypeStruct(x.shape[1:], x.dtype)).jaxpr.eqns
    sizes = [out.aval.size * out.aval.dtype.itemsize for equation in equations for out in equation.outvars]
    return mapped(traced_once, x, CACHE_BYTES // max([1, *sizes]))


def in_blocks(compiled: Callable[[Any], Any], examples: Any, size: int) -> Any:
    """Apply a compiled function of ``size`` examples to any number of them; results as NumPy arrays.

    The last block is padded with zeros, whose results are dropped. A result with one row belongs to the whole block.
    """
    found, n = [], len(jax.tree.leaves(examples)[0])
    for first in range(0, n, size):
        kept = min(size, n - first)
        block = jax.tree.map(lambda array, first=first: filled(array[first : first + size], size), examples)
        found.append(jax.tree.map(lambda values, kept=kept: np.asarray(values)[:kept], compiled(block)))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def filled(array: np.ndarray, n: int) -> np.ndarray:
    """An array padded with zeros to ``n`` rows."""
    return np.pad(array, [(0, n - len(array))] + [(0, 0)] * (array.ndim - 1)) if len(array) < n else array


def rows_within(n_bytes: int, configuration: np.ndarray) -> int:
    """Number of configurations, as float32, that fit into ``n_bytes``, rounded down to a power of two; at least 1."""
    return 1 << max(0, (n_bytes // (4 * max(1, configuration.size))).bit_length() - 1)


def room_for(n: int, n_bytes: int) -> int:
    """A number of rows of ``n_bytes`` each, at least ``n``: a power of two, equal for many ``n``."""
    return max(_power_of_two(n), _power_of_two(ROOM_BYTES // n_bytes))


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least ``n``."""
    return 1 << max(0, n - 1).bit_length()
