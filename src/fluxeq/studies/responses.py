"""What the convolutional part of a network reacts to: the sites where flux is created, or those where it ends.

For channel c and every offset within the receptive field, the area under the ROC curve (AUC) tells the values of the
feature map that see a site of divergence +1 (or -1) at that offset from those that see none there. The score of the
channel is the largest |2 AUC - 1|, between 0 (no reaction) and 1. The score of the network is the mean over channels,
weighted by how much each moves the output: |d output / d pooled feature| times the feature's standard deviation.
"""

import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from fluxeq import observables
from fluxeq.nets.architectures import Architecture
from fluxeq.nets.network import Network, receptive_field, total_stride


class Responses(NamedTuple):
    """Scores of a network in 0 ... 1, and the importance of each of its channels."""

    positive: float
    negative: float
    importance: np.ndarray  # (channels,), sums to 1

    @property
    def selectivity(self) -> float:
        """0 if both ends of a worm cause the same reaction, 1 if only one of them does."""
        total = self.positive + self.negative
        return abs(self.positive - self.negative) / total if total > 0 else 0.0


def responses(config: Architecture, network: Network, configurations: np.ndarray) -> Responses:
    """Scores of the feature maps on ``(n, 2 d, *shape)`` configurations with open worms."""
    maps, weight = _maps_and_importance(network, jnp.asarray(configurations))
    divergence = observables.divergence(configurations)
    stride, extent = total_stride(config.blocks), receptive_field(config.blocks)
    ranks = np.array([rankdata(channel).reshape(channel.shape) for channel in np.moveaxis(maps, 1, 0)])
    scores = {sign: np.zeros(len(ranks)) for sign in (1, -1)}
    for offset in itertools.product(range(extent), repeat=divergence.ndim - 1):
        seen = np.roll(divergence, [-step for step in offset], range(1, divergence.ndim))
        seen = seen[(slice(None), *(slice(None, None, stride),) * len(offset))]
        for sign, best in scores.items():
            np.maximum(best, _separation(ranks, seen == sign), out=best)
    return Responses(*(float(weight @ scores[sign]) for sign in (1, -1)), weight)


@eqx.filter_jit
def _features(network: Network, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    maps = jax.vmap(network.feature_maps)(x)
    pooled = jax.vmap(lambda m: network.readout(jnp.moveaxis(m, 0, -1)))(maps)
    slopes = jax.vmap(jax.grad(lambda features: network.decide(features)[0]))(pooled)
    return maps, pooled, slopes


def _maps_and_importance(network: Network, x: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    maps, pooled, slopes = (np.asarray(values, dtype=np.float64) for values in _features(network, x))
    weight = np.abs(slopes).mean(axis=0) * pooled.std(axis=0)
    total = weight.sum()
    return maps, weight / total if total > 0 else np.full(len(weight), 1 / len(weight))


def _separation(ranks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """|2 AUC - 1| of each channel between the sites that are ``seen`` and all others, from the ranks of all values."""
    n_seen, n_other = int(seen.sum()), int((~seen).sum())
    if n_seen == 0 or n_other == 0:
        return np.zeros(len(ranks))
    total = ranks[:, seen].sum(axis=1)
    auc = (total - n_seen * (n_seen + 1) / 2) / (n_seen * n_other)
    return np.abs(2 * auc - 1)
