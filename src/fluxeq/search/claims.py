"""Who trains which setting, when several workers search in one study: rules on the trials alone.

A trial claims a place in the budget as soon as it exists, and keeps it while it waits, runs, or has a value, and also
when its worker was killed, until the setting is taken up again. Places go to the first ``n_trials`` different settings,
in the order of the numbers that the storage gives to trials one by one. What counts ahead of a trial can only become
less, so all workers agree without locks, and no moment exists at which one setting too many is trained.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

SET_ASIDE = "set aside"
"""The attribute of a trial that gave its place up: another one is training its setting, or the budget was taken."""
MOST_LOSSES = 4
"""Workers that a setting may lose before it is given up, as one that kills them, say by its memory."""


def key_of(config: dict[str, Any], recipe: dict[str, Any]) -> str:
    """What makes settings different: the fields of the config, and what the search chose of the recipe."""
    return f"{config} {recipe}" if recipe else str(config)


def setting_of(trial: FrozenTrial) -> str | None:
    """The key of the setting that a trial has chosen; None as long as it has not."""
    attributes = trial.user_attrs
    return key_of(attributes["config"], attributes.get("recipe", {})) if "config" in attributes else None


def places(trials: Sequence[FrozenTrial]) -> list[str]:
    """The keys that claim a place, in the order of their first trial; a trial that has not chosen yet stands alone."""
    lost = set(lost_settings(trials))
    found: dict[str, None] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        key = setting_of(trial)
        if _counts(trial) or key in lost:
            found.setdefault(str(trial.number) if key is None else key)
    return list(found)


def has_place(trials: Sequence[FrozenTrial], key: str, n_trials: int) -> bool:
    """Whether a setting is one of the first ``n_trials``."""
    return key in places(trials)[:n_trials]


def is_free(trials: Sequence[FrozenTrial], number: int, key: str) -> bool:
    """Whether no other trial than ``number`` waits or runs with a setting.

    Each trial says what it has chosen before it asks this, so that of two with one setting at least one hears of the
    other, and no setting is trained twice; if both do, both ask for another one.
    """
    return not any(trial.number != number and _is_open(trial) and setting_of(trial) == key for trial in trials)


def lost_settings(trials: Sequence[FrozenTrial]) -> dict[str, FrozenTrial]:
    """The settings whose worker was killed and that nobody has taken up again, each with one of its trials."""
    failed = [trial for trial in trials if trial.state == TrialState.FAIL and SET_ASIDE not in trial.user_attrs]
    taken = {setting_of(trial) for trial in trials if _counts(trial)}
    n_losses = Counter(map(setting_of, failed))
    found: dict[str, FrozenTrial] = {}
    for trial in failed:
        key = setting_of(trial)
        if key is not None and key not in taken and n_losses[key] < MOST_LOSSES:
            found.setdefault(key, trial)
    return found


def n_set_aside(trials: Sequence[FrozenTrial]) -> int:
    """How many trials gave their place up; none ever does where one worker searches alone."""
    return sum(SET_ASIDE in trial.user_attrs for trial in trials)


def _is_open(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.WAITING, TrialState.RUNNING) and SET_ASIDE not in trial.user_attrs


def _counts(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or _is_open(trial)
