"""Complete trainings: epochs until early stopping, then Levenberg-Marquardt steps.

Epochs are run in groups: of one training, or as many as fit onto a GPU. When half of a group have stopped, the others
continue in a smaller group. A checkpoint has all trainings of a group at the same point, so that they resume in the
same groups, with bitwise identical results.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.training.batched import Batched
from fluxeq.training.datasets import Data, Dataset
from fluxeq.training.device import CPU, Device
from fluxeq.training.epoch import Reached, Training, Trainings, start, translated
from fluxeq.training.levenberg_marquardt import PATIENCE, USED_UP, LevenbergMarquardt, is_affordable
from fluxeq.training.problem import Problem
from fluxeq.training.recipe import Recipe
from fluxeq.training.sequential import Sequential

ProgressCallback = Callable[[dict[int, Reached], Callable[[], Trainings]], None]
"""Called regularly with the progress of some trainings, and a function that returns the current states of all trainings
that have not been yielded yet."""
CheckpointCallback = Callable[[Trainings], None]
"""Called with these states whenever a group has ended."""


class Curve(NamedTuple):
    """Losses by epoch, including Levenberg-Marquardt steps, and the epoch (from 1) with the selected weights."""

    training: np.ndarray
    validation: np.ndarray
    best_epoch: int

    def __repr__(self) -> str:
        return f"Curve({len(self.training)} epochs, lowest validation loss {self.best:.3g} at {self.best_epoch})"

    @property
    def best(self) -> float:
        """The lowest validation loss."""
        return float(self.validation[self.best_epoch - 1])


class Trainer:
    """Trains instances of one network structure on one pair of data sets, with a single compilation.

    Raises InputError like ``Problem``, and for Levenberg-Marquardt steps without a squared error.
    """

    def __init__(
        self,
        data: Data,
        config: Architecture,
        recipe: Recipe,
        augmentation: bool = False,
        device: Device = CPU,
        together: bool = False,
    ) -> None:
        self.problem, self.recipe = Problem(data, config, recipe, augmentation, device), recipe
        self.alone = Sequential(self.problem)
        self.epochs_of: Sequential | Batched = Batched(self.problem) if together else self.alone
        self._method = self._levenberg_marquardt() if recipe.levenberg_marquardt else None

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return self.problem.n_parameters

    def fit(self, seed: int, on_epoch: Callable[[int], None] = lambda epoch: None) -> tuple[Any, Curve]:
        """Train one instance; returns the network with the lowest validation loss and its learning curve.

        Raises DivergedError if the validation loss was never finite.
        """
        ((_, training),) = self.trained({0: self.begin(seed)}, lambda reached, now: on_epoch(reached[0].n))
        return self.result(training)

    def begin(self, seed: int) -> Training:
        """A new training, determined by the seed."""
        return Training(start(self.problem, seed))

    def trained(
        self, trainings: Trainings, watch: ProgressCallback = lambda reached, now: None
    ) -> Iterator[tuple[int, Training]]:
        """Yield each training when it is complete, with its index."""
        for number, training in self.epochs(trainings, watch):
            yield number, self.finished(number, training, watch)

    def epochs(
        self,
        trainings: Trainings,
        watch: ProgressCallback = lambda reached, now: None,
        keep: CheckpointCallback = lambda trainings: None,
        places: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, Training]]:
        """Yield each training after its last epoch, with its index; as many run at once as fit onto the device.

        Groups are formed from ``places``, by default the indices of the trainings; some may have been yielded earlier.
        Trainings from a checkpoint thus resume in the same groups, provided all of it are given, also stopped ones.
        """
        left, most = dict(trainings), self.epochs_of.most
        places = list(trainings) if places is None else places

        def all_of(now: Callable[[], Trainings]) -> Trainings:
            return left | now()

        for first in range(0, len(places), most):
            group = {number: left[number] for number in places[first : first + most] if number in left}
            while group:
                going_on = {number: training for number, training in group.items() if training.learns(self.recipe)}
                if 2 * len(going_on) > len(group):
                    for reached, now in self.epochs_of.run(group):
                        watch(reached, partial(all_of, now))
                    left |= (group := now())
                    keep(left)
                else:
                    yield from ((number, left.pop(number)) for number in group if number not in going_on)
                    group = going_on

    def finished(
        self, number: int, training: Training, watch: ProgressCallback = lambda reached, now: None
    ) -> Training:
        """A training after its Levenberg-Marquardt steps."""
        while self._has_steps_to_come(training):
            training = self._after_step(training)
            watch({number: training.reached}, partial(dict, {number: training}))
        return training

    def result(self, training: Training) -> tuple[Any, Curve]:
        """The network with the lowest validation loss. Raises DivergedError if that was never finite."""
        if not math.isfinite(float(training.state.best_loss)):
            decay = f", weight_decay = {self.recipe.weight_decay:g}" if self.recipe.weight_decay else ""
            raise DivergedError(
                f"learning_rate = {self.recipe.learning_rate:g}{decay}: the validation loss was never finite; lower it"
            )
        losses, validation = np.array(training.losses).T
        network = self.problem.network(training.state.best)
        return network, Curve(losses, validation, int(np.nanargmin(validation)) + 1)

    def losses(self, network: Any, data: Dataset) -> np.ndarray:
        """The loss of a network of this structure for each configuration, float64 ``(n,)``, the mean over targets."""
        outputs = self.alone.outputs(eqx.filter(network, eqx.is_inexact_array), data.configurations)
        return self.problem.task.losses(outputs, data.labels).mean(axis=1)

    def _levenberg_marquardt(self) -> LevenbergMarquardt | None:
        """The Levenberg-Marquardt steps; None for a network that is too large."""
        problem, n_residuals = self.problem, self.problem.data.training.labels.size
        if not problem.task.least_squares:
            asked = f"levenberg_marquardt = {self.recipe.levenberg_marquardt}"
            raise InputError(f"{asked}: {problem.task.name} has no squared error; set it to 0")
        if not is_affordable(problem.n_parameters, n_residuals):
            return None
        return LevenbergMarquardt(
            lambda arrays, x: problem.network(arrays)(x), self.alone.outputs, problem.blank, problem.device.name
        )

    def _has_steps_to_come(self, training: Training) -> bool:
        if self._method is None or not math.isfinite(float(training.state.best_loss)):
            return False
        patient = training.levenberg_marquardt is None or int(training.state.since_best) < PATIENCE
        return patient and training.n_levenberg_marquardt < self.recipe.levenberg_marquardt

    def _after_step(self, training: Training) -> Training:
        """The training after one Levenberg-Marquardt step; the first starts from the best weights so far."""
        assert self._method is not None
        at, state, data, none = training.levenberg_marquardt, training.state, self.problem.data.training, jnp.int32(0)
        if at is None:
            at, state = self._method.start(state.best, *data.labels.shape), state._replace(since_best=none)
        key, shift_key = jax.random.split(state.key)
        x, labels = data.configurations[: at.n], data.labels[: at.n]
        if self.problem.augmentation:
            x, at = np.asarray(translated(jnp.asarray(x), shift_key)), at.on_others()
        at, loss = self._method.step(at, (x, labels), float(state.best_loss))
        state, validation = self.alone.judged(state._replace(key=key, network=self._method.weights(at)))
        if at.n < len(data) and (validation > USED_UP * loss or state.since_best >= PATIENCE):
            at, state = at.grown(len(data)), state._replace(since_best=none)
        training = training.after(state, (jnp.asarray(loss), validation))
        return training._replace(n_levenberg_marquardt=training.n_levenberg_marquardt + 1, levenberg_marquardt=at)
