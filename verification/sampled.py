"""Sampling for the checks: n and |phi|^2 of independent chains."""

from collections.abc import Sequence

import numpy as np

import fluxeq
from fluxeq.theory import Theory

N_CHAINS = 16
N_CHAINS_OF_GPU = 250  # not a multiple of the block size; smaller errors in the same time
N_THREADS = 2


def chain_means(theory: Theory, shape: Sequence[int], n: int, seed: int, device: str) -> dict[str, np.ndarray]:
    """Means of n and |phi|^2 for each chain, from ``n`` configurations per chain; ``(chain,)``."""
    n_chains = N_CHAINS if device == "cpu" else N_CHAINS_OF_GPU
    made = fluxeq.sample(theory, shape, n * n_chains, chains=n_chains, seed=seed, device=device, threads=N_THREADS)
    return {name: getattr(made, name).reshape(n, n_chains).mean(axis=0) for name in ("n", "phi2")}
