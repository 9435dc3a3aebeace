"""Model files: safetensors with everything needed to load and apply a network in the header.

The header's entry ``fluxeq`` is the ``Description`` as JSON; tensors are named by their position in the network, and
verified when loaded (``tensors``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import numpy as np
from pydantic import ValidationError

from fluxeq import __version__
from fluxeq.config import Frozen, first_problem
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.nets.architecture import Architecture, configured
from fluxeq.system.files import DamagedError
from fluxeq.tasks.task import TASKS, Task
from fluxeq.training.recipe import Recipe
from fluxeq.training.tensors import About, Tensors, named_arrays, read_about, read_tensors, save_tensors, with_arrays

FORMAT_VERSION = 4

Read = TypeVar("Read")


class Description(Frozen):
    """Description of a network, its training and its validation loss."""

    task: str
    architecture: str
    """Name of the architecture; empty for a module without a config."""
    config: dict[str, Any]
    shape: tuple[int, ...]
    recipe: Recipe
    augmentation: bool
    n_training: int
    n_validation: int
    training_origins: tuple[str, ...]
    validation_origins: tuple[str, ...]
    seed: int
    instance: int
    n_parameters: int
    epochs: int
    best_epoch: int
    validation_loss: float
    version: str = __version__
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, repr=False)
class Model:
    """A trained network with its description and, if read from a file, its path."""

    network: Any
    description: Description
    path: Path = Path()

    def __repr__(self) -> str:
        said = self.description
        shape = shape_name(said.shape)
        loss = f"validation loss {said.validation_loss:.3g}"
        return f"Model({said.architecture} for {said.task} on {shape}, {said.n_parameters} parameters, {loss})"

    @property
    def task(self) -> Task:
        """The task for which it was trained."""
        return TASKS[self.description.task]

    @property
    def config(self) -> Architecture:
        """The config of its architecture."""
        return configured(self.description.architecture, self.description.config, self.description.shape)

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for an unsupported lattice."""
        trained = self.description.shape
        if len(shape) != len(trained):
            lattice = shape_name(shape)
            raise InputError(f"{lattice}: trained on {len(trained)} dimensions, the lattice has {len(shape)}")
        if self.description.architecture:
            self.config.require_shape(shape)


def save_model(path: str | Path, model: Model) -> None:
    """Write a safetensors file, atomically.

    Raises InputError for an external module without a config, which could not be rebuilt.
    """
    if not model.description.architecture:
        raise InputError(f"{path}: own module: a model file needs an architecture; write a config class")
    arrays = named_arrays(eqx.filter(model.network, eqx.is_array))
    save_tensors(Path(path), arrays, model.description.model_dump(mode="json"))


def load_model(path: str | Path) -> Model:
    """Read a model file. Raises InputError if it is not one, is damaged, or has another format version."""
    path = Path(path)
    about, tensors = _read(path, read_tensors)
    description = _description(path, about)
    try:
        task = TASKS[description.task]
        config = configured(description.architecture, description.config, description.shape)
        blank = config.build(len(description.shape), task.targets, np.random.default_rng(0))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    arrays, rest = eqx.partition(blank, eqx.is_array)
    _require_fitting(path, tensors, named_arrays(arrays))
    return Model(eqx.combine(with_arrays(arrays, tensors), rest), description, path)


def describe(path: str | Path) -> Description:
    """The description in the header of a model file, without its weights. Raises InputError like ``load_model``."""
    path = Path(path)
    return _description(path, _read(path, read_about))


def _read(path: Path, read: Callable[[Path], Read]) -> Read:
    if not path.is_file():
        raise InputError(f"{path}: no such model; train one with 'fluxeq train ... --output DIR'")
    try:
        return read(path)
    except DamagedError as error:
        raise InputError(f"{path}: not a model of fluxeq ({error}); train it again") from None


def _description(path: Path, about: About) -> Description:
    found = about.get("format_version", "unknown")
    if found != FORMAT_VERSION:
        raise InputError(f"{path}: format version {found}, this fluxeq reads {FORMAT_VERSION}; train it again")
    try:
        return Description.model_validate(about)
    except ValidationError as error:
        raise InputError(f"{path}: not a model of fluxeq ({first_problem(error)})") from None


def _require_fitting(path: Path, tensors: Tensors, expected: Tensors) -> None:
    """Raise InputError unless the tensors are finite and fit the network."""
    kinds = [{name: (array.shape, array.dtype) for name, array in some.items()} for some in (tensors, expected)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{path}: its tensors do not match its description; train it again")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError(f"{path}: has non-finite weights; train it again")
