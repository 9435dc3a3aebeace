"""Training several instances of a network, in memory or with a model file and a learning curve each.

The seed of an instance depends on its index, not on the grouping, so any subset can be trained anywhere at any time.
With files, finished instances are kept and long trainings write checkpoints: repeating the call resumes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.system.files import derived_seed, digest, joint_checkpoint_file, model_file, require_writable, write_text
from fluxeq.training.checkpoints import Checkpoint
from fluxeq.training.datasets import Data
from fluxeq.training.device import CPU, Device
from fluxeq.training.epoch import Reached, Training, Trainings
from fluxeq.training.fit import Curve, Trainer
from fluxeq.training.models import Description, Model, describe, save_model
from fluxeq.training.recipe import Recipe

MOST_TOGETHER = 10**4
"""Maximum number of instances in a group, since all are in memory from the start."""
Progress = Callable[[dict[int, Reached]], None]
"""Called with the progress of some instances, by index."""


def train_networks(
    data: Data,
    config: Architecture,
    recipe: Recipe,
    *,
    augmentation: bool = False,
    instances: Sequence[int] = (0,),
    seed: int = 0,
    together: bool = False,
    device: Device = CPU,
) -> Iterator[tuple[int, eqx.Module, Curve]]:
    """Train instances without writing files; yields index, network and learning curve in order of completion.

    ``config`` is an architecture, or any other object that builds an Equinox module. Raises DivergedError if the loss
    of an instance was never finite.
    """
    trainer = Trainer(data, config, recipe, augmentation, device, together)
    for group in [instances] if together else [[instance] for instance in instances]:
        begun = {instance: trainer.begin(derived_seed(seed, instance)) for instance in group}
        for instance, training in trainer.trained(begun):
            yield instance, *trainer.result(training)


def train_instances(
    data: Data,
    architecture: str,
    config: Architecture,
    recipe: Recipe,
    augmentation: bool,
    instances: Sequence[int],
    seed: int,
    output: Path,
    together: bool = False,
    progress: Progress = lambda reached: None,
    device: Device = CPU,
) -> list[Path]:
    """Train the instances missing in ``output``, one after another or together; returns the paths of all models.

    Raises InputError if a model or checkpoint there has other settings, or ``output`` cannot be a folder; and
    DivergedError, after all others have been trained, if the loss of an instance was never finite.
    """
    paths = {instance: output / model_file(architecture, instance) for instance in instances}
    expected = _settings(data, config, recipe, augmentation)
    plain = {**expected, "recipe": recipe.model_dump(mode="json")}
    identities = {instance: digest([plain, architecture, seed, instance]) for instance in instances}
    own = {i: Checkpoint(path.with_suffix(".checkpoint"), {i: identities[i]}) for i, path in paths.items()}
    missing = {i: own[i] for i, path in paths.items() if _is_missing(path, own[i], {**expected, "seed": seed})}
    if together and len(missing) > MOST_TOGETHER:
        raise InputError(f"{len(missing)} instances together: the maximum is {MOST_TOGETHER}; train fewer at once")
    shared = Checkpoint(output / joint_checkpoint_file(architecture), identities)
    shared.require_same()
    diverged: dict[int, DivergedError] = {}
    if missing:
        trainer = Trainer(data, config, recipe, augmentation, device, together)
        for instance, training in _trained(trainer, instances, missing, shared, seed, together, progress):
            try:
                network, curve = trainer.result(training)
            except DivergedError as error:
                diverged[instance] = error
                continue
            _save_curve(paths[instance].with_suffix(".csv"), curve)
            made = model_of(data, architecture, config, recipe, augmentation, seed, instance, network, curve)
            save_model(paths[instance], made)
            missing[instance].remove()
    if all((output / model_file(architecture, instance)).exists() for instance in shared.instances):
        shared.remove()
    if diverged:
        named, reason = ", ".join(paths[instance].stem for instance in sorted(diverged)), next(iter(diverged.values()))
        raise DivergedError(f"{output}: {named}: {reason}; the others are kept")
    return list(paths.values())


def model_of(
    data: Data,
    architecture: str,
    config: Any,
    recipe: Recipe,
    augmentation: bool,
    seed: int,
    instance: int,
    network: eqx.Module,
    curve: Curve,
) -> Model:
    """A trained network with its description."""
    description = Description(
        **_settings(data, config, recipe, augmentation),
        architecture=architecture,
        shape=data.training.shape,
        seed=seed,
        instance=instance,
        n_parameters=n_parameters(network),
        epochs=len(curve.validation),
        best_epoch=curve.best_epoch,
        validation_loss=curve.best,
    )
    return Model(network, description)


def _settings(data: Data, config: Any, recipe: Recipe, augmentation: bool) -> dict[str, Any]:
    """The settings of a training except architecture, seed and index, by the names of the description."""
    return {
        "task": data.task.name,
        "config": config.model_dump(mode="json"),
        "recipe": recipe,
        "augmentation": augmentation,
        "n_training": len(data.training),
        "n_validation": len(data.validation),
        "training_origins": data.training.origins,
        "validation_origins": data.validation.origins,
    }


def _is_missing(path: Path, checkpoint: Checkpoint, expected: dict[str, Any]) -> bool:
    """Whether the model is missing. Raises InputError if there is a model or checkpoint with other settings."""
    require_writable(path)
    if not path.exists():
        checkpoint.require_same()
        return True
    there = describe(path)
    for name, value in expected.items():
        if getattr(there, name) != value:
            raise InputError(
                f"{path}: trained with {name} = {getattr(there, name)}, requested {value}; choose another output"
            )
    checkpoint.remove()  # may have been left by a kill
    return False


def _trained(
    trainer: Trainer,
    instances: Sequence[int],
    own: dict[int, Checkpoint],
    shared: Checkpoint,
    seed: int,
    together: bool,
    progress: Progress,
) -> Iterator[tuple[int, Training]]:
    """Yield all finished trainings with their instances, in order of completion.

    Each resumes from its own checkpoint or that of its group, whichever is further.
    """
    like = trainer.begin(0).state
    stopped = shared.read(like)

    def begun(instance: int) -> Training:
        fresh = {instance: trainer.begin(derived_seed(seed, instance))}
        found = (fresh, stopped, own[instance].read(like))
        return max((at[instance] for at in found if instance in at), key=lambda training: len(training.losses))

    def watch(checkpoint: Checkpoint, reached: dict[int, Reached], trainings: Callable[[], Trainings]) -> None:
        progress(reached)
        if checkpoint.due:
            checkpoint.write(trainings())

    def epochs() -> Iterator[tuple[int, Training]]:
        if together:
            trainings = stopped | {instance: begun(instance) for instance in own}
            yield from trainer.epochs(trainings, partial(watch, shared), shared.write, instances)
        else:
            for instance, checkpoint in own.items():
                yield from trainer.epochs({instance: begun(instance)}, partial(watch, checkpoint))

    for instance, training in epochs():
        if instance in own:  # otherwise its model exists, and it only fills its place in the group
            yield instance, trainer.finished(instance, training, partial(watch, own[instance]))


def _save_curve(path: Path, curve: Curve) -> None:
    rows = (
        f"{epoch},{training:.9e},{validation:.9e}"
        for epoch, (training, validation) in enumerate(zip(curve.training, curve.validation, strict=True), 1)
    )
    write_text(path, "\n".join(["epoch,training_loss,validation_loss", *rows]) + "\n")
