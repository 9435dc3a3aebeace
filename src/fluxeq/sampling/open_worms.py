"""Unphysical configurations: open worms inserted into equilibrium closed ones by the worm's own moves.

Each worm starts on a random site and stops after a number of accepted moves drawn uniformly from 1 ... N_t + N_x (the
sum of all extents), so that its length does not depend on the correlation length, as soon as its head is on an
unoccupied site. All 2 N end sites are distinct: N is half the sum of |divergence|.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fluxeq import observables
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.sampling import backends
from fluxeq.sampling.chains import (
    Moves,
    arrivals_of,
    closed_state,
    hops_of,
    links_of,
    overflow_error,
    require_in_bounds,
)
from fluxeq.sampling.drivers import TABLE_TOO_SHORT
from fluxeq.sampling.tables import tables
from fluxeq.theory import FluxTheory, weight_ratio

RAREST = 1e-4
"""Minimum acceptance of a hop; below it a worm would take seconds."""


@dataclass(frozen=True)
class OpenWorms:
    """Configurations with open worms; unused entries of ``heads`` and ``tails`` are -1."""

    configurations: np.ndarray  #: (n, 2 d, *shape) int8
    n_worms: np.ndarray  #: (n,) int64
    heads: np.ndarray  #: (n, most worms, d) int64, the sites with divergence -1
    tails: np.ndarray  #: the same, divergence +1


def insert_worms(
    theory: FluxTheory, configurations: np.ndarray, n_worms: np.ndarray, seed: int, *, moves: Moves | None = None
) -> OpenWorms:
    """Insert ``n_worms[i]`` open worms into the closed configuration i.

    Raises InputError like ``require_room_for_worms``, FluxOverflowError if a flux exceeds int8.
    """
    if len(n_worms) != len(configurations):
        raise InputError(f"{len(n_worms)} numbers of worms for {len(configurations)} configurations: must be one each")
    shape = configurations.shape[2:]
    d, n_sites, most = len(shape), math.prod(shape), int(n_worms.max(initial=0))
    require_room_for_worms(theory, shape, most)
    arrivals = arrivals_of(hops_of(configurations))
    rng, tally = np.random.SeedSequence(seed).generate_state(2, np.uint64)[:, None], np.zeros((4, 2, 1), dtype=np.int64)
    heads, tails = (np.full((len(configurations), most), -1) for _ in range(2))
    compiled = moves or backends.cpu()
    stored = np.empty((len(configurations), 2 * d, n_sites), dtype=np.int8)
    found = tables(theory, shape, observables.field_powers(configurations) // 2, 1.0)
    for i, wanted in enumerate(n_worms):
        state = closed_state(arrivals[i : i + 1], rng, tally)
        done, limits = np.zeros(3, dtype=np.int64), (sum(shape), heads[i, :wanted], tails[i, :wanted])
        while compiled.add_worms(state, 0, found, done, *limits) == TABLE_TOO_SHORT:
            found = tables(theory, shape, require_in_bounds(theory, state, shape, i), 1.0)
        if not compiled.store_fluxes(state.arrivals, 0, found, stored[i]):
            raise overflow_error(theory, links_of(state.arrivals, shape), i)
    sites = [_coordinates(ends, shape) for ends in (heads, tails)]
    return OpenWorms(stored.reshape(configurations.shape), np.asarray(n_worms, dtype=np.int64), *sites)


def require_room_for_worms(theory: FluxTheory, shape: Sequence[int], most: int) -> None:
    """Raise InputError for more ends than half of the sites, or if hops are so rare that worms would hardly move."""
    if not most:
        return
    n_sites = math.prod(shape)
    if 2 * most > n_sites // 2:
        raise InputError(
            f"{most} worms on {shape_name(shape)}: their ends need different sites, at most half of all; "
            f"draw at most {n_sites // 4}"
        )
    g = theory.hop_weights(len(shape)).sum() * weight_ratio(theory, 0)[0]  # for an empty site, see ``moves``
    if g < RAREST:
        raise InputError(f"{theory}: open worms need hops, of which one in {1 / g:.1g} is accepted; {theory.more_hops}")


def _coordinates(sites: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Lattice coordinates of row-major site numbers; -1 stays -1."""
    found = np.stack(np.unravel_index(np.maximum(sites, 0), shape), axis=-1)
    return np.where(sites[..., None] < 0, -1, found)
