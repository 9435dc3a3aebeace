"""Trained networks as safetensors files, with all that is needed to load and apply them in the header.

The header's entry ``fluxeq`` is the ``Description`` as JSON; the tensors are named by their place in the network.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fluxeq import __version__
from fluxeq.config import Frozen
from fluxeq.errors import InputError
from fluxeq.files import whole
from fluxeq.nets.architectures import Architecture, configured
from fluxeq.nets.network import Network
from fluxeq.training.recipe import Recipe
from fluxeq.training.tasks import Task, task_named

FORMAT_VERSION = 1


class Description(Frozen):
    """What a network is, how it was trained, and how well that went."""

    task: str
    architecture: str
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


@dataclass(frozen=True)
class Model:
    """A trained network with its description."""

    network: Network
    description: Description
    path: Path

    @property
    def task(self) -> Task:
        """The task that it was trained for."""
        return task_named(self.description.task)

    @property
    def config(self) -> Architecture:
        """The config of its architecture."""
        return configured(self.description.architecture, self.description.config, self.description.shape)

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InputError for a lattice that the network cannot take."""
        trained = self.description.shape
        if len(shape) != len(trained):
            lattice = "x".join(map(str, shape))
            raise InputError(f"{lattice}: trained on {len(trained)} dimensions, the lattice has {len(shape)}")
        self.config.require_shape(shape)


def save_model(path: Path, network: Network, description: Description) -> None:
    """Write one safetensors file, which is whole or not there."""
    tensors = {name: np.asarray(leaf) for name, leaf in _named_leaves(network)}
    # not save_file, whose own temporary file a kill would leave behind
    with whole(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"fluxeq": description.model_dump_json()}))


def load_model(path: str | Path) -> Model:
    """Read a model file. Raises InputError if it is not one, or of another format version."""
    path = Path(path)
    description = describe(path)
    task = task_named(description.task)
    config = configured(description.architecture, description.config, description.shape)
    blank = config.build(len(description.shape), len(task.targets), np.random.default_rng(0))
    with safe_open(path, framework="numpy") as file:
        leaves = [file.get_tensor(name) for name, _ in _named_leaves(blank)]
    return Model(jax.tree.unflatten(jax.tree.structure(blank), map(jnp.asarray, leaves)), description, path)


def describe(path: Path) -> Description:
    """The description in the header of a model file, without its weights. Raises InputError if there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such model; train one with 'fluxeq train ... --output DIR'")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["fluxeq"])
        found = header["format_version"]
        description = Description.model_validate(header) if found == FORMAT_VERSION else None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # ValueError: also what JSON and pydantic raise
        raise InputError(f"{path}: not a model of fluxeq ({str(error).splitlines()[0]})") from None
    if description is None:
        raise InputError(f"{path}: format version {found}, this fluxeq reads {FORMAT_VERSION}; train it again")
    return description


def _named_leaves(network: Network) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(network)
    return [(jax.tree_util.keystr(path).lstrip("."), leaf) for path, leaf in leaves]
