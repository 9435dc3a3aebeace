"""Levenberg-Marquardt steps, which converge networks beyond stochastic gradient descent.

    minimise  |r|^2 + ridge |p|^2,                    ridge = lowest validation loss so far / variance
    (J^T J + ridge + damping * scale) v = -(J^T r + ridge p),    scale = trace(J^T J) / n_parameters
    (J^T J + ridge + damping * scale) a = -J^T (r(p + v) - r - J v),        step = v + a

with the parameters p, the residuals r of all configurations and targets, and their Jacobian J (Levenberg 1944,
Marquardt 1963). The damping decreases after an accepted step and increases after a rejected one. a is half the geodesic
acceleration of Transtrum and Sethna (arXiv:1201.5885), by a finite difference over the whole of v, so that steps follow
curved valleys.

The ridge is the prior of Bayesian regularisation (MacKay, Neural Comput. 4 (1992) 415; Foresee and Hagan, ICNN 1997):
residuals are weighted by the inverse of their variance, the validation loss, and parameters by the inverse of theirs,
the mean square at the start. Directions not determined by the data shrink instead of fitting the residuals of single
configurations. The ridge decreases with the loss, so it does not limit it.

The first steps use as many configurations as give two residuals per parameter. Their number is doubled when the
validation loss is three times the training loss, or has not decreased for a while. For a linear model with noise,
fitted to N residuals, the ratio is (1 + x) / (1 - x) with x = n_parameters / N, which is three at two residuals per
parameter.

With fewer residuals than parameters the same step is found from J J^T. Derivatives are float32, the linear algebra is
float64. J^T J is summed over parts of the training set, whose size therefore costs time and no memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from fluxeq.training.batches import in_blocks, vectorised
from fluxeq.training.compiled import compiled_fast

BATCH = {"cpu": 20, "cuda": 1000}  # configurations whose Jacobians are computed at once
LARGEST_JACOBIAN = 2**23  # entries in memory
MOST_WORK = 2**37  # products for one matrix; a step then takes several seconds
PATIENCE = 10  # steps without a lower validation loss at a fixed number of configurations
FIRST = 2  # residuals per parameter
USED_UP = (FIRST + 1) / (FIRST - 1)  # validation loss over training loss
FALL, RISE = 0.5, 4.0
START, SMALLEST, LARGEST = 1e-2, 1e-12, 1e12

Examples = tuple[np.ndarray, np.ndarray]


class Linear(NamedTuple):
    """Linearisation of a network on a training set: residuals and Jacobian as needed for a step."""

    loss: float
    side: np.ndarray  # J^T r, float64; or r, if the matrix is J J^T
    matrix: np.ndarray  # J^T J, or J J^T if that is smaller
    jacobian: np.ndarray | None  # kept if it is small enough, as always with J J^T

    @property
    def is_wide(self) -> bool:
        """Whether there are fewer residuals than parameters, and the matrix is J J^T."""
        return self.jacobian is not None and len(self.jacobian) < self.jacobian.shape[1]


class Iterate(NamedTuple):
    """Parameters and everything else the next step depends on; after a rejected step also the linearisation."""

    parameters: np.ndarray  # (n_parameters,) float64
    variance: float  # mean square of the parameters at the start
    n: int  # configurations, the first of the training set
    damping: float = START
    linear: Linear | None = None
    loss: float | None = None  # at these parameters, if known

    def grown(self, n: int) -> "Iterate":
        """The iterate with twice as many configurations, at most ``n``."""
        return self.on_others()._replace(n=min(n, 2 * self.n))

    def on_others(self) -> "Iterate":
        """The iterate for a step on other configurations."""
        return self._replace(linear=None, loss=None)


class LevenbergMarquardt:
    """Levenberg-Marquardt steps for networks of one structure.

    ``apply(arrays, x)`` applies the network to one configuration, ``outputs(arrays, x)`` to many in NumPy; ``arrays``
    are any weights of it, ``device`` is the name of the device.
    """

    def __init__(
        self,
        apply: Callable[[Any, jax.Array], jax.Array],
        outputs: Callable[[Any, np.ndarray], np.ndarray],
        arrays: Any,
        device: str = "cpu",
    ) -> None:
        _, unravel = ravel_pytree(arrays)
        self._unravel, self._outputs, self._batch = unravel, outputs, BATCH[device]

        def network(parameters: jax.Array, x: jax.Array) -> jax.Array:
            return apply(unravel(parameters), x)

        def linearised(parameters: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            outputs, back = jax.vjp(lambda parameters: network(parameters, x), parameters)
            return outputs, jax.vmap(lambda row: back(row)[0])(jnp.eye(outputs.size))

        def pulled(parameters: jax.Array, x: jax.Array, residuals: jax.Array) -> jax.Array:
            _, back = jax.vjp(lambda parameters: jax.vmap(network, (None, 0))(parameters, x), parameters)
            return back(residuals)[0][None]

        self._linearised = compiled_fast(lambda parameters, x: vectorised(partial(linearised, parameters), x))
        self._pulled = compiled_fast(pulled)

    def start(self, arrays: Any, n: int, n_targets: int) -> Iterate:
        """The initial iterate from these weights, with a part of the ``n`` configurations."""
        parameters = np.asarray(ravel_pytree(arrays)[0], dtype=np.float64)
        variance = float(np.mean(parameters**2)) or 1.0
        return Iterate(parameters, variance, min(n, -(-FIRST * len(parameters) // n_targets)))

    def weights(self, at: Iterate) -> Any:
        """The weights of a network, float32."""
        return self._unravel(_float32(at.parameters))

    def step(self, at: Iterate, examples: Examples, noise: float) -> tuple[Iterate, float]:
        """One step, rejected if it does not decrease the objective; returns the iterate and the training loss.

        ``noise`` is the validation loss in the ridge. If the examples differ from those of the previous step, pass
        ``at.on_others()``.
        """
        here = at.linear or self._near(at, examples)
        ridge = noise / at.variance
        tried = self._tried(at, here, ridge, examples)
        loss, n = self._loss(tried, examples), examples[1].size
        if n * loss + ridge * tried @ tried < n * here.loss + ridge * at.parameters @ at.parameters:
            damping = max(SMALLEST, at.damping * FALL)
            return at._replace(parameters=tried, damping=damping, linear=None, loss=loss), loss
        return at._replace(damping=min(LARGEST, at.damping * RISE), linear=here), here.loss

    def _tried(self, at: Iterate, here: Linear, ridge: float, examples: Examples) -> np.ndarray:
        """The parameters after the step; the old ones if the equations have no solution."""
        try:
            solved = _solver(here, ridge, at.damping, len(at.parameters))
            velocity = -solved(here.side, ridge * at.parameters)
            residuals = self._residuals(at.parameters + velocity, examples)
            if here.jacobian is None:
                bent = self._back(at.parameters, residuals, examples[0]) - here.side - here.matrix @ velocity
            elif here.is_wide:
                bent = residuals.ravel() - here.side - here.jacobian @ velocity
            else:
                bent = here.jacobian.T @ residuals.ravel() - here.side - here.matrix @ velocity
            return at.parameters + velocity - solved(bent, np.zeros_like(velocity))
        except (LinAlgError, ValueError):  # ValueError: non-finite numbers
            return at.parameters

    def _back(self, parameters: np.ndarray, residuals: np.ndarray, x: np.ndarray) -> np.ndarray:
        """J^T times residuals, with the Jacobian at these parameters."""
        pulled = partial(self._pulled, _float32(parameters))
        parts = in_blocks(lambda block: pulled(*block), (x, residuals.astype(np.float32)), self._batch)
        return parts.sum(axis=0, dtype=np.float64)

    def _residuals(self, parameters: np.ndarray, examples: Examples) -> np.ndarray:
        x, labels = examples
        return self._outputs(self._unravel(_float32(parameters)), x).astype(np.float64) - labels

    def _loss(self, parameters: np.ndarray, examples: Examples) -> float:
        return float(np.mean(self._residuals(parameters, examples) ** 2))

    def _near(self, at: Iterate, examples: Examples) -> Linear:
        n_residuals, n_parameters = examples[1].size, len(at.parameters)
        loss = self._loss(at.parameters, examples) if at.loss is None else at.loss
        if n_residuals * n_parameters <= LARGEST_JACOBIAN:
            residuals, jacobian = self._part(at.parameters, examples)
            if n_residuals < n_parameters:
                return Linear(loss, residuals, jacobian @ jacobian.T, jacobian)
            return Linear(loss, jacobian.T @ residuals, jacobian.T @ jacobian, jacobian)
        size = max(1, LARGEST_JACOBIAN * len(examples[1]) // (n_residuals * n_parameters))
        gradient, square = np.zeros(n_parameters), np.zeros((n_parameters, n_parameters))
        for first in range(0, len(examples[1]), size):
            x, labels = (array[first : first + size] for array in examples)
            residuals, jacobian = self._part(at.parameters, (x, labels))
            gradient += jacobian.T @ residuals
            square += jacobian.T @ jacobian
        return Linear(loss, gradient, square, None)

    def _part(self, parameters: np.ndarray, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
        """Residuals ``(n_residuals,)`` and Jacobian ``(n_residuals, n_parameters)`` on some examples, float64."""
        x, labels = examples
        outputs, jacobian = in_blocks(partial(self._linearised, _float32(parameters)), x, self._batch)
        residuals = (outputs.astype(np.float64) - labels).ravel()
        return residuals, np.asarray(jacobian, dtype=np.float64).reshape(len(residuals), -1)


def is_affordable(n_parameters: int, n_residuals: int) -> bool:
    """Whether a step is affordable; otherwise the steps are skipped."""
    if n_residuals < n_parameters and n_residuals * n_parameters > LARGEST_JACOBIAN:
        return False
    return n_residuals * n_parameters * min(n_residuals, n_parameters) <= MOST_WORK


def _solver(linear: Linear, ridge: float, damping: float, n_parameters: int) -> Callable[..., np.ndarray]:
    """A function that solves the equation for the right-hand side ``J^T u + rest``, from J^T u (or u, for J J^T)."""
    matrix, jacobian = linear.matrix.copy(), linear.jacobian
    shift = ridge + damping * np.trace(matrix) / n_parameters + np.finfo(float).tiny
    matrix[np.diag_indices_from(matrix)] += shift
    factor = cho_factor(matrix)
    if jacobian is None or not linear.is_wide:
        return lambda side, rest: cho_solve(factor, side + rest)
    return lambda side, rest: jacobian.T @ cho_solve(factor, side - jacobian @ rest / shift) + rest / shift


def _float32(parameters: np.ndarray) -> jax.Array:
    return jnp.asarray(parameters, dtype=jnp.float32)
