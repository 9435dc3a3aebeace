"""Lookup tables of the moves: target sites of steps and factors of acceptances."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fluxeq.errors import FluxOverflowError
from fluxeq.lattice import neighbours
from fluxeq.sampling.drivers import LARGEST_FLUX
from fluxeq.sampling.moves import Tables
from fluxeq.sampling.packed_counts import MOST_ARRIVALS
from fluxeq.theory import FluxTheory, weight_ratio


def tables(theory: FluxTheory, shape: Sequence[int], p: np.ndarray, entry: float) -> Tables:
    """Tables for chains with these p at every site; they extend well beyond the largest p."""
    h = theory.hop_weights(len(shape))
    edges = tuple((np.cumsum(h)[:-1] / h.sum()).tolist())
    g = h.sum() * added_hop_weight(ratios(theory, p))
    site = np.stack([np.concatenate([[0.0], 1 / g[:-1]]), g], axis=1)
    return Tables(steps(tuple(shape)), site, edges, entry)


def require_storable(theory: FluxTheory, d: int) -> None:
    """Raise FluxOverflowError, or StabilityError, if the weights already show that fluxes exceed int8.

    If all p arrivals at a site were independent, they would have the weight L^p W(2 p) / p! (see ``moves``), which
    decreases beyond the p with g(p) = 1. This p must be below the one at which the mean flux on some link, k_t or the
    smaller number of hops in the two directions, is 127. Means are accurate to about 10 %, and all links have to fit.
    """
    theory.require_stable(d)
    h = theory.hop_weights(d)
    share = max(abs(h[0] - h[d]), min(h[0], h[d]), *h[1:d]) / h.sum()
    p = min(math.ceil(LARGEST_FLUX / share), MOST_ARRIVALS)
    log_w = theory.log_site_weight(np.array([2 * p, 2 * p + 2]))
    if math.log(h.sum()) + log_w[1] - log_w[0] > math.log(p + 1):
        raise FluxOverflowError(
            f"{theory}: fluxes are larger than {LARGEST_FLUX}, the maximum of int8; {theory.fewer_hops}"
        )


def ratios(theory: FluxTheory, p: np.ndarray) -> np.ndarray:
    """r(2 p) = W(2 p + 2) / W(2 p) for p = 0, 1, ..., well beyond the largest of these p."""
    return weight_ratio(theory, max(64, 2 * min(2 * int(p.max(initial=0)), MOST_ARRIVALS)))[::2].copy()


def added_hop_weight(ratio: np.ndarray) -> np.ndarray:
    """r(2 p) / (p + 1) from r(2 p) for p = 0, 1, ..., the relative weight of one more hop at a site."""
    return ratio / np.arange(1, len(ratio) + 1)


@lru_cache(maxsize=4)
def steps(shape: tuple[int, ...]) -> np.ndarray:
    """The site to which each choice moves the head; uint32 ``(V, 4 d)``.

    A choice is 2 * direction, plus one if it adds a hop in that direction; otherwise a hop that arrived at the head in
    that direction is removed.
    """
    ahead = neighbours(shape)
    behind = np.roll(ahead, len(shape), axis=0)
    return np.stack([behind, ahead], axis=1).reshape(-1, ahead.shape[1]).T.astype(np.uint32, order="C")
