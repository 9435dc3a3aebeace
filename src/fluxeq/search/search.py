"""The search for the setting with the lowest mean of best validation losses.

Each setting is trained several times from different starts. A setting that the sampler proposes again is not trained
again: its value is reused and not counted, so that the budget counts different settings. The seed of the sampler
depends on the trials that are there, so a search that was killed goes on to the same result.

Several workers on one storage share the budget: ``claims`` says who trains what, ``workers`` which trials were left by
a worker that was killed; those are taken up again, with the setting they had. What workers propose depends on who is
first, so only a search by one worker can be repeated to the last bit.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import configured
from fluxeq.search import claims
from fluxeq.search.pruning import PRUNED, LostPruner
from fluxeq.search.space import Space
from fluxeq.search.suggestion import suggest, suggest_recipe
from fluxeq.search.workers import SIGNED, Workers, running, workers_of
from fluxeq.system.files import derived_seed
from fluxeq.training.datasets import Data
from fluxeq.training.device import CPU, Device
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

MOST_DUPLICATES = 20
"""In a row; a space that is exhausted proposes nothing new."""
PROBLEM = "problem"
"""The attribute of a study that says what is searched."""
POLL = 0.5
"""Seconds between two looks at what the other workers do."""

IsLost = Callable[[float], bool]
"""Takes the loss of each repeat, and says whether further ones are in vain."""


@dataclass(frozen=True)
class Setting:
    """One setting that was tried: the fields of the config, and the mean of its best validation losses."""

    config: dict[str, Any]
    value: float
    losses: tuple[float, ...]
    n_parameters: int
    number: int = 0
    """Settings were tried in this order, from 0."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """What the search chose of the settings of the optimiser."""
    pruned: bool = False
    """Given up before all repeats were trained, since it could not win any more."""

    @property
    def rank(self) -> tuple[bool, float]:
        """What settings are sorted by: one that was given up never wins."""
        return self.pruned, self.value


@dataclass(frozen=True)
class Problem:
    """What is to be searched: one architecture on one pair of data sets, with the budget of each setting."""

    data: Data
    architecture: str
    space: Space
    recipe: Recipe
    n_trials: int
    repeats: int
    seed: int
    device: Device = CPU

    @property
    def identity(self) -> dict[str, Any]:
        """What makes losses comparable, by name, in JSON's types; neither the budget nor the seed does."""
        data = self.data
        known = {
            "data": list(data.training.origins),
            "validation": list(data.validation.origins),
            "configurations": [len(data.training), len(data.validation)],
            "repeats": self.repeats,
        }
        parts = {"space": self.space, "recipe": self.recipe}
        return known | {
            f"{part}.{name}": value
            for part, config in parts.items()
            for name, value in config.model_dump(mode="json").items()
        }


def search(
    data: Data,
    architecture: str,
    space: Space,
    recipe: Recipe,
    n_trials: int,
    repeats: int,
    seed: int,
    storage: optuna.storages.BaseStorage,
    name: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    prune: bool = False,
    device: Device = CPU,
) -> list[Setting]:
    """Try different settings until ``n_trials`` of them have a value; all of them, the best first.

    ``prune`` gives a setting up as soon as it cannot win any more. Raises InputError if the space holds fewer settings
    than that, or the storage has trials of a search on other data, of another space or with another recipe.
    """
    logging.getLogger("optuna").setLevel(logging.WARNING)
    problem = Problem(data, architecture, space, recipe, n_trials, repeats, seed, device)
    pruner = LostPruner(repeats) if prune else optuna.pruners.NopPruner()
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, pruner=pruner)
    _require_same(study, problem)
    workers = workers_of(storage)
    with workers.working():
        _work(problem, study, workers, progress)
    progress(n_trials, n_trials)
    return sorted(_tried(study).values(), key=lambda setting: setting.rank)


def _require_same(study: optuna.Study, problem: Problem) -> None:
    """Raise InputError if the trials that are there say nothing about this problem; note which one it is."""
    asked = problem.identity
    there = study.user_attrs.get(PROBLEM)
    if there is None:
        study.set_user_attr(PROBLEM, asked)
        return
    for name, value in asked.items():
        if there.get(name, value) != value:
            raise InputError(
                f"storage: {study.study_name} was searched there with {name} = {there[name]}, asked for {value}; "
                "choose another storage"
            )


def _work(problem: Problem, study: optuna.Study, workers: Workers, progress: Callable[[int, int], None]) -> None:
    """Take trials until the budget of the study has been used, by this worker or others."""
    duplicates = 0
    _tidy(study, workers)
    _enqueue_start(study, problem.space)
    while len(tried := _tried(study)) < problem.n_trials:
        progress(len(tried), problem.n_trials)
        _tidy(study, workers)
        if _all_taken(study, problem.n_trials):
            time.sleep(POLL)
            continue
        study.sampler = _sampler(_trial_seed(study, problem.seed))
        trial = _ask(study)
        with workers.training(trial):
            duplicates = 0 if _try(problem, study, trial) else duplicates + 1
        if duplicates > MOST_DUPLICATES:
            if not running(study):
                n_settings = len(_tried(study))
                raise InputError(f"trials = {problem.n_trials}: the space holds only {n_settings} settings; widen it")
            duplicates = 0
            time.sleep(POLL)  # what is proposed may be new to the sampler once the others have a value


def _tidy(study: optuna.Study, workers: Workers) -> None:
    """Put settings whose worker was killed back into the queue."""
    workers.bury(study)
    for trial in claims.lost_settings(study.get_trials(deepcopy=False)).values():
        chosen = {name: value for name, value in trial.user_attrs.items() if name in ("config", "recipe")}
        study.enqueue_trial(trial.params, user_attrs=chosen)


def _enqueue_start(study: optuna.Study, space: Space) -> None:
    """Let the first trial be the start of the space, unless a trial has begun; one killed before it chose has not."""
    begun = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.WAITING, TrialState.RUNNING])
    if space.start and all(trial.state == TrialState.RUNNING and SIGNED not in trial.user_attrs for trial in begun):
        study.enqueue_trial(space.start)


def _all_taken(study: optuna.Study, n_trials: int) -> bool:
    """Whether other workers hold all that is left of the budget, with nothing in the queue."""
    trials = study.get_trials(deepcopy=False)
    waiting = any(trial.state == TrialState.WAITING for trial in trials)
    return not waiting and len(claims.places(trials)) >= n_trials


def _trial_seed(study: optuna.Study, seed: int) -> int:
    """A seed of the sampler that depends on the trials; equal ones would propose what was just set aside."""
    n_finished = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
    n_set_aside = claims.n_set_aside(study.get_trials(deepcopy=False))
    return derived_seed(seed, n_finished, n_set_aside) if n_set_aside else derived_seed(seed, n_finished)


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # both options, for some years now
        # Trials of others do not count before they have a value: no constant liar.
        return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=False, seed=seed % 2**32)


def _ask(study: optuna.Study) -> optuna.Trial:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed")  # the heart beats in ``workers``
        return study.ask()


def _try(problem: Problem, study: optuna.Study, trial: optuna.Trial) -> bool:
    """Train what a trial chooses, or reuse its value, or set it aside; whether the setting was new."""
    fields, chosen = suggest(problem.space, problem.architecture, trial), suggest_recipe(problem.space, trial)
    key = claims.key_of(fields, chosen)
    known: dict[str, Setting] = {}
    try:
        trial.set_user_attr("config", fields)
        if chosen:
            trial.set_user_attr("recipe", chosen)
        trials = study.get_trials(deepcopy=False)
        known = _with_value(trials)
        mine = claims.is_free(trials, trial.number, key) and claims.has_place(trials, key, problem.n_trials)
        if key not in known and not mine:
            trial.set_user_attr(claims.SET_ASIDE, True)
            study.tell(trial, state=TrialState.FAIL)
            return False
        _tell(study, trial, known[key] if key in known else _train(problem, fields, chosen, _judge(trial)))
    except UpdateFinishedTrialError:
        pass  # this worker was silent for so long that it counts as killed; another one has taken the setting up
    return key not in known


def _judge(trial: optuna.Trial) -> IsLost:
    """Report every loss of a trial to the study, whose pruner says whether to go on."""
    steps = iter(range(2**31))

    def is_lost(loss: float) -> bool:
        trial.report(loss, next(steps))
        return trial.should_prune()

    return is_lost


def _tell(study: optuna.Study, trial: optuna.Trial, setting: Setting) -> None:
    """Give a trial its value."""
    trial.set_user_attr("losses", setting.losses)
    trial.set_user_attr("n_parameters", setting.n_parameters)
    if setting.pruned:
        trial.set_user_attr(PRUNED, True)
    study.tell(trial, setting.value, skip_if_finished=True)


def _tried(study: optuna.Study) -> dict[str, Setting]:
    """Different settings with a value, by their keys."""
    return _with_value(study.get_trials(deepcopy=False))


def _with_value(trials: list[FrozenTrial]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for trial in trials:
        attributes, key = trial.user_attrs, claims.setting_of(trial)
        if trial.state != TrialState.COMPLETE or trial.value is None or key is None:
            continue
        setting = Setting(
            attributes["config"],
            trial.value,
            tuple(attributes["losses"]),
            attributes["n_parameters"],
            len(found),
            attributes.get("recipe", {}),
            PRUNED in attributes,
        )
        found.setdefault(key, setting)
    return found


def _train(problem: Problem, fields: dict[str, Any], chosen: dict[str, Any], is_lost: IsLost) -> Setting:
    """Train one setting from several starts, or from fewer if it is lost before."""
    shape, n = problem.data.training.shape, len(problem.data.training)
    config, recipe = configured(problem.architecture, fields, shape), problem.recipe.varied(n, chosen)
    trainer = Trainer(problem.data, config, recipe, device=problem.device)
    key, lost = claims.key_of(fields, chosen), False
    losses: list[float] = []
    while len(losses) < problem.repeats and not lost:
        losses.append(_best_loss(trainer, derived_seed(problem.seed, key, len(losses))))
        lost = is_lost(losses[-1])
    return Setting(fields, float(np.mean(losses)), tuple(losses), trainer.n_parameters, recipe=chosen, pruned=lost)


def _best_loss(trainer: Trainer, seed: int) -> float:
    """The lowest validation loss of one training; infinite if it diverged."""
    try:
        _, curve = trainer.fit(seed)
    except DivergedError:
        return math.inf
    return float(curve.validation[curve.best_epoch - 1])
