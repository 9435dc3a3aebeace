"""The two-point function of the free field from the worm, at every distance, and the mass.

At zero momentum, without its factor e^(mu t), the correlator of the free field obeys
G(t + 1) + G(t - 1) = 2 cosh(m) G(t) at every t except 0, also on a finite lattice, with eta = 2 cosh(m) + 2 (d - 1).
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import stats

from fluxeq import exact
from fluxeq.sampling import chains, tuning
from fluxeq.sampling.devices import recorder
from fluxeq.sampling.two_point import two_point
from fluxeq.theory import Theory
from verification.sampled import N_CHAINS, N_THREADS
from verification.verdicts import Verdict, family, number, probability

STEPS = 2e7  # approximate number of steps of the head per chain
POINTS = [
    (Theory(2.3, 0.0, 0.2), (9,)),
    (Theory(2.05, 0.0, -0.1), (16,)),
    (Theory(4.8, 0.0, 0.3), (6, 3)),
    (Theory(4.4, 0.0, -0.5), (8, 5)),
    (Theory(4.2, 0.0, 0.4), (12, 8)),
    (Theory(6.6, 0.0, 0.6), (6, 3, 4)),
    (Theory(6.3, 0.0, -0.3), (7, 4, 4)),
    (Theory(8.5, 0.0, 0.4), (5, 3, 3, 2)),
]


def check(seed: int, device: str) -> Iterator[Verdict]:
    """The mass and the largest deviation over all distances at every point, and a control with mu reversed."""
    masses = []
    for i, (theory, shape) in enumerate(POINTS):
        correlators = sampled(theory, shape, seed + i, device)
        where = f"{'x'.join(map(str, shape))} eta {theory.eta:g} mu {theory.mu:+g}"
        expected = math.acosh((theory.eta - 2 * (len(shape) - 1)) / 2)
        masses.append(number("two-point", f"mass {where}", [mass(g, theory) for g in correlators], expected))
        yield masses[-1]
        yield probability("two-point", f"G(x) at all x, {where}", all_distances(correlators, theory))
    yield family("two-point", masses)
    theory, shape = POINTS[3]
    wrong = all_distances(sampled(theory, shape, seed, device), replace(theory, mu=-theory.mu))
    yield probability("two-point", "control: G(x), 8x5 with the sign of mu changed", wrong, is_control=True)


def sampled(theory: Theory, shape: tuple[int, ...], seed: int, device: str) -> np.ndarray:
    """G(x) / G(0), measured on the CPU, from chains thermalised on the device; ``(chain, *shape)``."""
    thermal, found = tuning.tune(theory, chains.empty_chains(shape, N_CHAINS, seed), record=recorder(device, N_THREADS))
    n_worms = math.ceil(STEPS / thermal.worm_length)
    return two_point(theory, thermal, n_worms, entry=found.entry, n_threads=N_THREADS)[1]


def mass(correlator: np.ndarray, theory: Theory) -> float:
    """The mass from the correlator of one chain at zero momentum, away from t = 0."""
    n_t = len(correlator)
    g = correlator.reshape(n_t, -1).sum(axis=1) * np.exp(-theory.mu * np.arange(n_t))
    cosh = (g[3:].sum() + g[1:-2].sum()) / (2 * g[2:-1].sum())
    return math.acosh(max(1.0, float(cosh)))


def all_distances(correlators: np.ndarray, theory: Theory) -> float:
    """The p-value of the largest deviation over all distances: Student's t with Bonferroni correction."""
    expected = exact.free_two_point(theory, correlators.shape[1:])
    error = correlators.std(axis=0, ddof=1) / math.sqrt(len(correlators))
    t = (correlators.mean(axis=0) - expected / expected.flat[0]).ravel()[1:] / error.ravel()[1:]
    return min(1.0, len(t) * 2 * float(stats.t.sf(np.abs(t).max(), len(correlators) - 1)))
