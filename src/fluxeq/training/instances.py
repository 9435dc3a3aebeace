"""Many trainings of one architecture, one model file and one learning curve each.

The seed of an instance depends on its number, not on how the instances are grouped, so that any part of them can be
trained anywhere, at any time. Finished instances are kept: the same call again trains what is missing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fluxeq.errors import InputError
from fluxeq.files import derived_seed, require_writable, write_text
from fluxeq.nets.architectures import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.training.datasets import Data
from fluxeq.training.fit import Curve, Trainer
from fluxeq.training.models import Description, describe, save_model
from fluxeq.training.recipe import Recipe


def train_instances(
    data: Data,
    architecture: str,
    config: Architecture,
    recipe: Recipe,
    augmentation: bool,
    instances: Sequence[int],
    seed: int,
    output: Path,
    progress: Callable[[int, int], None] = lambda instance, epoch: None,
) -> list[Path]:
    """Train the instances that ``output`` does not hold yet; the paths of all their models.

    Raises InputError if a model there is of other settings, or ``output`` cannot be a folder.
    """
    paths = [output / f"{architecture}-{instance:03d}.safetensors" for instance in instances]
    expected: dict[str, Any] = {
        "task": data.task.name,
        "config": config.model_dump(mode="json"),
        "recipe": recipe,
        "augmentation": augmentation,
        "n_training": len(data.training),
        "n_validation": len(data.validation),
        "training_origins": data.training_origins,
        "validation_origins": data.validation_origins,
    }
    for path in paths:
        require_writable(path)
        if path.exists():
            _require_same(path, expected, seed)
    missing = [(i, path) for i, path in zip(instances, paths, strict=True) if not path.exists()]
    trainer = Trainer(data, config, recipe, augmentation) if missing else None
    for instance, path in missing:
        assert trainer is not None
        network, curve = trainer.fit(derived_seed(seed, instance), partial(progress, instance))
        _save_curve(path.with_suffix(".csv"), curve)
        description = Description(
            **expected,
            architecture=architecture,
            shape=data.training.shape,
            seed=seed,
            instance=instance,
            n_parameters=n_parameters(network),
            epochs=len(curve.validation),
            best_epoch=curve.best_epoch,
            validation_loss=float(curve.validation[curve.best_epoch - 1]),
        )
        save_model(path, network, description)
    return paths


def _require_same(path: Path, expected: dict[str, Any], seed: int) -> None:
    there = describe(path)
    for name, value in {**expected, "seed": seed}.items():
        if getattr(there, name) != value:
            raise InputError(
                f"{path}: trained with {name} = {getattr(there, name)}, asked for {value}; choose another output"
            )


def _save_curve(path: Path, curve: Curve) -> None:
    rows = (
        f"{epoch},{training:.9e},{validation:.9e}"
        for epoch, (training, validation) in enumerate(zip(curve.training, curve.validation, strict=True), 1)
    )
    write_text(path, "\n".join(["epoch,training_loss,validation_loss", *rows]) + "\n")
