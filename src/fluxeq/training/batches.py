"""Mapping a function over many examples, in batches of one size, so that it is compiled only once."""

from collections.abc import Callable
from typing import Any

import jax


def mapped(function: Callable[[Any], Any], examples: Any, largest: int) -> Any:
    """``function`` of every example: vectorised within batches of at most ``largest``, one batch after another.

    The batch size divides the number of examples; a rest would be compiled a second time.
    """
    n = jax.tree.leaves(examples)[0].shape[0]
    size = equal_parts(n, largest)
    batches = jax.tree.map(lambda values: values.reshape(n // size, size, *values.shape[1:]), examples)
    found = jax.lax.map(jax.vmap(function), batches)
    return jax.tree.map(lambda values: values.reshape(n, *values.shape[2:]), found)


def equal_parts(n: int, largest: int) -> int:
    """The largest size of at most ``largest`` (or 1) that divides ``n``."""
    return next(size for size in range(max(1, min(largest, n)), 0, -1) if n % size == 0)
