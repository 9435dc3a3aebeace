"""The two-point function of the field, from the distance of head and tail of the worm.

    G(x) = <phi_(y + x) phi*_y>,    the mean over y,    G(0) = |phi|^2

An open worm with head y + x and tail y has the weight of this correlator, so G is proportional to the number of moves
after which the head is at distance x from the tail.
Reference: Prokof'ev and Svistunov, Phys. Rev. Lett. 87 (2001) 160601. Verified against the free field in closed form.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fluxeq.sampling import backends
from fluxeq.sampling.chains import Chains, Moves, chains_of, concatenated, require_in_bounds, state_of
from fluxeq.sampling.drivers import TABLE_TOO_SHORT
from fluxeq.sampling.tables import tables
from fluxeq.theory import FluxTheory


def two_point(
    theory: FluxTheory,
    chains: Chains,
    n_worms: int,
    *,
    entry: float = 1.0,
    n_threads: int = 1,
    moves: Moves | None = None,
) -> tuple[Chains, np.ndarray]:
    """Advance every chain by ``n_worms`` worms; also returns G(x) / G(0) of each, float64 ``(chain, *shape)``.

    The result is nan for a chain in which head and tail never met. Raises FluxOverflowError if the hops of a link
    diverge, and StabilityError for a free theory without a ground state.
    """
    theory.require_stable(len(chains.shape))
    n_chains, n_sites = len(chains.hops), math.prod(chains.shape)
    extents, visits = np.array(chains.shape), np.zeros((n_chains, n_sites), dtype=np.int64)
    compiled = moves or backends.cpu()

    def advance(c: int) -> Chains:
        """Run one chain; the tables are extended on demand."""
        state, done = state_of(Chains(*(array[c : c + 1] for array in chains))), np.zeros(1, dtype=np.int64)
        status = TABLE_TOO_SHORT
        while status == TABLE_TOO_SHORT:
            found = tables(theory, chains.shape, require_in_bounds(theory, state, chains.shape, c), entry)
            status = compiled.correlate(state, 0, found, extents, visits[c], done, n_worms)
        return chains_of(state, chains.shape)

    with ThreadPoolExecutor(n_threads) as pool:
        advanced = concatenated(list(pool.map(advance, range(n_chains))))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlator = visits / visits[:, :1]
    return advanced, correlator.reshape(n_chains, *chains.shape)
