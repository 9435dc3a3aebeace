"""Independent configurations per second on a CUDA GPU and on one CPU core, in one run, and the theoretical limit.

``python -m benchmarks.gpu_sampling`` in the root of the repository, on a machine with a GPU. 60x4 at eta = 4.01,
lam = 1, mu = 1.05; an independent configuration takes 2 tau_int of the slowest of n, |phi|^2 and the mean of l. Chains
are identical on both, so only time matters, including storage of the configurations and their transfer to the host.

The limit was estimated before the first measurement. Between two stored configurations a head makes about 1700 steps,
and worms enter or leave 0.004 times per step.

Memory: a step reads 2 bytes of the table of lattice steps, reads two 8-byte words and writes one (shared memory), and
reads an 8-byte factor (from a few kB that stay in the cache). Only stored configurations reach global memory: per 1700
steps 1920 bytes as words, written and read, and 960 as fluxes. At 3 TB/s this allows 9e11 steps per second: no limit.

Host: 960 bytes per configuration allow 4e10 steps per second at 20 GB/s, the assumed bandwidth of the link and of host
memory; at 5 GB/s it would be 1e10, the lowest of all limits.

Instructions: about 200 per step, since a 64-bit product takes several. Occasionally some threads of a warp enter or
leave, 300 instructions for the whole warp: 10 more per step. Each thread copies its 240 words alone, 1500 instructions:
18 more per step of a warp. Unpacking in full warps: 13 more.

Latency: the memory accesses of a step depend on each other. In cycles: two random numbers 80, conversion 40, word at
the head 35, sums and comparison 60, step on the lattice 30, word at the site 35, its sum 25, factor 45, comparison 35,
its consequences 45, branches and other latency that is not hidden 70: 500. Entering and leaving add 20, storing 30,
waiting for other heads of the warp 2 %: 560. 105 chains are active per multiprocessor (``kernels.layout``).

With 132 multiprocessors at 1.98 GHz the limit is 9e10 steps per second from instructions and 5e10 from latency; the
lower one applies, if the host keeps up. A CPU core makes 7e7. Cycle counts are estimates, so a rate above the limit is
no contradiction.
"""

import sys
import time
from collections.abc import Callable
from unittest import mock

import numpy as np

from fluxeq.errors import InputError
from fluxeq.sampling import chains, tuning
from fluxeq.sampling.chains import Chains
from fluxeq.sampling.devices import recorder
from fluxeq.sampling.tuning import Tuning
from fluxeq.theory import Theory

THEORY, SHAPE = Theory(4.01, 1.0, 1.05), (60, 4)
INSTRUCTIONS, ISSUED = 200 + 10 + 18 + 13, 4  # per step; per cycle
LATENCY = 560  # cycles per step
CPU_CHAINS = 32
WAVES = (0.05, 0.2, 1, 2)  # chains, in units of those active at the same time
SECONDS = 3.0  # per measurement
LARGEST_RUN = 2**32  # bytes of configurations
REPEATS = 3

Rates = tuple[float, float]


def main() -> int:
    """Print one line for the core, and two for each number of chains on the GPU: state in shared and global memory."""
    try:
        on_gpu = recorder("cuda")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    from numba import cuda

    from fluxeq.sampling import kernels

    device = cuda.get_current_device()
    hertz, n_processors = 1e3 * getattr(device, "CLOCK_RATE", 1.98e6), device.MULTIPROCESSOR_COUNT
    where = kernels.layout(SHAPE)
    at_once = kernels.n_shared(where.n_sites, where.d, where.n_threads)
    by_instructions = n_processors * hertz * ISSUED * where.n_threads / INSTRUCTIONS
    by_latency = n_processors * hertz * at_once / LATENCY
    limit = min(by_instructions, by_latency)
    print(f"{device.name.decode() if isinstance(device.name, bytes) else device.name}: {n_processors} multiprocessors")
    print(f"limit: {by_instructions:.2g} steps/s by instructions, {by_latency:.2g} by latency ({hertz / 1e9:.2f} GHz)")

    thermal, found = tuning.tune(THEORY, chains.empty_chains(SHAPE, CPU_CHAINS, seed=1))
    core, core_steps = rates(chains.record, thermal, found)
    print("chains          state in    configurations/s     ratio     steps/s   of the limit")
    print(f"{CPU_CHAINS:6} (one core)          {core:18.0f} {1:9.0f} {core_steps:11.3g}", flush=True)
    for n_chains in (round(wave * n_processors * at_once) for wave in WAVES):
        started = spread(thermal, n_chains)
        made, steps = rates(on_gpu, started, found)
        line(n_chains, "shared", made, core, steps, limit)
        with mock.patch.object(kernels, "FEWEST_SHARED", 2**30):
            made, steps = rates(on_gpu, started, found)
        line(n_chains, "global", made, core, steps, limit)
    return 0


def line(n_chains: int, memory: str, made: float, core: float, steps: float, limit: float) -> None:
    """One row of the table."""
    print(
        f"{n_chains:6} (GPU)      {memory:8} {made:18.0f} {made / core:9.0f} {steps:11.3g} {steps / limit:14.2f}",
        flush=True,
    )


def spread(thermal: Chains, n_chains: int) -> Chains:
    """Many chains with independent random streams, starting from the configurations of a few."""
    started = chains.empty_chains(thermal.shape, n_chains, seed=2)
    return started._replace(hops=thermal.hops[np.arange(n_chains) % len(thermal.hops)])


def rates(record: Callable[..., tuple[Chains, np.ndarray]], state: Chains, found: Tuning) -> Rates:
    """Independent configurations and steps of the head per second, as medians of a few runs."""
    most = max(1, LARGEST_RUN // (2 * state.hops[:, 0].size))
    n, measured = 1, []
    for _ in range(REPEATS + 2):  # the first run compiles, the second determines n
        before, start = state.tally[:, 2:].sum(), time.perf_counter()
        state, _ = record(THEORY, state, n, found.spacing, entry=found.entry)
        seconds, steps = time.perf_counter() - start, state.tally[:, 2:].sum() - before
        independent = n * len(state.hops) * found.spacing / (2 * found.tau_int)
        measured.append((independent / seconds, steps / seconds))
        if len(measured) == 2:
            n = max(1, min(most, int(n * SECONDS / seconds)))
    made, made_steps = np.median(measured[2:], axis=0)
    return float(made), float(made_steps)


if __name__ == "__main__":
    sys.exit(main())
