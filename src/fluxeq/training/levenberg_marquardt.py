"""Levenberg-Marquardt steps on the whole training set, to finish what stochastic gradients leave undone.

    (J^T J + damping * scale) step = J^T r,        scale = trace(J^T J) / n_parameters

with the residuals r and their Jacobian J over all configurations and targets (Levenberg 1944, Marquardt 1963; the
damping falls after a step that lowers the loss and rises after one that does not). With fewer residuals than
parameters the same step is found from J J^T. Jacobians are float32, the linear algebra is float64. J^T J is summed over
parts of the training set, whose size therefore costs time and no memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from fluxeq.training.batches import in_blocks

BATCH = 20  # configurations whose Jacobians are made at once
LARGEST_JACOBIAN = 2**23  # entries in memory
MOST_WORK = 2**37  # products for one matrix; a step takes some seconds then
PATIENCE = 10  # steps without a lower validation loss
FALL, RISE = 0.2, 4.0
START, SMALLEST, LARGEST = 1e-2, 1e-12, 1e12

Examples = tuple[np.ndarray, np.ndarray]


class Linear(NamedTuple):
    """A network near its parameters, on a training set: what a step needs of residuals and Jacobian."""

    loss: float
    gradient: np.ndarray  # (n_parameters,) float64, J^T r
    matrix: np.ndarray  # J^T J, or J J^T if that is smaller
    wide: tuple[np.ndarray, np.ndarray] | None  # r and J, for the smaller J J^T only


class Iterate(NamedTuple):
    """Parameters, the damping to try next, and the network near them if a step from them was refused."""

    parameters: np.ndarray  # (n_parameters,) float64
    damping: float = START
    linear: Linear | None = None


class LevenbergMarquardt:
    """The steps for networks of one structure.

    ``apply(arrays, x)`` is the network of one configuration, ``outputs(arrays, x)`` that of many in NumPy, and
    ``arrays`` any weights of it.
    """

    def __init__(
        self,
        apply: Callable[[Any, jax.Array], jax.Array],
        outputs: Callable[[Any, np.ndarray], np.ndarray],
        arrays: Any,
    ) -> None:
        _, self._unravel = ravel_pytree(arrays)
        self._outputs = outputs

        def network(parameters: jax.Array, x: jax.Array) -> jax.Array:
            return apply(self._unravel(parameters), x)

        def both(parameters: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            return network(parameters, x), jax.jacrev(network)(parameters, x)

        self._linearised = jax.jit(jax.vmap(both, in_axes=(None, 0)))

    def start(self, arrays: Any) -> Iterate:
        """The weights to begin with."""
        return Iterate(np.asarray(ravel_pytree(arrays)[0], dtype=np.float64))

    def weights(self, at: Iterate) -> Any:
        """The weights of a network, float32."""
        return self._unravel(_float32(at.parameters))

    def step(self, at: Iterate, examples: Examples) -> tuple[Iterate, float]:
        """One step, which is not taken if it does not lower the training loss; and that loss, as it is then.

        ``at.linear`` must be None if the examples are not those of the step before.
        """
        here = at.linear or self._near(at.parameters, examples)
        tried = at.parameters - _change(here, at.damping)
        loss = self._loss(tried, examples)
        if loss < here.loss:
            return Iterate(tried, max(SMALLEST, at.damping * FALL)), loss
        return Iterate(at.parameters, min(LARGEST, at.damping * RISE), here), here.loss

    def _loss(self, parameters: np.ndarray, examples: Examples) -> float:
        x, labels = examples
        return float(np.mean(_residuals(self._outputs(self._unravel(_float32(parameters)), x), labels) ** 2))

    def _near(self, parameters: np.ndarray, examples: Examples) -> Linear:
        n, n_targets = examples[1].shape
        loss = self._loss(parameters, examples)
        if n * n_targets < len(parameters):
            residuals, jacobian = self._part(parameters, examples)
            return Linear(loss, jacobian.T @ residuals, jacobian @ jacobian.T, (residuals, jacobian))
        size = max(1, LARGEST_JACOBIAN // (n_targets * len(parameters)))
        gradient, square = np.zeros(len(parameters)), np.zeros((len(parameters), len(parameters)))
        for first in range(0, n, size):
            x, labels = (array[first : first + size] for array in examples)
            residuals, jacobian = self._part(parameters, (x, labels))
            gradient += jacobian.T @ residuals
            square += jacobian.T @ jacobian
        return Linear(loss, gradient, square, None)

    def _part(self, parameters: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
        """Residuals ``(n_residuals,)`` and Jacobian ``(n_residuals, n_parameters)`` on some examples, float64."""
        x, labels = examples
        outputs, jacobian = in_blocks(partial(self._linearised, _float32(parameters)), x, BATCH)
        residuals = _residuals(outputs, labels)
        return residuals, np.asarray(jacobian, dtype=np.float64).reshape(len(residuals), -1)


def is_affordable(n_parameters: int, n_residuals: int) -> bool:
    """Whether a step is affordable; networks too large for that are left as they are."""
    if n_residuals < n_parameters and n_residuals * n_parameters > LARGEST_JACOBIAN:
        return False
    return n_residuals * n_parameters * min(n_residuals, n_parameters) <= MOST_WORK


def _change(linear: Linear, damping: float) -> np.ndarray:
    """The step, from whichever of the two equations is smaller; none where that has no solution."""
    try:
        return _solution(linear, damping)
    except (LinAlgError, ValueError):  # ValueError: numbers that are not finite
        return np.zeros_like(linear.gradient)


def _solution(linear: Linear, damping: float) -> np.ndarray:
    matrix = linear.matrix.copy()
    scale = np.trace(matrix) / len(linear.gradient)
    matrix[np.diag_indices_from(matrix)] += damping * scale + np.finfo(float).tiny
    if linear.wide is None:
        return cho_solve(cho_factor(matrix), linear.gradient)
    residuals, jacobian = linear.wide
    return jacobian.T @ cho_solve(cho_factor(matrix), residuals)


def _residuals(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return outputs.astype(np.float64).ravel() - labels.astype(np.float64).ravel()


def _float32(parameters: np.ndarray) -> jax.Array:
    return jnp.asarray(parameters, dtype=jnp.float32)
