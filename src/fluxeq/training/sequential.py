"""Epochs of one training after another, in parts that compile fast.

An epoch is three compiled functions (shuffling, steps, outputs). Those that compile slowly do not depend on the number
of examples, so one compilation is sufficient for data sets of many sizes.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.training.batches import filled, in_blocks, room_for, rows_within, vectorised
from fluxeq.training.compiled import compiled_fast
from fluxeq.training.epoch import Labelled, Losses, Parts, Reached, State, Trainings, epoch, steps
from fluxeq.training.problem import Problem

BLOCK_BYTES = {"cpu": 2**17, "cuda": 2**23}
"""Input bytes of one compiled call for a validation loss: small enough to be filled by a short validation set; on a GPU
large enough to amortise a call."""


def improved(state: State, loss: jax.Array) -> State:
    """Same as ``epoch.improved`` for one training, with nothing to compile."""
    if loss < state.best_loss:
        return state._replace(best=state.network, best_loss=loss, since_best=jnp.asarray(0, jnp.int32))
    return state._replace(since_best=jnp.asarray(int(state.since_best) + 1, jnp.int32))


class Sequential:
    """Epochs of trainings of one problem, one training at a time."""

    most = 1

    def __init__(self, problem: Problem) -> None:
        self._problem, self._steps = problem, jax.jit(partial(steps, problem))
        self._outputs = compiled_fast(lambda arrays, x: vectorised(problem.network(arrays), x))
        n_bytes = BLOCK_BYTES[problem.device.name]
        self._block = rows_within(n_bytes, problem.data.training.configurations[0])

    def run(self, trainings: Trainings) -> Iterator[tuple[dict[int, Reached], Callable[[], Trainings]]]:
        """Run all epochs; after each, yields the progress and a function that returns the current trainings."""
        now = dict(trainings)
        for number in trainings:
            while now[number].learns(self._problem.recipe):
                now[number] = now[number].after(*self.epoch(now[number].state))
                yield {number: now[number].reached}, now.copy

    def epoch(self, state: State) -> tuple[State, Losses]:
        """Run one epoch."""
        parts = Parts(self._steps, self._validation_loss, improved)  # not kept: a cycle would keep compiled code
        return epoch(self._problem, parts, state, self._training, self._validation)

    def judged(self, state: State) -> tuple[State, jax.Array]:
        """The state with updated best weights, and the validation loss."""
        loss = self._validation_loss(state.network, *self._validation)
        return improved(state, loss), loss

    def outputs(self, arrays: Any, x: np.ndarray) -> np.ndarray:
        """Outputs of the network with these weights, ``(n, n_targets)``."""
        return in_blocks(partial(self._outputs, arrays), x, self._block)

    def _validation_loss(self, arrays: Any, x: np.ndarray, labels: np.ndarray) -> jax.Array:
        return jnp.asarray(self._problem.task.losses(self.outputs(arrays, x), labels).mean(), jnp.float32)

    @property
    def _validation(self) -> Labelled:
        return self._problem.data.validation.configurations, self._problem.data.validation.labels

    @cached_property
    def _training(self) -> Labelled:
        """The training set padded with zeros, so that many sizes share compiled code."""
        data = self._problem.data.training
        room = room_for(len(data), data.configurations[0].nbytes)
        return jnp.asarray(filled(data.configurations, room)), jnp.asarray(filled(data.labels, room))
