"""Checkpoints of trainings; resuming is bitwise identical.

A checkpoint is a safetensors file in the folder of the models: one for a single training, or one for a group. Its
tensors are the state (weights, optimizer, best weights, random key), the losses so far, and the Levenberg-Marquardt
iterate in float64: everything needed to continue, on any device and in any group of instances. The header's entry
``fluxeq`` identifies the trainings. Short single trainings write none.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np

from fluxeq.errors import InputError
from fluxeq.system.files import DamagedError
from fluxeq.training.epoch import State, Training, Trainings
from fluxeq.training.levenberg_marquardt import Iterate
from fluxeq.training.tensors import named_arrays, read_about, read_tensors, save_tensors, with_arrays

SECONDS = 30.0
"""Seconds between checkpoints."""
FORMAT_VERSION = 6

Read = TypeVar("Read")


class Checkpoint:
    """A checkpoint file of trainings with their identities, equal for equal settings, data, seed and instance."""

    def __init__(self, path: Path, identities: dict[int, str]) -> None:
        self.path, self._identities, self._written = path, identities, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return time.monotonic() - self._written >= SECONDS

    def write(self, trainings: Trainings) -> None:
        """Write these trainings; those without any epoch are omitted."""
        begun = {instance: training for instance, training in trainings.items() if training.losses}
        identities = {str(instance): self._identities[instance] for instance in begun}
        tensors = {f"{instance}/{name}": tensor for instance, of in begun.items() for name, tensor in _tensors(of)}
        save_tensors(self.path, tensors, {"format_version": FORMAT_VERSION, "trainings": identities})
        self._written = time.monotonic()

    def read(self, like: State) -> Trainings:
        """Read the trainings with an identity here; ``like`` is any state with the same structure.

        Also starts the clock. Raises InputError if a training has another identity, or the file is damaged.
        """
        there = self.require_same()
        self._written = time.monotonic()
        if not there:
            return {}
        _, tensors = self._read(read_tensors)
        return {
            instance: _training(tensors, f"{instance}/", like) for instance in there if instance in self._identities
        }

    @property
    def instances(self) -> set[int]:
        """The instance indices of the trainings in the file."""
        return set(self._trainings())

    def require_same(self) -> dict[int, str]:
        """The identities of the trainings in the file, if it exists.

        Raises InputError if the identity of an instance differs from the one here.
        """
        found = self._trainings()
        for instance, identity in found.items():
            if identity != self._identities.get(instance, identity):
                raise InputError(
                    f"{self.path}: checkpoint of a training with other settings; remove it or choose another output"
                )
        return found

    def remove(self) -> None:
        """Remove the file, if it exists."""
        self.path.unlink(missing_ok=True)

    def _trainings(self) -> dict[int, str]:
        """The identities of the trainings in the file; empty if it does not exist."""
        try:
            header = self._read(read_about)
        except FileNotFoundError:
            return {}
        if header.get("format_version") != FORMAT_VERSION:
            raise InputError(f"{self.path}: checkpoint of another version of fluxeq; remove it")
        return {int(instance): identity for instance, identity in header["trainings"].items()}

    def _read(self, read: Callable[[Path], Read]) -> Read:
        try:
            return read(self.path)
        except DamagedError as error:
            raise InputError(
                f"{self.path}: not a checkpoint of fluxeq ({error}); remove it to restart the training"
            ) from None


def _tensors(training: Training) -> Iterator[tuple[str, np.ndarray]]:
    """The content of a training, by name."""
    yield from named_arrays(_with_key_data(training.state)).items()
    yield "losses", np.array(training.losses, dtype=np.float64)
    yield "n_levenberg_marquardt", np.array(training.n_levenberg_marquardt)
    if training.levenberg_marquardt is not None:
        parameters, variance, n, damping, *_ = training.levenberg_marquardt
        yield "parameters", parameters
        yield "levenberg_marquardt", np.array([variance, n, damping], dtype=np.float64)


def _training(tensors: dict[str, np.ndarray], prefix: str, like: State) -> Training:
    """The training stored in the tensors with a prefix."""
    own = {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
    at = None
    if "parameters" in own:  # the linearisation is recomputed
        variance, n, damping = own["levenberg_marquardt"]
        at = Iterate(own["parameters"], float(variance), int(n), float(damping))
    losses = tuple((float(training), float(validation)) for training, validation in own["losses"])
    state = with_arrays(_with_key_data(like), own)
    state = state._replace(key=jax.random.wrap_key_data(state.key))
    return Training(state, losses, int(own["n_levenberg_marquardt"]), at)


def _with_key_data(state: State) -> State:
    """The state with its random key as plain data."""
    return state._replace(key=jax.random.key_data(state.key))
