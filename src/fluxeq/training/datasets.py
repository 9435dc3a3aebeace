"""Labelled configurations as networks see them, and proof that training and validation come from different chains."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fluxeq.data.ensembles import Ensemble, open_ensemble, origins
from fluxeq.errors import InputError
from fluxeq.lattice import named
from fluxeq.tasks.task import TASKS, Task


@dataclass(frozen=True)
class Dataset:
    """Configurations of one shape with the labels of a task, and the chains that they come from."""

    task: Task
    configurations: np.ndarray  #: (n, 2 d, *shape) int8
    labels: np.ndarray  #: (n, n_targets) float32, in the units of the targets
    chain: np.ndarray  #: (n,) int64, the chain that each comes from
    origins: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Dataset({self.task.name}, {len(self)} configurations of {named(self.shape)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the lattice, time first."""
        return self.configurations.shape[2:]

    def first(self, n: int) -> "Dataset":
        """The first ``n`` of them. Raises InputError if there are fewer."""
        if n > len(self):
            raise InputError(f"{n} examples asked for, but the data hold {len(self)}; sample more of them")
        return replace(self, configurations=self.configurations[:n], labels=self.labels[:n], chain=self.chain[:n])


class Data(NamedTuple):
    """What a network is trained on, and judged by while it is."""

    training: Dataset
    validation: Dataset

    @property
    def task(self) -> Task:
        """What both are for."""
        return self.training.task


def dataset(task: Task | str, ensembles: Ensemble | Sequence[Ensemble]) -> Dataset:
    """The labelled configurations of ensembles of one shape, in turns, so that any first part holds all of them alike.

    The labels are recomputed from the configurations and compared with the stored ones. Raises InputError if the
    shapes differ, two hold the same configurations, or labels are wrong.
    """
    the_task = TASKS[task] if isinstance(task, str) else task
    several = [ensembles] if isinstance(ensembles, Ensemble) else list(ensembles)
    _require_different([f"ensemble {i}" for i in range(1, len(several) + 1)], several)
    shapes = {ensemble.shape for ensemble in several}
    if len(shapes) != 1:
        listed = ", ".join(map(named, sorted(shapes))) or "none"
        raise InputError(f"data of several shapes ({listed}): a network trains on one lattice at a time")
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
    """The examples in some files; the first ``n_training`` of them and a tenth of that for validation, if it is given.

    Raises InputError as ``dataset`` and ``paired`` do, and if two files hold the same configurations.
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
    """Both together, if they can be; of them the first ``n_training``, and a tenth of that for validation, if given.

    Raises InputError if they share chains, are too small, of different tasks or shapes, or if all training labels are
    one and the same.
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
            f"training for {training.task.name}, validation for {validation.task.name}: one task is needed"
        )
    if training.shape != validation.shape:
        shapes = " and ".join(named(part.shape) for part in (training, validation))
        raise InputError(f"training and validation on {shapes}: both need the same lattice")
    if len(training) > 1 and not np.ptp(training.labels, axis=0).any():
        names = ", ".join(training.task.target_names)
        raise InputError(f"{names} = {training.labels[0].tolist()} in all training data: there is nothing to learn")
    return Data(training, validation)


def _require_different(names: Sequence[str | Path], ensembles: Sequence[Ensemble]) -> None:
    for (name, one), (other_name, other) in combinations(zip(names, ensembles, strict=True), 2):
        n = min(len(one), len(other))
        if one.origin == other.origin and np.array_equal(one.configurations[:n], other.configurations[:n]):
            raise InputError(f"{other_name}: has the configurations of {name}; name one of them")
