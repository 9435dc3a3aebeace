"""What a network is to say of a configuration, and how that is scored: the class of all tasks, and their registry.

A task is an instance of ``Task`` under a name in ``fluxeq.tasks``. Losses act on what the network returns, so that they
may be stable where the prediction itself is not: the logit of a probability.
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
"""How a target belongs to the lattice: a density, a sum over sites, or whether there is one of something."""
POOLING: dict[Nature, Literal["average", "sum", "maximum"]] = {
    "intensive": "average",
    "extensive": "sum",
    "presence": "maximum",
}
"""The global pooling that is right on every lattice."""


@dataclass(frozen=True)
class Target:
    """One number that a network is to predict."""

    name: str
    """That of an observable, or of what is counted."""
    nature: Nature = "intensive"
    """A density, a sum over sites, or whether there is one of something: what the global pooling follows."""


@dataclass(frozen=True)
class Task:
    """Targets, data, loss and metric; the functions of outputs act on one configuration's ``(n_targets,)``."""

    name: str
    """Of its entry point in ``fluxeq.tasks``, or where it is: ``package.module:NAME``."""
    targets: tuple[Target, ...]
    """What is predicted, in order."""
    labels: "Callable[[Ensemble], np.ndarray]"
    """The targets of every configuration of an ensemble, ``(n, n_targets)``."""
    loss: "Callable[[jax.Array, jax.Array], jax.Array]"
    """Output and label to the loss of each target ``(n_targets,)``, not negative."""
    unit: str
    """Of the loss, in words."""
    predicts: str
    """What the prediction is, in words."""
    value: "Callable[[jax.Array], jax.Array]" = lambda output: output
    """Output of the network to what it predicts, in the units of the label."""
    correct: "Callable[[jax.Array, jax.Array], jax.Array] | None" = None
    """Output and label to whether it is right; None where there is no right or wrong."""
    counts_worms: bool = False
    """Whether its data have given numbers of open worms, each of which is scored by itself; else they are closed."""
    least_squares: bool = False
    """Whether the loss is the squared error of the output, which Levenberg-Marquardt steps need."""

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
        """The share of configurations for which the output is right; None where there is no right or wrong."""
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
        raise InputError(f"task {name!r}: an instance of fluxeq.Task with at least one target is needed")
    return found


TASKS: Registry[Task] = Registry("task", "tasks", _require_task, "regression", "detection", "counting")
"""All tasks by name."""
