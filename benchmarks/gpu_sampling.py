"""Independent configurations per second on a CUDA GPU and on one CPU core, in one run, and the theoretical limit.

``python -m benchmarks.gpu_sampling [SECONDS]`` in the root of the repository, on a machine with a GPU; a measurement
takes a few times 2 seconds, or SECONDS. eta = 4.01, lam = 1; an independent configuration takes 2 tau_int of the
slowest of n, |phi|^2 and the mean of l. Chains are identical on both, so only time matters, including storage of the
configurations and their transfer to the host. The table is ``results/benchmarks/gpu_sampling.csv``.

The limit is for states in shared memory and was estimated for 60x4 at mu = 1.05, before the first measurement. Between
two stored configurations a head makes about 1700 steps, and worms enter or leave 0.004 times per step.

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
from unittest import mock

import numpy as np

from benchmarks.tables import keep
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.sampling import chains, tuning
from fluxeq.sampling.chains import Chains, Recorder
from fluxeq.sampling.devices import recorder
from fluxeq.sampling.tuning import Tuning
from fluxeq.theory import Theory

CASES = [((60, 4), 1.05), ((8, 8), 1.5), ((200, 10), 1.0)]
INSTRUCTIONS, ISSUED = 200 + 10 + 18 + 13, 4  # per step; per cycle
LATENCY = 560  # cycles per step
CPU_CHAINS = 32
IN_GLOBAL_MEMORY = 1024  # chains per multiprocessor, half of its threads
WAVES = (0.2, 1, 2)  # chains, in units of those active at the same time
LARGEST_RUN = 2**32  # bytes of configurations
REPEATS = 3

Rates = tuple[float, float]


def main(seconds: str = "2") -> int:
    """Store a row for one core, and for each memory and number of chains on the GPU."""
    try:
        on_gpu = recorder("cuda")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    from numba import cuda

    from fluxeq.sampling import kernels

    device = cuda.get_current_device()
    card = device.name.decode() if isinstance(device.name, bytes) else device.name
    hertz, n_processors = 1e3 * getattr(device, "CLOCK_RATE", 1.98e6), getattr(device, "MULTIPROCESSOR_COUNT", 132)
    for shape, mu in CASES:
        theory, where = Theory(4.01, 1.0, mu), kernels.layout(shape)
        thermal, found = tuning.tune(theory, chains.empty_chains(shape, CPU_CHAINS, seed=1))
        core = rates(chains.record, theory, thermal, found, float(seconds))
        named = {"lattice": shape_name(shape), "mu": mu}
        store({**named, "device": "one core", "memory": "", "chains": CPU_CHAINS}, core, core, None)
        n_shared = kernels.n_shared(where.n_sites, where.d, where.n_threads) if where.is_shared else 0
        limit = n_processors * hertz * min(ISSUED * where.n_threads / INSTRUCTIONS, n_shared / LATENCY)
        fewest, active = kernels.FEWEST_SHARED, {"shared": n_shared, "global": IN_GLOBAL_MEMORY}
        for memory in ("shared", "global")[not where.is_shared :]:
            for n_chains in (round(wave * n_processors * active[memory]) for wave in WAVES):
                with mock.patch.object(kernels, "FEWEST_SHARED", fewest if memory == "shared" else 2**30):
                    made = rates(on_gpu, theory, spread(thermal, n_chains), found, float(seconds))
                at = {**named, "device": card, "memory": memory, "chains": n_chains}
                store(at, made, core, limit if memory == "shared" else None)
    return 0


def store(at: dict[str, object], made: Rates, core: Rates, limit: float | None) -> None:
    """Store a row: rates, those of a core, and the limit in steps per second."""
    (configurations, steps), of_limit = made, None if limit is None else made[1] / limit
    rate = {"configurations_a_second": configurations, "of_a_core": configurations / core[0], "steps_a_second": steps}
    keep("gpu_sampling", {**at, **rate, "of_the_limit": of_limit}, len(at))


def spread(thermal: Chains, n_chains: int) -> Chains:
    """Many chains with independent random streams, starting from the configurations of a few."""
    started = chains.empty_chains(thermal.shape, n_chains, seed=2)
    return started._replace(hops=thermal.hops[np.arange(n_chains) % len(thermal.hops)])


def rates(record: Recorder, theory: Theory, state: Chains, found: Tuning, seconds: float) -> Rates:
    """Independent configurations and steps of the head per second, as medians of a few runs."""
    most = max(1, LARGEST_RUN // (2 * state.hops[:, 0].size))
    n, measured = 1, []
    for _ in range(REPEATS + 2):  # the first run compiles, the second determines n
        before, start = state.tally[:, 2:].sum(), time.perf_counter()
        state, _ = record(theory, state, n, found.spacing, entry=found.entry)
        taken, steps = time.perf_counter() - start, state.tally[:, 2:].sum() - before
        independent = n * len(state.hops) * found.spacing / (2 * found.tau_int)
        measured.append((independent / taken, steps / taken))
        if len(measured) == 2:
            n = max(1, min(most, int(n * seconds / taken)))
    made, made_steps = np.median(measured[2:], axis=0)
    return float(made), float(made_steps)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
