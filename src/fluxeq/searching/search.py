"""Search for the setting with the lowest mean of best validation losses.

Each setting is trained several times with different initialisations. If the sampler proposes a setting again, its value
is reused and not counted, so the budget counts different settings. The seed of the sampler depends on the existing
trials, so a resumed search gives the same result.

Trainings can also be scored on further data, such as those at other couplings. These do not affect which settings are
tried, pruned or selected.

Several workers can share a storage until the budget is used. It consists of the first settings by trial number; other
settings in training at that time are ignored. Proposals depend on the order of events, so only a search by a single
worker is bitwise reproducible.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import configured
from fluxeq.searching.pruning import PRUNED, BoundPruner
from fluxeq.searching.space import Space
from fluxeq.searching.storage import registered_worker, was_declared_dead
from fluxeq.searching.suggestion import require_searchable, suggest, suggest_recipe
from fluxeq.system.capacity import release_memory
from fluxeq.system.files import derived_seed, digest
from fluxeq.training.datasets import Data, Dataset
from fluxeq.training.device import CPU, Device
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

MOST_DUPLICATES = 20
"""Consecutive duplicates after which the space counts as exhausted."""
PROBLEM = "problem"
"""Attribute of an Optuna study that identifies the problem."""

CannotWin = Callable[[float], bool]
"""Called with the loss of each repeat; returns whether the setting can no longer win."""


@dataclass(frozen=True)
class Setting:
    """A setting that was tried: fields of the config, and the mean of its best validation losses."""

    config: dict[str, Any]
    value: float
    losses: tuple[float, ...]
    n_parameters: int
    number: int = 0
    """Position in the order of the search, starting at 0."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Optimiser settings selected by the search."""
    pruned: bool = False
    """Stopped before all repeats were trained, since it could no longer win."""
    choices: dict[str, Any] = field(default_factory=dict)
    """The choices of the trial, by the names of the space."""
    observed: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """The mean loss of each repeat on each group of further data sets, over all its configurations."""

    @property
    def rank(self) -> tuple[bool, float]:
        """Sort key of settings; a pruned one never wins."""
        return self.pruned, self.value


Progress = Callable[[int, int, Setting | None], None]
"""Called with the number of settings done, their total number, and the best so far."""


@dataclass(frozen=True)
class Problem:
    """A search problem: one architecture on one pair of data sets, with the budget of each setting.

    Raises InputError if observed data are empty, of another task or lattice, or from chains of the training or
    validation.
    """

    data: Data
    architecture: str
    space: Space
    recipe: Recipe
    n_trials: int
    repeats: int
    seed: int
    device: Device = CPU
    observed: Mapping[str, Sequence[Dataset]] = field(default_factory=dict)
    """Groups of further data sets, by name. All trainings are scored on them, without effect on the search."""

    def __post_init__(self) -> None:
        for name, group in self.observed.items():
            _require_observable(name, group, self.data)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that must agree for losses to be comparable (not budget or seed), by name, in JSON types."""
        data = self.data
        known = {
            "data": list(data.training.origins),
            "validation": list(data.validation.origins),
            "configurations": [len(data.training), len(data.validation)],
            "repeats": self.repeats,
        }
        for name, group in self.observed.items():
            known[f"observed.{name}"] = [sum(map(len, group)), digest([[len(one), *one.origins] for one in group])]
        parts = {"space": self.space, "recipe": self.recipe}
        return known | {
            f"{part}.{name}": value
            for part, config in parts.items()
            for name, value in config.model_dump(mode="json").items()
        }


def search(
    problem: Problem,
    storage: optuna.storages.BaseStorage,
    name: str,
    progress: Progress = lambda done, total, best: None,
    prune: bool = False,
) -> list[Setting]:
    """Try different settings until ``n_trials`` of them have a value; returns them, the best first.

    ``prune`` stops a setting as soon as it can no longer win. Raises InputError if the architecture cannot be searched,
    the space has too few settings, or the storage has trials with other data, space or recipe.
    """
    logging.getLogger("optuna").setLevel(logging.ERROR)  # errors of trials are raised anyway
    require_searchable(problem.architecture)
    pruner = BoundPruner(problem.repeats) if prune else optuna.pruners.NopPruner()
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, pruner=pruner)
    _require_same(study, problem)
    with registered_worker(study, storage):
        _work(problem, study, progress)
    found = sorted(islice(_tried(study).values(), problem.n_trials), key=lambda setting: setting.rank)
    progress(problem.n_trials, problem.n_trials, found[0])
    return found


def _require_same(study: optuna.Study, problem: Problem) -> None:
    """Raise InputError if the existing trials belong to another problem; otherwise record the problem."""
    asked = problem.identity
    there = study.user_attrs.get(PROBLEM)
    if there is None:
        study.set_user_attr(PROBLEM, asked)
        return
    for name in asked | there:  # fields at their defaults may be in neither
        said, value = (some.get(name, "nothing") for some in (there, asked))
        if said != value:
            raise InputError(
                f"storage: {study.study_name} was searched there with {name} = {said}, requested {value}; "
                "choose another storage"
            )


def _require_observable(name: str, group: Sequence[Dataset], data: Data) -> None:
    """Raise InputError unless these data sets fit the networks of the search and are independent of its data."""
    known, shape = {*data.training.origins, *data.validation.origins}, data.training.shape
    if not sum(map(len, group)):
        raise InputError(f"observed.{name}: must have at least one configuration")
    for one in group:
        if one.task.name != data.task.name or one.shape != shape:
            raise InputError(f"observed.{name}: {one!r}: must have the task and the lattice of the training")
        if shared := known & set(one.origins):
            raise InputError(f"observed.{name}: shares chains with the search ({min(shared)}); sample others")


def _work(problem: Problem, study: optuna.Study, progress: Progress) -> None:
    """Try settings until the budget of the study is used, by this worker or others."""
    begun = TrialState.COMPLETE, TrialState.WAITING, TrialState.RUNNING
    if problem.space.start and not study.get_trials(deepcopy=False, states=begun):
        study.enqueue_trial(problem.space.start)
    duplicates, tried = 0, _tried(study)
    while len(tried) < problem.n_trials:
        progress(len(tried), problem.n_trials, min(tried.values(), key=lambda setting: setting.rank, default=None))
        study.sampler = _sampler(study, problem.seed)
        try:
            study.optimize(partial(_value, problem), n_trials=1)
        except ValueError as error:
            if not was_declared_dead(error):
                raise
        except AssertionError as error:  # raised by Optuna on errors of the storage, such as a full disk
            raise error.__context__ or error from None
        before, tried = len(tried), _tried(study)
        duplicates = 0 if len(tried) > before else duplicates + 1
        if duplicates > MOST_DUPLICATES:
            raise InputError(f"trials = {problem.n_trials}: the space has only {len(tried)} settings; enlarge it")


def _sampler(study: optuna.Study, seed: int) -> optuna.samplers.TPESampler:
    """A sampler whose seed depends on the number of trials with a value."""
    n_finished = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # experimental for years
        # Running trials of other workers are ignored: no constant liar.
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=False, seed=derived_seed(seed, n_finished) % 2**32
        )


def _value(problem: Problem, trial: optuna.Trial) -> float:
    """Train the setting of a trial, or reuse its value."""
    fields, chosen = suggest(trial, problem.architecture, problem.space), suggest_recipe(trial, problem.space)
    trial.set_user_attr("config", fields)
    if chosen:
        trial.set_user_attr("recipe", chosen)
    known = _tried(trial.study).get(_key_of(fields, chosen))
    setting = known or _train(problem, fields, chosen, _judge(trial))
    release_memory()  # of what was compiled for it
    trial.set_user_attr("losses", setting.losses)
    trial.set_user_attr("n_parameters", setting.n_parameters)
    if setting.observed:
        trial.set_user_attr("observed", setting.observed)
    if setting.pruned:
        trial.set_user_attr(PRUNED, True)
    return setting.value


def _judge(trial: optuna.Trial) -> CannotWin:
    """A function that reports losses of a trial to the study and asks its pruner whether to stop."""
    steps = iter(range(2**31))

    def cannot_win(loss: float) -> bool:
        trial.report(loss, next(steps))
        return trial.should_prune()

    return cannot_win


def _key_of(config: dict[str, Any], recipe: dict[str, Any]) -> str:
    """A key that identifies a setting: the fields of the config, and the selected fields of the recipe."""
    return f"{config} {recipe}" if recipe else str(config)


def _tried(study: optuna.Study) -> dict[str, Setting]:
    """Different settings with a value, by key, in the order of their first trial."""
    found: dict[str, Setting] = {}
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    for trial in sorted(trials, key=lambda trial: trial.number):
        said, value = trial.user_attrs, trial.value
        config, recipe = said["config"], said.get("recipe", {})
        assert value is not None
        setting = Setting(config, value, tuple(said["losses"]), said["n_parameters"], len(found), recipe)
        observed = {name: tuple(losses) for name, losses in said.get("observed", {}).items()}
        setting = replace(setting, pruned=PRUNED in said, choices=trial.params, observed=observed)
        found.setdefault(_key_of(config, recipe), setting)
    return found


def _train(problem: Problem, fields: dict[str, Any], chosen: dict[str, Any], cannot_win: CannotWin) -> Setting:
    """Train one setting with several initialisations, or fewer if it is pruned."""
    shape, n = problem.data.training.shape, len(problem.data.training)
    config, recipe = configured(problem.architecture, fields, shape), problem.recipe.varied(n, chosen)
    trainer = Trainer(problem.data, config, recipe, device=problem.device)
    key, lost = _key_of(fields, chosen), False
    losses: list[float] = []
    observed: dict[str, list[float]] = {name: [] for name in problem.observed}
    while len(losses) < problem.repeats and not lost:
        loss, beside = _losses(trainer, derived_seed(problem.seed, key, len(losses)), problem.observed)
        losses.append(loss)
        for name, mean in beside.items():
            observed[name].append(mean)
        lost = cannot_win(loss)
    value, means = float(np.mean(losses)), {name: tuple(of_all) for name, of_all in observed.items()}
    return Setting(fields, value, tuple(losses), trainer.n_parameters, recipe=chosen, pruned=lost, observed=means)


def _losses(trainer: Trainer, seed: int, observed: Mapping[str, Sequence[Dataset]]) -> tuple[float, dict[str, float]]:
    """The lowest validation loss of one training, and its mean losses on observed data; infinite if diverged."""
    try:
        network, curve = trainer.fit(seed)
    except DivergedError:
        return math.inf, dict.fromkeys(observed, math.inf)
    return curve.best, {name: _mean_loss(trainer, network, group) for name, group in observed.items()}


def _mean_loss(trainer: Trainer, network: Any, group: Sequence[Dataset]) -> float:
    """The mean loss over all configurations of a group; infinite if NaN."""
    mean = np.concatenate([trainer.losses(network, one) for one in group]).mean()
    return float(mean) if np.isfinite(mean) else math.inf
