"""Bias and activation, compiled separately from the surrounding operations on a CPU.

XLA would fuse bias, activation and the adjacent products into loops over the channels of one site, which are too short
for vector instructions: a forward pass takes up to three times as long, a gradient 1.4 times
(``benchmarks/training.py``). Separately, there is one loop over all sites and channels of a configuration.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

Activation = Literal["relu", "leaky_relu", "gelu", "tanh"]
Elementwise = Callable[[jax.Array], jax.Array]

ACTIVATIONS: dict[Activation, Elementwise] = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": jax.nn.gelu,
    "tanh": jnp.tanh,
}


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def activated(activation: Activation, x: jax.Array, bias: jax.Array) -> jax.Array:
    """The activation of ``x + bias``, for x ``(*shape, channels)`` and a bias ``(channels,)``."""
    return _apart(_value, activation, x, bias).reshape(x.shape)


@activated.defjvp
def _tangent(
    activation: Activation, at: tuple[jax.Array, jax.Array], along: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    value, slope = value_and_slope(activation, *at)
    return value, slope * (along[0] + along[1])


def value_and_slope(activation: Activation, x: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The activation of ``x + bias`` and its derivative, both like x."""
    value, slope = _apart(_value_and_slope, activation, x, bias)
    return value.reshape(x.shape), slope.reshape(x.shape)


def _apart(function: Callable[..., jax.Array], activation: Activation, x: jax.Array, bias: jax.Array) -> jax.Array:
    """Apply a compiled function to x as one long row with a bias of equal length; not inlined on a CPU."""
    row = x.ravel(), jnp.tile(bias, x.size // bias.size)
    if jax.default_backend() != "cpu":
        return function(activation, *row)
    with set_xla_metadata(inlineable="false"):
        return function(activation, *row)


@partial(jax.jit, static_argnums=0)
def _value(activation: Activation, x: jax.Array, bias: jax.Array) -> jax.Array:
    return ACTIVATIONS[activation](x + bias)


@partial(jax.jit, static_argnums=0)
def _value_and_slope(activation: Activation, x: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.jvp(ACTIVATIONS[activation], (x + bias,), (jnp.ones_like(x),))
