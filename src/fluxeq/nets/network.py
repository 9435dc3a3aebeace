"""The network built by all architectures: blocks of convolution, activation and pooling, then a readout.

The readout is local unless there are hidden dense layers: the last layer acts on every site and gives the density of
each target, followed by the global pooling and nothing else. The prediction is therefore an average, a sum or a maximum
over sites on every lattice. With hidden layers, or a pooled readout, it is a function of pooled features, whose
constants may be wrong on other lattices.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, Protocol, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from pydantic import PositiveInt, model_validator

from fluxeq.config import Frozen
from fluxeq.nets.activations import Activation
from fluxeq.nets.extent import Extent
from fluxeq.nets.layers import Dense, Flatten, GlobalPooling, PeriodicConvolution, PeriodicPooling, Pooling
from fluxeq.tasks.task import POOLING, Target


class Block(Frozen):
    """A periodic convolution, the activation, and a spatial pooling unless its extent is 1.

    The stride is that of the pooling if there is one, otherwise of the convolution.
    """

    channels: PositiveInt
    """Output channels of the convolution."""
    kernel: Extent
    """Extent of the kernel in every direction, in sites."""
    pooling: Extent = 1
    """Extent of the windows of the spatial pooling; 1 for none."""
    stride: PositiveInt = 1
    """Stride in every direction, in sites of the previous layer."""


class Network(eqx.Module):
    """A function of one configuration ``(2 d, *shape)`` to ``(n_targets,)``; use ``jax.vmap`` for many."""

    blocks: tuple[tuple[PeriodicConvolution, PeriodicPooling | None], ...]
    pooling: GlobalPooling | Flatten
    dense: tuple[Dense, ...]
    activation: Activation = eqx.field(static=True)
    is_local: bool = eqx.field(static=True)

    def feature_maps(self, x: jax.Array) -> jax.Array:
        """Output of the convolutional part for a configuration: ``(channels, *shape / strides)``."""
        return jnp.moveaxis(self._convolved(x), -1, 0)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Predictions ``(n_targets,)`` for one configuration ``(2 d, *shape)``."""
        return self.decide(self._convolved(x))

    def decide(self, features: jax.Array) -> jax.Array:
        """Predictions ``(n_targets,)`` from feature maps ``(*shape, channels)``."""
        if self.is_local and self.pooling != GlobalPooling(("average",)):
            return self.pooling(self.dense[-1](features))
        features = self.pooling(features)  # an average may as well come first, which is less to compute
        for layer in self.dense[:-1]:
            features = layer(features, self.activation)
        return self.dense[-1](features)

    def _convolved(self, x: jax.Array) -> jax.Array:
        x = jnp.moveaxis(x.astype(self.dense[-1].weight.dtype), 0, -1)
        for convolution, pooling in self.blocks:
            x = convolution(x, self.activation)
            if pooling is not None:
                x = pooling(x)
        return x


class Parts(Protocol):
    """Common fields of the configs of convolutional architectures."""

    blocks: tuple[Block, ...]
    """The convolutional part, starting at the input."""
    pooling: Literal["average", "maximum"]
    """The kind of spatial pooling."""
    activation: Activation
    """The activation of all hidden layers."""
    dense: tuple[int, ...]
    """Widths of the hidden dense layers."""


class Pooled(Frozen):
    """The fields of a config whose networks pool over all sites."""

    blocks: tuple[Block, ...]
    """The convolutional part, from the input on."""
    pooling: Literal["average", "maximum"] = "average"
    """The kind of spatial pooling."""
    activation: Activation = "gelu"
    """Of all hidden layers."""
    global_pooling: Pooling | None = None
    """None: average, sum or maximum, depending on the nature of each target."""
    dense: tuple[PositiveInt, ...] = ()
    """Widths of the hidden layers after the global pooling."""
    readout: Literal["local", "pooled"] | None = None
    """Whether the last layer acts on every site or after the global pooling; None: local if there are no hidden
    layers."""

    @model_validator(mode="after")
    def _hidden_layers_behind_the_pooling(self) -> Self:
        if self.dense and self.readout == "local":
            raise ValueError("readout = 'local': impossible with hidden layers; leave one of them out")
        return self

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> Network:
        """Build a network with random weights for ``d``-dimensional lattices."""
        is_local = not self.dense and self.readout != "pooled"
        kinds = tuple(self.global_pooling or POOLING[target.nature] for target in targets)
        pooling = GlobalPooling(kinds if is_local and len(set(kinds)) > 1 else kinds[:1])
        return assemble(self, pooling, 1, d, targets, rng, is_local=is_local)


def assemble(
    config: Parts,
    pooling: GlobalPooling | Flatten,
    n_sites: int,
    d: int,
    targets: Sequence[Target],
    rng: np.random.Generator,
    *,
    is_local: bool = False,
) -> Network:
    """Build a network with random weights; the first dense layer has ``n_sites`` inputs per channel."""
    layers, channels = [], 2 * d
    for block in config.blocks:
        in_convolution = block.stride if block.pooling == 1 else 1
        convolution = PeriodicConvolution(d, channels, block.channels, block.kernel, in_convolution, rng)
        pool = PeriodicPooling(d, block.pooling, block.stride, config.pooling) if block.pooling > 1 else None
        layers.append((convolution, pool))
        channels = block.channels
    widths = [n_sites * channels, *config.dense, len(targets)]
    linear = [Dense(n_in, n_out, rng) for n_in, n_out in itertools.pairwise(widths)]
    return Network(tuple(layers), pooling, tuple(linear), config.activation, is_local)


def n_parameters(network: eqx.Module) -> int:
    """Number of trainable parameters of any Equinox module."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array)))


def total_stride(blocks: Sequence[Block]) -> int:
    """Distance in the input between neighbouring sites of the feature maps."""
    return math.prod(block.stride for block in blocks)


def ends_in_whole_windows(blocks: Sequence[Block]) -> bool:
    """Whether the last block pools over windows that cover all sites equally often: their averages give the global one.

    The stride of such a pooling breaks no symmetry if an average or a sum over all sites follows immediately.
    """
    last = blocks[-1]
    return last.pooling > 1 and last.pooling % last.stride == 0


def receptive_field(blocks: Sequence[Block]) -> int:
    """Extent of the input region on which one site of the feature maps depends."""
    extent, distance = 1, 1
    for block in blocks:
        extent += (block.kernel - 1) * distance
        if block.pooling > 1:
            extent += (block.pooling - 1) * distance
        distance *= block.stride
    return extent
