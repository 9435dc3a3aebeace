"""Learning tasks: what networks predict for a configuration and how predictions are scored; the registry of tasks.

A task is an instance of ``Task`` registered in ``fluxeq.tasks``. Losses act on the output of the network, such as a
logit instead of a probability, for numerical stability.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fluxeq.errors import InputError
from fluxeq.registry import Registry

if TYPE_CHECKING:
    import jax

    from fluxeq.data.ensembles import Ensemble

Nature = Literal["intensive", "extensive", "presence"]
"""Dependence of a target on the lattice: a density, a sum over sites, or the presence of something."""
POOLING: dict[Nature, Literal["average", "sum", "maximum"]] = {
    "intensive": "average",
    "extensive": "sum",
    "presence": "maximum",
}
"""The global pooling that is correct on every lattice."""


@dataclass(frozen=True)
class Target:
    """One number predicted by a network."""

    name: str
    """Name of an observable, or of what is counted."""
    nature: Nature = "intensive"
    """Density, sum over sites, or presence of something; determines the global pooling."""


@dataclass(frozen=True)
class Task:
    """Targets, data, loss and metric. Functions of outputs act on ``(n_targets,)``, one configuration."""

    name: str
    """Name of its entry point in ``fluxeq.tasks``, or ``package.module:NAME``."""
    targets: tuple[Target, ...]
    """The predicted numbers, in order."""
    labels: "Callable[[Ensemble], np.ndarray]"
    """The targets of every configuration of an ensemble, ``(n, n_targets)``."""
    loss: "Callable[[jax.Array, jax.Array], jax.Array]"
    """Maps output and label to the non-negative loss of each target, ``(n_targets,)``."""
    unit: str
    """Unit of the loss, in words."""
    predicts: str
    """Description of the prediction, in words."""
    value: "Callable[[jax.Array], jax.Array]" = lambda output: output
    """Maps the output of the network to the prediction, in units of the label."""
    correct: "Callable[[jax.Array, jax.Array], jax.Array] | None" = None
    """Maps output and label to whether the output is correct; None for tasks without an accuracy."""
    counts_worms: bool = False
    """Whether its data have given numbers of open worms, which are scored separately; otherwise data are closed."""
    least_squares: bool = False
    """Whether the loss is the squared error of the output, as required for Levenberg-Marquardt steps."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets."""
        return tuple(target.name for target in self.targets)

    def losses(self, outputs: Any, labels: Any) -> np.ndarray:
        """The loss of each target of every configuration, float64 ``(n, n_targets)``."""
        return np.asarray(_mapped(self.loss)(outputs, labels), dtype=np.float64)

    def values(self, outputs: Any) -> np.ndarray:
        """The predictions for every configuration, float64 ``(n, n_targets)``."""
        import jax

        return np.asarray(jax.vmap(self.value)(outputs), dtype=np.float64)

    def accuracy(self, outputs: Any, labels: Any) -> float | None:
        """The fraction of configurations with correct output; None for tasks without an accuracy."""
        import jax

        return None if self.correct is None else float(np.mean(np.asarray(jax.vmap(self.correct)(outputs, labels))))


@lru_cache(maxsize=32)
def _mapped(function: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    return jax.jit(jax.vmap(function))


def squared_error(output: "jax.Array", label: "jax.Array") -> "jax.Array":
    """The squared error of each target."""
    return (output - label) ** 2


def _require_task(name: str, found: Any) -> Task:
    if not isinstance(found, Task) or not found.targets:
        raise InputError(f"task {name!r}: must be an instance of fluxeq.Task with at least one target")
    return found


TASKS: Registry[Task] = Registry("task", "tasks", _require_task, "regression", "detection", "counting")
"""All tasks by name."""
