"""Independent configurations per second on a CUDA GPU against one CPU core, in one run, and against the limit.

``python -m benchmarks.gpu_sampling`` in the root of the repository, on a machine with a GPU. 60x4 at eta = 4.01,
lam = 1, mu = 1.05; an independent configuration takes 2 tau_int of the slowest of n, |phi|^2 and the mean of l. Chains
are the same on both, so that only time matters; it includes storing the configurations and bringing them to the host.

The limit, counted before anything ran. Between two stored configurations a head makes some 1700 steps, and worms enter
or leave 0.004 times a step.

Memory: a step reads 2 bytes of the lattice's steps, reads two words of 8 bytes and writes one (shared memory), and
reads a factor of 8 bytes (a few kB that stay in the cache). Only what is stored reaches the memory of the GPU: 1920
bytes as words, written and read, and 960 as fluxes, in 1700 steps. At 3 TB/s that allows 9e11 steps per second, and is
no limit.

The host: 960 bytes a configuration, 4e10 steps per second at 20 GB/s, which is what a link of this kind and a host's
memory were assumed to do; with 5 GB/s it is 1e10, and the lowest of all limits.

Instructions: a step has about 200, since a product of 64 bits takes several. At times some of the threads of a warp
enter or leave, 300 instructions for all of them, which makes 10 more a step; each thread copies its 240 words alone,
1500 instructions, 18 more a step of a warp; and they are unpacked in full warps, 13 more.

Latency: in a step each look-up needs the one before. In cycles: two random numbers 80, conversion 40, word at the head
35, sums and comparison 60, step on the lattice 30, word at the site 35, its sum 25, factor 45, comparison 35, what
follows from it 45, branches and what else is not hidden 70: 500. Entering and leaving adds 20, storing 30, waiting for
other heads of the warp 2 %: 560. On a processor 105 chains are at work at once (``kernels.layout``).

With 132 processors at 1.98 GHz: 9e10 steps per second by instructions, 5e10 by latency, the lower of which is the
limit, if the host keeps up. A core of a CPU makes 7e7. Cycles are estimates, so a rate above the limit is no
contradiction.
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
INSTRUCTIONS, ISSUED = 200 + 10 + 18 + 13, 4  # of a step; in a cycle
LATENCY = 560  # cycles of a step
CPU_CHAINS = 32
WAVES = (0.05, 0.2, 1, 2)  # chains, in those that are at work at once
SECONDS = 3.0  # of each measurement
LARGEST_RUN = 2**32  # bytes of configurations
REPEATS = 3

Rates = tuple[float, float]


def main() -> int:
    """Print one line for the core, and one for each number of chains on the GPU."""
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
    print(f"{device.name.decode() if isinstance(device.name, bytes) else device.name}: {n_processors} processors")
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
    """Many chains, with random streams of their own, on the configurations of a few."""
    started = chains.empty_chains(thermal.shape, n_chains, seed=2)
    return started._replace(hops=thermal.hops[np.arange(n_chains) % len(thermal.hops)])


def rates(record: Callable[..., tuple[Chains, np.ndarray]], state: Chains, found: Tuning) -> Rates:
    """Independent configurations and steps of the head per second; the median of a few runs."""
    most = max(1, LARGEST_RUN // (2 * state.hops[:, 0].size))
    n, measured = 1, []
    for _ in range(REPEATS + 2):  # the first compiles, the second finds how much fits into the time
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
