"""Kernels: the moves for chains on a CUDA GPU, one chain a thread, at most one warp a block.

A step of a head is a row of look-ups, each of which waits for the one before, so that what counts is how many chains
are at work and how near their state is. With f / 2 and the hops of a link in one byte each the state of a chain takes
(2 d + 1) V bytes. It lies in the shared memory of its block, with the steps on the lattice, where enough chains fit in
there; else in global memory, each chain in one piece, so that the cache keeps the surroundings of its head. Ends,
random stream, tally and the next step are in registers; what else all chains share is read through the cache.

The physics is that of ``moves.record_alone``; a kernel only says where the arrays lie. No sum follows a product in it
but the one in ``moves.choose``, which is exact in 1, 2 and 4 dimensions: fused or not, the numbers are the same.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from fluxeq.sampling import backends
from fluxeq.sampling.moves import State, Tables

WARP = 32
"""Threads that take the same turn."""
SHARED_BYTES = 48 * 1024
"""Shared memory that every block may have without asking the driver for more."""
SHARED_BYTES_OF_ALL = 228 * 1024
"""That of all blocks on a processor of compute capability 9.0; on others the layout is as right, if not the fastest."""
SHARED_BYTES_RESERVED = 1024
"""What each block takes of it besides its own."""
FEWEST_SHARED = 96
"""Chains on a processor from which on shared memory is taken: with three warps of them none waits for memory alone."""
LONGEST_NARROW = 127
"""Entries of the tables up to which one byte holds f / 2 of a site and the hops of a link, twice as many at most."""


class Layout(NamedTuple):
    """Where the state of a chain lies, and how wide its numbers are: what a kernel is compiled for."""

    n_sites: int
    d: int
    is_shared: bool
    n_threads: int  # of a block
    count_type: type[np.generic]  # of hops and powers
    place_type: type[np.generic]  # of the steps in the tables


def layout(shape: tuple[int, ...], n_powers: int) -> Layout:
    """The fastest layout for a lattice, with tables of ``n_powers`` entries."""
    n_sites, d = math.prod(shape), len(shape)
    if n_powers > LONGEST_NARROW:
        return Layout(n_sites, d, False, WARP, np.uint16, np.uint32)
    n_threads = max(range(1, WARP + 1), key=lambda n: n_shared(n_sites, d, n))
    if n_shared(n_sites, d, n_threads) < FEWEST_SHARED:
        return Layout(n_sites, d, False, WARP, np.uint8, np.uint32)
    return Layout(n_sites, d, True, n_threads, np.uint8, np.uint16)


def n_shared(n_sites: int, d: int, n_threads: int) -> int:
    """Chains whose states fit into the shared memory of a processor, in blocks of ``n_threads``."""
    n_bytes = 4 * d * 2 * 2 * n_sites + n_threads * (2 * d + 1) * n_sites
    if n_bytes > SHARED_BYTES:
        return 0
    return n_threads * min(WARP, SHARED_BYTES_OF_ALL // (n_bytes + SHARED_BYTES_RESERVED))


@cache
def kernel(where: Layout) -> Any:
    """The kernel for a layout; compiled when it is first launched, with the types that it is given."""
    return in_shared_memory(where) if where.is_shared else in_global_memory()


@cache
def thread() -> Any:
    """What one thread does: take the small part of a state into registers, move the chain, put it back."""
    record_alone = backends.gpu().record_alone

    @cuda.jit(device=True)
    def advance(hops, powers, ends, rng, tally, c, tables, done, spacing, stored):  # type: ignore[no-untyped-def]
        own_ends = cuda.local.array((2, 1), np.int64)
        own_rng = cuda.local.array((2, 1), np.uint64)
        own_tally = cuda.local.array((4, 2, 1), np.int64)
        numbers = cuda.local.array(1, np.float64)
        choice = cuda.local.array(1, np.int32)
        chance = cuda.local.array(1, np.float64)
        moved = cuda.local.array(1, np.int32)
        for i in range(2):
            own_ends[i, 0] = ends[i, c]
            own_rng[i, 0] = rng[i, c]
            for kind in range(4):
                own_tally[kind, i, 0] = tally[kind, i, c]
        state = State(hops, powers, own_ends, own_rng, own_tally, numbers, choice, chance, moved)
        status = record_alone(state, 0, tables, done, spacing, stored)
        for i in range(2):
            ends[i, c] = own_ends[i, 0]
            rng[i, c] = own_rng[i, 0]
            for kind in range(4):
                tally[kind, i, c] = own_tally[kind, i, 0]
        return status

    return advance


def in_global_memory() -> Any:
    """The kernel for states that stay where they are."""
    advance = thread()

    @cuda.jit
    def run(hops, powers, ends, rng, tally, steps, site, link, entry, done, spacing, n, stored, status):  # type: ignore[no-untyped-def]
        c = cuda.grid(1)
        if c >= len(status):
            return
        tables = Tables(steps, site, link, entry)
        own = hops[c : c + 1], powers[c : c + 1]
        one_done, one_stored = done[c : c + 1], stored[c : c + 1, :n]
        status[c] = advance(own[0], own[1], ends, rng, tally, c, tables, one_done, spacing, one_stored)

    return run


def in_shared_memory(where: Layout) -> Any:
    """The kernel for states and steps that are brought into the shared memory of their block."""
    advance = thread()
    n_sites, n_links, n_steps, n_threads = where.n_sites, 2 * where.d * where.n_sites, 4 * where.d, where.n_threads

    @cuda.jit
    def run(hops, powers, ends, rng, tally, steps, site, link, entry, done, spacing, n, stored, status):  # type: ignore[no-untyped-def]
        near_steps = cuda.shared.array((n_sites, n_steps, 2), np.uint16)
        near_hops = cuda.shared.array((n_threads, n_links), np.uint8)
        near_powers = cuda.shared.array((n_threads, n_sites), np.uint8)
        c, lane = cuda.grid(1), cuda.threadIdx.x
        for x in range(lane, n_sites, n_threads):
            for i in range(n_steps):
                near_steps[x, i, 0] = steps[x, i, 0]
                near_steps[x, i, 1] = steps[x, i, 1]
        cuda.syncthreads()
        if c >= len(status):
            return
        for i in range(n_links):
            near_hops[lane, i] = hops[c, i]
        for x in range(n_sites):
            near_powers[lane, x] = powers[c, x]
        tables = Tables(near_steps, site, link, entry)
        own = near_hops[lane : lane + 1], near_powers[lane : lane + 1]
        one_done, one_stored = done[c : c + 1], stored[c : c + 1, :n]
        status[c] = advance(own[0], own[1], ends, rng, tally, c, tables, one_done, spacing, one_stored)
        for i in range(n_links):
            hops[c, i] = near_hops[lane, i]
        for x in range(n_sites):
            powers[c, x] = near_powers[lane, x]

    return run
