"""One training: a pure start, a pure epoch, and the loop that stops early.

AdamW with AMSGrad (Loshchilov and Hutter, ICLR 2019; Reddi et al., ICLR 2018). The state holds all that is needed to go
on, the best weights among it; an epoch is a few compiled calls, in which the data stay as int8.
"""

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.training.batches import in_blocks, mapped, room_for, rows_within
from fluxeq.training.datasets import Data, Dataset
from fluxeq.training.devices import on_gpu
from fluxeq.training.levenberg_marquardt import PATIENCE, Fit, LevenbergMarquardt, is_affordable
from fluxeq.training.recipe import Recipe

EVALUATION_BATCH = 100
MOST_STEPS = 2**31
"""A device counts them as int32."""
BLOCK_BYTES, GPU_BLOCK_BYTES = 2**17, 2**23
"""Input of one compiled call for a validation loss: few enough that a short validation set fills it; on a GPU enough to
be worth a call."""
CACHED = 1e6
"""Bytes of the longest array that a part of a batch keeps for its gradient on a CPU, to stay in its caches."""
Losses = tuple[jax.Array, jax.Array]
"""Training and validation loss."""
Labelled = tuple[jax.Array, jax.Array]
"""Configurations ``(n, 2 d, *shape)`` int8 and labels ``(n, n_targets)``."""


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


class Training(NamedTuple):
    """A training on its way: all that is needed to go on with it, and its losses so far."""

    state: State
    losses: tuple[
        tuple[float, float], ...
    ] = ()  # training and validation, of the epochs and then of Levenberg-Marquardt
    n_levenberg_marquardt: int = 0  # Levenberg-Marquardt steps
    levenberg_marquardt: Fit | None = None  # None before it begins

    @property
    def n_epochs(self) -> int:
        """Epochs so far."""
        return len(self.losses) - self.n_levenberg_marquardt

    def after(self, state: State, losses: Losses) -> "Training":
        """The same training one epoch, or one Levenberg-Marquardt step, later."""
        training, validation = losses
        return self._replace(state=state, losses=(*self.losses, (float(training), float(validation))))


Trainings = dict[int, Training]
"""Trainings by the numbers of their instances."""


class Curve(NamedTuple):
    """Losses by epoch, Levenberg-Marquardt steps counted on, and the epoch (from 1) whose weights were kept."""

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
        if recipe.steps(len(data.training)) >= MOST_STEPS:
            raise InputError(
                f"epochs = {recipe.epochs}: {recipe.steps(len(data.training))} steps; allow fewer than 2^31"
            )
        self.recipe, self._data, self._config, self._augmentation = recipe, data, config, augmentation
        self._task = data.task
        self._d = len(data.training.shape)
        self._batch_size = recipe.batch_for(len(data.training))
        self._optimizer, self._n_steps = _optimizer(recipe), recipe.steps(len(data.training))
        blank = self._fresh(0)
        self.n_parameters = n_parameters(blank)
        _, self._static = eqx.partition(blank, eqx.is_inexact_array)
        self.n_parts = 1 if on_gpu() else self._parts_of_a_batch()
        self._begin, self._steps, self._kept = map(jax.jit, (self._optimizer.init, self.steps, kept))
        n_bytes = GPU_BLOCK_BYTES if on_gpu() else BLOCK_BYTES
        self._block, self._outputs = rows_within(n_bytes, data.training.configurations[0]), jax.jit(self._network)
        self._levenberg_marquardt = (
            self._new_levenberg_marquardt(blank, data.training.labels.size) if recipe.levenberg_marquardt else None
        )

    def fit(self, seed: int, on_epoch: Callable[[int], None] = lambda epoch: None) -> tuple[Any, Curve]:
        """Train one instance from one random start; the network with the lowest validation loss.

        Raises DivergedError if the validation loss was never finite.
        """
        return self.result(self.finished(self.begin(seed), lambda training: on_epoch(len(training.losses))))

    def begin(self, seed: int) -> Training:
        """A training that has not learned anything yet, all from the seed."""
        return Training(self.start(seed))

    def finished(self, training: Training, watch: Callable[[Training], None] = lambda training: None) -> Training:
        """The training at its end; ``watch`` sees it after every further epoch and every step of Levenberg-Marquardt."""
        while self.learns(training):
            training = training.after(*self.epoch(training.state))
            watch(training)
        while self._has_steps_to_come(training):
            training = self._after_step(training)
            watch(training)
        return training

    def learns(self, training: Training) -> bool:
        """Whether there are epochs to come."""
        if training.levenberg_marquardt is not None or training.n_epochs >= self.recipe.epochs:
            return False
        return int(training.state.since_best) < self.recipe.patience

    def result(self, training: Training) -> tuple[Any, Curve]:
        """The network with the lowest validation loss. Raises DivergedError if that was never finite."""
        if not math.isfinite(float(training.state.best_loss)):
            decay = f", weight_decay = {self.recipe.weight_decay:g}" if self.recipe.weight_decay else ""
            raise DivergedError(
                f"learning_rate = {self.recipe.learning_rate:g}{decay}: the validation loss was never finite; lower it"
            )
        losses, validation = np.array(training.losses).T
        network = eqx.combine(training.state.best, self._static)
        return network, Curve(losses, validation, int(np.nanargmin(validation)) + 1)

    def bytes_needed(self) -> int:
        """Memory of one training: its state before and after a step, and what the step keeps for the gradient."""
        state = self.start(0)
        return 2 * _n_bytes([state.network, state.optimizer, state.best]) + _n_bytes(self._kept_by_a_batch())

    def _kept_by_a_batch(self) -> Any:
        """Shapes of the arrays that a whole batch keeps for its gradient."""
        data = self._data.training
        batch = [part[: self._batch_size] for part in (data.configurations, data.labels)]
        arrays, _ = eqx.partition(self._fresh(0), eqx.is_inexact_array)
        return jax.eval_shape(lambda arrays: jax.vjp(lambda arrays: self._mean_loss(arrays, *batch), arrays)[1], arrays)

    def _parts_of_a_batch(self) -> int:
        """The least number of equal parts of which each keeps short arrays only, or single examples.

        One for large networks, whose gradients are themselves too long to be added up many times.
        """
        if 4 * self.n_parameters > CACHED:
            return 1
        longest = max(_n_bytes(array) for array in jax.tree.leaves(self._kept_by_a_batch()))
        divisors = (n for n in range(1, self._batch_size) if self._batch_size % n == 0)
        return next((n for n in divisors if longest <= n * CACHED), self._batch_size)

    def _has_steps_to_come(self, training: Training) -> bool:
        if self._levenberg_marquardt is None or not math.isfinite(float(training.state.best_loss)):
            return False
        patient = training.levenberg_marquardt is None or int(training.state.since_best) < PATIENCE
        return patient and training.n_levenberg_marquardt < self.recipe.levenberg_marquardt

    def _after_step(self, training: Training) -> Training:
        """One Levenberg-Marquardt step later; it begins with the best weights so far."""
        assert self._levenberg_marquardt is not None
        fit, state = training.levenberg_marquardt, training.state
        if fit is None:
            fit, state = self._levenberg_marquardt.start(state.best), state._replace(since_best=jnp.array(0, jnp.int32))
        key, shift_key = jax.random.split(state.key)
        x, labels = self._data.training.configurations, self._data.training.labels
        if self._augmentation:
            x, fit = np.asarray(translated(jnp.asarray(x), shift_key)), fit._replace(linear=None)
        fit, loss = self._levenberg_marquardt.step(fit, (x, labels))
        state, validation = self._judged(state._replace(key=key, network=self._levenberg_marquardt.weights(fit)))
        training = training.after(state, (jnp.asarray(loss), validation))
        return training._replace(n_levenberg_marquardt=training.n_levenberg_marquardt + 1, levenberg_marquardt=fit)

    def start(self, seed: int) -> State:
        """Fresh weights and optimizer, all from the seed."""
        arrays, _ = eqx.partition(self._fresh(seed), eqx.is_inexact_array)
        arrays = jax.tree.map(jnp.asarray, arrays)
        unknown, none = jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32)
        return State(arrays, self._begin(arrays), jax.random.key(seed), arrays, unknown, none)

    def _new_levenberg_marquardt(self, blank: eqx.Module, n_residuals: int) -> LevenbergMarquardt | None:
        if not self._task.least_squares:
            raise InputError(
                f"levenberg_marquardt = {self.recipe.levenberg_marquardt}: {self._task.name} has no squared error; set it to 0"
            )
        if not is_affordable(self.n_parameters, n_residuals):
            return None
        arrays, _ = eqx.partition(blank, eqx.is_inexact_array)
        return LevenbergMarquardt(lambda arrays, x: eqx.combine(arrays, self._static)(x), self._outputs_of, arrays)

    def _fresh(self, seed: int) -> eqx.Module:
        return self._config.build(self._d, self._task.targets, np.random.default_rng(seed))

    def one_epoch(self, state: State, training: Labelled, validation: Labelled) -> tuple[State, Losses]:
        """Every batch once in random order, then the validation loss; pure, so that it can be mapped and compiled."""
        n = len(training[1])
        n_batches = n // self._batch_size
        key, order, keys = shuffled(state.key, n, self._batch_size, n_batches)
        state, loss = self.steps(state._replace(key=key), order, keys, n_batches, self._n_steps, *training)
        validation_loss = self._validation_loss(state.network, *validation)
        return kept(state, validation_loss), (loss, validation_loss)

    def epoch(self, state: State) -> tuple[State, Losses]:
        """The same in compiled parts, of which none that takes long to compile depends on the number of examples."""
        n = len(self._data.training)
        x, labels = self._roomy
        key, order, keys = shuffled(state.key, n, self._batch_size, len(labels) // self._batch_size)
        now = state._replace(key=key), order, keys, n // self._batch_size, self._n_steps
        state, loss = self._steps(*now, x, labels)
        state, validation_loss = self._judged(state)
        return state, (loss, validation_loss)

    def steps(
        self,
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
            if self._augmentation:
                x = translated(x, keys[i])
            loss, gradient = self._gradient(network, x, labels[order[i]])
            rate = self._rate(optimizer[0].count / n_steps)
            updates, optimizer = self._optimizer.update(gradient, optimizer, network)
            updates = jax.tree.map(lambda update: -rate * update, updates)
            return optax.apply_updates(network, updates), optimizer, total + loss

        start = state.network, state.optimizer, jnp.zeros((), jnp.float32)
        network, optimizer, total = jax.lax.fori_loop(0, n_batches, step, start)
        return state._replace(network=network, optimizer=optimizer), total / n_batches

    @cached_property
    def training(self) -> Labelled:
        """The training set on the device, for ``one_epoch``."""
        return _on_device(self._data.training)

    @cached_property
    def validation(self) -> Labelled:
        """The validation set on the device, for ``one_epoch``."""
        return _on_device(self._data.validation)

    @cached_property
    def _roomy(self) -> Labelled:
        """The same with rows of zeros behind it, so that one of many sizes needs no code of its own."""
        data = self._data.training
        n_more = room_for(len(data), data.configurations[0].nbytes) - len(data)
        x, labels = (
            jnp.asarray(np.pad(array, [(0, n_more)] + [(0, 0)] * (array.ndim - 1)))
            for array in (data.configurations, data.labels)
        )
        return x, labels

    def _rate(self, progress: jax.Array) -> jax.Array | float:
        """The rate of a step, from the part of all steps that is behind it."""
        rate = self.recipe.learning_rate
        return rate if self.recipe.schedule == "constant" else optax.cosine_decay_schedule(rate, 1)(progress)

    def _gradient(self, network: Any, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        """The mean loss of a batch and its gradient; on a CPU the sums of those of its parts, which is faster."""
        of_one = jax.value_and_grad(self._mean_loss)
        if self.n_parts == 1:
            return of_one(network, x, labels)

        def add(total: Any, part: tuple[jax.Array, ...]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_one(network, *part)), None

        parts = [array.reshape(self.n_parts, -1, *array.shape[1:]) for array in (x, labels)]
        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, network)
        total, _ = jax.lax.scan(add, nothing, tuple(parts))
        return jax.tree.map(lambda value: value / self.n_parts, total)

    def _judged(self, state: State) -> tuple[State, jax.Array]:
        """The state with its weights as the best ones if they are, and their validation loss."""
        data = self._data.validation
        losses = self._task.losses(self._outputs_of(state.network, data.configurations), data.labels)
        loss = jnp.asarray(losses.mean(), jnp.float32)
        return self._kept(state, loss), loss

    def _outputs_of(self, arrays: Any, x: np.ndarray) -> np.ndarray:
        """What the network with these weights returns, ``(n, n_targets)``."""
        return in_blocks(partial(self._outputs, arrays), x, self._block)

    def _network(self, arrays: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(arrays, self._static))(x)

    def _mean_loss(self, arrays: Any, x: Any, labels: Any) -> jax.Array:
        return jax.vmap(self._task.loss)(self._network(arrays, x), labels).mean()

    def _validation_loss(self, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        """The mean over all examples, in batches that keep the memory small."""
        network = eqx.combine(arrays, self._static)
        losses = mapped(lambda pair: self._task.loss(network(pair[0]), pair[1]), (x, labels), EVALUATION_BATCH)
        return losses.mean()


def _optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW, with AMSGrad or without, at a rate of -1: the steps multiply by theirs.

    It sees all weights as one array, which makes fewer and longer loops to compile and to run.
    """
    scale = optax.scale_by_amsgrad if recipe.amsgrad else optax.scale_by_adam
    return optax.flatten(optax.chain(scale(*recipe.betas), optax.add_decayed_weights(recipe.weight_decay)))


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


def _n_bytes(arrays: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))


def _on_device(data: Dataset) -> Labelled:
    return jnp.asarray(data.configurations), jnp.asarray(data.labels)
