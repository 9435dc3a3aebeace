"""A pure epoch: every batch once in random order, then the validation loss. The data stay as int8."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fluxeq.training.problem import Problem
from fluxeq.training.state import Losses, State

Labelled = tuple[Any, Any]
"""Configurations ``(n, 2 d, *shape)`` int8 and labels ``(n, n_targets)``."""


class Parts(NamedTuple):
    """What an epoch is made of, compiled each by itself or to be compiled together."""

    steps: Callable[..., tuple[State, jax.Array]]
    validation_loss: Callable[..., jax.Array]
    """Of the arrays of a network, on configurations and labels."""
    improved: Callable[[State, jax.Array], State]


def epoch(
    problem: Problem, parts: Parts, state: State, training: Labelled, validation: Labelled
) -> tuple[State, Losses]:
    """One epoch later; behind the training examples there may be rows that are none."""
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

    ``n_steps`` is the number of steps in all epochs, at whose end a rate that falls is zero.
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

    Only the first ``n // batch`` batches are rows of the data; there is room for more.
    """
    key, order_key, shift_key = jax.random.split(key, 3)
    n_batches = n // batch
    order = jax.random.permutation(order_key, n)[: n_batches * batch].reshape(n_batches, batch)
    return key, jnp.pad(order, [(0, room - n_batches), (0, 0)]), jax.random.split(shift_key, room)


def translated(x: jax.Array, key: jax.Array) -> jax.Array:
    """Every configuration of ``(n, 2 d, *shape)`` moved by a random translation of its own."""
    for axis, axis_key in zip(range(2, x.ndim), jax.random.split(key, x.ndim - 2), strict=True):
        steps = jax.random.randint(axis_key, (len(x),), 0, x.shape[axis])
        sites = (jnp.arange(x.shape[axis]) + steps[:, None]) % x.shape[axis]
        index = jnp.expand_dims(sites, [other for other in range(1, x.ndim) if other != axis])
        x = jnp.take_along_axis(x, index, axis=axis)
    return x
