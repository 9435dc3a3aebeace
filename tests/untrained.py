"""Networks with initial weights as model files, also of an external architecture."""

from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fluxeq.config import Frozen
from fluxeq.nets.architecture import configured
from fluxeq.nets.network import n_parameters
from fluxeq.tasks.task import TASKS, Target
from fluxeq.training.models import Description, Model, save_model
from fluxeq.training.recipe import Recipe

LINEAR = f"{__name__}:Linear"
BLOCKS = [{"channels": 2, "kernel": 2}, {"channels": 2, "kernel": 1}]


class Weights(eqx.Module):
    matrix: jax.Array

    def __call__(self, x):
        return self.matrix @ x[:, 0].mean(axis=tuple(range(1, x.ndim - 1)))


class Linear(Frozen):
    """Means over the first time slice: invariant under translations in space, but not in time."""

    scale: float = 1.0

    @property
    def stride(self) -> int | None:
        """Only translations in space leave the output unchanged."""
        return None

    def build(self, d: int, targets: Sequence[Target], rng: np.random.Generator) -> Weights:
        return Weights(jnp.asarray(self.scale * rng.normal(size=(len(targets), 2 * d)), dtype=jnp.float32))

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Accepts all lattices."""


def saved(folder: Path, task: str, architecture: str, instance: int = 0, shape=(4, 4), **config) -> Path:
    """A model file, ``TASK-ARCHITECTURE-INSTANCE.safetensors``."""
    if architecture != LINEAR:
        config = {"blocks": BLOCKS} | config
    settings = configured(architecture, config, shape)
    network = settings.build(len(shape), TASKS[task].targets, np.random.default_rng(instance))
    description = Description(
        task=task,
        architecture=architecture,
        config=settings.model_dump(mode="json"),
        shape=shape,
        recipe=Recipe(),
        augmentation=False,
        n_training=40,
        n_validation=4,
        training_origins=("a",),
        validation_origins=("b",),
        seed=1,
        instance=instance,
        n_parameters=n_parameters(network),
        epochs=3,
        best_epoch=2,
        validation_loss=0.5 - 0.1 * instance,
    )
    path = folder / f"{task}-{architecture.rpartition(':')[2]}-{instance}.safetensors"
    save_model(path, Model(network, description))
    return path
