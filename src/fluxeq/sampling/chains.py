"""Independent worm chains: their state, and running them in parallel.

There is one random stream per chain (spawned by NumPy's SeedSequence), so results do not depend on threads or
scheduling, and an interrupted run can be continued without any change.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fluxeq import observables
from fluxeq.errors import FluxOverflowError, InputError
from fluxeq.lattice import require_shape, shape_name
from fluxeq.sampling import backends
from fluxeq.sampling.drivers import LARGEST_FLUX, OVERFLOW, TABLE_TOO_SHORT
from fluxeq.sampling.moves import ADD, ENTER, LEAVE, REMOVE, State
from fluxeq.sampling.packed_counts import FULL, LANES, MOST_ARRIVALS, ONES, TOP, WIDTH, words_for
from fluxeq.sampling.tables import tables
from fluxeq.system.capacity import require_memory
from fluxeq.theory import FluxTheory

IN_STEP = 32
"""Chains that advance in step on one processor; fewer leave latency, more have no benefit."""

BYTES_PER_SITE, BYTES_PER_CHAIN = 40, 2**15
"""Minimum memory of chains during tuning: per site and direction, and per chain."""

Moves = SimpleNamespace
Recorder = Callable[..., tuple["Chains", np.ndarray]]
"""A function that advances chains on a device, like ``record``."""


class Chains(NamedTuple):
    """Everything needed to continue closed chains bit for bit, and nothing else."""

    hops: np.ndarray  #: (chain, 2, d, *shape) uint16, forward and backward along each link
    rng: np.ndarray  #: (chain, 2) uint64; one stream per chain
    tally: np.ndarray  #: (chain, 4, 2) int64, moves so far, rejected and accepted: enter, leave, remove, add

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the lattice, time first."""
        return self.hops.shape[3:]

    @property
    def worms(self) -> np.ndarray:
        """Worms of each chain so far, rejected entries included; int64 ``(chain,)``."""
        return self.tally[:, ENTER, 0] + self.tally[:, LEAVE, 1]

    @property
    def acceptance(self) -> dict[str, float]:
        """Acceptance rate of each kind of move; nan for a kind that was never tried."""
        refused, accepted = self.tally.sum(axis=0).T
        return {
            name: float(accepted[kind] / tried) if (tried := accepted[kind] + refused[kind]) else math.nan
            for name, kind in (("enter", ENTER), ("leave", LEAVE), ("remove", REMOVE), ("add", ADD))
        }

    @property
    def worm_length(self) -> float:
        """Mean number of attempted steps of a worm before it leaves; nan if none has left."""
        n_worms = self.tally[:, LEAVE, 1].sum()
        return float(self.tally[:, [REMOVE, ADD]].sum() / n_worms) if n_worms else math.nan


def empty_chains(shape: Sequence[int], n_chains: int, seed: int) -> Chains:
    """Chains on empty lattices, each with its own random stream. Raises InputError like ``require_chains``."""
    require_chains(shape, n_chains, seed)
    streams = [child.generate_state(2, np.uint64) for child in np.random.SeedSequence(seed).spawn(n_chains)]
    hops = np.zeros((n_chains, 2, len(shape), *shape), dtype=np.uint16)
    return Chains(hops, np.array(streams), np.zeros((n_chains, 4, 2), dtype=np.int64))


def require_chains(shape: Sequence[int], n_chains: int, seed: int) -> None:
    """Raise InputError for an invalid lattice, number of chains or seed, or if memory is insufficient."""
    require_shape(shape)
    require_whole("chains", n_chains, 1)
    require_seed(seed)
    n_bytes = BYTES_PER_CHAIN + BYTES_PER_SITE * len(shape) * math.prod(map(int, shape))
    require_memory(f"chains = {n_chains} on {shape_name(shape)}", int(n_chains) * n_bytes)


def require_seed(seed: int) -> None:
    """Raise InputError for an invalid seed, or one that files cannot store."""
    require_whole("seed", seed, 0)
    if seed >= 2**64:
        raise InputError(f"seed = {seed!s:.40}: choose one below 2^64")


def require_whole(name: str, value: int, least: int) -> None:
    """Raise InputError unless ``value`` is an integer of at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} = {value}: must be an integer of at least {least}")


def hops_of(configurations: np.ndarray) -> np.ndarray:
    """Hops forward and backward on every link of ``(n, 2 d, *shape)`` configurations; uint16 ``(n, 2, d, *shape)``."""
    k, l = (part.astype(np.int16) for part in observables.split(configurations))
    return np.stack([np.maximum(k, 0) + l, np.maximum(-k, 0) + l], axis=1).astype(np.uint16)


def record(
    theory: FluxTheory,
    chains: Chains,
    n_configurations: int,
    spacing: int,
    *,
    entry: float = 1.0,
    n_threads: int = 1,
    moves: Moves | None = None,
) -> tuple[Chains, np.ndarray]:
    """Advance every chain and store ``n_configurations`` of each, ``spacing`` worms apart.

    Configurations are int8 ``(chain, n_configurations, 2 d, *shape)``. ``entry`` is the weight of the open sector, any
    positive number. Raises FluxOverflowError, naming the link, if a flux exceeds int8, and StabilityError for a free
    theory without a ground state.
    """
    theory.require_stable(len(chains.shape))
    n_chains, d, n_sites = len(chains.hops), len(chains.shape), math.prod(chains.shape)
    stored = np.empty((n_chains, n_configurations, 2 * d, n_sites), dtype=np.int8)
    done = np.zeros((n_chains, 2), dtype=np.int64)
    compiled = moves or backends.cpu()

    def advance(first: int) -> Chains:
        """Run some chains; the tables are extended on demand."""
        group = slice(first, first + n_lanes)
        state, status = state_of(Chains(*(array[group] for array in chains))), TABLE_TOO_SHORT
        while status == TABLE_TOO_SHORT:
            found = tables(theory, chains.shape, require_in_bounds(theory, state, chains.shape, first), entry)
            status = compiled.record(state, found, done[group], spacing, stored[group])
        if status == OVERFLOW:
            raise overflow_error(theory, links_of(state.arrivals, chains.shape), first)
        return chains_of(state, chains.shape)

    n_lanes = min(IN_STEP, -(-n_chains // n_threads))
    pool = ThreadPoolExecutor(n_threads)
    try:
        groups = list(pool.map(advance, range(0, n_chains, n_lanes)))
    finally:  # on errors and signals, do not wait for other threads
        pool.shutdown(wait=False, cancel_futures=True)
    return concatenated(groups), stored.reshape(n_chains, n_configurations, 2 * d, *chains.shape)


def state_of(chains: Chains) -> State:
    """A copy of closed chains, ready to move."""
    return closed_state(arrivals_of(chains.hops), chains.rng.T.copy(), np.moveaxis(chains.tally, 0, -1).copy())


def closed_state(arrivals: np.ndarray, rng: np.ndarray, tally: np.ndarray) -> State:
    """The state of closed chains."""
    n_chains = len(arrivals)
    return State(arrivals, np.full((2, n_chains), -1), np.zeros(n_chains, np.int32), rng, tally, *workspace(n_chains))


def workspace(n_chains: int) -> tuple[np.ndarray, ...]:
    """The fields of a state for the next step of each head."""
    numbers, chance = np.empty(n_chains), np.empty(n_chains)
    choice, moved, leaves = (np.zeros(n_chains, np.int32) for _ in range(3))
    return numbers, choice, chance, moved, leaves


def chains_of(state: State, shape: Sequence[int]) -> Chains:
    """The closed chains of a state."""
    return Chains(links_of(state.arrivals, shape), state.rng.T.copy(), np.moveaxis(state.tally, -1, 0).copy())


def arrivals_of(hops: np.ndarray) -> np.ndarray:
    """The words of a state, uint64 ``(n, V * words)``, from the hops on links ``(n, 2, d, *shape)``."""
    d = hops.shape[2]
    forward = [np.roll(hops[:, 0, nu], 1, axis=1 + nu) for nu in range(d)]
    words = [np.zeros(hops[:, 0, 0].shape, np.uint64) for _ in range(words_for(2 * d))]
    for direction, counts in enumerate([*forward, *np.moveaxis(hops[:, 1], 1, 0)]):
        word, lane = divmod(direction, LANES)
        words[word] |= counts.astype(np.uint64) << WIDTH * np.uint64(lane)
    return np.stack(words, axis=-1).reshape(len(hops), -1)


def links_of(arrivals: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The hops on links, uint16 ``(n, 2, d, *shape)``, from the words of states; the inverse of ``arrivals_of``."""
    d = len(shape)
    words = arrivals.reshape(len(arrivals), *shape, -1)
    lanes = [divmod(direction, LANES) for direction in range(2 * d)]
    hops = [(words[..., word] >> WIDTH * np.uint64(lane) & FULL).astype(np.uint16) for word, lane in lanes]
    forward = [np.roll(hops[nu], -1, axis=1 + nu) for nu in range(d)]
    return np.stack([np.stack(forward, axis=1), np.stack(hops[d:], axis=1)], axis=1)


def concatenated(groups: Sequence[Chains]) -> Chains:
    """The chains of all groups, in order."""
    return Chains(*(np.concatenate(arrays) for arrays in zip(*groups, strict=True)))


def require_in_bounds(theory: FluxTheory, state: State, shape: tuple[int, ...], first_chain: int) -> np.ndarray:
    """p at every site, uint64 ``(chain, V)``; FluxOverflowError for diverging hops, long before counts overflow."""
    words = state.arrivals.reshape(len(state.arrivals), math.prod(shape), -1)
    p = ((words * ONES >> TOP) & FULL).sum(axis=-1)
    hops = links_of(state.arrivals, shape)
    if hops.max() > 2 * LARGEST_FLUX or p.max() >= MOST_ARRIVALS:
        raise overflow_error(theory, hops, first_chain)
    return p


def overflow_error(theory: FluxTheory, hops: np.ndarray, first_chain: int) -> FluxOverflowError:
    """The error for the link with the largest flux, from the hops ``(chain, 2, d, *shape)`` of consecutive chains."""
    forward, backward = np.moveaxis(hops.astype(np.int64), 1, 0)
    k, l = np.abs(forward - backward), np.minimum(forward, backward)
    name, values = ("k", k) if k.max() >= l.max() else ("l", l)
    chain, nu, *site = (int(i) for i in np.unravel_index(np.argmax(values), values.shape))
    direction = "t" if nu == 0 else f"x{nu}"
    return FluxOverflowError(
        f"|{name}_{direction}| = {values.max()} on the link from site {tuple(site)} of chain {first_chain + chain}: "
        f"the maximum stored flux is {LARGEST_FLUX} (int8); {theory.fewer_hops}"
    )
