"""CUDA kernels: the moves with one chain per thread and at most one warp per block.

A step of a head is a sequence of dependent memory accesses, so performance depends on the number of active chains and
the latency of their state. The state of a chain, 8 V bytes in one and two dimensions, is in shared memory, together
with the steps on the lattice, if enough chains fit; otherwise in global memory, contiguous for each chain, so that the
cache holds the neighbourhood of its head. Ends, random stream, tally and the next step are in registers; other shared
data are read through the cache.

A configuration is stored as the words of its state, a copy that keeps the other chains of a warp waiting for a short
time only; all together are turned into fluxes later.

The physics is that of ``drivers.record_alone``; a kernel only says where the arrays lie. No sum of floats follows a
product in it but 2 x - 1, which is exact: fused or not, the numbers are the same.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from fluxeq.sampling import backends
from fluxeq.sampling.moves import State, Tables
from fluxeq.sampling.packed_counts import words_for

WARP = 32
"""Threads that execute together."""
SHARED_BYTES = 48 * 1024
"""Shared memory available to a block by default."""
SHARED_BYTES_OF_ALL = 228 * 1024
"""Shared memory per multiprocessor at compute capability 9.0; elsewhere the layout is correct, but may be slower."""
SHARED_BYTES_RESERVED = 1024
"""Shared memory reserved by the system per block."""
FEWEST_SHARED = 96
"""Minimum number of chains per multiprocessor to use shared memory: three warps hide the latency."""


class Layout(NamedTuple):
    """Memory layout of the state of a chain, for which a kernel is compiled."""

    n_sites: int
    d: int
    n_words: int
    is_shared: bool
    n_threads: int  # of a block


def layout(shape: tuple[int, ...]) -> Layout:
    """The fastest layout for a lattice."""
    n_sites, d = math.prod(shape), len(shape)
    n_words = words_for(2 * d)
    n_threads = max(range(1, WARP + 1), key=lambda n: n_shared(n_sites, d, n))
    is_shared = n_shared(n_sites, d, n_threads) >= FEWEST_SHARED
    return Layout(n_sites, d, n_words, is_shared, n_threads if is_shared else WARP)


def n_shared(n_sites: int, d: int, n_threads: int) -> int:
    """Number of chains that fit into the shared memory of a multiprocessor, in blocks of ``n_threads``."""
    n_bytes = 4 * d * 2 * n_sites + n_threads * 8 * words_for(2 * d) * n_sites
    if n_bytes > SHARED_BYTES:
        return 0
    return n_threads * min(WARP, SHARED_BYTES_OF_ALL // (n_bytes + SHARED_BYTES_RESERVED))


@cache
def kernel(where: Layout) -> Any:
    """The kernel for a layout, compiled on its first launch for the argument types."""
    return in_shared_memory(where) if where.is_shared else in_global_memory()


@cache
def thread() -> Any:
    """The function of a thread: load the small part of a state into registers, move the chain, store it."""
    record_alone = backends.gpu().record_alone

    @cuda.jit(device=True)
    def advance(arrivals, ends, adds, rng, tally, c, tables, done, spacing, stored):  # type: ignore[no-untyped-def]
        own_ends = cuda.local.array((2, 1), np.int64)
        own_adds = cuda.local.array(1, np.int32)
        own_rng = cuda.local.array((2, 1), np.uint64)
        own_tally = cuda.local.array((4, 2, 1), np.int64)
        numbers = cuda.local.array(1, np.float64)
        choice = cuda.local.array(1, np.int32)
        chance = cuda.local.array(1, np.float64)
        moved = cuda.local.array(1, np.int32)
        leaves = cuda.local.array(1, np.int32)
        own_adds[0] = adds[c]
        for i in range(2):
            own_ends[i, 0] = ends[i, c]
            own_rng[i, 0] = rng[i, c]
            for kind in range(4):
                own_tally[kind, i, 0] = tally[kind, i, c]
        state = State(arrivals, own_ends, own_adds, own_rng, own_tally, numbers, choice, chance, moved, leaves)
        status = record_alone(state, 0, tables, done, spacing, stored)
        adds[c] = own_adds[0]
        for i in range(2):
            ends[i, c] = own_ends[i, 0]
            rng[i, c] = own_rng[i, 0]
            for kind in range(4):
                tally[kind, i, c] = own_tally[kind, i, 0]
        return status

    return advance


def in_global_memory() -> Any:
    """The kernel for states in global memory."""
    advance = thread()

    @cuda.jit
    def run(arrivals, ends, adds, rng, tally, steps, site, edges, entry, done, spacing, n, stored, status):  # type: ignore[no-untyped-def]
        c = cuda.grid(1)
        if c >= len(status):
            return
        tables = Tables(steps, site, edges, entry)
        one_done, one_stored = done[c : c + 1], stored[c : c + 1, :n]
        status[c] = advance(arrivals[c : c + 1], ends, adds, rng, tally, c, tables, one_done, spacing, one_stored)

    return run


def in_shared_memory(where: Layout) -> Any:
    """The kernel for states and steps that are copied to shared memory."""
    advance = thread()
    n_sites, n_words, n_steps, n_threads = where.n_sites, where.n_sites * where.n_words, 4 * where.d, where.n_threads

    @cuda.jit
    def run(arrivals, ends, adds, rng, tally, steps, site, edges, entry, done, spacing, n, stored, status):  # type: ignore[no-untyped-def]
        near_steps = cuda.shared.array((n_sites, n_steps), np.uint16)
        near_arrivals = cuda.shared.array((n_threads, n_words), np.uint64)
        c, lane = cuda.grid(1), cuda.threadIdx.x
        for x in range(lane, n_sites, n_threads):
            for i in range(n_steps):
                near_steps[x, i] = steps[x, i]
        cuda.syncthreads()
        if c >= len(status):
            return
        for i in range(n_words):
            near_arrivals[lane, i] = arrivals[c, i]
        tables = Tables(near_steps, site, edges, entry)
        one_done, one_stored = done[c : c + 1], stored[c : c + 1, :n]
        own = near_arrivals[lane : lane + 1]
        status[c] = advance(own, ends, adds, rng, tally, c, tables, one_done, spacing, one_stored)
        for i in range(n_words):
            arrivals[c, i] = near_arrivals[lane, i]

    return run


@cache
def unpack() -> Any:
    """The kernel that unpacks the words of stored configurations to fluxes, one configuration per thread."""
    store_fluxes = backends.gpu().store_fluxes

    @cuda.jit
    def run(words, steps, site, edges, entry, n, fluxes, fits):  # type: ignore[no-untyped-def]
        i = cuda.grid(1)
        c = i // n
        turn = i % n
        if c < len(fits):
            tables = Tables(steps, site, edges, entry)
            fits[c, turn] = store_fluxes(words[c], turn, tables, fluxes[turn, c])

    return run
