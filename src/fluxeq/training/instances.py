"""Training several instances of a network, in memory or with a model file and a learning curve each.

The seed of an instance depends on its index, not on the grouping, so any subset can be trained anywhere at any time.
With files, finished instances are kept and long trainings write checkpoints: repeating the call resumes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.system.files import (
    atomic_write,
    derived_seed,
    digest,
    joint_checkpoint_file,
    model_file,
    require_writable,
    write_text,
)
from fluxeq.training.checkpoints import Checkpoint
from fluxeq.training.datasets import Data
from fluxeq.training.device import CPU, Device
from fluxeq.training.epoch import Reached, Training, Trainings
from fluxeq.training.fit import Curve, Trainer
from fluxeq.training.models import Description, Model, describe, load_model, save_model
from fluxeq.training.recipe import Recipe

MOST_TOGETHER = 10**4
"""Maximum number of instances in a group, since all are in memory from the start."""
Progress = Callable[[dict[int, Reached]], None]
"""Called with the progress of some instances, by index."""


class Series(NamedTuple):
    """The settings that all instances of a training share."""

    data: Data
    architecture: str
    """Name of the architecture; empty for a module without a config."""
    config: Architecture
    """An architecture, or any other object that builds an Equinox module."""
    recipe: Recipe
    augmentation: bool = False
    seed: int = 0

    def trainer(self, device: Device, together: bool) -> Trainer:
        """A trainer of these instances."""
        return Trainer(self.data, self.config, self.recipe, self.augmentation, device, together)

    def begin(self, trainer: Trainer, instance: int) -> Training:
        """A new training of an instance."""
        return trainer.begin(derived_seed(self.seed, instance))

    def described(self) -> dict[str, Any]:
        """All settings except architecture and seed, by the names of the description."""
        return {
            "task": self.data.task.name,
            "config": self.config.model_dump(mode="json"),
            "recipe": self.recipe,
            "augmentation": self.augmentation,
            "n_training": len(self.data.training),
            "n_validation": len(self.data.validation),
            "training_origins": self.data.training.origins,
            "validation_origins": self.data.validation.origins,
        }

    def model(self, instance: int, network: eqx.Module, curve: Curve) -> Model:
        """The trained network of an instance with its description."""
        description = Description(
            **self.described(),
            architecture=self.architecture,
            shape=self.data.training.shape,
            seed=self.seed,
            instance=instance,
            n_parameters=n_parameters(network),
            epochs=len(curve.validation),
            best_epoch=curve.best_epoch,
            validation_loss=curve.best,
        )
        return Model(network, description)


def train_networks(
    series: Series, instances: Sequence[int], *, together: bool = False, device: Device = CPU
) -> Iterator[tuple[int, eqx.Module, Curve]]:
    """Train instances without writing files; yields index, network and learning curve in order of completion.

    Raises DivergedError if the loss of an instance was never finite.
    """
    trainer = series.trainer(device, together)
    for group in [instances] if together else [[instance] for instance in instances]:
        begun = {instance: series.begin(trainer, instance) for instance in group}
        for instance, training in trainer.trained(begun):
            yield instance, *trainer.result(training)


def train_instances(
    series: Series,
    instances: Sequence[int],
    output: Path,
    together: bool = False,
    progress: Progress = lambda reached: None,
    device: Device = CPU,
    elsewhere: Iterable[Path] = (),
) -> list[Path]:
    """Train the instances missing in ``output``, one after another or together; returns the paths of all models.

    A model that is the result of the same training in one of the folders ``elsewhere`` is copied, with its curve.
    Raises InputError if a model or checkpoint there has other settings, or ``output`` cannot be a folder; and
    DivergedError, after all others have been trained, if the loss of an instance was never finite.
    """
    architecture, seed, expected = series.architecture, series.seed, series.described()
    paths = {instance: output / model_file(architecture, instance) for instance in instances}
    plain = {**expected, "recipe": series.recipe.model_dump(mode="json")}
    identities = {instance: digest([plain, architecture, seed, instance]) for instance in instances}
    own = {i: Checkpoint(path.with_suffix(".checkpoint"), {i: identities[i]}) for i, path in paths.items()}
    missing = {i: own[i] for i, path in paths.items() if _is_missing(path, own[i], {**expected, "seed": seed})}
    if together and len(missing) > MOST_TOGETHER:
        raise InputError(f"{len(missing)} instances together: the maximum is {MOST_TOGETHER}; train fewer at once")
    shared = Checkpoint(output / joint_checkpoint_file(architecture), identities)
    shared.require_same()
    others = list(elsewhere)
    for instance in list(missing):
        if _copied(others, paths[instance], {**expected, "architecture": architecture, "seed": seed}):
            missing.pop(instance).remove()
    diverged: dict[int, DivergedError] = {}
    if missing:
        trainer = series.trainer(device, together)
        for instance, training in _trained(series, trainer, instances, missing, shared, together, progress):
            try:
                network, curve = trainer.result(training)
            except DivergedError as error:
                diverged[instance] = error
                continue
            _save_curve(paths[instance].with_suffix(".csv"), curve)
            save_model(paths[instance], series.model(instance, network, curve))
            missing[instance].remove()
    if all((output / model_file(architecture, instance)).exists() for instance in shared.instances):
        shared.remove()
    if diverged:
        named, reason = ", ".join(paths[instance].stem for instance in sorted(diverged)), next(iter(diverged.values()))
        raise DivergedError(f"{output}: {named}: {reason}; the others are kept")
    return list(paths.values())


def _is_missing(path: Path, checkpoint: Checkpoint, expected: dict[str, Any]) -> bool:
    """Whether the model is missing. Raises InputError if there is a model or checkpoint with other settings."""
    require_writable(path)
    if not path.exists():
        checkpoint.require_same()
        return True
    for name, found in _differing(path, expected).items():
        raise InputError(f"{path}: trained with {name} = {found}, requested {expected[name]}; choose another output")
    checkpoint.remove()  # may have been left by a kill
    return False


def _copied(folders: Sequence[Path], path: Path, expected: dict[str, Any]) -> bool:
    """Whether the model and its curve could be copied from one of the folders."""
    for there in (folder / path.name for folder in folders):
        try:
            if _differing(there, expected):
                continue
            load_model(there)  # its weights are intact
            curve, model = there.with_suffix(".csv").read_bytes(), there.read_bytes()
        except (InputError, FileNotFoundError):
            continue
        for target, content in ((path.with_suffix(".csv"), curve), (path, model)):
            with atomic_write(target) as temporary:
                temporary.write_bytes(content)
        return True
    return False


def _differing(path: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """The entries of the description of a model that differ from those expected. Raises like ``describe``."""
    there = describe(path)
    return {name: getattr(there, name) for name, value in expected.items() if getattr(there, name) != value}


def _trained(
    series: Series,
    trainer: Trainer,
    instances: Sequence[int],
    own: dict[int, Checkpoint],
    shared: Checkpoint,
    together: bool,
    progress: Progress,
) -> Iterator[tuple[int, Training]]:
    """Yield all finished trainings with their instances, in order of completion.

    Each resumes from its own checkpoint or that of its group, whichever is further.
    """
    like = trainer.begin(0).state
    stopped = shared.read(like)

    def begun(instance: int) -> Training:
        fresh = {instance: series.begin(trainer, instance)}
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
