"""Training and validation examples from ensemble files, with proof that they come from different chains."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fluxeq.data.ensembles import Ensemble, open_ensemble, origins, require_disjoint
from fluxeq.errors import InputError
from fluxeq.training.tasks import Examples, Task, examples, task_named


class Data(NamedTuple):
    """What a network is trained on and judged by while it is, and the chains that both come from."""

    task: Task
    training: Examples
    validation: Examples
    training_origins: tuple[str, ...]
    validation_origins: tuple[str, ...]


def load_data(task: str, training: Sequence[Path], validation: Sequence[Path], n_training: int | None = None) -> Data:
    """The examples in some files; the first ``n_training`` of them and a tenth of that for validation, if it is given.

    Raises InputError if training and validation share chains, are too small or of different shapes, if two files hold
    the same configurations, if their labels are wrong, or if all training labels are one and the same.
    """
    the_task = task_named(task)
    for purpose, paths in (("data", training), ("validation", validation)):
        if not paths:
            raise InputError(f"{purpose}: at least one ensemble is needed")
    parts = {
        "training": [open_ensemble(path) for path in training],
        "validation": [open_ensemble(path) for path in validation],
    }
    require_disjoint(parts)
    for paths, ensembles in zip((training, validation), parts.values(), strict=True):
        _require_different(paths, ensembles)
    found = {purpose: examples(the_task, ensembles) for purpose, ensembles in parts.items()}
    if n_training is not None:
        found = {
            "training": found["training"].first(n_training),
            "validation": found["validation"].first(max(1, n_training // 10)),
        }
    _require_usable(the_task, found["training"], found["validation"])
    chains = {purpose: tuple(origins(ensembles)) for purpose, ensembles in parts.items()}
    return Data(the_task, found["training"], found["validation"], chains["training"], chains["validation"])


def _require_different(paths: Sequence[Path], ensembles: Sequence[Ensemble]) -> None:
    for (path, one), (other_path, other) in combinations(zip(paths, ensembles, strict=True), 2):
        n = min(len(one), len(other))
        if one.origin == other.origin and np.array_equal(one.configurations[:n], other.configurations[:n]):
            raise InputError(f"{other_path}: has the configurations of {path}; name one of them")


def _require_usable(task: Task, training: Examples, validation: Examples) -> None:
    if training.shape != validation.shape:
        shapes = " and ".join("x".join(map(str, part.shape)) for part in (training, validation))
        raise InputError(f"training and validation on {shapes}: both need the same lattice")
    if len(training) > 1 and not np.ptp(training.labels, axis=0).any():
        names = ", ".join(task.targets)
        raise InputError(f"{names} = {training.labels[0].tolist()} in all training data: there is nothing to learn")
