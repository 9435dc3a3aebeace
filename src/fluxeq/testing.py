"""Public checks: how well a network respects translations, and whether a sample agrees with an oracle.

    translation error = max over all translations of |net(T x) - T net(x)| / max |net(x)|

The group is finite, so the check is complete. Both checks are themselves tested on things that must fail.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fluxeq.errors import InputError


def translation_error(net: Callable[[Any], Any], x: np.ndarray, stride: int = 1) -> float:
    """The largest change of ``net(x)`` over all translations of x by multiples of ``stride``, relative to its size.

    ``net`` takes one array ``(channels, *shape)``; a network of fluxeq is evaluated in float64. If it returns an array
    ``(n,)`` it is tested for invariance; if ``(channels, *shape / stride)``, for equivariance. Raises InputError if the
    stride does not divide the lattice, or if the output is zero everywhere, which would hide any error.
    """
    import jax

    shape = x.shape[1:]
    if any(extent % stride for extent in shape):
        raise InputError(f"stride {stride} does not divide the lattice {'x'.join(map(str, shape))}")
    with jax.enable_x64(True):
        function = jax.tree.map(_promoted, net)
        values = np.asarray(x, dtype=np.float64)
        expected = np.asarray(function(values))
        scale = float(np.abs(expected).max())
        if scale == 0 or not math.isfinite(scale):
            raise InputError(f"the network returns {scale} at most: nothing that a translation could change")
        axes, worst = tuple(range(1, x.ndim)), 0.0
        for steps in itertools.product(*(range(0, extent, stride) for extent in shape)):
            moved = np.asarray(function(np.roll(values, steps, axes)))
            there = expected
            if expected.ndim == x.ndim:
                there = np.roll(expected, [step // stride for step in steps], axes)
            worst = max(worst, float(np.abs(moved - there).max()) / scale)
    return worst


def _promoted(leaf: Any) -> Any:
    """Weights in float64; all else as it is."""
    return leaf.astype(np.float64) if getattr(leaf, "dtype", None) == np.float32 else leaf


def z_score(chain_means: Sequence[float], expected: float) -> float:
    """How many standard errors the mean over independent chains lies from what an oracle says.

    The spread of the chains is the error, whatever their autocorrelation. Raises InputError for fewer than 4 chains, or
    chains without any spread, from which no error can be told.
    """
    means = np.asarray(chain_means, dtype=np.float64)
    if len(means) < 4:
        raise InputError(f"{len(means)} chains: at least 4 independent ones are needed to tell an error")
    error = means.std(ddof=1) / math.sqrt(len(means))
    if error == 0:
        raise InputError("all chains have one mean: no error can be told; sample a theory that fluctuates")
    return float((means.mean() - expected) / error)
