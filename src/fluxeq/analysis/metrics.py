"""The table of scores, the raw material of every figure and claim: a row for each model, test set and target.

A function in place of networks, ``(n, 2 d, *shape)`` to outputs ``(n, n_targets)`` as a network gives them, is scored
like these; it raises InputError for a lattice that it cannot take.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas

from fluxeq import statistics
from fluxeq.analysis.tables import METRICS
from fluxeq.data.ensembles import Ensemble, open_ensemble
from fluxeq.errors import InputError
from fluxeq.nets.architecture import takes
from fluxeq.study.family import FUNCTIONS
from fluxeq.study.study import load_study
from fluxeq.study.values import named
from fluxeq.tasks.task import TASKS, Task
from fluxeq.training.datasets import dataset
from fluxeq.training.evaluation import outputs, score
from fluxeq.training.models import Model, load_model


class Contender(NamedTuple):
    """What is scored: what the table says of it, the lattices it takes, and what it says of configurations."""

    about: dict[str, Any]
    takes: Callable[[tuple[int, ...]], bool]
    outputs: Callable[[np.ndarray], np.ndarray]


def score_table(
    run: Path, section: str, family: str, models: list[Path], function: str | None, tests: list[tuple[str, int | None]]
) -> pandas.DataFrame:
    """Scores of the models of a family, or of its function, on the test sets ``(file, n)`` whose lattice they take.

    Of each file the first ``n`` configurations count, or all. A task that counts worms is scored separately for every
    number of them.
    """
    settings = load_study(run / "study.toml").tasks[section]
    task = TASKS[settings.task]
    whose = {"task": section, "family": family, "protocol": settings.families[family].protocol}
    contenders = [_network(path.relative_to(run), load_model(path), whose) for path in models]
    if function is not None:
        contenders.append(_function(function, {**whose, "n_training": settings.n_training[-1]}, task))
    return _table(task, contenders, (open_ensemble(run / file, n) for file, n in tests))


def model_table(models: Iterable[Model], ensembles: Sequence[Ensemble]) -> pandas.DataFrame:
    """Scores of models that belong to no run, on the test sets whose lattice they take, in the same columns."""
    by_task: dict[str, list[Contender]] = {}
    for model in models:
        name = model.task.name
        whose = {"task": name, "family": model.description.architecture, "protocol": ""}
        by_task.setdefault(name, []).append(_network(model.path, model, whose))
    return pandas.concat([_table(TASKS[name], some, ensembles) for name, some in by_task.items()], ignore_index=True)


def _table(task: Task, contenders: list[Contender], ensembles: Iterable[Ensemble]) -> pandas.DataFrame:
    rows: list[dict[str, Any]] = []
    for ensemble in ensembles:
        able = [contender for contender in contenders if contender.takes(ensemble.shape)]
        rows += _rows(task, able, ensemble) if able else []
    couplings = [name for name in rows[0] if name not in METRICS] if rows else []
    first = list(METRICS)[: list(METRICS).index("shape") + 1]
    return pandas.DataFrame(rows, columns=[*first, *couplings, *(name for name in METRICS if name not in first)])


def _network(path: Path, model: Model, whose: dict[str, Any]) -> Contender:
    described = ("architecture", "augmentation", "n_training", "instance", "n_parameters")
    about = {**whose, **{name: getattr(model.description, name) for name in described}}
    return Contender(
        {**about, "model": path.as_posix()},
        lambda shape: takes(model.config, shape),
        lambda configurations: outputs(model.network, configurations),
    )


def _function(name: str, whose: dict[str, Any], task: Task) -> Contender:
    """A function beside the networks of the largest training set."""
    call = FUNCTIONS[name]

    def found(configurations: np.ndarray) -> np.ndarray:
        values, expected = np.asarray(call(configurations), dtype=np.float32), (len(configurations), len(task.targets))
        if values.shape != expected:
            raise InputError(f"function {name!r}: returns an array {values.shape}, not {expected}")
        return values

    def can(shape: tuple[int, ...]) -> bool:
        try:
            call(np.zeros((1, 2 * len(shape), *shape), dtype=np.int8))
        except InputError:
            return False
        return True

    about = {**whose, "architecture": "", "augmentation": False, "instance": 0, "n_parameters": None, "model": name}
    return Contender(about, can, found)


def _rows(task: Task, contenders: list[Contender], ensemble: Ensemble) -> list[dict[str, Any]]:
    """Scores on one test set, number of worms by number."""
    data, labels, theory = dataset(task, ensemble), task.labels(ensemble), ensemble.theory
    where = {"theory": theory.name, "shape": named(ensemble.shape), **theory.couplings}
    rows: list[dict[str, Any]] = []
    chosen = {number: ensemble.n_worms == number for number in np.unique(ensemble.n_worms).tolist()}
    truths = {number: _truths(task, labels[of], ensemble.chain[of]) for number, of in chosen.items()}
    for contender in contenders:
        found = contender.outputs(data.configurations)
        for number, of in chosen.items():
            result = score(task, found[of], data.labels[of], data.chain[of])
            common = {**contender.about, **where, "n_worms": number if task.counts_worms else None}
            common |= {"configurations": result.configurations, "accuracy": result.accuracy}
            scores: dict[str, Mapping[str, float | None]]
            scores = {"loss": result.per_target, "loss_error": result.per_target_error, "mean": result.mean_prediction}
            scores |= {"bias": result.bias, "bias_error": result.bias_error}
            for target, truth in zip(task.target_names, truths[number], strict=True):
                rows.append(
                    {**common, "target": target, **{key: values[target] for key, values in scores.items()}, **truth}
                )
    return rows


def _truths(task: Task, labels: np.ndarray, chain: np.ndarray) -> list[dict[str, float | None]]:
    """The mean of each target, with its Monte-Carlo error by the Gamma method unless the number of worms is given."""
    if task.counts_worms:
        return [{"truth": float(values.mean()), "truth_error": None} for values in labels.T]
    estimates = [statistics.estimate(statistics.by_chain(values, chain)) for values in labels.T]
    return [{"truth": estimate.value, "truth_error": estimate.error} for estimate in estimates]
