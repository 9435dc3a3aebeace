"""Many trainings of one architecture in step, to keep a GPU busy: several epochs of all of them are one compiled call.

The epoch of ``fit`` is mapped over the states. The data lie on the device once, as int8, and every training draws its
own order of them. Each stops by itself: its state stays as it is from then on, and when half have stopped the others go
on in a smaller group. Which trainings are in a group changes their results by rounding only; whoever stops them keeps
all at the same point, so that they go on in the same groups, to the same results bit for bit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.training.fit import Labelled, State, Trainer, Training, Trainings

EPOCHS_A_CALL = 10
"""The most epochs between two looks of the host."""
SHARE_OF_MEMORY = 0.25
"""Of the device, for what a group is known to need; what the compiler needs beside it is of that size."""
MEMORY = 2**32
"""Bytes of a device that does not say how many it has, as a CPU."""

Watch = Callable[[dict[int, int], Callable[[], Trainings]], None]
"""Called now and then with the epochs that each of a group has gone through, and with what gives all trainings that
have not been given away, as they are."""
Keep = Callable[[Trainings], None]
"""Called with all of these whenever a group has come to its end."""


class Together:
    """The epochs of trainings of one trainer, side by side on one device."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._advanced = jax.jit(self._several_epochs)

    @property
    def most(self) -> int:
        """How many trainings fit onto the device at once."""
        memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", MEMORY)
        return max(1, int(SHARE_OF_MEMORY * memory) // self._trainer.bytes_needed())

    def epochs(
        self,
        trainings: Trainings,
        watch: Watch = lambda epochs, trainings: None,
        keep: Keep = lambda trainings: None,
        numbers: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, Training]]:
        """Each training after its last epoch, with its number; as many at once as fit onto the device.

        Groups are made of ``numbers``, or of those of the trainings; some of them may have been given away earlier.
        So trainings that were kept go on in the same groups, if all that were kept are there, also those that had
        stopped.
        """
        left = dict(trainings)

        def watch_all(n_epochs: dict[int, int], group: Callable[[], Trainings]) -> None:
            watch(n_epochs, lambda: left | group())

        places = list(trainings) if numbers is None else numbers
        for first in range(0, len(places), self.most):
            group = {number: left[number] for number in places[first : first + self.most] if number in left}
            while group:
                going_on = {number: training for number, training in group.items() if self._trainer.learns(training)}
                if 2 * len(going_on) > len(group):
                    group = self._until_half_have_stopped(group, watch_all)
                    left |= group
                    keep(left)
                else:
                    yield from ((number, left.pop(number)) for number in group if number not in going_on)
                    group = going_on

    def _until_half_have_stopped(self, trainings: Trainings, watch: Watch) -> Trainings:
        states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(training.state for training in trainings.values()))
        n_epochs = jnp.array([training.n_epochs for training in trainings.values()], jnp.int32)
        data = self._trainer.training, self._trainer.validation
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
            states, n_epochs, (new, ran) = self._advanced(states, n_epochs, *data)
            for row, known in enumerate(losses):
                known += map(tuple, np.asarray(new)[np.asarray(ran)[:, row], row].tolist())
            n_running = int(self._running(states, n_epochs).sum())
            watch(dict(zip(trainings, n_epochs.tolist(), strict=True)), now)
        return now()

    def _running(self, states: State, n_epochs: jax.Array) -> jax.Array:
        """Which of the trainings have epochs to come."""
        recipe = self._trainer.recipe
        patience = min(recipe.patience, recipe.epochs)  # which a device can count to
        return (states.since_best < patience) & (n_epochs < recipe.epochs)

    def _several_epochs(
        self, states: State, n_epochs: jax.Array, training: Labelled, validation: Labelled
    ) -> tuple[State, jax.Array, tuple[jax.Array, jax.Array]]:
        """The states and the numbers of their epochs, the losses ``(epoch, training, 2)``, and which of these count."""
        one_epoch = jax.vmap(self._trainer.one_epoch, in_axes=(0, None, None))
        losses = jnp.zeros((EPOCHS_A_CALL, len(n_epochs), 2), jnp.float32)
        ran = jnp.zeros((EPOCHS_A_CALL, len(n_epochs)), bool)

        def to_come(carry: tuple[Any, ...]) -> jax.Array:
            i, states, n_epochs, _, _ = carry
            return (i < EPOCHS_A_CALL) & self._running(states, n_epochs).any()

        def epoch(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, before, n_epochs, losses, ran = carry
            running = self._running(before, n_epochs)
            after, pair = one_epoch(before, training, validation)
            states = jax.tree.map(lambda new, old: jax.vmap(jnp.where)(running, new, old), after, before)
            return i + 1, states, n_epochs + running, losses.at[i].set(jnp.stack(pair, axis=-1)), ran.at[i].set(running)

        _, states, n_epochs, losses, ran = jax.lax.while_loop(to_come, epoch, (0, states, n_epochs, losses, ran))
        return states, n_epochs, (losses, ran)
