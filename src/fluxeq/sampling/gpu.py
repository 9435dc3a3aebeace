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
from fluxeq.sampling.kernels import kernel, layout
from fluxeq.sampling.moves import LANES, OVERFLOW, TABLE_TOO_SHORT, State
from fluxeq.sampling.tables import tables
from fluxeq.theory import Theory

BUFFER_BYTES = 2**28
"""Configurations on the GPU in each of two buffers; at least one of every chain."""


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
    theory: Theory, chains: Chains, n_configurations: int, spacing: int, *, entry: float = 1.0
) -> tuple[Chains, np.ndarray]:
    """Advance every chain as ``chains.record`` does, with the same results and errors.

    Raises InputError as well if the memory of the GPU is too small for so many chains.
    """
    theory.require_stable(len(chains.shape))
    n_chains, d, n_sites = len(chains.hops), len(chains.shape), math.prod(chains.shape)
    n_turns = max(1, min(n_configurations, BUFFER_BYTES // (n_chains * 2 * d * n_sites)))
    require_memory(n_chains, d, n_sites, n_turns)
    made = np.empty((n_chains, n_configurations, 2 * d, n_sites), dtype=np.int8)
    buffers = [cuda.device_array((n_chains, n_turns, 2 * d, n_sites), np.int8) for _ in range(2)]
    host = np.empty(buffers[0].shape, dtype=np.int8)
    run, full = Run(theory, chains, spacing, entry), slice(0, 0)
    for first in range(0, n_configurations, n_turns):
        turns = slice(first, min(first + n_turns, n_configurations))
        run.begin(buffers[0], turns.stop - turns.start)
        fetch(buffers[1], host, made[:, full])
        run.finish()
        full, buffers = turns, buffers[::-1]
    fetch(buffers[1], host, made[:, full])
    return run.chains(), made.reshape(n_chains, n_configurations, 2 * d, *chains.shape)


def fetch(buffer: Any, host: np.ndarray, made: np.ndarray) -> None:
    """Copy the first configurations of every chain out of a buffer, while a kernel may fill the other."""
    if made.size:
        stream = cuda.stream()
        buffer.copy_to_host(host, stream=stream)
        stream.synchronize()
        made[:] = host[:, : made.shape[1]]


def require_memory(n_chains: int, d: int, n_sites: int, n_turns: int) -> None:
    """Raise InputError if two buffers and the state of the chains do not fit into the free memory of the GPU."""
    needed = n_chains * n_sites * (2 * 2 * d * n_turns + 8 * (2 * d // LANES + 1))
    free = cuda.current_context().get_memory_info()[0]
    if needed > free:
        raise InputError(
            f"chains = {n_chains}: they need {needed / 2**30:.1f} GiB of the GPU, where {free / 2**30:.1f} GiB are "
            "free; take fewer chains"
        )


class Run:
    """Chains on the GPU, and the tables that they look up."""

    def __init__(self, theory: Theory, chains: Chains, spacing: int, entry: float) -> None:
        self.theory, self.shape, self.spacing, self.entry = theory, chains.shape, spacing, entry
        self.stream, self.n_chains = cuda.stream(), len(chains.hops)
        self.status = cuda.device_array(self.n_chains, np.int32)
        self._place(state_of(chains))

    def begin(self, stored: Any, n_turns: int) -> None:
        """Start to make ``n_turns`` configurations of every chain in a buffer."""
        self.stored, self.n_turns = stored, n_turns
        self.done = self._there(np.zeros((self.n_chains, 2), dtype=np.int64))
        self._launch()

    def finish(self) -> None:
        """Wait until all are made; the tables grow when a move asks for more of them."""
        while ((status := self._here(self.status)) == TABLE_TOO_SHORT).any():
            self._place(self._state())
            self._launch()
        if (status == OVERFLOW).any():
            c = int(np.argmax(status == OVERFLOW))
            raise overflow_error(links_of(self._state(), self.shape)[c : c + 1], c)

    def chains(self) -> Chains:
        """The closed chains again."""
        return chains_of(self._state(), self.shape)

    def _place(self, state: State) -> None:
        """Put a state, and tables that are long enough for it, where the moves are fastest."""
        found = tables(self.theory, self.shape, require_in_bounds(state, self.shape, 0), self.entry)
        self.layout, self.edges = layout(self.shape), found.edges
        kept = state.arrivals, state.ends, state.adds, state.rng, state.tally
        self.state = [self._there(array) for array in kept]
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
                self.stored,
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
