"""Importance of choices, for settings whose values are known to depend on one of them."""

import numpy as np
import optuna
import pytest

from fluxeq.searching.importance import LEAST, importances
from fluxeq.searching.space import Space
from fluxeq.searching.suggestion import suggest


def choices(space, n):
    """The choices of random trials for EQ."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(n):
        trial = study.ask()
        suggest(trial, "EQ", space)
        yield trial.params


@pytest.mark.parametrize("decisive", ["kernel_0", "kernel_2", "activation"])
def test_the_decisive_choice_is_the_most_important_one(decisive):
    """Also if only settings with a third layer have it; among the others nothing matters."""
    made = list(choices(Space(layers=(1, 3)), 120))
    rng = np.random.default_rng(1)
    good = [chosen.get(decisive) in (2, "gelu") for chosen in made]
    values = [(1e-5 if one else 1e-2) * np.exp(0.1 * rng.normal()) for one in good]
    found = importances(made, values)
    assert next(iter(found)) == decisive
    assert sum(found.values()) == pytest.approx(1)
    shuffled = [importances(made, rng.permutation(values))[decisive] for _ in range(5)]
    assert np.mean(shuffled) < 0.5 * found[decisive]


def test_too_few_settings():
    made = list(choices(Space(), LEAST))
    assert importances(made, [*range(LEAST - 1), np.inf]) == {}
    assert len(importances(made, range(LEAST))) > 3
