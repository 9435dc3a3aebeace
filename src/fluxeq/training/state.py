"""Trainings on their way: the state of one, pure functions of it, and its losses so far."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fluxeq.training.levenberg_marquardt import Iterate
from fluxeq.training.problem import Problem
from fluxeq.training.recipe import Recipe

Losses = tuple[Any, Any]
"""Training and validation loss."""


class State(NamedTuple):
    """All that is needed to continue a training, and nothing else."""

    network: Any  # the trainable arrays of a Network
    optimizer: Any
    key: jax.Array
    best: Any  # the arrays of the network with the lowest validation loss so far
    best_loss: jax.Array
    since_best: jax.Array  # epochs


def start(problem: Problem, seed: int) -> State:
    """Fresh weights and optimizer, all from the seed."""
    arrays = problem.fresh(seed)
    unknown, none = jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32)
    return State(arrays, problem.optimizer_start(arrays), jax.random.key(seed), arrays, unknown, none)


def improved(state: State, loss: jax.Array) -> State:
    """The state with its weights as the best ones, if their validation loss is the lowest so far."""
    better = loss < state.best_loss
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.network, state.best)
    since_best = jnp.where(better, 0, state.since_best + 1)
    return state._replace(best=best, best_loss=jnp.where(better, loss, state.best_loss), since_best=since_best)


class Training(NamedTuple):
    """A training on its way: all that is needed to go on with it, and its losses so far."""

    state: State
    losses: tuple[tuple[float, float], ...] = ()  # training and validation, the epochs first
    n_levenberg_marquardt: int = 0  # steps after them
    levenberg_marquardt: Iterate | None = None  # None before the first of these steps

    @property
    def n_epochs(self) -> int:
        """Epochs so far."""
        return len(self.losses) - self.n_levenberg_marquardt

    def after(self, state: State, losses: Losses) -> "Training":
        """The same training one epoch, or one Levenberg-Marquardt step, later."""
        training, validation = losses
        return self._replace(state=state, losses=(*self.losses, (float(training), float(validation))))

    def learns(self, recipe: Recipe) -> bool:
        """Whether there are epochs to come."""
        if self.levenberg_marquardt is not None or self.n_epochs >= recipe.epochs:
            return False
        return int(self.state.since_best) < recipe.patience


Trainings = dict[int, Training]
"""Trainings by the numbers of their instances."""
