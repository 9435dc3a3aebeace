"""PE: an EQ network that is also symmetric under reflections of space, as n and |phi|^2 are.

A reflection x -> -x takes the link from x to x + 1 to the one from -x - 1 to -x and turns it round: k_x changes sign
and place, l_x its place. The network averages its output over both.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.nets.eq import EQ
from fluxeq.tasks.task import Target


def reflected(x: jax.Array) -> jax.Array:
    """A configuration ``(2 d, *shape)`` with all directions of space reflected."""
    d = x.ndim - 1
    for nu in range(1, d):
        x = jnp.roll(jnp.flip(x, 1 + nu), 1, 1 + nu)  # the site -x
        for channel, sign in ((nu, -1), (d + nu, 1)):  # k and l of the links that are turned round
            x = x.at[channel].set(sign * jnp.roll(x[channel], -1, nu))
    return x


class Symmetrised(eqx.Module):
    """The mean of a network over a configuration and its reflection."""

    network: eqx.Module

    def __call__(self, x: jax.Array) -> jax.Array:
        """Predictions ``(n_targets,)``."""
        x = jnp.asarray(x)
        return (self.network(x) + self.network(reflected(x))) / 2


class PE(EQ):
    """The config: all fields of EQ, and its stride and what it takes."""

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> eqx.Module:
        """A network with fresh weights for lattices of ``d`` dimensions."""
        return Symmetrised(super().build(d, targets, rng))
