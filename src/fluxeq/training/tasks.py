"""The tasks: what a network is to say of a configuration, and how that is scored.

regression  (n, |phi|^2)            mean squared error over both
detection   one logit for "open"    binary cross-entropy; accuracy of its sign
counting    the number of worms     squared error; accuracy of the rounded number
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.data.ensembles import Ensemble
from fluxeq.errors import InputError


@dataclass(frozen=True)
class Task:
    """Targets, loss and metric of one task; ``loss`` and ``correct`` act on one configuration's ``(n_targets,)``."""

    name: str
    targets: tuple[str, ...]
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    """Prediction and label ``(n_targets,)`` to the loss of each target ``(n_targets,)``."""
    value: Callable[[jax.Array], jax.Array]
    """Output of the network to what it predicts, in the units of the label."""
    correct: Callable[[jax.Array, jax.Array], jax.Array] | None
    """Prediction and label to whether it is right; None where there is no right or wrong."""

    def losses(self, outputs: Any, labels: Any) -> np.ndarray:
        """The loss of each target of every configuration, float64 ``(n, n_targets)``."""
        return np.asarray(_mapped(self.loss, outputs, labels), dtype=np.float64)


@partial(jax.jit, static_argnums=0)
def _mapped(function: Callable[[jax.Array, jax.Array], jax.Array], outputs: Any, labels: Any) -> jax.Array:
    return jax.vmap(function)(outputs, labels)


def squared_error(output: jax.Array, label: jax.Array) -> jax.Array:
    """The squared error of each target."""
    return (output - label) ** 2


def cross_entropy(logit: jax.Array, label: jax.Array) -> jax.Array:
    """Binary cross-entropy of a logit, stable for large ones."""
    return jnp.maximum(logit, 0) - logit * label + jnp.log1p(jnp.exp(-jnp.abs(logit)))


TASKS = {
    task.name: task
    for task in (
        Task("regression", ("n", "phi2"), squared_error, lambda output: output, None),
        Task(
            "detection",
            ("open",),
            cross_entropy,
            jax.nn.sigmoid,
            lambda output, label: (output[0] > 0) == (label[0] > 0.5),
        ),
        Task(
            "counting",
            ("n_worms",),
            squared_error,
            lambda output: output,
            lambda output, label: jnp.round(output[0]) == label[0],
        ),
    )
}


def task_named(name: str) -> Task:
    """The task of that name. Raises InputError if there is none."""
    if name not in TASKS:
        raise InputError(f"task {name!r}: choose one of {', '.join(TASKS)}")
    return TASKS[name]


@dataclass(frozen=True)
class Examples:
    """Configurations of one shape with their labels, as networks see them."""

    configurations: np.ndarray  # (n, 2 d, *shape) int8
    labels: np.ndarray  # (n, n_targets) float32
    chain: np.ndarray  # (n,) int64, the chain that each comes from

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the lattice, time first."""
        return self.configurations.shape[2:]

    def first(self, n: int) -> "Examples":
        """The first ``n`` of them. Raises InputError if there are fewer."""
        if n > len(self):
            raise InputError(f"{n} examples asked for, but the data hold {len(self)}; sample more of them")
        return Examples(self.configurations[:n], self.labels[:n], self.chain[:n])


def examples(task: Task, ensembles: Sequence[Ensemble]) -> Examples:
    """The labelled configurations of ensembles of one shape, in turns, so that any first part holds all of them alike.

    The labels are recomputed from the configurations and compared with the stored ones. Raises InputError if the
    shapes differ or labels are wrong.
    """
    shapes = {ensemble.shape for ensemble in ensembles}
    if len(shapes) != 1:
        named = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes))
        raise InputError(f"data of several shapes ({named}): a network trains on one lattice at a time")
    for ensemble in ensembles:
        ensemble.verify()
    turns = np.concatenate([(np.arange(len(e)) + 0.5) / len(e) for e in ensembles])
    order = np.argsort(turns, kind="stable")
    configurations = np.concatenate([ensemble.configurations for ensemble in ensembles])[order]
    labels = np.concatenate([_labels(task, ensemble) for ensemble in ensembles])[order]
    first = np.cumsum([0, *(ensemble.n_chains for ensemble in ensembles)])
    chain = np.concatenate([at + ensemble.chain for at, ensemble in zip(first, ensembles, strict=False)])[order]
    return Examples(configurations, labels.astype(np.float32), chain)


def _labels(task: Task, ensemble: Ensemble) -> np.ndarray:
    values = {
        "n": ensemble.n,
        "phi2": ensemble.phi2,
        "open": ensemble.n_worms > 0,
        "n_worms": ensemble.n_worms,
    }
    return np.stack([values[name] for name in task.targets], axis=1).astype(np.float64)
