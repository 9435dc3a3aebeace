"""Epochs of one training after another, in parts that are quick to compile.

An epoch is three compiled functions (the order, the steps, the outputs), of which none that takes long to compile
depends on the number of examples, so that one compilation serves data sets of many sizes.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.training.batches import in_blocks, room_for, rows_within
from fluxeq.training.epoch import Labelled, Losses, Parts, Reached, State, Trainings, epoch, improved, steps
from fluxeq.training.problem import Problem

BLOCK_BYTES = {"cpu": 2**17, "cuda": 2**23}
"""Input of one compiled call for a validation loss: few enough that a short validation set fills it; on a GPU enough to
be worth a call."""


class Sequential:
    """The epochs of trainings of one problem, a group of one at a time."""

    most = 1

    def __init__(self, problem: Problem) -> None:
        self._problem, self._outputs = problem, jax.jit(problem.outputs)
        self._parts = Parts(jax.jit(partial(steps, problem)), self._validation_loss, jax.jit(improved))
        n_bytes = BLOCK_BYTES[problem.device.name]
        self._block = rows_within(n_bytes, problem.data.training.configurations[0])

    def run(self, trainings: Trainings) -> Iterator[tuple[dict[int, Reached], Callable[[], Trainings]]]:
        """After every epoch how far each is, and what gives the trainings as they are; to the end of their epochs."""
        now = dict(trainings)
        for number in trainings:
            while now[number].learns(self._problem.recipe):
                now[number] = now[number].after(*self.epoch(now[number].state))
                yield {number: now[number].reached}, now.copy

    def epoch(self, state: State) -> tuple[State, Losses]:
        """One epoch later."""
        return epoch(self._problem, self._parts, state, self._training, self._validation)

    def judged(self, state: State) -> tuple[State, jax.Array]:
        """The state with its weights as the best ones if they are, and their validation loss."""
        loss = self._validation_loss(state.network, *self._validation)
        return self._parts.improved(state, loss), loss

    def outputs(self, arrays: Any, x: np.ndarray) -> np.ndarray:
        """What the network with these weights returns, ``(n, n_targets)``."""
        return in_blocks(partial(self._outputs, arrays), x, self._block)

    def _validation_loss(self, arrays: Any, x: np.ndarray, labels: np.ndarray) -> jax.Array:
        return jnp.asarray(self._problem.task.losses(self.outputs(arrays, x), labels).mean(), jnp.float32)

    @property
    def _validation(self) -> Labelled:
        return self._problem.data.validation.configurations, self._problem.data.validation.labels

    @cached_property
    def _training(self) -> Labelled:
        """The training set with rows of zeros behind it, so that one of many sizes needs no code of its own."""
        data = self._problem.data.training
        n_more = room_for(len(data), data.configurations[0].nbytes) - len(data)
        x, labels = (
            jnp.asarray(np.pad(array, [(0, n_more)] + [(0, 0)] * (array.ndim - 1)))
            for array in (data.configurations, data.labels)
        )
        return x, labels
