"""Response of the convolutional part of a network to the two kinds of flux violation: sources and sinks.

For channel c and every offset within the receptive field, the mean of the feature map over sites with divergence +1
(or -1) at that offset is compared with its mean over the other sites. The largest difference over offsets, times
|d output / d shift of the map|, is the response of the output through this channel. The response of the network is
the sum over channels, and the two responses are normalised to their sum.
"""

import itertools
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq import observables
from fluxeq.nets.network import Network, receptive_field, total_stride
from fluxeq.training.compiled import compiled_fast
from fluxeq.training.models import Model


class Responses(NamedTuple):
    """The two responses normalised to sum 1 (or both 0), and the larger response of each channel."""

    positive: float
    negative: float
    by_channel: np.ndarray  # (channels,)

    @property
    def selectivity(self) -> float:
        """0 if both ends of a worm cause the same response, 1 if only one end causes a response."""
        return abs(self.positive - self.negative)


def responses(model: Model, configurations: np.ndarray) -> Responses:
    """Responses of the feature maps to the ends of worms in ``(n, 2 d, *shape)`` configurations."""
    network, blocks = model.network, model.config.blocks  # type: ignore[attr-defined]
    maps, slopes = (np.asarray(values, dtype=np.float64) for values in _features(network, jnp.asarray(configurations)))
    values = np.moveaxis(maps, 1, 0)
    divergence = observables.divergence(configurations)
    stride, extent = total_stride(blocks), receptive_field(blocks)
    largest = {sign: np.zeros(len(values)) for sign in (1, -1)}
    for offset in itertools.product(range(extent), repeat=divergence.ndim - 1):
        seen = np.roll(divergence, [-step for step in offset], range(1, divergence.ndim))
        seen = seen[(slice(None), *(slice(None, None, stride),) * len(offset))]
        for sign, best in largest.items():
            np.maximum(best, _difference(values, seen == sign), out=best)
    weight = np.abs(slopes).mean(axis=0)
    positive, negative = weight * largest[1], weight * largest[-1]
    total = (positive.sum() + negative.sum()) or 1.0
    return Responses(float(positive.sum() / total), float(negative.sum() / total), np.maximum(positive, negative))


@partial(compiled_fast, jit=eqx.filter_jit)
def _features(network: Network, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Feature maps ``(n, channels, *shape)`` and derivatives of the output by shifts of the maps ``(n, channels)``."""
    maps = jax.vmap(network.feature_maps)(x)

    def slope(one: jax.Array) -> jax.Array:
        features = jnp.moveaxis(one, 0, -1)
        return jax.grad(lambda shift: network.decide(features + shift)[0])(jnp.zeros(features.shape[-1]))

    return maps, jax.vmap(slope)(maps)


def _difference(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """|mean where ``seen`` - mean elsewhere| of each channel; 0 if either set is empty."""
    if not seen.any() or seen.all():
        return np.zeros(len(values))
    return np.abs(values[:, seen].mean(axis=1) - values[:, ~seen].mean(axis=1))
