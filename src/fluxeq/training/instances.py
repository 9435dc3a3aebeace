"""Many trainings of one network structure: in memory, or with a model file and a learning curve each.

The seed of an instance depends on its number, not on how the instances are grouped, so that any part of them can be
trained anywhere, at any time. In files, finished instances are kept, and long trainings leave checkpoints: the same
call again trains what is missing, from where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.system.files import derived_seed, digest, model_file, require_writable, together_file, write_text
from fluxeq.training.checkpoints import Checkpoint
from fluxeq.training.datasets import Data
from fluxeq.training.device import CPU, Device
from fluxeq.training.epoch import Reached, Training, Trainings
from fluxeq.training.fit import Curve, Trainer
from fluxeq.training.models import Description, Model, describe, save_model
from fluxeq.training.recipe import Recipe

MOST_TOGETHER = 10**4
"""All that go together are in memory from their start."""
Progress = Callable[[dict[int, Reached]], None]
"""Called with how far some instances are, by their numbers."""


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
    """Each instance with its network and learning curve, in the order in which they end; nothing is written.

    ``config`` is an architecture, or anything else that builds an Equinox module. Raises DivergedError if the loss of
    one was never finite.
    """
    trainer = Trainer(data, config, recipe, augmentation, device, together)
    for group in [instances] if together else [[instance] for instance in instances]:
        begun = {instance: trainer.begin(derived_seed(seed, instance)) for instance in group}
        for instance, training in trainer.ended(begun):
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
    """Train the instances that ``output`` does not hold yet, one after another or together; the paths of all models.

    Raises InputError if a model or a checkpoint there is of other settings, or ``output`` cannot be a folder; and
    DivergedError, after all others have been trained, if the loss of some was never finite.
    """
    paths = {instance: output / model_file(architecture, instance) for instance in instances}
    expected = _settings(data, config, recipe, augmentation)
    plain = {**expected, "recipe": recipe.model_dump(mode="json")}
    identities = {instance: digest([plain, architecture, seed, instance]) for instance in instances}
    own = {i: Checkpoint(path.with_suffix(".checkpoint"), {i: identities[i]}) for i, path in paths.items()}
    missing = {i: own[i] for i, path in paths.items() if _is_missing(path, own[i], {**expected, "seed": seed})}
    if together and len(missing) > MOST_TOGETHER:
        raise InputError(
            f"{len(missing)} instances together: at most {MOST_TOGETHER} fit into memory; train fewer at once"
        )
    shared = Checkpoint(output / together_file(architecture), identities)
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
    """What fixes a training, but for its architecture, seed and number; by the names of the description."""
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
    """Whether there is no such model yet. Raises InputError if a model or a checkpoint is in its place."""
    require_writable(path)
    if not path.exists():
        checkpoint.require_same()
        return True
    there = describe(path)
    for name, value in expected.items():
        if getattr(there, name) != value:
            raise InputError(
                f"{path}: trained with {name} = {getattr(there, name)}, asked for {value}; choose another output"
            )
    checkpoint.remove()  # which a kill may have left behind
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
    """Every training at its end, with its instance, in the order in which they end.

    Each goes on from where its own checkpoint, or the one of those that go together, has it furthest.
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
        if instance in own:  # else it has its model, and has only kept its place in the group
            yield instance, trainer.finished(instance, training, partial(watch, own[instance]))


def _save_curve(path: Path, curve: Curve) -> None:
    rows = (
        f"{epoch},{training:.9e},{validation:.9e}"
        for epoch, (training, validation) in enumerate(zip(curve.training, curve.validation, strict=True), 1)
    )
    write_text(path, "\n".join(["epoch,training_loss,validation_loss", *rows]) + "\n")
