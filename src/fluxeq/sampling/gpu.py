"""Independent worm chains on a CUDA GPU: thousands of them, each the same, bit for bit, as on a processor.

The moves are those of ``moves``, compiled by ``kernels``, and the random streams those of ``chains``. Configurations go
to the host while the next are made. Verified against the plain moves in Numba's simulator.
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
"""Configurations that a kernel leaves on the GPU, before they are unpacked; at least one of every chain."""
UNPACK_THREADS = 128
"""Threads of a block that unpacks."""


def require_gpu() -> None:
    """Raise InputError, with the reason, where there is no GPU that can run the moves."""
    try:
        cuda.current_context()
        cuda.jit("void()")(_nothing)  # a driver without a compiler is found out here
    except Exception as error:  # whatever driver, bindings and compiler raise
        lines = (cuda.cuda_error() or str(error) or repr(error)).strip().splitlines()
        raise InputError(
            f"device 'cuda': no CUDA GPU was found ({lines[0].rstrip('.')}); leave --device out to sample on the CPU"
        ) from error


def _nothing() -> None:
    pass


def record(
    theory: FluxTheory, chains: Chains, n_configurations: int, spacing: int, *, entry: float = 1.0
) -> tuple[Chains, np.ndarray]:
    """Advance every chain as ``chains.record`` does, with the same results and errors.

    Raises InputError as well if the memory of the GPU is too small for so many chains.
    """
    theory.require_stable(len(chains.shape))
    n_chains, d, n_sites = len(chains.hops), len(chains.shape), math.prod(chains.shape)
    n_turns = max(1, min(n_configurations, BUFFER_BYTES // (n_chains * bytes_a_site(d) * n_sites)))
    require_memory(n_chains, d, n_sites, n_turns)
    made = np.empty((n_configurations, n_chains, 2 * d, n_sites), dtype=np.int8)  # in the order in which it arrives
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


def bytes_a_site(d: int) -> int:
    """Of the state of a chain, and of a configuration before it is unpacked."""
    return 8 * words_for(2 * d)


def fetch(buffer: Any, made: np.ndarray) -> None:
    """Copy the first configurations out of a buffer, while a kernel may fill the other."""
    if made.size:
        stream = cuda.stream()
        buffer[: len(made)].copy_to_host(made, stream=stream)
        stream.synchronize()


def require_memory(n_chains: int, d: int, n_sites: int, n_turns: int) -> None:
    """Raise InputError if the buffers and the state of the chains do not fit into the free memory of the GPU."""
    needed = n_chains * n_sites * (2 * 2 * d * n_turns + bytes_a_site(d) * (n_turns + 1))
    free = cuda.current_context().get_memory_info()[0]
    if needed > free:
        raise InputError(
            f"chains = {n_chains}: they need {needed / 2**30:.1f} GiB of the GPU, where {free / 2**30:.1f} GiB are "
            "free; take fewer chains"
        )


class Run:
    """Chains on the GPU, the tables that they look up, and room for ``n_turns`` configurations of each."""

    def __init__(self, theory: FluxTheory, chains: Chains, spacing: int, entry: float, n_turns: int) -> None:
        self.theory, self.shape, self.spacing, self.entry = theory, chains.shape, spacing, entry
        self.stream, self.n_chains = cuda.stream(), len(chains.hops)
        self.status = cuda.device_array(self.n_chains, np.int32)
        self.fits = cuda.device_array((self.n_chains, n_turns), np.int32)
        self._place(state_of(chains))
        self.words = cuda.device_array((self.n_chains, n_turns, self.state[0].shape[1]), np.uint64)

    def begin(self, n_turns: int) -> None:
        """Start to make ``n_turns`` configurations of every chain."""
        self.n_turns = n_turns
        self.done = self._there(np.zeros((self.n_chains, 2), dtype=np.int64))
        self._launch()

    def finish(self, stored: Any) -> None:
        """Wait until all are made, and unpack them; the tables grow when a move asks for more of them."""
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
        """The closed chains again."""
        return chains_of(self._state(), self.shape)

    def _place(self, state: State) -> None:
        """Put a state, and tables that are long enough for it, where the moves are fastest."""
        found = tables(self.theory, self.shape, require_in_bounds(self.theory, state, self.shape, 0), self.entry)
        self.layout, self.edges = layout(self.shape), found.edges
        self.state = [self._there(array) for array in state[:5]]
        steps = found.steps.astype(np.uint16 if self.layout.is_shared else np.uint32)
        self.tables = [self._there(array) for array in (steps, found.site)]

    def _launch(self) -> None:
        n_threads = self.layout.n_threads
        launched = kernel(self.layout)[-(-self.n_chains // n_threads), n_threads, self.stream]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grid size")  # that few chains leave a GPU idle
            launched(
                *self.state,
                *self.tables,
                self.edges,
                self.entry,
                self.done,
                self.spacing,
                self.n_turns,
                self.words,
                self.status,
            )

    def _state(self) -> State:
        return State(*(self._here(array) for array in self.state), *workspace(0))

    def _there(self, array: np.ndarray) -> Any:
        return cuda.to_device(np.ascontiguousarray(array), self.stream)

    def _here(self, array: Any) -> np.ndarray:
        found = array.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return found
