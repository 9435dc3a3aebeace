"""Thousands of independent worm chains on a CUDA GPU, bitwise identical to those on a CPU.

The moves are those of ``moves``, compiled by ``kernels``, and the random streams those of ``chains``. Configurations
are copied to the host while the next are made. Verified against the plain moves in Numba's simulator.
"""

import math
import warnings
from typing import Any

import numpy as np
from numba import cuda

from fluxeq.errors import InputError
from fluxeq.sampling.chains import Chains, chains_of, links_of, overflow_error, require_in_bounds, state_of, workspace
from fluxeq.sampling.drivers import TABLE_TOO_SHORT
from fluxeq.sampling.kernels import kernel, layout, unpack
from fluxeq.sampling.moves import State
from fluxeq.sampling.packed_counts import words_for
from fluxeq.sampling.tables import tables
from fluxeq.theory import FluxTheory

BUFFER_BYTES = 2**29
"""Bytes of configurations stored on the GPU before they are unpacked; at least one configuration per chain."""
UNPACK_THREADS = 128
"""Threads per block for unpacking."""


def require_gpu() -> None:
    """Raise InputError, with the reason, unless there is a GPU that can run the moves."""
    try:
        cuda.current_context()
        cuda.jit("void()")(_nothing)  # detects a driver without a compiler
    except Exception as error:  # anything raised by driver, bindings and compiler
        lines = (cuda.cuda_error() or str(error) or repr(error)).strip().splitlines()
        raise InputError(
            f"device 'cuda': no CUDA GPU was found ({lines[0].rstrip('.')}); leave out --device to sample on the CPU"
        ) from error


def _nothing() -> None:
    pass


def record(
    theory: FluxTheory, chains: Chains, n_configurations: int, spacing: int, *, entry: float = 1.0
) -> tuple[Chains, np.ndarray]:
    """Advance every chain like ``chains.record``, with the same results and errors.

    Also raises InputError if the GPU memory is too small for the number of chains.
    """
    theory.require_stable(len(chains.shape))
    n_chains, d, n_sites = len(chains.hops), len(chains.shape), math.prod(chains.shape)
    n_turns = max(1, min(n_configurations, BUFFER_BYTES // (n_chains * bytes_per_site(d) * n_sites)))
    require_memory(n_chains, d, n_sites, n_turns)
    made = np.empty((n_configurations, n_chains, 2 * d, n_sites), dtype=np.int8)  # in the order of arrival
    buffers = [cuda.device_array((n_turns, *made.shape[1:]), np.int8) for _ in range(2)]
    run, full = Run(theory, chains, spacing, entry, n_turns), made[:0]
    for first in range(0, n_configurations, n_turns):
        turns = made[first : first + n_turns]
        run.begin(len(turns))
        fetch(buffers[1], full)
        run.finish(buffers[0])
        full, buffers = turns, buffers[::-1]
    fetch(buffers[1], full)
    return run.chains(), made.reshape(*made.shape[:3], *chains.shape).swapaxes(0, 1)


def bytes_per_site(d: int) -> int:
    """Bytes per site of the state of a chain, and of a packed configuration."""
    return 8 * words_for(2 * d)


def fetch(buffer: Any, made: np.ndarray) -> None:
    """Copy the first configurations from a buffer, while a kernel may fill the other."""
    if made.size:
        stream = cuda.stream()
        buffer[: len(made)].copy_to_host(made, stream=stream)
        stream.synchronize()


def require_memory(n_chains: int, d: int, n_sites: int, n_turns: int) -> None:
    """Raise InputError if the buffers and the state of the chains do not fit into the free memory of the GPU."""
    needed = n_chains * n_sites * (2 * 2 * d * n_turns + bytes_per_site(d) * (n_turns + 1))
    free = cuda.current_context().get_memory_info()[0]
    if needed > free:
        raise InputError(
            f"chains = {n_chains}: they need {needed / 2**30:.1f} GiB of GPU memory, but {free / 2**30:.1f} GiB are "
            "free; use fewer chains"
        )


class Run:
    """Chains on the GPU, their tables, and buffers for ``n_turns`` configurations of each."""

    def __init__(self, theory: FluxTheory, chains: Chains, spacing: int, entry: float, n_turns: int) -> None:
        self.theory, self.shape, self.spacing, self.entry = theory, chains.shape, spacing, entry
        self.stream, self.n_chains = cuda.stream(), len(chains.hops)
        self.status = cuda.device_array(self.n_chains, np.int32)
        self.fits = cuda.device_array((self.n_chains, n_turns), np.int32)
        self._place(state_of(chains))
        self.words = cuda.device_array((self.n_chains, n_turns, self.state[0].shape[1]), np.uint64)

    def begin(self, n_turns: int) -> None:
        """Start making ``n_turns`` configurations of every chain."""
        self.n_turns = n_turns
        self.done = self._there(np.zeros((self.n_chains, 2), dtype=np.int64))
        self._launch()

    def finish(self, stored: Any) -> None:
        """Wait for the configurations and unpack them; the tables are extended on demand."""
        while (self._here(self.status) == TABLE_TOO_SHORT).any():
            self._place(self._state())
            self._launch()
        n_blocks = -(-self.n_chains * self.n_turns // UNPACK_THREADS)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grid size")
            unpack()[n_blocks, UNPACK_THREADS, self.stream](
                self.words, *self.tables, self.edges, self.entry, self.n_turns, stored, self.fits
            )
        fits = self._here(self.fits)[:, : self.n_turns]
        if not fits.all():
            c, turn = np.argwhere(fits == 0)[0]
            raise overflow_error(self.theory, links_of(self._here(self.words)[c, turn : turn + 1], self.shape), c)

    def chains(self) -> Chains:
        """The closed chains."""
        return chains_of(self._state(), self.shape)

    def _place(self, state: State) -> None:
        """Copy a state and sufficiently long tables to the device."""
        found = tables(self.theory, self.shape, require_in_bounds(self.theory, state, self.shape, 0), self.entry)
        self.layout, self.edges = layout(self.shape), found.edges
        self.state = [self._there(array) for array in state[:5]]
        steps = found.steps.astype(np.uint16 if self.layout.is_shared else np.uint32)
        self.tables = [self._there(array) for array in (steps, found.site)]

    def _launch(self) -> None:
        n_threads = self.layout.n_threads
        launched = kernel(self.layout)[-(-self.n_chains // n_threads), n_threads, self.stream]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grid size")  # about few chains underusing the GPU
            made = self.done, self.spacing, self.n_turns, self.words, self.status
            launched(*self.state, *self.tables, self.edges, self.entry, *made)

    def _state(self) -> State:
        return State(*(self._here(array) for array in self.state), *workspace(0))

    def _there(self, array: np.ndarray) -> Any:
        return cuda.to_device(np.ascontiguousarray(array), self.stream)

    def _here(self, array: Any) -> np.ndarray:
        found = array.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return found
