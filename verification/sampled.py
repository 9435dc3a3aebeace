"""What all checks sample: n and |phi|^2 of independent chains."""

from collections.abc import Sequence

import numpy as np

import fluxeq
from fluxeq.theory import Theory

N_CHAINS = 16
N_THREADS = 2


def chain_means(theory: Theory, shape: Sequence[int], n: int, seed: int) -> dict[str, np.ndarray]:
    """Means of n and |phi|^2 of each chain, from ``n`` configurations of each; ``(chain,)``."""
    made = fluxeq.sample(theory, shape, n * N_CHAINS, chains=N_CHAINS, seed=seed, threads=N_THREADS)
    return {name: getattr(made, name).reshape(n, N_CHAINS).mean(axis=0) for name in ("n", "phi2")}
