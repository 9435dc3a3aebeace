"""Python functions for training, searching and evaluating with data in memory, equivalent to the commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import equinox as eqx
from optuna.storages import InMemoryStorage

from fluxeq.config import validated
from fluxeq.data.ensembles import Ensemble
from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES, Architecture, configured
from fluxeq.searching.search import Problem, Setting
from fluxeq.searching.search import search as find
from fluxeq.searching.space import Space
from fluxeq.searching.storage import open_storage
from fluxeq.tasks.task import TASKS, Task
from fluxeq.training.compiled import keep_compiled
from fluxeq.training.datasets import Data, Dataset, dataset, paired
from fluxeq.training.device import Device
from fluxeq.training.evaluation import Predictor, Score
from fluxeq.training.evaluation import evaluate as score
from fluxeq.training.instances import Series, train_instances, train_networks
from fluxeq.training.models import Model, load_model
from fluxeq.training.recipe import Recipe

Ensembles = Ensemble | Sequence[Ensemble]
Network = str | Architecture | eqx.Module
"""An architecture by name, a config, or an Equinox module."""


def train(
    task: str | Task,
    architecture: Network,
    training: Dataset | Ensembles,
    validation: Dataset | Ensembles,
    *,
    config: Mapping[str, Any] | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    augmentation: bool = False,
    instances: int = 1,
    seed: int = 0,
    device: str = "cpu",
    output: str | Path | None = None,
) -> list[Model]:
    """Train instances of one architecture with different random initialisations; returns models at their best epoch.

    ``architecture`` is a name (EQ, ST, FL, or ``package.module:Class``), with ``config`` for fields that differ from
    the defaults, or an Equinox module ``(2 d, *shape) -> (n_targets,)`` with initial weights, for a single instance.
    ``training`` and ``validation`` are data sets or ensembles from different chains. ``recipe`` has the optimiser
    settings that differ from those of the original study. ``augmentation`` applies a random translation to every
    configuration in every epoch. ``device`` is cpu or cuda. With ``output``, a folder, models and learning curves are
    written as by ``fluxeq train``, and finished ones are kept. Raises InputError for invalid input, such as validation
    data from training chains, and DivergedError if the loss of an instance was never finite.
    """
    data, chosen, where = _data(task, training, validation), validated(Recipe, "recipe", recipe), Device(device)
    if instances < 1:
        raise InputError(f"instances = {instances}: must be at least 1")
    where.use()
    keep_compiled()
    if isinstance(architecture, eqx.Module):
        if instances > 1 or output is not None:
            raise InputError("own module: only one instance and no output folder; give a config class for more")
        name, built = "", _own(architecture)
    else:
        name, built = _configured(architecture, config or {}, data.training.shape)
    series = Series(data, name, built, chosen, augmentation, seed)
    if output is not None:
        paths = train_instances(series, range(instances), Path(output), where.together, device=where)
        return [load_model(path) for path in paths]
    made = train_networks(series, range(instances), together=where.together, device=where)
    return [series.model(*each) for each in sorted(made, key=lambda one: one[0])]


def search(
    task: str | Task,
    architecture: str,
    training: Dataset | Ensembles,
    validation: Dataset | Ensembles,
    *,
    space: Space | Mapping[str, Any] | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    trials: int = 50,
    repeats: int = 3,
    seed: int = 0,
    prune: bool = False,
    storage: str | Path | None = None,
    device: str = "cpu",
) -> list[Setting]:
    """Search settings of an architecture, each trained ``repeats`` times; sorted by mean validation loss.

    ``space`` and ``recipe`` have the fields that differ from the defaults. ``prune`` stops a setting as soon as its
    losses so far exclude that it wins. ``storage`` is a journal file or a PostgreSQL address, in which a search can be
    resumed; by default it is in memory. Raises InputError for invalid input, such as a space with fewer settings than
    ``trials``.
    """
    data, where = _data(task, training, validation), Device(device)
    where.use()
    keep_compiled()
    the_space, the_recipe = validated(Space, "space", space), validated(Recipe, "recipe", recipe)
    problem = Problem(data, architecture, the_space, the_recipe, trials, repeats, seed)
    opened = open_storage(str(storage)) if storage else InMemoryStorage()
    return find(problem, opened, f"{data.task.name}-{architecture}", prune=prune)


def evaluate(network: Predictor, data: Dataset | Ensembles, task: str | Task | None = None) -> Score:
    """Evaluate a network on labelled configurations, with means over all of them.

    ``network`` is a model, an Equinox module for one configuration, or any function of a NumPy batch,
    ``(n, 2 d, *shape)`` to ``(n, n_targets)``, with the same output as a network (a logit for detection). ``task``
    makes a data set of ensembles; a model knows its own task. Raises InputError for an unsupported lattice.
    """
    if not isinstance(data, Dataset):
        if task is None and not isinstance(network, Model):
            raise InputError("task: only a model knows its own; give a task, or a data set")
        data = dataset(task or network.task, data)  # type: ignore[union-attr]
    return score(network, data)


def _data(task: str | Task, training: Dataset | Ensembles, validation: Dataset | Ensembles) -> Data:
    the_task = TASKS[task] if isinstance(task, str) else task
    parts = [part if isinstance(part, Dataset) else dataset(the_task, part) for part in (training, validation)]
    for part in parts:
        if part.task.name != the_task.name:
            raise InputError(f"data for {part.task.name}, asked for {the_task.name}: make them with dataset()")
    return paired(parts[0], parts[1])


def _configured(
    architecture: str | Architecture, fields: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[str, Architecture]:
    """The name of an architecture and its config for a lattice."""
    if isinstance(architecture, str):
        return architecture, configured(architecture, dict(fields), shape)
    if fields:
        raise InputError("config: given twice; leave one of them out")
    architecture.require_shape(shape)
    kind = type(architecture)
    is_known = kind.__name__ in ARCHITECTURES and ARCHITECTURES[kind.__name__] is kind
    return kind.__name__ if is_known else f"{kind.__module__}:{kind.__qualname__}", architecture


def _own(module: eqx.Module) -> Architecture:
    """A config that builds this module, for every lattice: the module raises its own errors."""
    own = SimpleNamespace(
        build=lambda d, targets, rng: module, require_shape=lambda shape: None, model_dump=lambda mode: {}
    )
    return cast(Architecture, own)
