"""A function in place of a network; it could also call a PyTorch model."""

import numpy as np


def predict(configurations: np.ndarray) -> np.ndarray:
    """Exact n and an estimate of |phi|^2 from it: ``(n, 2)`` for configurations ``(n, 4, n_t, n_x)``."""
    n = configurations[:, 0].mean(axis=(1, 2))
    return np.stack([n, 0.36 + 0.1 * n], axis=1)
