"""Many trainings of one architecture, one model file and one learning curve each.

The seed of an instance depends on its number, not on how the instances are grouped, so that any part of them can be
trained anywhere, at any time. Finished instances are kept, and long trainings leave checkpoints: the same call again
trains what is missing, from where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import Architecture
from fluxeq.nets.network import n_parameters
from fluxeq.system.files import derived_seed, digest, model_file, require_writable, write_text
from fluxeq.training.batched import Together
from fluxeq.training.checkpoints import Checkpoint
from fluxeq.training.datasets import Data
from fluxeq.training.fit import Curve, Trainer, Training, Trainings
from fluxeq.training.models import Description, describe, save_model
from fluxeq.training.recipe import Recipe

MOST_TOGETHER = 10**4
"""All that go together are in memory from their start."""
Progress = Callable[[int, int], None]
"""Called with the number of an instance and how many epochs, or Levenberg-Marquardt steps, it has gone through."""


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
    progress: Progress = lambda instance, epoch: None,
) -> list[Path]:
    """Train the instances that ``output`` does not hold yet, one after another or together; the paths of all models.

    Raises InputError if a model or a checkpoint there is of other settings, or ``output`` cannot be a folder; and
    DivergedError, after all others have been trained, if the loss of some was never finite.
    """
    paths = {instance: output / model_file(architecture, instance) for instance in instances}
    expected: dict[str, Any] = {
        "task": data.task.name,
        "config": config.model_dump(mode="json"),
        "recipe": recipe,
        "augmentation": augmentation,
        "n_training": len(data.training),
        "n_validation": len(data.validation),
        "training_origins": data.training.origins,
        "validation_origins": data.validation.origins,
    }
    plain = {**expected, "recipe": recipe.model_dump(mode="json")}
    identities = {instance: digest([plain, architecture, seed, instance]) for instance in instances}
    missing = {}
    for instance, path in paths.items():
        require_writable(path)
        checkpoint = Checkpoint(path.with_suffix(".checkpoint"), {instance: identities[instance]})
        if path.exists():
            _require_same(path, expected, seed)
            checkpoint.remove()  # which a kill may have left behind
        else:
            checkpoint.require_same()
            missing[instance] = checkpoint
    if together and len(missing) > MOST_TOGETHER:
        raise InputError(
            f"{len(missing)} instances together: at most {MOST_TOGETHER} fit into memory; train fewer at once"
        )
    shared = Checkpoint(output / f"{architecture}-together.checkpoint", identities)
    shared.require_same()
    trainer = Trainer(data, config, recipe, augmentation) if missing else None
    diverged: dict[int, DivergedError] = {}
    for instance, training in _trained(trainer, missing, shared, seed, together, progress) if trainer else ():
        assert trainer is not None
        try:
            network, curve = trainer.result(training)
        except DivergedError as error:
            diverged[instance] = error
            continue
        _save_curve(paths[instance].with_suffix(".csv"), curve)
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
        save_model(paths[instance], network, description)
        missing[instance].remove()
    if all((output / model_file(architecture, instance)).exists() for instance in shared.instances):
        shared.remove()
    if diverged:
        named, reason = ", ".join(paths[instance].stem for instance in sorted(diverged)), next(iter(diverged.values()))
        raise DivergedError(f"{output}: {named}: {reason}; the others are kept")
    return list(paths.values())


def _trained(
    trainer: Trainer,
    checkpoints: dict[int, Checkpoint],
    shared: Checkpoint,
    seed: int,
    together: bool,
    progress: Progress,
) -> Iterator[tuple[int, Training]]:
    """Every training at its end, with its instance, in the order in which they end.

    Each goes on from where its own checkpoint, or the one of those that go together, has it furthest.
    """
    like = trainer.start(0)
    stopped = shared.read(like)

    def begun(instance: int) -> Training:
        fresh = {instance: trainer.begin(derived_seed(seed, instance))}
        found = (fresh, stopped, checkpoints[instance].read(like))
        return max((at[instance] for at in found if instance in at), key=lambda training: len(training.losses))

    def watch_one(instance: int, training: Training) -> None:
        progress(instance, len(training.losses))
        if checkpoints[instance].due:
            checkpoints[instance].write({instance: training})

    def watch(n_epochs: dict[int, int], trainings: Callable[[], Trainings]) -> None:
        for instance, n in n_epochs.items():
            progress(instance, n)
        if shared.due:
            shared.write(trainings())

    at = ((instance, begun(instance)) for instance in checkpoints)
    ended = Together(trainer).epochs(stopped | dict(at), watch, shared.write, shared.asked) if together else at
    for instance, training in ended:
        if instance in checkpoints:  # else it has its model, and has only kept its place in the group
            yield instance, trainer.finished(training, partial(watch_one, instance))


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
