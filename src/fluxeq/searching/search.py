"""The search for the setting with the lowest mean of best validation losses.

Each setting is trained several times from different starts. A setting that the sampler proposes again is not trained
again: its value is reused and not counted, so that the budget counts different settings. The seed of the sampler
depends on the trials that are there, so a search that was killed goes on to the same result.

Trainings may be scored on further data besides, such as those of other couplings. These choose nothing: neither what
is tried, nor what is given up, nor what wins depends on them.

Several workers on one storage go on until the budget is used. It counts the first settings by the numbers of their
trials; what others were training then is beyond it and ignored. What workers propose depends on who is first, so only a
search by one worker can be repeated to the last bit.
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
from fluxeq.searching.pruning import PRUNED, LostPruner
from fluxeq.searching.space import Space
from fluxeq.searching.storage import at_work, is_taken_for_dead
from fluxeq.searching.suggestion import require_searchable, suggest, suggest_recipe
from fluxeq.system.files import derived_seed, digest
from fluxeq.training.datasets import Data, Dataset
from fluxeq.training.device import CPU, Device
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

MOST_DUPLICATES = 20
"""In a row; a space that is exhausted proposes nothing new."""
PROBLEM = "problem"
"""The attribute of a study that says what is searched."""

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
    choices: dict[str, Any] = field(default_factory=dict)
    """What was chosen to get there, by the names of the space."""
    observed: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """The mean loss of each repeat on each group of further data sets, over all of its configurations."""

    @property
    def rank(self) -> tuple[bool, float]:
        """What settings are sorted by: one that was given up never wins."""
        return self.pruned, self.value


Progress = Callable[[int, int, Setting | None], None]
"""Called with how many settings have a value, how many are to have one, and the best so far."""


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
    observed: Mapping[str, Sequence[Dataset]] = field(default_factory=dict)
    """Groups of data sets that every training is scored on besides, by name."""

    def __post_init__(self) -> None:
        for name, group in self.observed.items():
            _require_observable(name, group, self.data)

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
        for name, group in self.observed.items():
            known[f"observed.{name}"] = [sum(map(len, group)), digest([[len(one), *one.origins] for one in group])]
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
    progress: Progress = lambda done, total, best: None,
    prune: bool = False,
    device: Device = CPU,
    observed: Mapping[str, Sequence[Dataset]] | None = None,
) -> list[Setting]:
    """Try different settings until ``n_trials`` of them have a value; these, the best first.

    ``prune`` gives a setting up as soon as it cannot win any more. Every training is also scored on the groups of
    ``observed`` data, whose losses are kept, and which choose nothing and prune nothing. Raises InputError if the
    architecture cannot be searched, the space holds fewer settings than that, the storage has trials of a search on
    other data, of another space or with another recipe, or observed data are none, of another task or lattice, or from
    chains of the training or validation.
    """
    logging.getLogger("optuna").setLevel(logging.ERROR)  # an error that ends a trial is raised, and said once
    require_searchable(architecture)
    problem = Problem(data, architecture, space, recipe, n_trials, repeats, seed, device, observed or {})
    pruner = LostPruner(repeats) if prune else optuna.pruners.NopPruner()
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, pruner=pruner)
    _require_same(study, problem)
    with at_work(study, storage):
        _work(problem, study, progress)
    found = sorted(islice(_tried(study).values(), n_trials), key=lambda setting: setting.rank)
    progress(n_trials, n_trials, found[0])
    return found


def _require_same(study: optuna.Study, problem: Problem) -> None:
    """Raise InputError if the trials that are there say nothing about this problem; note which one it is."""
    asked = problem.identity
    there = study.user_attrs.get(PROBLEM)
    if there is None:
        study.set_user_attr(PROBLEM, asked)
        return
    for name in asked | there:  # what is left at its default may be in neither
        said, value = (some.get(name, "nothing") for some in (there, asked))
        if said != value:
            raise InputError(
                f"storage: {study.study_name} was searched there with {name} = {said}, asked for {value}; "
                "choose another storage"
            )


def _require_observable(name: str, group: Sequence[Dataset], data: Data) -> None:
    """Raise InputError unless these data sets say how networks of the search do on configurations new to them."""
    known, shape = {*data.training.origins, *data.validation.origins}, data.training.shape
    if not sum(map(len, group)):
        raise InputError(f"observed.{name}: no configurations; at least one is needed")
    for one in group:
        if one.task.name != data.task.name or one.shape != shape:
            raise InputError(f"observed.{name}: {one!r}; the task and the lattice of the training are needed")
        if shared := known & set(one.origins):
            raise InputError(f"observed.{name}: shares chains with the search ({min(shared)}): sample others")


def _work(problem: Problem, study: optuna.Study, progress: Progress) -> None:
    """Try settings until the budget of the study has been used, by this worker or others."""
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
            if not is_taken_for_dead(error):
                raise
        except AssertionError as error:  # which Optuna raises where the storage does, as on a full disk
            raise error.__context__ or error from None
        before, tried = len(tried), _tried(study)
        duplicates = 0 if len(tried) > before else duplicates + 1
        if duplicates > MOST_DUPLICATES:
            raise InputError(f"trials = {problem.n_trials}: the space holds only {len(tried)} settings; widen it")


def _sampler(study: optuna.Study, seed: int) -> optuna.samplers.TPESampler:
    """A sampler whose seed depends on how many trials have a value."""
    n_finished = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # both options, for some years now
        # Trials of others do not count before they have a value: no constant liar.
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=False, seed=derived_seed(seed, n_finished) % 2**32
        )


def _value(problem: Problem, trial: optuna.Trial) -> float:
    """Train what a trial chooses, or reuse its value."""
    fields, chosen = suggest(trial, problem.architecture, problem.space), suggest_recipe(trial, problem.space)
    trial.set_user_attr("config", fields)
    if chosen:
        trial.set_user_attr("recipe", chosen)
    known = _tried(trial.study).get(_key_of(fields, chosen))
    setting = known or _train(problem, fields, chosen, _judge(trial))
    trial.set_user_attr("losses", setting.losses)
    trial.set_user_attr("n_parameters", setting.n_parameters)
    if setting.observed:
        trial.set_user_attr("observed", setting.observed)
    if setting.pruned:
        trial.set_user_attr(PRUNED, True)
    return setting.value


def _judge(trial: optuna.Trial) -> IsLost:
    """Report every loss of a trial to the study, whose pruner says whether to go on."""
    steps = iter(range(2**31))

    def is_lost(loss: float) -> bool:
        trial.report(loss, next(steps))
        return trial.should_prune()

    return is_lost


def _key_of(config: dict[str, Any], recipe: dict[str, Any]) -> str:
    """What makes settings different: the fields of the config, and what the search chose of the recipe."""
    return f"{config} {recipe}" if recipe else str(config)


def _tried(study: optuna.Study) -> dict[str, Setting]:
    """Different settings with a value, by their keys, in the order of their first trial."""
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


def _train(problem: Problem, fields: dict[str, Any], chosen: dict[str, Any], is_lost: IsLost) -> Setting:
    """Train one setting from several starts, or from fewer if it is lost before."""
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
        lost = is_lost(loss)
    return Setting(
        fields,
        float(np.mean(losses)),
        tuple(losses),
        trainer.n_parameters,
        recipe=chosen,
        pruned=lost,
        observed={name: tuple(means) for name, means in observed.items()},
    )


def _losses(trainer: Trainer, seed: int, observed: Mapping[str, Sequence[Dataset]]) -> tuple[float, dict[str, float]]:
    """The lowest validation loss of one training, and its mean losses on observed data; infinite if it diverged."""
    try:
        network, curve = trainer.fit(seed)
    except DivergedError:
        return math.inf, dict.fromkeys(observed, math.inf)
    return curve.best, {name: _mean_loss(trainer, network, group) for name, group in observed.items()}


def _mean_loss(trainer: Trainer, network: Any, group: Sequence[Dataset]) -> float:
    """The mean loss over all configurations of a group; infinite if it is no number."""
    mean = np.concatenate([trainer.losses(network, one) for one in group]).mean()
    return float(mean) if np.isfinite(mean) else math.inf
