"""One training: a pure start, a pure epoch, and the loop that stops early.

AdamW with AMSGrad (Loshchilov and Hutter, ICLR 2019; Reddi et al., ICLR 2018). The state holds all that is needed to go
on, the best weights among it; an epoch is one compiled call, in which the data stay as int8.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from fluxeq.errors import InputError
from fluxeq.nets.architectures import Architecture
from fluxeq.nets.network import Frozen, Network
from fluxeq.training.tasks import Examples, Task

EVALUATION_BATCH = 100


class Recipe(Frozen):
    """How a network is trained; the defaults are the original study's."""

    epochs: PositiveInt = 1000
    patience: PositiveInt = 25
    learning_rate: PositiveFloat = 1e-2
    schedule: Literal["constant", "cosine"] = "constant"
    """Cosine: the learning rate falls to zero along a half cosine over all ``epochs``."""
    weight_decay: NonNegativeFloat = 0.0
    batch_size: PositiveInt | None = None
    """None stands for 50 below 500 configurations, else 100."""
    augmentation: bool = False
    """Translate every configuration at random, anew in every epoch."""

    def batch_for(self, n: int) -> int:
        """The batch size for ``n`` configurations."""
        return min(n, self.batch_size or (50 if n < 500 else 100))

    def rate(self, n: int) -> float | optax.Schedule:
        """The learning rate, or its course over the steps of a training on ``n`` configurations."""
        if self.schedule == "constant":
            return self.learning_rate
        return optax.cosine_decay_schedule(self.learning_rate, self.epochs * (n // self.batch_for(n)))


class State(NamedTuple):
    """All that is needed to continue a training, and nothing else."""

    network: Any  # the trainable arrays of a Network
    optimizer: Any
    key: jax.Array
    best: Any  # the arrays of the network with the lowest validation loss so far
    best_loss: jax.Array
    since_best: jax.Array  # epochs


class Curve(NamedTuple):
    """Losses by epoch, and the epoch (from 1) whose weights were kept."""

    training: np.ndarray
    validation: np.ndarray
    best_epoch: int


class Trainer:
    """Trainings of one architecture on one pair of data sets: what is compiled once for all instances."""

    def __init__(
        self, task: Task, config: Architecture, training: Examples, validation: Examples, recipe: Recipe
    ) -> None:
        for part, data in (("training", training), ("validation", validation)):
            if not len(data):
                raise InputError(f"no {part} examples: at least one is needed")
            config.require_shape(data.shape)
        self._recipe, self._config, self._task = recipe, config, task
        self._training, self._validation = _on_device(training), _on_device(validation)
        self._d = len(training.shape)
        self._optimizer = optax.chain(
            optax.scale_by_amsgrad(),
            optax.add_decayed_weights(recipe.weight_decay),
            optax.scale_by_learning_rate(recipe.rate(len(training))),
        )
        blank = eqx.filter_eval_shape(self._fresh, jax.random.key(0))
        _, self._static = eqx.partition(blank, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
        self._start, self._epoch = jax.jit(self._one_start), jax.jit(self._one_epoch)

    def fit(self, seed: int, on_epoch: Callable[[int], None] = lambda epoch: None) -> tuple[Network, Curve]:
        """Train one instance from one random start; the network with the lowest validation loss.

        Raises InputError if the loss is not a number from the first epoch on.
        """
        state, losses = self.start(seed), []
        for epoch in range(self._recipe.epochs):
            state, pair = self._epoch(state, self._training, self._validation)
            losses.append([float(loss) for loss in pair])
            on_epoch(epoch + 1)
            if int(state.since_best) >= self._recipe.patience:
                break
        training, validation = np.array(losses).T
        if not math.isfinite(float(state.best_loss)):
            raise InputError(
                f"learning_rate = {self._recipe.learning_rate:g}: the validation loss was never finite; lower it"
            )
        return eqx.combine(state.best, self._static), Curve(training, validation, int(np.nanargmin(validation)) + 1)

    def start(self, seed: int) -> State:
        """Fresh weights and optimizer, all from the seed."""
        return self._start(jax.random.key(seed))

    def _one_start(self, key: jax.Array) -> State:
        network_key, key = jax.random.split(key)
        arrays, _ = eqx.partition(self._fresh(network_key), eqx.is_inexact_array)
        return State(arrays, self._optimizer.init(arrays), key, arrays, jnp.array(jnp.inf), jnp.array(0))

    def _fresh(self, key: jax.Array) -> Network:
        return self._config.build(self._d, len(self._task.targets), key)

    def _one_epoch(
        self, state: State, training: tuple[jax.Array, jax.Array], validation: tuple[jax.Array, jax.Array]
    ) -> tuple[State, tuple[jax.Array, jax.Array]]:
        """Every batch once in random order, then the validation loss; pure, so that it can be compiled."""
        configurations, labels = training
        batch = self._recipe.batch_for(len(labels))
        key, order_key, shift_key = jax.random.split(state.key, 3)
        n_batches = len(labels) // batch
        order = jax.random.permutation(order_key, len(labels))[: n_batches * batch].reshape(n_batches, batch)

        def step(carry: tuple[Any, Any], now: tuple[jax.Array, jax.Array]) -> tuple[tuple[Any, Any], jax.Array]:
            network, optimizer = carry
            rows, step_key = now
            x = configurations[rows]
            if self._recipe.augmentation:
                x = translated(x, step_key)
            loss, gradient = jax.value_and_grad(self._mean_loss)(network, x, labels[rows])
            updates, optimizer = self._optimizer.update(gradient, optimizer, network)
            return (optax.apply_updates(network, updates), optimizer), loss

        keys = jax.random.split(shift_key, n_batches)
        (network, optimizer), losses = jax.lax.scan(step, (state.network, state.optimizer), (order, keys))
        loss = self._validation_loss(network, *validation)
        better = loss < state.best_loss
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), network, state.best)
        since_best = jnp.where(better, 0, state.since_best + 1)
        state = State(network, optimizer, key, best, jnp.where(better, loss, state.best_loss), since_best)
        return state, (losses.mean(), loss)

    def _mean_loss(self, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        network = eqx.combine(arrays, self._static)
        return jax.vmap(self._task.loss)(jax.vmap(network)(x), labels).mean()

    def _validation_loss(self, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        """The mean over all examples, in batches that keep the memory small."""
        network = eqx.combine(arrays, self._static)
        losses = jax.lax.map(
            lambda pair: self._task.loss(network(pair[0]), pair[1]), (x, labels), batch_size=EVALUATION_BATCH
        )
        return losses.mean()


def translated(x: jax.Array, key: jax.Array) -> jax.Array:
    """Every configuration of ``(n, 2 d, *shape)`` moved by a random translation of its own."""
    for axis, axis_key in zip(range(2, x.ndim), jax.random.split(key, x.ndim - 2), strict=True):
        steps = jax.random.randint(axis_key, (len(x),), 0, x.shape[axis])
        sites = (jnp.arange(x.shape[axis]) + steps[:, None]) % x.shape[axis]
        index = jnp.expand_dims(sites, [other for other in range(1, x.ndim) if other != axis])
        x = jnp.take_along_axis(x, index, axis=axis)
    return x


def _on_device(data: Examples) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(data.configurations), jnp.asarray(data.labels)
