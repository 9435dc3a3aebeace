"""Labelled data sets, and the check that training and validation data come from different chains."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fluxeq.data.ensembles import Ensemble, open_ensemble, origins
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.tasks.task import TASKS, Task


@dataclass(frozen=True)
class Dataset:
    """Configurations of one shape with the labels of a task and their chains."""

    task: Task
    configurations: np.ndarray  #: (n, 2 d, *shape) int8
    labels: np.ndarray  #: (n, n_targets) float32, in the units of the targets
    chain: np.ndarray  #: (n,) int64, chain index
    origins: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Dataset({self.task.name}, {len(self)} configurations of {shape_name(self.shape)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the lattice, time first."""
        return self.configurations.shape[2:]

    def first(self, n: int) -> "Dataset":
        """The first ``n`` configurations. Raises InputError if there are fewer."""
        if n > len(self):
            raise InputError(f"{n} examples requested, but there are {len(self)}; sample more")
        return replace(self, configurations=self.configurations[:n], labels=self.labels[:n], chain=self.chain[:n])


class Data(NamedTuple):
    """Training and validation data."""

    training: Dataset
    validation: Dataset

    @property
    def task(self) -> Task:
        """The task of both."""
        return self.training.task


def dataset(task: Task | str, ensembles: Ensemble | Sequence[Ensemble]) -> Dataset:
    """The labelled configurations of ensembles of one shape, interleaved so that any first part has equal shares.

    Labels are recomputed from the configurations and compared with the stored ones. Raises InputError if shapes differ,
    two ensembles have the same configurations, or labels are wrong.
    """
    the_task = TASKS[task] if isinstance(task, str) else task
    several = [ensembles] if isinstance(ensembles, Ensemble) else list(ensembles)
    _require_different([f"ensemble {i}" for i in range(1, len(several) + 1)], several)
    shapes = {ensemble.shape for ensemble in several}
    if len(shapes) != 1:
        listed = ", ".join(map(shape_name, sorted(shapes))) or "none"
        raise InputError(f"data of several shapes ({listed}): training data must be on one lattice")
    for ensemble in several:
        ensemble.verify()
    turns = np.concatenate([(np.arange(len(e)) + 0.5) / len(e) for e in several])
    order = np.argsort(turns, kind="stable")
    configurations = np.concatenate([ensemble.configurations for ensemble in several])[order]
    labels = np.concatenate([the_task.labels(ensemble) for ensemble in several])[order]
    first = np.cumsum([0, *(ensemble.n_chains for ensemble in several)])
    chain = np.concatenate([at + ensemble.chain for at, ensemble in zip(first, several, strict=False)])[order]
    return Dataset(the_task, configurations, labels.astype(np.float32), chain, tuple(origins(several)))


def load_data(task: str, training: Sequence[Path], validation: Sequence[Path], n_training: int | None = None) -> Data:
    """The data in files; if ``n_training`` is given, that many examples and a tenth of it for validation.

    Raises InputError like ``dataset`` and ``paired``, and if two files have the same configurations.
    """
    the_task, found = TASKS[task], []
    for purpose, paths in (("data", training), ("validation", validation)):
        if not paths:
            raise InputError(f"{purpose}: at least one ensemble is needed")
        ensembles = [open_ensemble(path) for path in paths]
        _require_different(paths, ensembles)
        found.append(dataset(the_task, ensembles))
    return paired(found[0], found[1], n_training)


def paired(training: Dataset, validation: Dataset, n_training: int | None = None) -> Data:
    """Combine training and validation data; if ``n_training`` is given, that many examples and a tenth for validation.

    Raises InputError if they share chains, are too small, differ in task or shape, or if all training labels are
    equal.
    """
    shared = set(training.origins) & set(validation.origins)
    if shared:
        raise InputError(
            f"validation and training share chains ({min(shared)}): they must be independent; "
            "sample one of them with another seed"
        )
    if n_training is not None:
        training, validation = training.first(n_training), validation.first(max(1, n_training // 10))
    if training.task.name != validation.task.name:
        raise InputError(
            f"training for {training.task.name}, validation for {validation.task.name}: the tasks must agree"
        )
    if training.shape != validation.shape:
        shapes = " and ".join(shape_name(part.shape) for part in (training, validation))
        raise InputError(f"training and validation on {shapes}: the lattices must agree")
    if len(training) > 1 and not np.ptp(training.labels, axis=0).any():
        names = ", ".join(training.task.target_names)
        raise InputError(f"{names} = {training.labels[0].tolist()} in all training data: there is nothing to learn")
    return Data(training, validation)


def _require_different(names: Sequence[str | Path], ensembles: Sequence[Ensemble]) -> None:
    for (name, one), (other_name, other) in combinations(zip(names, ensembles, strict=True), 2):
        n = min(len(one), len(other))
        if one.origin == other.origin and np.array_equal(one.configurations[:n], other.configurations[:n]):
            raise InputError(f"{other_name}: has the same configurations as {name}; leave one of them out")
