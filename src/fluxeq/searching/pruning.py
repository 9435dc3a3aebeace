"""When a setting has lost: once the losses so far alone lift its mean above that of the best setting.

Losses are never negative, so the mean over all repeats is at least the sum so far over their number. When that exceeds
the mean of the best setting that was trained in full, no further repeat can help. The rule is exact: it compares what
is compared in the end, needs no scale although losses span decades, and never gives up a setting that would have won.
The best one is looked for among trials of lower numbers, which are within the budget if this one is.

Tests for noisy repeats, such as Optuna's ``WilcoxonPruner``, do not fit here: with three repeats the signed-rank test
cannot go below p = 1/8, and repeats of different settings are not pairs, since they start from different weights.
"""

import math

import optuna
from optuna.trial import FrozenTrial, TrialState

PRUNED = "pruned"
"""The attribute of a trial that was given up early."""


class LostPruner(optuna.pruners.BasePruner):
    """Gives a trial up as soon as it cannot have the lowest mean any more; a repeat's loss is reported as a step."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial has lost, with at least one repeat still to come."""
        losses = list(trial.intermediate_values.values())
        return len(losses) < self._repeats and sum(losses) / self._repeats > best_value(study, trial.number)


def best_value(study: optuna.Study, before: int) -> float:
    """The lowest mean of a setting that was trained in full in a trial of a lower number; infinite if there is none."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    full = [trial for trial in trials if PRUNED not in trial.user_attrs and trial.number < before]
    values = [trial.value for trial in full if trial.value is not None]
    return min(values, default=math.inf)
