"""Reference means of the targets of a task, independent of all test sets: exact, or from separate ensembles."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from fluxeq import exact, statistics
from fluxeq.data.ensembles import open_ensemble
from fluxeq.lattice import shape_name
from fluxeq.tasks.task import TASKS
from fluxeq.theory import FluxTheory, Theory

Point = tuple[FluxTheory, tuple[int, ...]]


def has_exact_means(task: str, theory: FluxTheory, shape: tuple[int, ...]) -> bool:
    """Whether exact means of the targets of a task are feasible on a lattice within a study."""
    solvable = isinstance(theory, Theory) and (theory.lam == 0 or (len(shape) == 2 and shape[1] == 2))
    return solvable and {*TASKS[task].target_names} <= {"n", "phi2"}


def references(task: str, ensembles: Iterable[Path], solved: Iterable[Point]) -> pd.DataFrame:
    """One row per point and target: from ensembles with errors by the Gamma method, at solved points without."""
    rows = [*_sampled(task, ensembles), *_solved(task, solved)]
    return pd.DataFrame(rows)


def _sampled(task: str, ensembles: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in ensembles:
        ensemble = open_ensemble(path)
        where = {**ensemble.theory.couplings, "shape": shape_name(ensemble.shape)}
        for target, values in zip(TASKS[task].target_names, TASKS[task].labels(ensemble).T, strict=True):
            found = statistics.estimate(statistics.by_chain(values, ensemble.chain))
            numbers = {"target": target, "value": found.value, "error": found.error}
            yield {**where, **numbers, "source": f"{len(ensemble)} configurations"}


def _solved(task: str, points: Iterable[Point]) -> Iterator[dict[str, Any]]:
    for theory, shape in points:
        assert isinstance(theory, Theory)
        found = exact.solve(theory, shape)
        for target in TASKS[task].target_names:
            numbers = {"target": target, "value": getattr(found, target), "error": 0.0, "source": "exact"}
            yield {**theory.couplings, "shape": shape_name(shape), **numbers}
