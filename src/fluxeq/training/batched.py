"""Epochs of many trainings in step, to keep a GPU busy: several epochs of all of them are one compiled call.

The epoch is mapped over the states. The data lie on the device once, as int8, and every training draws its own order of
them. Each stops by itself: its state stays as it is from then on. Which trainings are in a group changes their results
by rounding only.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.training.batches import mapped
from fluxeq.training.epoch import Labelled, Losses, Parts, Reached, State, Trainings, epoch, improved, steps
from fluxeq.training.problem import Problem

EVALUATION_BATCH = 100
EPOCHS_A_CALL = 10
"""The most epochs between two looks of the host."""
SHARE_OF_MEMORY = 0.25
"""Of the device, for what a group is known to need; what the compiler needs beside it is of that size."""
MEMORY = 2**32
"""Bytes of a device that does not say how many it has, as a CPU."""


class Batched:
    """The epochs of trainings of one problem, side by side on one device."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._parts = Parts(partial(steps, problem), self._validation_loss, improved)
        self._advanced = jax.jit(self.several_epochs)

    @property
    def most(self) -> int:
        """How many trainings fit onto the device at once."""
        memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", MEMORY)
        return max(1, int(SHARE_OF_MEMORY * memory) // self._problem.bytes_needed())

    def run(self, trainings: Trainings) -> Iterator[tuple[dict[int, Reached], Callable[[], Trainings]]]:
        """Now and then how far each is, and what gives the trainings as they are; until half have stopped."""
        states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(training.state for training in trainings.values()))
        n_epochs = jnp.array([training.n_epochs for training in trainings.values()], jnp.int32)
        losses: list[list[tuple[float, float]]] = [[] for _ in trainings]
        n_running = len(trainings)

        def now() -> Trainings:
            return {
                number: training._replace(
                    state=jax.tree.map(lambda leaf: leaf[row], states),  # noqa: B023
                    losses=(*training.losses, *losses[row]),
                )
                for row, (number, training) in enumerate(trainings.items())
            }

        while 2 * n_running > len(trainings):
            states, n_epochs, (new, ran) = self._advanced(states, n_epochs, *self.data)
            for row, known in enumerate(losses):
                known += map(tuple, np.asarray(new)[np.asarray(ran)[:, row], row].tolist())
            n_running = int(self._running(states, n_epochs).sum())
            at = ((known or before.losses)[-1] for known, before in zip(losses, trainings.values(), strict=True))
            yield {i: Reached(n, *last) for i, n, last in zip(trainings, n_epochs.tolist(), at, strict=True)}, now

    @cached_property
    def data(self) -> tuple[Labelled, Labelled]:
        """Training and validation set on the device."""
        training, validation = (
            (jnp.asarray(part.configurations), jnp.asarray(part.labels)) for part in self._problem.data
        )
        return training, validation

    def _validation_loss(self, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        """The mean over all examples, in batches that keep the memory small."""
        network, loss = self._problem.network(arrays), self._problem.task.loss
        return mapped(lambda pair: loss(network(pair[0]), pair[1]), (x, labels), EVALUATION_BATCH).mean()

    def _running(self, states: State, n_epochs: jax.Array) -> jax.Array:
        """Which of the trainings have epochs to come."""
        recipe = self._problem.recipe
        patience = min(recipe.patience, recipe.epochs)  # which a device can count to
        return (states.since_best < patience) & (n_epochs < recipe.epochs)

    def one_epoch(self, states: State, training: Labelled, validation: Labelled) -> tuple[State, Losses]:
        """All states one epoch later, and the losses of each."""
        return jax.vmap(lambda state: epoch(self._problem, self._parts, state, training, validation))(states)

    def several_epochs(
        self, states: State, n_epochs: jax.Array, training: Labelled, validation: Labelled
    ) -> tuple[State, jax.Array, tuple[jax.Array, jax.Array]]:
        """The states and the numbers of their epochs, the losses ``(epoch, training, 2)``, and which of these count."""
        losses = jnp.zeros((EPOCHS_A_CALL, len(n_epochs), 2), jnp.float32)
        ran = jnp.zeros((EPOCHS_A_CALL, len(n_epochs)), bool)

        def to_come(carry: tuple[Any, ...]) -> jax.Array:
            i, states, n_epochs, _, _ = carry
            return (i < EPOCHS_A_CALL) & self._running(states, n_epochs).any()

        def advance(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, before, n_epochs, losses, ran = carry
            running = self._running(before, n_epochs)
            after, pair = self.one_epoch(before, training, validation)
            states = jax.tree.map(lambda new, old: jax.vmap(jnp.where)(running, new, old), after, before)
            return i + 1, states, n_epochs + running, losses.at[i].set(jnp.stack(pair, axis=-1)), ran.at[i].set(running)

        _, states, n_epochs, losses, ran = jax.lax.while_loop(to_come, advance, (0, states, n_epochs, losses, ran))
        return states, n_epochs, (losses, ran)
