"""Trainings on their way in files: one that was killed goes on, and ends with the same weights bit for bit.

A safetensors file beside the models to be: one for a training that goes its way alone, one for all that go together.
Its tensors are the state (weights, optimizer, best weights, random key), the losses so far, and the iterate of
Levenberg-Marquardt in float64: all that is needed to go on, on any device and in any group of instances. The header's
entry ``fluxeq`` says which trainings they are of. Short ones that go alone never write one.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.errors import InputError
from fluxeq.system.files import DamagedError
from fluxeq.training.epoch import State, Training, Trainings
from fluxeq.training.levenberg_marquardt import Iterate
from fluxeq.training.tensors import read_about, read_tensors, save_tensors

SECONDS = 30.0
"""Time between two checkpoints: what a kill can cost."""
FORMAT_VERSION = 6

Read = TypeVar("Read")


class Checkpoint:
    """A file of trainings, with the identity of each: equal for equal settings, data, seed and instance."""

    def __init__(self, path: Path, identities: dict[int, str]) -> None:
        self.path, self._identities, self._written = path, identities, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write one."""
        return time.monotonic() - self._written >= SECONDS

    def write(self, trainings: Trainings) -> None:
        """Replace the file by these trainings as they are; those that have not learned anything yet need no place."""
        begun = {instance: training for instance, training in trainings.items() if training.losses}
        identities = {str(instance): self._identities[instance] for instance in begun}
        tensors = {f"{instance}/{name}": tensor for instance, of in begun.items() for name, tensor in _tensors(of)}
        save_tensors(self.path, tensors, {"format_version": FORMAT_VERSION, "trainings": identities})
        self._written = time.monotonic()

    def read(self, like: State) -> Trainings:
        """The trainings in the file that have an identity here; ``like`` is any state of one of them.

        The clock starts now. Raises InputError if one of them is another training, or the file is damaged.
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
        """The numbers of the trainings in the file."""
        return set(self._trainings())

    def require_same(self) -> dict[int, str]:
        """The identities of the trainings in the file, if there is one.

        Raises InputError if one has the place of a training with an identity here, and is another one.
        """
        found = self._trainings()
        for instance, identity in found.items():
            if identity != self._identities.get(instance, identity):
                raise InputError(
                    f"{self.path}: a training with other settings was stopped here; remove it or choose another output"
                )
        return found

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)

    def _trainings(self) -> dict[int, str]:
        """The identity of each training in the file; of none if there is no file."""
        try:
            header = self._read(read_about)
        except FileNotFoundError:
            return {}
        if header.get("format_version") != FORMAT_VERSION:
            raise InputError(f"{self.path}: a checkpoint of another version of fluxeq; remove it")
        return {int(instance): identity for instance, identity in header["trainings"].items()}

    def _read(self, read: Callable[[Path], Read]) -> Read:
        try:
            return read(self.path)
        except DamagedError as error:
            raise InputError(
                f"{self.path}: not a checkpoint of fluxeq ({error}); remove it, and the training begins anew"
            ) from None


def _tensors(training: Training) -> Iterator[tuple[str, np.ndarray]]:
    """All that a training holds, by name."""
    yield from _named(training.state).items()
    yield "losses", np.array(training.losses, dtype=np.float64)
    yield "n_levenberg_marquardt", np.array(training.n_levenberg_marquardt)
    if training.levenberg_marquardt is not None:
        parameters, variance, n, damping, *_ = training.levenberg_marquardt
        yield "parameters", parameters
        yield "levenberg_marquardt", np.array([variance, n, damping], dtype=np.float64)


def _training(tensors: dict[str, np.ndarray], prefix: str, like: State) -> Training:
    """The training that the tensors with a prefix are of."""
    own = {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
    at = None
    if "parameters" in own:  # what it knows of the network near them is found again
        variance, n, damping = own["levenberg_marquardt"]
        at = Iterate(own["parameters"], float(variance), int(n), float(damping))
    losses = tuple((float(training), float(validation)) for training, validation in own["losses"])
    return Training(_state(own, like), losses, int(own["n_levenberg_marquardt"]), at)


def _named(state: State) -> dict[str, np.ndarray]:
    """The arrays of a state by their place in it; the key as its data."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state._replace(key=jax.random.key_data(state.key)))
    return {jax.tree_util.keystr(path).lstrip("."): np.asarray(leaf) for path, leaf in leaves}


def _state(tensors: dict[str, np.ndarray], like: State) -> State:
    """The state that these arrays are of, which is built like the other one."""
    found = [jnp.asarray(tensors[name]) for name in _named(like)]
    state = jax.tree.unflatten(jax.tree.structure(like), found)
    return state._replace(key=jax.random.wrap_key_data(state.key))
