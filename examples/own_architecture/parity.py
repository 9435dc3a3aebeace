"""PE: an EQ network that is also invariant under reflection of space, like n and |phi|^2.

The reflection x -> -x maps the link from x to x + 1 to the one from -x - 1 to -x and reverses it: k_x moves and changes
sign, l_x only moves. The network averages its output over a configuration and its reflection.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.nets.eq import EQ
from fluxeq.tasks.task import Target


def reflected(x: jax.Array) -> jax.Array:
    """The configuration ``(2 d, *shape)`` with all spatial directions reflected."""
    d = x.ndim - 1
    for nu in range(1, d):
        x = jnp.roll(jnp.flip(x, 1 + nu), 1, 1 + nu)  # the site -x
        for channel, sign in ((nu, -1), (d + nu, 1)):  # k and l of the reversed links
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
    """The config: fields, stride and allowed shapes are those of EQ."""

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> eqx.Module:
        """A newly initialised network for lattices of ``d`` dimensions."""
        return Symmetrised(super().build(d, targets, rng))
