"""The free field on random lattices in one to four dimensions, against the closed form on the same lattice."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fluxeq import exact
from fluxeq.theory import Theory
from verification.sampled import N_CHAINS, chain_means
from verification.verdicts import Verdict, family, number

N_POINTS = 24
N_CONFIGURATIONS = 400  # per chain
EXTENTS = {1: (2, 40), 2: (2, 12), 3: (2, 6), 4: (2, 4)}  # smallest and largest
GAP = (0.05, 2.0)  # range of the distance of eta from the stability bound
FEWEST = 100  # expected windings in a whole run; with fewer, their mean is not normally distributed


def check(seed: int, device: str) -> Iterator[Verdict]:
    """n and |phi|^2 at every point, all of them together, and a control with a wrong mu."""
    rng, verdicts = np.random.default_rng(seed), []
    for i in range(N_POINTS):
        theory, shape = drawn(rng, i % 4 + 1)
        means, expected = chain_means(theory, shape, N_CONFIGURATIONS, seed + i, device), exact.solve(theory, shape)
        where = f"{'x'.join(map(str, shape))} eta {theory.eta:.4f} mu {theory.mu:+.3f}"
        n_windings = abs(expected.n) * math.prod(shape[1:]) * N_CONFIGURATIONS * N_CHAINS
        for name in ("n", "phi2") if n_windings > FEWEST else ("phi2",):
            verdicts.append(number("free field", f"{name} {where}", means[name], getattr(expected, name)))
            yield verdicts[-1]
    yield family("free field", verdicts)
    theory, shape = Theory(4.8, 0.0, 0.65), (5, 3)
    wrong = exact.solve(replace(theory, mu=0.75), shape)
    means = chain_means(theory, shape, N_CONFIGURATIONS, seed, device)
    yield number("free field", "control: n 5x3 with mu off by 0.1", means["n"], wrong.n, is_control=True)


def drawn(rng: np.random.Generator, d: int) -> tuple[Theory, tuple[int, ...]]:
    """A stable theory with mu of either sign, some near the bound, on a lattice with odd and even extents."""
    shape = tuple(int(extent) for extent in rng.integers(*EXTENTS[d], size=d, endpoint=True))
    mu = float(rng.uniform(-1.2, 1.2))
    gap = math.exp(rng.uniform(*np.log(GAP)))
    return Theory(2 * math.cosh(mu) + 2 * (d - 1) + gap, 0.0, mu), shape
