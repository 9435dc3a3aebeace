"""The table of scores, on which figures and claims are based: one row per model, test set and target.

An external function, ``(n, 2 d, *shape)`` to outputs ``(n, n_targets)`` like those of a network, is scored likewise; it
raises InputError for lattices it does not support.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas

from fluxeq import statistics
from fluxeq.analysis.tables import METRICS
from fluxeq.data.ensembles import Ensemble, open_ensemble
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.nets.architecture import takes
from fluxeq.study.family import FUNCTIONS
from fluxeq.study.study import load_study
from fluxeq.tasks.task import TASKS, Task
from fluxeq.training.datasets import Dataset, dataset
from fluxeq.training.evaluation import Score, checked_outputs, outputs, score
from fluxeq.training.models import Model, load_model


class ScoredFunction(NamedTuple):
    """A model or function to be scored: its table entries, the lattices it supports, and its outputs."""

    about: dict[str, Any]
    takes: Callable[[tuple[int, ...]], bool]
    outputs: Callable[[np.ndarray], np.ndarray]


def score_table(
    run: Path, section: str, family: str, models: list[Path], function: str | None, tests: list[tuple[str, int | None]]
) -> pandas.DataFrame:
    """Scores of the models or the function of a family on the test sets ``(file, n)`` with supported lattices.

    The first ``n`` configurations of each file are used, or all. A task that counts worms is scored separately for each
    number of worms.
    """
    settings = load_study(run / "study.toml").tasks[section]
    task = TASKS[settings.task]
    whose = {"task": section, "family": family, "protocol": settings.families[family].protocol}
    contenders = [_network(path.relative_to(run), load_model(path), whose) for path in models]
    if function is not None:
        contenders.append(_function(function, {**whose, "n_training": settings.n_training[-1]}, task))
    rows: list[dict[str, Any]] = []
    for file, n in tests:
        ensemble = open_ensemble(run / file, n)
        if able := [contender for contender in contenders if contender.takes(ensemble.shape)]:
            test = _TestSet.of(task, ensemble)
            rows += [row for one in able for row in test.rows(one.about, one.outputs(test.data.configurations))]
    return as_table(rows)


def scores(
    network: Model | str, task: Task, ensemble: Ensemble, family: str | None = None
) -> tuple[Score, list[dict[str, Any]]]:
    """The score of a model or a function outside a run, over all configurations, and its rows of the table.

    Its family is its architecture or the name of the function, unless given; the training set of a function has size 0.
    Raises InputError like ``evaluate``.
    """
    whose = {"task": task.name, "protocol": ""}
    if isinstance(network, Model):
        one = _network(network.path, network, {**whose, "family": family or network.description.architecture})
        one = one._replace(outputs=lambda configurations: checked_outputs(network, task, configurations))
    else:
        one = _function(network, {**whose, "family": family or network, "n_training": 0}, task)
    test = _TestSet.of(task, ensemble)
    found = one.outputs(test.data.configurations)
    return score(task, found, test.data.labels, test.data.chain), test.rows(one.about, found)


def as_table(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """The rows as a table with ordered columns; couplings follow the shape."""
    couplings = [name for name in rows[0] if name not in METRICS] if rows else []
    first = list(METRICS)[: list(METRICS).index("shape") + 1]
    return pandas.DataFrame(rows, columns=[*first, *couplings, *(name for name in METRICS if name not in first)])


def _network(path: Path, model: Model, whose: dict[str, Any]) -> ScoredFunction:
    described = ("architecture", "augmentation", "n_training", "instance", "n_parameters")
    about = {**whose, **{name: getattr(model.description, name) for name in described}}
    return ScoredFunction(
        {**about, "model": path.as_posix()},
        lambda shape: takes(model.config, shape),
        lambda configurations: outputs(model.network, configurations),
    )


def _function(name: str, whose: dict[str, Any], task: Task) -> ScoredFunction:
    """An external function, listed with the networks of the largest training set."""
    call = FUNCTIONS[name]

    def found(configurations: np.ndarray) -> np.ndarray:
        try:
            values = np.asarray(call(configurations), dtype=np.float32)
        except InputError:
            raise
        except Exception as error:  # external code can raise anything
            raise InputError(f"function {name!r}: fails with {type(error).__name__}: {error}") from error
        expected = (len(configurations), len(task.targets))
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
    return ScoredFunction(about, can, found)


@dataclass(frozen=True)
class _TestSet:
    """Labelled configurations of one theory and lattice, with their table entries per number of worms."""

    data: Dataset
    where: dict[str, Any]
    chosen: dict[int, np.ndarray]
    """Indices of the configurations with each number of worms."""
    truths: dict[int, list[dict[str, float | None]]]

    @classmethod
    def of(cls, task: Task, ensemble: Ensemble) -> Self:
        """The test set of an ensemble."""
        data, labels, theory = dataset(task, ensemble), task.labels(ensemble), ensemble.theory
        where = {"theory": theory.name, "shape": shape_name(ensemble.shape), **theory.couplings}
        chosen = {number: ensemble.n_worms == number for number in np.unique(ensemble.n_worms).tolist()}
        return cls(data, where, chosen, {n: _truths(task, labels[of], ensemble.chain[of]) for n, of in chosen.items()})

    def rows(self, about: dict[str, Any], found: np.ndarray) -> list[dict[str, Any]]:
        """The table rows for these outputs."""
        task, rows = self.data.task, []
        for number, of in self.chosen.items():
            result = score(task, found[of], self.data.labels[of], self.data.chain[of])
            common = {**about, **self.where, "n_worms": number if task.counts_worms else None}
            common |= {"configurations": result.configurations, "accuracy": result.accuracy}
            scores: dict[str, Mapping[str, float | None]]
            scores = {"loss": result.per_target, "loss_error": result.per_target_error, "mean": result.mean_prediction}
            scores |= {"bias": result.bias, "bias_error": result.bias_error}
            for target, truth in zip(task.target_names, self.truths[number], strict=True):
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
