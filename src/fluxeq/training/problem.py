"""A training problem: data, network structure, loss and optimiser as pure functions.

AdamW with AMSGrad (Loshchilov and Hutter, ICLR 2019; Reddi et al., ICLR 2018). A network is represented by its
trainable arrays, since everything else is the same for all instances.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fluxeq.errors import InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.training.datasets import Data
from fluxeq.training.device import CPU, Device
from fluxeq.training.recipe import Recipe

MOST_STEPS = 2**31
"""Steps are counted as int32 on the device."""
CACHED = 1e6
"""Maximum bytes of an array stored for the gradient of a part of a batch on a CPU, to fit its caches."""


class Problem:
    """Training of networks of one structure on one pair of data sets with one recipe.

    The config needs only ``build`` and ``require_shape``; it may build any Equinox module. Raises InputError if there
    are no examples, the network does not support them, or there are too many steps to count.
    """

    def __init__(
        self, data: Data, config: Architecture, recipe: Recipe, augmentation: bool = False, device: Device = CPU
    ) -> None:
        for purpose, part in (("training", data.training), ("validation", data.validation)):
            if not len(part):
                raise InputError(f"no {purpose} examples: must be at least one")
            config.require_shape(part.shape)
        self.n = len(data.training)
        self.n_steps, self.batch_size = recipe.steps(self.n), recipe.batch_for(self.n)
        if self.n_steps >= MOST_STEPS:
            raise InputError(f"epochs = {recipe.epochs}: {self.n_steps} steps; allow fewer than 2^31")
        self.data, self.task, self.recipe, self.augmentation = data, data.task, recipe, augmentation
        self.device, self._config = device, config
        self.blank, self._static = eqx.partition(self._built(0), eqx.is_inexact_array)
        self.n_parameters = n_parameters(self.blank)
        self.n_parts = self._parts_of_a_batch()
        self.optimizer = _optimizer(recipe)
        self.optimizer_start = jax.jit(self.optimizer.init)

    def fresh(self, seed: int) -> Any:
        """The arrays of a network with random weights."""
        return jax.tree.map(jnp.asarray, eqx.filter(self._built(seed), eqx.is_inexact_array))

    def _built(self, seed: int) -> eqx.Module:
        return self._config.build(len(self.data.training.shape), self.task.targets, np.random.default_rng(seed))

    def network(self, arrays: Any) -> Any:
        """The network with these arrays."""
        return eqx.combine(arrays, self._static)

    def outputs(self, arrays: Any, x: jax.Array) -> jax.Array:
        """Outputs of the network for many configurations, ``(n, n_targets)``."""
        return jax.vmap(self.network(arrays))(x)

    def loss(self, arrays: Any, x: Any, labels: Any) -> jax.Array:
        """The mean loss of a batch."""
        return jax.vmap(self.task.loss)(self.outputs(arrays, x), labels).mean()

    def gradient(self, arrays: Any, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        """The mean loss of a batch and its gradient; on a CPU summed over parts of the batch, which is faster."""
        of_one = jax.value_and_grad(self.loss)
        if self.n_parts == 1:
            return of_one(arrays, x, labels)

        def add(total: Any, part: tuple[jax.Array, ...]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_one(arrays, *part)), None

        parts = [array.reshape(self.n_parts, -1, *array.shape[1:]) for array in (x, labels)]
        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, arrays)
        total, _ = jax.lax.scan(add, nothing, tuple(parts))
        return jax.tree.map(lambda value: value / self.n_parts, total)

    def rate(self, progress: jax.Array) -> jax.Array | float:
        """The learning rate, given the fraction of all steps done."""
        rate = self.recipe.learning_rate
        return rate if self.recipe.schedule == "constant" else optax.cosine_decay_schedule(rate, 1)(progress)

    def _parts_of_a_batch(self) -> int:
        """The smallest number of equal parts of a batch such that stored arrays are short, or parts are single
        examples.

        One for large networks, whose gradients are too long to be accumulated many times, and on a GPU.
        """
        if self.device.name == "cuda" or 4 * self.n_parameters > CACHED:
            return 1
        longest = max(_n_bytes(array) for array in jax.tree.leaves(self.kept_by_a_batch()))
        divisors = (n for n in range(1, self.batch_size) if self.batch_size % n == 0)
        return next((n for n in divisors if longest <= n * CACHED), self.batch_size)

    def bytes_needed(self) -> int:
        """Memory of one training: its state before and after a step, and arrays stored for the gradient."""
        optimizer = jax.eval_shape(self.optimizer.init, self.blank)
        return 2 * _n_bytes([self.blank, optimizer, self.blank]) + _n_bytes(self.kept_by_a_batch())

    def kept_by_a_batch(self) -> Any:
        """Shapes of the arrays stored for the gradient of a whole batch."""
        data = self.data.training
        batch = [part[: self.batch_size] for part in (data.configurations, data.labels)]
        return jax.eval_shape(lambda arrays: jax.vjp(lambda arrays: self.loss(arrays, *batch), arrays)[1], self.blank)


def _optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW, with or without AMSGrad, at a rate of -1; steps multiply by their rate.

    All weights are treated as one array, which gives fewer and longer loops to compile and run.
    """
    scale = optax.scale_by_amsgrad if recipe.amsgrad else optax.scale_by_adam
    return optax.flatten(optax.chain(scale(*recipe.betas), optax.add_decayed_weights(recipe.weight_decay)))


def _n_bytes(arrays: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))
