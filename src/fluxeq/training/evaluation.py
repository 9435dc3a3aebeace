"""Predictions and scores of networks, with means over all configurations, never means of batch means.

A network is a model, an Equinox module that maps one configuration ``(2 d, *shape)`` to ``(n_targets,)``, or any other
function of a NumPy batch, ``(n, 2 d, *shape)`` to ``(n, n_targets)``. All return the input of the loss of the task,
such as a logit for detection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.errors import InputError
from fluxeq.nets.layers import Array
from fluxeq.statistics import by_chain
from fluxeq.tasks.task import TASKS, Task
from fluxeq.training.batches import in_blocks, rows_within, vectorised
from fluxeq.training.compiled import compiled_fast
from fluxeq.training.datasets import Dataset
from fluxeq.training.models import Model

Predictor = Model | eqx.Module | Callable[[np.ndarray], Any]
BATCH_BYTES = 2**19
"""Input bytes of one compiled call: fits the processor caches, but is large enough to amortise a call (docs/log.md)."""


@dataclass(frozen=True, repr=False)
class Score:
    """Score of a network on a data set; ``per_target`` and ``bias`` by name, accuracy None for a regression."""

    configurations: int
    """Number of configurations."""
    loss: float
    """Mean over configurations and targets, in the unit of the task."""
    loss_error: float | None
    """Standard error from the spread of the chains; for a single chain, from the configurations, assumed independent;
    None for a single configuration."""
    per_target: dict[str, float]
    """The mean loss of each target."""
    per_target_error: dict[str, float | None]
    bias: dict[str, float]
    """Mean of prediction minus label."""
    bias_error: dict[str, float | None]
    mean_prediction: dict[str, float]
    accuracy: float | None
    """The fraction of configurations with correct output."""

    def __repr__(self) -> str:
        error = "" if self.loss_error is None else f" +- {self.loss_error:.1g}"
        accuracy = "" if self.accuracy is None else f", accuracy {self.accuracy:.2%}"
        return f"Score(loss {self.loss:.3g}{error}{accuracy}, {self.configurations} configurations)"


def evaluate(network: Predictor, data: Dataset) -> Score:
    """Score a network on labelled configurations.

    Raises InputError for another task, an unsupported lattice, or outputs that have the wrong shape or are not finite.
    """
    if isinstance(network, Model) and network.task.name != data.task.name:
        raise InputError(f"data for {data.task.name}: the model was trained for {network.task.name}")
    return score(data.task, checked_outputs(network, data.task, data.configurations), data.labels, data.chain)


def predict(network: Predictor, configurations: np.ndarray, task: Task | str | None = None) -> np.ndarray:
    """Predictions in the units of the labels, float64 ``(n, n_targets)``; a probability for detection.

    ``task`` is required unless the network is a model. Raises InputError like ``evaluate``.
    """
    if task is None:
        if not isinstance(network, Model):
            raise InputError("task: only a model knows its own; give a task")
        task = network.task
    the_task = TASKS[task] if isinstance(task, str) else task
    return the_task.values(jnp.asarray(checked_outputs(network, the_task, configurations)))


def checked_outputs(network: Predictor, task: Task, configurations: np.ndarray) -> np.ndarray:
    """The output of a network for configurations.

    Raises InputError for an unsupported lattice, and outputs that have the wrong shape or are not finite.
    """
    x = np.asarray(configurations)
    if x.ndim < 3 or not len(x) or x.shape[1] != 2 * (x.ndim - 2):
        raise InputError(f"configurations of shape {x.shape}: must be (n, 2 d, *shape), with n at least 1")
    if isinstance(network, Model):
        network.require_shape(x.shape[2:])
    function = network.network if isinstance(network, Model) else network
    named, wanted = getattr(function, "__name__", type(function).__name__), (len(x), len(task.targets))
    found = outputs(function, x) if isinstance(function, eqx.Module) else np.asarray(function(x))
    if not isinstance(found, np.ndarray) or found.shape != wanted or found.dtype.kind not in "fiub":
        returned = f"shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        needed = f"{task.name} needs numbers of shape {wanted}"
        raise InputError(f"{named}: returns {returned} for {len(x)} configurations; {needed}")
    if not np.isfinite(found).all():
        raise InputError(f"{named}: returns non-finite numbers")
    return found


def score(task: Task, found: Array, labels: Array, chain: np.ndarray) -> Score:
    """The score of outputs for configurations with these labels and chains, in float64."""
    found, labels = jnp.asarray(found), jnp.asarray(labels)
    losses = task.losses(found, labels)
    values = task.values(found)
    by_configuration, differences = losses.mean(axis=1), values - labels
    n = len(by_configuration)

    def named(values: np.ndarray) -> dict[str, float]:
        return dict(zip(task.target_names, map(float, values), strict=True))

    def errors(values: np.ndarray) -> dict[str, float | None]:
        return dict(zip(task.target_names, (_error(each, chain) for each in values.T), strict=True))

    return Score(
        configurations=n,
        loss=float(by_configuration.mean()),
        loss_error=_error(by_configuration, chain),
        per_target=named(losses.mean(axis=0)),
        per_target_error=errors(losses),
        bias=named(differences.mean(axis=0)),
        bias_error=errors(differences),
        mean_prediction=named(values.mean(axis=0)),
        accuracy=task.accuracy(found, labels),
    )


def _error(values: np.ndarray, chain: np.ndarray) -> float | None:
    """Standard error of the mean of independent groups: the chains, or the values themselves if there is one chain.

    The variance of a weighted mean of means, sum of w^2 (m - mean)^2 times N / (N - 1) for N groups of weight w.
    """
    groups = by_chain(values, chain)
    if len(groups) == 1:
        groups = [values[i : i + 1] for i in range(len(values))]
    if len(groups) == 1:
        return None
    weights = np.array([len(group) for group in groups]) / len(values)
    deviations = np.array([group.mean() for group in groups]) - values.mean()
    return float(np.sqrt(np.sum((weights * deviations) ** 2) * len(groups) / (len(groups) - 1)))


def outputs(network: Any, configurations: np.ndarray) -> np.ndarray:
    """Raw outputs of the network, float32 ``(n, n_targets)``, in batches of equal size for a single compilation."""
    size = min(len(configurations), rows_within(BATCH_BYTES, configurations[0]))
    return in_blocks(partial(of_many, network), configurations, size)


@partial(compiled_fast, jit=eqx.filter_jit)
def of_many(network: Any, x: jax.Array) -> jax.Array:
    """Apply a network to many arrays, ``(n, ...)``; compiled once for all networks of the same structure."""
    return vectorised(network, x)
