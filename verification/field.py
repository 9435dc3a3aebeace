"""At mu = 0 the weight is real: Metropolis sampling of the field itself.

    S = sum over x of eta |phi_x|^2 + lam |phi_x|^4 - sum over nu of 2 Re(phi_x^* phi_(x + nu_hat))

All sites of one colour of the checkerboard are updated together; the extents must be even.
"""

from collections.abc import Sequence

import numpy as np

from fluxeq.theory import Theory

STEP = 1.2  # largest proposed change of each component
HITS = 3  # proposals per site before its neighbours change


def phi2(theory: Theory, shape: Sequence[int], n_chains: int, n_sweeps: int, seed: int) -> np.ndarray:
    """Mean |phi|^2 of each chain, after thermalisation for a fifth of the sweeps; ``(chain,)``."""
    rng = np.random.default_rng(seed)
    phi = np.zeros((n_chains, *shape), dtype=complex)
    axes = range(1, phi.ndim)
    even = np.indices(shape).sum(axis=0) % 2 == 0
    total, first = np.zeros(n_chains), n_sweeps // 5
    for sweep in range(n_sweeps):
        for colour in (even, ~even):
            force = np.sum([np.roll(phi, step, axis) for axis in axes for step in (1, -1)], axis=0)[:, colour]
            here = phi[:, colour]
            for _ in range(HITS):
                move = rng.uniform(-STEP, STEP, (2, *here.shape))
                there = here + move[0] + 1j * move[1]
                change = local_action(theory, there, force) - local_action(theory, here, force)
                here = np.where(np.log(rng.random(here.shape)) < -change, there, here)
            phi[:, colour] = here
        if sweep >= first:
            total += np.mean(np.abs(phi) ** 2, axis=tuple(axes))
    return total / (n_sweeps - first)


def local_action(theory: Theory, phi: np.ndarray, force: np.ndarray) -> np.ndarray:
    """The part of the action that depends on a site, given the sum of its neighbours."""
    squared = np.abs(phi) ** 2
    return theory.eta * squared + theory.lam * squared**2 - 2 * np.real(np.conj(phi) * force)
