"""What a network says of configurations, and how well: exact means over samples, never means of batch means."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.nets.layers import Array
from fluxeq.statistics import by_chain
from fluxeq.tasks.task import Task
from fluxeq.training.batches import in_blocks, rows_within
from fluxeq.training.datasets import Dataset
from fluxeq.training.models import Model

BATCH_BYTES = 2**19
"""Input of one compiled call: few enough for the caches of a processor, and enough to be worth a call (docs/log.md)."""


@dataclass(frozen=True)
class Score:
    """How a network does on one data set; ``per_target`` and ``bias`` by name, accuracy None for a regression."""

    configurations: int
    loss: float
    loss_error: float | None
    """Standard error from the spread of the chains, if there are several; else over the configurations, taken as
    independent; None for a single one."""
    per_target: dict[str, float]
    per_target_error: dict[str, float | None]
    bias: dict[str, float]
    """Mean of prediction minus label."""
    mean_prediction: dict[str, float]
    accuracy: float | None


def evaluate(model: Model, data: Dataset) -> Score:
    """Score a model on labelled configurations. Raises InputError for a lattice that it cannot take."""
    model.require_shape(data.shape)
    return score(model.task, outputs(model.network, data.configurations), data.labels, data.chain)


def predict(model: Model, configurations: np.ndarray) -> np.ndarray:
    """Predictions in the units of the labels, float64 ``(n, n_targets)``; a probability for detection.

    Raises InputError for a lattice that the network cannot take.
    """
    model.require_shape(configurations.shape[2:])
    return model.task.values(jnp.asarray(outputs(model.network, configurations)))


def score(task: Task, found: Array, labels: Array, chain: np.ndarray) -> Score:
    """Score of what a network returned for configurations with these labels, from these chains, in float64."""
    found, labels = jnp.asarray(found), jnp.asarray(labels)
    losses = task.losses(found, labels)
    values = task.values(found)
    by_configuration = losses.mean(axis=1)
    n = len(by_configuration)

    def named(values: np.ndarray) -> dict[str, float]:
        return dict(zip(task.target_names, map(float, values), strict=True))

    return Score(
        configurations=n,
        loss=float(by_configuration.mean()),
        loss_error=_error(by_configuration, chain),
        per_target=named(losses.mean(axis=0)),
        per_target_error=dict(zip(task.target_names, (_error(each, chain) for each in losses.T), strict=True)),
        bias=named((values - labels).mean(axis=0)),
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
    """What the network itself returns, float32 ``(n, n_targets)``, in batches of one size: one compilation."""
    size = min(len(configurations), rows_within(BATCH_BYTES, configurations[0]))
    return in_blocks(partial(_compiled, network), configurations, size)


@eqx.filter_jit
def _compiled(network: Any, x: jax.Array) -> jax.Array:
    return jax.vmap(network)(x)
