"""Pruning of settings whose losses so far already exceed the mean of the best setting.

Losses are non-negative, so the mean over all repeats is at least the sum so far divided by their number. If this bound
exceeds the mean of the best fully trained setting, no further repeat can help. The rule is exact: it needs no scale
although losses span decades, and never prunes a setting that would have won. The best setting is taken from trials with
lower numbers, which are within the budget if this one is.

Tests for noisy repeats, such as Optuna's ``WilcoxonPruner``, do not fit here: with three repeats the signed-rank test
cannot go below p = 1/8, and repeats of different settings are not pairs, since they start from different weights.
"""

import math

import optuna
from optuna.trial import FrozenTrial, TrialState

PRUNED = "pruned"
"""Attribute of a pruned trial."""


class BoundPruner(optuna.pruners.BasePruner):
    """Prunes a trial as soon as it can no longer have the lowest mean; each repeat reports its loss as a step."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial can no longer win, with at least one repeat left."""
        losses = list(trial.intermediate_values.values())
        return len(losses) < self._repeats and sum(losses) / self._repeats > best_value(study, trial.number)


def best_value(study: optuna.Study, before: int) -> float:
    """The lowest mean of a fully trained setting in a trial with a lower number; infinite if there is none."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    full = [trial for trial in trials if PRUNED not in trial.user_attrs and trial.number < before]
    values = [trial.value for trial in full if trial.value is not None]
    return min(values, default=math.inf)
