"""Time per independent configuration on one core: fluxeq and the textbook algorithm in C, in one run.

``python -m benchmarks.sampling`` in the root of the repository. An independent configuration takes 2 tau_int of the
slowest of n, |phi|^2 and the mean of l. The textbook algorithm is measured at several ratios of worms to sweeps and
several weights of the open sector; the best one counts.
"""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.tables import keep
from fluxeq import observables
from fluxeq.sampling import chains, tuning
from fluxeq.statistics import estimate
from fluxeq.theory import Theory
from verification.textbook import Textbook

SECONDS = 5.0  # per measurement
POINTS = [  # worms per sweep of the textbook algorithm
    (Theory(4.01, 1.0, 0.91), (60, 4), (50, 100, 400)),
    (Theory(4.01, 1.0, 1.05), (60, 4), (10, 20, 80)),
    (Theory(4.01, 1.0, 1.0), (200, 10), (30, 60, 240)),
    (Theory(4.01, 1.0, 1.5), (8, 8), (4, 8, 16)),
]
ENTRIES = (0.5, 2.0)
N_CHAINS = 32


def main() -> None:
    """One row per point."""
    for theory, shape, ratios in POINTS:
        others = {(worms, entry): textbook(theory, shape, worms, entry) for worms in ratios for entry in ENTRIES}
        best = min(others, key=lambda key: others[key])
        ours, move = fluxeq_cost(theory, shape)
        row = {
            "shape": "x".join(map(str, shape)),
            "mu": theory.mu,
            "textbook_ms": others[best],
            "worms_a_sweep": best[0],
            "entry": best[1],
            "fluxeq_ms": ours,
            "ratio": others[best] / ours,
            "ns_a_move": move,
        }
        keep("sampling", row, 2)


def textbook(theory: Theory, shape: tuple[int, ...], worms: int, entry: float) -> float:
    """Milliseconds per independent configuration."""
    chain = Textbook(theory, shape, (1, worms))

    def run(n: int) -> list[list[np.ndarray]]:
        series, _ = chain.run(n, worms=worms, sweeps=1, entry=entry)
        return [[column] for column in series.T]

    return cost(run, 200, 1)


def fluxeq_cost(theory: Theory, shape: tuple[int, ...]) -> tuple[float, float]:
    """Milliseconds per independent configuration, and nanoseconds per step of the head, all overheads included."""
    state, found = tuning.tune(theory, chains.empty_chains(shape, N_CHAINS, seed=1))
    spacing = max(1, found.spacing // 4)  # to resolve tau_int
    seconds = steps = 0.0

    def run(n: int) -> list[list[np.ndarray]]:
        nonlocal state, seconds, steps
        before, start = state.tally[:, 2:].sum(), time.perf_counter()
        state, made = chains.record(theory, state, n, spacing, entry=found.entry)
        seconds, steps = time.perf_counter() - start, state.tally[:, 2:].sum() - before
        flat = made.reshape(-1, *made.shape[2:])
        values = observables.n(theory, flat), observables.phi2(theory, flat), observables.hop_pairs(flat)
        return [list(series.reshape(N_CHAINS, n)) for series in values]

    return cost(run, 20, N_CHAINS, lambda: seconds), seconds / steps * 1e9


def cost(
    run: Callable[[int], list[list[np.ndarray]]], n: int, n_chains: int, timer: Callable[[], float] | None = None
) -> float:
    """Milliseconds for 2 tau_int of the slowest observable, from a run of about ``SECONDS``, first tried with ``n``."""
    for _ in range(3):  # the first runs compile and thermalise
        start = time.perf_counter()
        series = run(n)
        seconds = timer() if timer else time.perf_counter() - start
        if seconds < SECONDS / 2:
            n = max(n, int(n * min(100, SECONDS / seconds)))
    tau_int = max(estimate(chains).tau_int or 0.5 for chains in series)
    return 2 * tau_int * seconds / (n_chains * len(series[0][0])) * 1e3


if __name__ == "__main__":
    main()
