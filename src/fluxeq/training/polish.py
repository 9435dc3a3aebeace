"""Levenberg-Marquardt steps on the whole training set, to finish what stochastic gradients leave undone.

    (J^T J + damping * scale) step = J^T r,        scale = trace(J^T J) / n_parameters

with the residuals r and their Jacobian J over all configurations and targets (Levenberg 1944, Marquardt 1963; the
damping falls after a step that lowers the loss and rises after one that does not). With fewer residuals than
parameters the same step is found from J J^T. Jacobians are float32, the linear algebra is float64.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import cho_factor, cho_solve

from fluxeq.training.batches import mapped

BATCH = 20  # configurations whose Jacobians are made at once
LARGEST_JACOBIAN = 2**23  # entries; a step takes about a second then
PATIENCE = 10  # steps without a lower validation loss
FALL, RISE = 0.2, 4.0
START, SMALLEST, LARGEST = 1e-2, 1e-12, 1e12

Examples = tuple[jax.Array, jax.Array]


class Linear(NamedTuple):
    """A network near its parameters, on a training set."""

    residuals: np.ndarray  # (n_residuals,) float64
    jacobian: np.ndarray  # (n_residuals, n_parameters) float64


class Fit(NamedTuple):
    """Parameters, the damping to try next, and the network near them if it is known."""

    parameters: np.ndarray  # (n_parameters,) float64
    damping: float = START
    linear: Linear | None = None


class Polisher:
    """The steps for networks of one structure; ``apply(arrays, x)`` is the network, ``arrays`` any weights of it."""

    def __init__(self, apply: Callable[[Any, jax.Array], jax.Array], arrays: Any) -> None:
        _, self._unravel = ravel_pytree(arrays)

        def network(parameters: jax.Array, x: jax.Array) -> jax.Array:
            return apply(self._unravel(parameters), x)

        def both(parameters: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            return network(parameters, x), jax.jacrev(network)(parameters, x)

        self._linearised = jax.jit(lambda parameters, x: mapped(partial(both, parameters), x, BATCH))

    def start(self, arrays: Any) -> Fit:
        """The weights to begin with."""
        return Fit(np.asarray(ravel_pytree(arrays)[0], dtype=np.float64))

    def weights(self, fit: Fit) -> Any:
        """The weights of a network, float32."""
        return self._unravel(_float32(fit.parameters))

    def step(self, fit: Fit, examples: Examples) -> tuple[Fit, float]:
        """One step, which is not taken if it does not lower the training loss; and that loss, as it is then.

        ``fit.linear`` must be None if the examples are not those of the step before.
        """
        here = fit.linear or self._near(fit.parameters, examples)
        tried = fit.parameters - _change(here, fit.damping)
        there = self._near(tried, examples)
        before, after = (float(np.mean(linear.residuals**2)) for linear in (here, there))
        if after < before:
            return Fit(tried, max(SMALLEST, fit.damping * FALL), there), after
        return Fit(fit.parameters, min(LARGEST, fit.damping * RISE), here), before

    def _near(self, parameters: np.ndarray, examples: Examples) -> Linear:
        x, labels = examples
        outputs, jacobian = self._linearised(_float32(parameters), x)
        residuals = np.asarray(outputs, dtype=np.float64).ravel() - np.asarray(labels, dtype=np.float64).ravel()
        return Linear(residuals, np.asarray(jacobian, dtype=np.float64).reshape(len(residuals), -1))


def can_polish(n_parameters: int, n_residuals: int) -> bool:
    """Whether a step is affordable; networks too large for that are left as they are."""
    return n_parameters * n_residuals <= LARGEST_JACOBIAN


def _change(linear: Linear, damping: float) -> np.ndarray:
    """The step, from whichever of the two equations is smaller."""
    residuals, jacobian = linear
    wide = jacobian.shape[0] < jacobian.shape[1]
    matrix = jacobian @ jacobian.T if wide else jacobian.T @ jacobian
    scale = np.trace(matrix) / jacobian.shape[1]
    matrix[np.diag_indices_from(matrix)] += damping * scale + np.finfo(float).tiny
    if wide:
        return jacobian.T @ cho_solve(cho_factor(matrix), residuals)
    return cho_solve(cho_factor(matrix), jacobian.T @ residuals)


def _float32(parameters: np.ndarray) -> jax.Array:
    return jnp.asarray(parameters, dtype=jnp.float32)
