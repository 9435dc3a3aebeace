"""Importance of the choices of a search for its result, by Optuna's PED-ANOVA.

It compares the distribution of each choice among the best settings with that among all settings. Choices that exist in
some settings only (a kernel of a third layer) are weighted by the number of these: Watanabe, Bansal and Hutter, IJCAI
2023 (arXiv:2304.10255), and for conditional choices arXiv:2601.20800. Optuna's other evaluators omit conditional
choices and need scikit-learn.
"""

import logging
import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

LEAST = 10
"""Minimum number of settings with a finite value."""
TOP = 5
"""Number of settings that count as the best, or a tenth of all if that is more."""


def importances(choices: Sequence[dict[str, Any]], values: Sequence[float]) -> dict[str, float]:
    """The relative importance of each choice, most important first; empty for fewer than ``LEAST`` settings."""
    finite = [(chosen, value) for chosen, value in zip(choices, values, strict=True) if math.isfinite(value)]
    if len(finite) < LEAST:
        return {}
    logging.getLogger("optuna").setLevel(logging.WARNING)
    names = dict.fromkeys(name for chosen in choices for name in chosen)
    options = {name: sorted({chosen[name] for chosen in choices if name in chosen}) for name in names}
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    for chosen, value in finite:
        spaces: dict[str, BaseDistribution] = {name: CategoricalDistribution(options[name]) for name in chosen}
        study.add_trial(optuna.create_trial(params=chosen, distributions=spaces, value=value))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, TOP / len(finite)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some regimes for parameter")  # choices made by very few settings
        return get_param_importances(study, evaluator=evaluator)
