"""One training: a pure start, a pure epoch, and the loop that stops early.

AdamW with AMSGrad (Loshchilov and Hutter, ICLR 2019; Reddi et al., ICLR 2018). The state holds all that is needed to go
on, the best weights among it; an epoch is one compiled call, in which the data stay as int8.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architectures import Architecture
from fluxeq.nets.network import Network, n_parameters
from fluxeq.training.batches import mapped
from fluxeq.training.datasets import Data
from fluxeq.training.polish import PATIENCE, Polisher, can_polish
from fluxeq.training.recipe import Recipe
from fluxeq.training.tasks import Examples, squared_error

EVALUATION_BATCH = 100
Losses = tuple[jax.Array, jax.Array]
"""Training and validation loss."""


class State(NamedTuple):
    """All that is needed to continue a training, and nothing else."""

    network: Any  # the trainable arrays of a Network
    optimizer: Any
    key: jax.Array
    best: Any  # the arrays of the network with the lowest validation loss so far
    best_loss: jax.Array
    since_best: jax.Array  # epochs


def kept(state: State, loss: jax.Array) -> State:
    """The state with its weights as the best ones, if their validation loss is the lowest so far."""
    better = loss < state.best_loss
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.network, state.best)
    since_best = jnp.where(better, 0, state.since_best + 1)
    return state._replace(best=best, best_loss=jnp.where(better, loss, state.best_loss), since_best=since_best)


class Curve(NamedTuple):
    """Losses by epoch, steps of the polish counted on, and the epoch (from 1) whose weights were kept."""

    training: np.ndarray
    validation: np.ndarray
    best_epoch: int


class Trainer:
    """Trainings of one architecture on one pair of data sets: what is compiled once for all instances."""

    def __init__(self, data: Data, config: Architecture, recipe: Recipe, augmentation: bool = False) -> None:
        for purpose, part in (("training", data.training), ("validation", data.validation)):
            if not len(part):
                raise InputError(f"no {purpose} examples: at least one is needed")
            config.require_shape(part.shape)
        self._task, self._config, self._recipe, self._augmentation = data.task, config, recipe, augmentation
        self._training, self._validation = _on_device(data.training), _on_device(data.validation)
        self._d = len(data.training.shape)
        self._optimizer = _optimizer(recipe, len(data.training))
        blank = self._fresh(0)
        self.n_parameters = n_parameters(blank)
        _, self._static = eqx.partition(blank, eqx.is_inexact_array_like)
        self._begin, self._epoch = jax.jit(self._optimizer.init), jax.jit(self._one_epoch)
        self._validated = jax.jit(self._validation_loss)
        self._polisher = self._new_polisher(blank, data.training.labels.size) if recipe.polish else None

    def fit(self, seed: int, on_epoch: Callable[[int], None] = lambda epoch: None) -> tuple[Network, Curve]:
        """Train one instance from one random start; the network with the lowest validation loss.

        Raises DivergedError if the validation loss was never finite.
        """
        state, losses = self.start(seed), []
        for stage, patience in ((self._epochs, self._recipe.patience), (self._polished, PATIENCE)):
            for after, pair in stage(state):
                state = after
                losses.append([float(loss) for loss in pair])
                on_epoch(len(losses))
                if int(state.since_best) >= patience:
                    break
        if not math.isfinite(float(state.best_loss)):
            raise DivergedError(
                f"learning_rate = {self._recipe.learning_rate:g}: the validation loss was never finite; lower it"
            )
        training, validation = np.array(losses).T
        return eqx.combine(state.best, self._static), Curve(training, validation, int(np.nanargmin(validation)) + 1)

    def _epochs(self, state: State) -> Iterator[tuple[State, Losses]]:
        """The state after every epoch, with its losses."""
        for _ in range(self._recipe.epochs):
            state, losses = self._epoch(state, self._training, self._validation)
            yield state, losses

    def _polished(self, state: State) -> Iterator[tuple[State, Losses]]:
        """The state after every step of the polish, which begins with the best weights so far."""
        if self._polisher is None or not math.isfinite(float(state.best_loss)):
            return
        fit, state = self._polisher.start(state.best), state._replace(since_best=jnp.array(0, jnp.int32))
        for _ in range(self._recipe.polish):
            key, shift_key = jax.random.split(state.key)
            x, labels = self._training
            if self._augmentation:
                x, fit = translated(x, shift_key), fit._replace(linear=None)
            fit, loss = self._polisher.step(fit, (x, labels))
            arrays = self._polisher.weights(fit)
            validation = self._validated(arrays, *self._validation)
            state = kept(state._replace(key=key, network=arrays), validation)
            yield state, (jnp.asarray(loss), validation)

    def start(self, seed: int) -> State:
        """Fresh weights and optimizer, all from the seed."""
        arrays, _ = eqx.partition(self._fresh(seed), eqx.is_inexact_array_like)
        arrays = jax.tree.map(jnp.asarray, arrays)
        unknown, none = jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32)
        return State(arrays, self._begin(arrays), jax.random.key(seed), arrays, unknown, none)

    def _new_polisher(self, blank: Network, n_residuals: int) -> Polisher | None:
        if self._task.loss is not squared_error:
            raise InputError(f"polish = {self._recipe.polish}: {self._task.name} has no squared error; set it to 0")
        if not can_polish(self.n_parameters, n_residuals):
            return None
        arrays, _ = eqx.partition(blank, eqx.is_inexact_array_like)
        return Polisher(lambda arrays, x: eqx.combine(arrays, self._static)(x), arrays)

    def _fresh(self, seed: int) -> Network:
        return self._config.build(self._d, len(self._task.targets), np.random.default_rng(seed))

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
            if self._augmentation:
                x = translated(x, step_key)
            loss, gradient = jax.value_and_grad(self._mean_loss)(network, x, labels[rows])
            updates, optimizer = self._optimizer.update(gradient, optimizer, network)
            return (optax.apply_updates(network, updates), optimizer), loss

        keys = jax.random.split(shift_key, n_batches)
        (network, optimizer), losses = jax.lax.scan(step, (state.network, state.optimizer), (order, keys))
        loss = self._validation_loss(network, *validation)
        return kept(State(network, optimizer, key, *state[3:]), loss), (losses.mean(), loss)

    def _mean_loss(self, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        network = eqx.combine(arrays, self._static)
        return jax.vmap(self._task.loss)(jax.vmap(network)(x), labels).mean()

    def _validation_loss(self, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        """The mean over all examples, in batches that keep the memory small."""
        network = eqx.combine(arrays, self._static)
        losses = mapped(lambda pair: self._task.loss(network(pair[0]), pair[1]), (x, labels), EVALUATION_BATCH)
        return losses.mean()


def _optimizer(recipe: Recipe, n_training: int) -> optax.GradientTransformation:
    """AdamW, with AMSGrad or without, at the rate that the recipe prescribes."""
    rate: float | optax.Schedule = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = optax.cosine_decay_schedule(recipe.learning_rate, recipe.steps(n_training))
    scale = optax.scale_by_amsgrad if recipe.amsgrad else optax.scale_by_adam
    return optax.chain(
        scale(*recipe.betas), optax.add_decayed_weights(recipe.weight_decay), optax.scale_by_learning_rate(rate)
    )


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
