"""The search for the setting with the lowest mean of best validation losses.

Each setting is trained several times from different starts. A setting that the sampler proposes again is not trained
again: its value is reused and not counted, so that the budget counts different settings. The seed of the sampler
depends on the trials that are there, so a search that was killed goes on to the same result; several processes on one
storage need different seeds, since equal ones propose equal trials.
"""

import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from fluxeq.errors import DivergedError, InputError
from fluxeq.files import derived_seed
from fluxeq.nets.architectures import configured
from fluxeq.search.space import Space
from fluxeq.search.suggestion import suggest
from fluxeq.training.datasets import Data
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

MOST_DUPLICATES = 20
"""In a row; a space that is exhausted proposes nothing new."""


@dataclass(frozen=True)
class Setting:
    """One setting that was tried: the fields of the config, and the mean of its best validation losses."""

    config: dict[str, Any]
    value: float
    losses: tuple[float, ...]
    n_parameters: int


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
) -> list[Setting]:
    """Try different settings until ``n_trials`` of them have a value; all of them, the best first.

    Raises InputError if the space holds fewer settings than that.
    """
    logging.getLogger("optuna").setLevel(logging.WARNING)
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    begun = [optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.WAITING]
    if space.start and not study.get_trials(deepcopy=False, states=begun):  # also after a kill in the first trial
        study.enqueue_trial(space.start)
    duplicates = 0
    while len(tried := _tried(study)) < n_trials:
        progress(len(tried), n_trials)
        study.sampler = _sampler(derived_seed(seed, len(_finished(study))))
        trial = study.ask()
        fields = suggest(space, architecture, trial)
        key = str(fields)
        known = key in tried
        duplicates = duplicates + 1 if known else 0
        if duplicates > MOST_DUPLICATES:
            raise InputError(f"trials = {n_trials}: the space holds only {len(tried)} settings; widen it")
        setting = tried[key] if known else _train(data, architecture, fields, recipe, repeats, seed)
        for attribute in ("config", "losses", "n_parameters"):
            trial.set_user_attr(attribute, getattr(setting, attribute))
        study.tell(trial, setting.value)
    progress(n_trials, n_trials)
    return sorted(tried.values(), key=lambda setting: setting.value)


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # both options, for some years now
        # A trial that a kill has left unfinished must not count: no constant liar.
        return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=False, seed=seed % 2**32)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])


def _tried(study: optuna.Study) -> dict[str, Setting]:
    """Different settings with a value, by their fields."""
    found: dict[str, Setting] = {}
    for trial in _finished(study):
        config, losses = trial.user_attrs["config"], tuple(trial.user_attrs["losses"])
        assert trial.value is not None
        found.setdefault(str(config), Setting(config, trial.value, losses, trial.user_attrs["n_parameters"]))
    return found


def _train(data: Data, architecture: str, fields: dict[str, Any], recipe: Recipe, repeats: int, seed: int) -> Setting:
    """Train one setting from several starts."""
    trainer = Trainer(data, configured(architecture, fields, data.training.shape), recipe)
    losses = [_best_loss(trainer, derived_seed(seed, str(fields), repeat)) for repeat in range(repeats)]
    return Setting(fields, float(np.mean(losses)), tuple(losses), trainer.n_parameters)


def _best_loss(trainer: Trainer, seed: int) -> float:
    """The lowest validation loss of one training; infinite if it diverged."""
    try:
        _, curve = trainer.fit(seed)
    except DivergedError:
        return math.inf
    return float(curve.validation[curve.best_epoch - 1])
