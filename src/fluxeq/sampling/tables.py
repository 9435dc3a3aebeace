"""What the moves look up: where each step leads on a lattice, and the factors of its acceptance."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fluxeq.errors import FluxOverflowError
from fluxeq.lattice import neighbours
from fluxeq.sampling.moves import LARGEST, MOST_POWERS, Tables
from fluxeq.theory import Theory, weight_ratio


def tables(theory: Theory, shape: Sequence[int], powers: np.ndarray, entry: float) -> Tables:
    """Tables for chains whose f / 2 at every site is ``powers``; they reach well beyond the largest of these."""
    e = theory.hop_weights(len(shape))
    edges = tuple((np.cumsum(e)[:-1] / e.sum()).tolist())
    g = e.sum() * vacancy(ratios(theory, 2 * powers.astype(np.int64)))
    site = np.stack([np.concatenate([[0.0], 1 / g[:-1]]), g], axis=1)
    return Tables(steps(tuple(shape)), site, edges, entry)


def require_storable(theory: Theory, d: int) -> None:
    """Raise FluxOverflowError, or StabilityError, where the weights say beforehand that fluxes do not fit into int8.

    If all p that arrive at a site were independent, they would weigh L^p W(2 p) / p! (see ``moves``), which falls from
    the p on at which g(p) = 1. The theory is refused if that is not below the p whose mean flux on some link, k_t or
    the smaller number of hops to and fro, is 127. Means are good to some 10 %, and each of many links has to fit.
    """
    theory.require_stable(d)
    e = theory.hop_weights(d)
    share = max(abs(e[0] - e[d]), min(e[0], e[d]), *e[1:d]) / e.sum()
    p = min(math.ceil(LARGEST / share), MOST_POWERS)
    log_w = theory.log_site_weight(np.array([2 * p, 2 * p + 2]))
    if theory.lam and math.log(e.sum()) + log_w[1] - log_w[0] > math.log(p + 1):
        raise FluxOverflowError(
            f"eta = {theory.eta:g}, lam = {theory.lam:g}, mu = {theory.mu:g}: fluxes are larger than {LARGEST}, the "
            "most that is stored (int8); choose a smaller |mu| or larger eta or lam"
        )


def ratios(theory: Theory, powers: np.ndarray) -> np.ndarray:
    """r(f) = W(f+2) / W(f) at even f, reaching well beyond the largest of the f in ``powers``."""
    return weight_ratio(theory, max(64, min(2 * int(powers.max(initial=0)), 2 * MOST_POWERS)))[::2].copy()


def vacancy(ratio: np.ndarray) -> np.ndarray:
    """r(2 p) / (p + 1) from r(2 p) for p = 0, 1, ...: how readily a site takes one more hop."""
    return ratio / np.arange(1, len(ratio) + 1)


@lru_cache(maxsize=4)
def steps(shape: tuple[int, ...]) -> np.ndarray:
    """Where each choice takes the head; uint32 ``(V, 4 d)``.

    A choice is 2 * direction, one more if it makes a hop in that direction; else a hop that arrived at the head in that
    direction is undone.
    """
    ahead = neighbours(shape)
    behind = np.roll(ahead, len(shape), axis=0)
    return np.stack([behind, ahead], axis=1).reshape(-1, ahead.shape[1]).T.astype(np.uint32, order="C")
