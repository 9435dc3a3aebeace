"""What the moves look up: where each step leads on a lattice, and the factors of its acceptance."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fluxeq.lattice import neighbours
from fluxeq.sampling.moves import Tables
from fluxeq.theory import Theory, weight_ratio


def tables(theory: Theory, shape: Sequence[int], powers: np.ndarray, entry: float) -> Tables:
    """Tables for chains whose f / 2 at every site is ``powers``; they reach well beyond the largest of these."""
    d = len(shape)
    ratio = ratios(theory, 2 * powers.astype(np.int64))
    site = np.stack([np.concatenate([[0.0], 1 / ratio[:-1]]), ratio], axis=1)
    counts = np.arange(2.0 * len(ratio) + 2)  # a link has no more hops than its sites have powers
    link = np.tile(np.stack([counts, 1 / (counts + 1)], axis=1), 2 * d)
    link[:, :2] *= math.exp(theory.mu)
    link[:, 2 * d : 2 * d + 2] *= math.exp(-theory.mu)
    return Tables(steps(tuple(shape)), site, link, entry)


def ratios(theory: Theory, powers: np.ndarray) -> np.ndarray:
    """r(f) = W(f+2) / W(f) at even f, reaching well beyond the largest of the f in ``powers``."""
    return weight_ratio(theory, max(64, 2 * int(powers.max(initial=0))))[::2].copy()


@lru_cache(maxsize=4)
def steps(shape: tuple[int, ...]) -> np.ndarray:
    """Neighbours, and places in the hops of a chain that the steps from each site change; uint32 ``(V, 4 d, 2)``.

    A step is 2 * direction, one more if it adds a hop; the directions are first all forward, then all backward. A step
    forward adds to the hops forward on its link, or takes from those backward; a step backward the reverse.
    """
    d, there = len(shape), neighbours(shape)
    n_sites = there.shape[1]
    here = np.arange(n_sites)
    found = np.empty((n_sites, 2 * d, 2, 2), dtype=np.uint32)
    for direction, target in enumerate(there):
        is_forward, nu = direction < d, direction % d
        link = nu * n_sites + (here if is_forward else target)
        forward, backward = link, d * n_sites + link
        found[:, direction, :, 0] = target[:, None]
        found[:, direction, :, 1] = np.stack([backward, forward] if is_forward else [forward, backward], axis=-1)
    return found.reshape(n_sites, 4 * d, 2)
