"""Epochs of many trainings together, for a GPU: several epochs of all of them are one compiled call.

The epoch is mapped over the states. The data are on the device once, as int8, and every training has its own random
order. Each training stops individually, and its state is then frozen. The composition of a group affects results by
rounding only.
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
EPOCHS_PER_CALL = 10
"""Maximum number of epochs per call."""
SHARE_OF_MEMORY = 0.25
"""Fraction of device memory for the known needs of a group; the compiler needs about as much in addition."""
MEMORY = 2**32
"""Memory in bytes assumed for a device that does not report it, such as a CPU."""


class Batched:
    """Epochs of trainings of one problem, in parallel on one device."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._advanced = problem, jax.jit(partial(several_epochs, problem))

    @property
    def most(self) -> int:
        """Number of trainings that fit onto the device."""
        memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", MEMORY)
        return max(1, int(SHARE_OF_MEMORY * memory) // self._problem.bytes_needed())

    def run(self, trainings: Trainings) -> Iterator[tuple[dict[int, Reached], Callable[[], Trainings]]]:
        """Run epochs until half have stopped; yields their progress, and a function that returns the trainings."""
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
            n_running = int(_running(self._problem, states, n_epochs).sum())
            at = ((known or before.losses)[-1] for known, before in zip(losses, trainings.values(), strict=True))
            yield {i: Reached(n, *last) for i, n, last in zip(trainings, n_epochs.tolist(), at, strict=True)}, now

    @cached_property
    def data(self) -> tuple[Labelled, Labelled]:
        """Training and validation set on the device."""
        training, validation = (
            (jnp.asarray(part.configurations), jnp.asarray(part.labels)) for part in self._problem.data
        )
        return training, validation


def several_epochs(
    problem: Problem, states: State, n_epochs: jax.Array, training: Labelled, validation: Labelled
) -> tuple[State, jax.Array, tuple[jax.Array, jax.Array]]:
    """Run several epochs: states, numbers of epochs, losses ``(epoch, training, 2)``, and which of these count."""
    losses = jnp.zeros((EPOCHS_PER_CALL, len(n_epochs), 2), jnp.float32)
    ran = jnp.zeros((EPOCHS_PER_CALL, len(n_epochs)), bool)

    def to_come(carry: tuple[Any, ...]) -> jax.Array:
        i, states, n_epochs, _, _ = carry
        return (i < EPOCHS_PER_CALL) & _running(problem, states, n_epochs).any()

    def advance(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        i, before, n_epochs, losses, ran = carry
        running = _running(problem, before, n_epochs)
        after, pair = one_epoch(problem, before, training, validation)
        states = jax.tree.map(lambda new, old: jax.vmap(jnp.where)(running, new, old), after, before)
        return i + 1, states, n_epochs + running, losses.at[i].set(jnp.stack(pair, axis=-1)), ran.at[i].set(running)

    _, states, n_epochs, losses, ran = jax.lax.while_loop(to_come, advance, (0, states, n_epochs, losses, ran))
    return states, n_epochs, (losses, ran)


def one_epoch(problem: Problem, states: State, training: Labelled, validation: Labelled) -> tuple[State, Losses]:
    """Run one epoch of all states; also returns the losses of each."""
    parts = Parts(partial(steps, problem), partial(_validation_loss, problem), improved)
    return jax.vmap(lambda state: epoch(problem, parts, state, training, validation))(states)


def _validation_loss(problem: Problem, arrays: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over all examples, in batches to limit memory."""
    network, loss = problem.network(arrays), problem.task.loss
    return mapped(lambda pair: loss(network(pair[0]), pair[1]), (x, labels), EVALUATION_BATCH).mean()


def _running(problem: Problem, states: State, n_epochs: jax.Array) -> jax.Array:
    """Which of the trainings have epochs left."""
    recipe = problem.recipe
    patience = min(recipe.patience, recipe.epochs)  # fits the integers of the device
    return (states.since_best < patience) & (n_epochs < recipe.epochs)
