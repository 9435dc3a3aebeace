"""A pure epoch: every batch once in random order, then the validation loss.

The state contains everything needed to continue, including the best weights; the data stay int8.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fluxeq.training.levenberg_marquardt import Iterate
from fluxeq.training.problem import Problem
from fluxeq.training.recipe import Recipe

Losses = tuple[Any, Any]
"""Training and validation loss."""
Labelled = tuple[Any, Any]
"""Configurations ``(n, 2 d, *shape)`` int8 and labels ``(n, n_targets)``."""


class State(NamedTuple):
    """Everything needed to continue a training, and nothing else."""

    network: Any  # the trainable arrays of a Network
    optimizer: Any
    key: jax.Array
    best: Any  # the arrays of the network with the lowest validation loss so far
    best_loss: jax.Array
    since_best: jax.Array  # epochs


class Reached(NamedTuple):
    """Progress of a training."""

    n: int
    """Epochs and Levenberg-Marquardt steps so far."""
    training: float
    """Training loss in the last of them."""
    validation: float


class Training(NamedTuple):
    """A running training: everything needed to continue it, and its losses so far."""

    state: State
    losses: tuple[tuple[float, float], ...] = ()  # training and validation, the epochs first
    n_levenberg_marquardt: int = 0  # steps after the epochs
    levenberg_marquardt: Iterate | None = None  # None before the first of these steps

    @property
    def n_epochs(self) -> int:
        """Epochs so far."""
        return len(self.losses) - self.n_levenberg_marquardt

    @property
    def reached(self) -> Reached:
        """Progress, after at least one epoch."""
        return Reached(len(self.losses), *self.losses[-1])

    def after(self, state: State, losses: Losses) -> "Training":
        """The training after one more epoch or Levenberg-Marquardt step."""
        training, validation = losses
        return self._replace(state=state, losses=(*self.losses, (float(training), float(validation))))

    def learns(self, recipe: Recipe) -> bool:
        """Whether there are epochs left."""
        if self.levenberg_marquardt is not None or self.n_epochs >= recipe.epochs:
            return False
        return int(self.state.since_best) < recipe.patience


Trainings = dict[int, Training]
"""Trainings by instance index."""


class Parts(NamedTuple):
    """The functions of an epoch, compiled separately or together."""

    steps: Callable[..., tuple[State, jax.Array]]
    validation_loss: Callable[..., jax.Array]
    """Validation loss of the arrays of a network on configurations and labels."""
    improved: Callable[[State, jax.Array], State]


def start(problem: Problem, seed: int) -> State:
    """Initial weights and optimizer state, determined by the seed."""
    arrays = problem.fresh(seed)
    unknown, none = jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32)
    return State(arrays, problem.optimizer_start(arrays), jax.random.key(seed), arrays, unknown, none)


def improved(state: State, loss: jax.Array) -> State:
    """The state with updated best weights if the validation loss is the lowest so far."""
    better = loss < state.best_loss
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.network, state.best)
    since_best = jnp.where(better, 0, state.since_best + 1)
    return state._replace(best=best, best_loss=jnp.where(better, loss, state.best_loss), since_best=since_best)


def epoch(
    problem: Problem, parts: Parts, state: State, training: Labelled, validation: Labelled
) -> tuple[State, Losses]:
    """Run one epoch; the training examples may be followed by padding rows."""
    key, order, keys = shuffled(state.key, problem.n, problem.batch_size, len(training[1]) // problem.batch_size)
    n_batches = problem.n // problem.batch_size
    state, loss = parts.steps(state._replace(key=key), order, keys, n_batches, problem.n_steps, *training)
    validation_loss = parts.validation_loss(state.network, *validation)
    return parts.improved(state, validation_loss), (loss, validation_loss)


def steps(
    problem: Problem,
    state: State,
    order: jax.Array,
    keys: jax.Array,
    n_batches: int | jax.Array,
    n_steps: int | jax.Array,
    configurations: jax.Array,
    labels: jax.Array,
) -> tuple[State, jax.Array]:
    """The state after one step for each of the first ``n_batches`` batches, and the mean of their losses.

    ``n_steps`` is the total number of steps in all epochs, after which a decaying rate is zero.
    """

    def step(i: jax.Array, carry: tuple[Any, Any, jax.Array]) -> tuple[Any, Any, jax.Array]:
        network, optimizer, total = carry
        x = configurations[order[i]]
        if problem.augmentation:
            x = translated(x, keys[i])
        loss, gradient = problem.gradient(network, x, labels[order[i]])
        rate = problem.rate(optimizer[0].count / n_steps)
        updates, optimizer = problem.optimizer.update(gradient, optimizer, network)
        updates = jax.tree.map(lambda update: -rate * update, updates)
        return optax.apply_updates(network, updates), optimizer, total + loss

    nothing = state.network, state.optimizer, jnp.zeros((), jnp.float32)
    network, optimizer, total = jax.lax.fori_loop(0, n_batches, step, nothing)
    return state._replace(network=network, optimizer=optimizer), total / n_batches


@partial(jax.jit, static_argnames=("n", "batch", "room"))
def shuffled(key: jax.Array, n: int, batch: int, room: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The next key, the rows of every batch ``(room, batch)`` in random order, and a key for each batch.

    Only the first ``n // batch`` batches are rows of the data; the others are padding.
    """
    key, order_key, shift_key = jax.random.split(key, 3)
    n_batches = n // batch
    order = jax.random.permutation(order_key, n)[: n_batches * batch].reshape(n_batches, batch)
    return key, jnp.pad(order, [(0, room - n_batches), (0, 0)]), jax.random.split(shift_key, room)


def translated(x: jax.Array, key: jax.Array) -> jax.Array:
    """Apply an independent random translation to every configuration of ``(n, 2 d, *shape)``."""
    for axis, axis_key in zip(range(2, x.ndim), jax.random.split(key, x.ndim - 2), strict=True):
        steps = jax.random.randint(axis_key, (len(x),), 0, x.shape[axis])
        sites = (jnp.arange(x.shape[axis]) + steps[:, None]) % x.shape[axis]
        index = jnp.expand_dims(sites, [other for other in range(1, x.ndim) if other != axis])
        x = jnp.take_along_axis(x, index, axis=axis)
    return x
