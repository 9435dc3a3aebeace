"""Layers on periodic lattices of any dimension; arrays are ``(*shape, channels)``, one configuration.

A convolution gathers shifted copies, one direction after the other, followed by one matrix product: periodic by
construction, and on a CPU far faster than XLA's own convolution. Output site X of a layer with stride s depends on the
input sites s X ... s X + kernel - 1 in every direction, periodically; there are ceil(L / s) of them, also if s does not
divide the extent L. Matrix products use full float32 precision, which is not the default on a GPU.
"""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.errors import InputError
from fluxeq.nets.activations import Activation, activated, value_and_slope

MOST_WEIGHTS = 2**26
"""Maximum number of weights of a layer, whose training then takes several GiB."""
MANY_SITES = 3
"""Sites per output channel from which ``affine_on_sites`` is as fast as ``affine`` or faster, up to twice; at one site
per channel it takes twice as long."""
Array = jax.Array | np.ndarray
Pooling = Literal["average", "sum", "maximum"]


class PeriodicConvolution(eqx.Module):
    """A convolution with equal kernel extent in all directions; initial weights are uniform in +-1 / sqrt(fan-in)."""

    weight: Array  # (kernel^d * channels_in, channels_out)
    bias: Array  # (channels_out,)
    d: int = eqx.field(static=True)
    kernel: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)

    def __init__(self, d: int, channels_in: int, channels_out: int, kernel: int, stride: int, rng: np.random.Generator):
        self.d, self.kernel, self.stride = d, kernel, stride
        fan_in = kernel**d * channels_in
        self.weight, self.bias = uniform_start(rng, fan_in, channels_out)

    def __call__(self, x: jax.Array, activation: Activation | None = None) -> jax.Array:
        """``(*shape, channels_in)`` to ``(*shape / stride, channels_out)``, rounded up; with an activation behind."""
        for axis in reversed(range(self.d)):
            copies = shifted(x, axis, self.kernel, self.stride)
            x = copies[0] if len(copies) == 1 else barrier(jnp.concatenate(copies, axis=-1))
        function = affine_on_sites if x.size >= MANY_SITES * self.weight.size else affine
        return function(x, self.weight, self.bias, activation)


class PeriodicPooling(eqx.Module):
    """Average or maximum over windows of equal extent in all directions."""

    d: int = eqx.field(static=True)
    extent: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)
    kind: Literal["average", "maximum"] = eqx.field(static=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(*shape, channels)`` to ``(*shape / stride, channels)``, rounded up."""
        for axis in range(self.d):
            copies = shifted(x, axis, self.extent, self.stride)
            x = copies[0] if len(copies) == 1 else barrier(self._pooled(copies))
        return x

    def _pooled(self, copies: list[jax.Array]) -> jax.Array:
        if self.kind == "average":
            return sum(copies[1:], copies[0]) / self.extent
        return reduce(jnp.maximum, copies)


class GlobalPooling(eqx.Module):
    """Pooling over all sites per channel: invariant under translations, and defined on every lattice."""

    kinds: tuple[Pooling, ...] = eqx.field(static=True)
    """The kind for each channel, or one for all."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(*shape, channels)`` to ``(channels,)``."""
        sites = x.reshape(-1, x.shape[-1])
        if len(self.kinds) == 1:
            return POOLED[self.kinds[0]](sites)
        return jnp.stack([POOLED[kind](column) for kind, column in zip(self.kinds, sites.T, strict=True)])


POOLED: dict[Pooling, Callable[[jax.Array], jax.Array]] = {
    "average": partial(jnp.mean, axis=0),
    "sum": partial(jnp.sum, axis=0),
    "maximum": partial(jnp.max, axis=0),
}


class Flatten(eqx.Module):
    """Flattening of sites and channels: every site gets its own weights, which breaks translational symmetry."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(*shape, channels)`` to ``(V * channels,)``."""
        return x.ravel()


class Dense(eqx.Module):
    """A linear layer with bias; initial weights are uniform in +-1 / sqrt(fan-in)."""

    weight: Array  # (n_in, n_out)
    bias: Array  # (n_out,)

    def __init__(self, n_in: int, n_out: int, rng: np.random.Generator):
        self.weight, self.bias = uniform_start(rng, n_in, n_out)

    def __call__(self, x: jax.Array, activation: Activation | None = None) -> jax.Array:
        """``(n_in,)`` to ``(n_out,)``; with an activation behind."""
        return affine(x, self.weight, self.bias, activation)


matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def affine(x: jax.Array, weight: Array, bias: Array, activation: Activation | None) -> jax.Array:
    """``x @ weight + bias`` for x ``(..., n_in)``, or the activation of it."""
    product = matmul(x, weight)
    return product + bias if activation is None else activated(activation, product, jnp.asarray(bias))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def affine_on_sites(x: jax.Array, weight: Array, bias: Array, activation: Activation | None) -> jax.Array:
    """``affine`` for x ``(*shape, n_in)``, with a gradient that is faster on a CPU (reverse mode only).

    The gradient of the weights is a product for each configuration, summed over a batch. JAX's own is one product for
    the batch, for which XLA transposes the gradient of the output in memory.
    """
    return affine(x, weight, bias, activation)


def _with_slope(
    x: jax.Array, weight: Array, bias: Array, activation: Activation | None
) -> tuple[jax.Array, tuple[jax.Array, Array, jax.Array | None]]:
    if activation is None:
        return affine(x, weight, bias, None), (x, weight, None)
    value, slope = value_and_slope(activation, matmul(x, weight), jnp.asarray(bias))
    return value, (x, weight, slope)


def _backward(
    activation: Activation | None, kept: tuple[jax.Array, Array, jax.Array | None], gradient: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, weight, slope = kept
    gradient = gradient if slope is None else barrier(slope * gradient)
    inputs, outputs = (array.reshape(-1, array.shape[-1]) for array in (x, gradient))
    product = partial(jax.lax.dot_general, precision=jax.lax.Precision.HIGHEST)
    of_weight = product(inputs, outputs, (((0,), (0,)), ((), ())))
    return product(gradient, weight, (((gradient.ndim - 1,), (1,)), ((), ()))), of_weight, outputs.sum(axis=0)


affine_on_sites.defvjp(_with_slope, _backward)


def uniform_start(rng: np.random.Generator, fan_in: int, n_out: int) -> tuple[Array, Array]:
    """Weights ``(fan_in, n_out)`` and biases ``(n_out,)``, float32, uniform in +-1 / sqrt(fan_in).

    They are drawn by NumPy, which needs no compilation and gives the same values for all devices.
    """
    if fan_in * n_out > MOST_WEIGHTS:
        raise InputError(f"a layer of {fan_in} x {n_out} weights: the maximum is 2^26; choose a smaller network")
    bound = 1 / math.sqrt(fan_in)
    weight, bias = rng.uniform(-bound, bound, (fan_in, n_out)), rng.uniform(-bound, bound, n_out)
    return weight.astype(np.float32), bias.astype(np.float32)


def shifted(x: jax.Array, axis: int, n: int, stride: int) -> list[jax.Array]:
    """Copies of every ``stride``-th site, shifted by 0 to n - 1 sites in one direction."""
    if n <= stride and x.shape[axis] % stride == 0:  # windows do not overlap
        blocks = x.reshape(*x.shape[:axis], -1, stride, *x.shape[axis + 1 :])
        return [jax.lax.index_in_dim(blocks, step, axis + 1, keepdims=False) for step in range(n)]
    copies = [x, *(rolled(x, -step, axis) for step in range(1, n))]
    return copies if stride == 1 else [jax.lax.slice_in_dim(copy, 0, None, stride, axis) for copy in copies]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def rolled(x: jax.Array, step: int, axis: int) -> jax.Array:
    """``jnp.roll`` with a gradient that rolls back; JAX's own gradient splits, pads with zeros and adds."""
    return jnp.roll(x, step, axis)


def _rolled(x: jax.Array, step: int, axis: int) -> tuple[jax.Array, None]:
    return rolled(x, step, axis), None


def _rolled_back(step: int, axis: int, _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (jnp.roll(gradient, -step, axis),)


rolled.defvjp(_rolled, _rolled_back)

barrier = jax.lax.optimization_barrier
"""The same array, computed before its use: XLA compiles slowly if copies of copies are fused in one loop."""
