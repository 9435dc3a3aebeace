"""Which choices decide, on settings whose values are known to come from one of them."""

import numpy as np
import optuna
import pytest

from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.search.importance import LEAST, choices_of, importances
from fluxeq.search.space import Space
from fluxeq.search.suggestion import suggest, suggest_recipe


def settings(architecture, space, n=60):
    """Choices as trials made them, and as they are read off the fields."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(n):
        trial = study.ask()
        fields, recipe = suggest(space, architecture, trial), suggest_recipe(space, trial)
        yield trial.params, choices_of(fields, recipe)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_choices_are_those_of_the_trial(architecture):
    space = Space(layers=(2, 3), strides=(2, 4), global_poolings=("sum", "average"), learning_rates=(0.1, 0.2))
    for params, choices in settings(architecture, space):
        assert params.items() <= choices.items()
        # There is a strided layer to choose in ST only, whose pooling is fixed where averages would undo the stride.
        assert set(choices) - set(params) <= {"strided_layer", *(["pooling"] if architecture == "ST" else [])}


@pytest.mark.parametrize("decisive", ["kernel_0", "kernel_2", "activation"])
def test_the_decisive_choice_is_the_most_important_one(decisive):
    """Also one that only settings with a third layer have; among the others nothing decides."""
    choices = [chosen for _, chosen in settings("EQ", Space(layers=(1, 3)), 120)]
    rng = np.random.default_rng(1)
    good = [chosen.get(decisive) in (2, "gelu") for chosen in choices]
    values = [(1e-5 if one else 1e-2) * np.exp(0.1 * rng.normal()) for one in good]
    found = importances(choices, values)
    assert next(iter(found)) == decisive
    assert sum(found.values()) == pytest.approx(1)
    shuffled = [importances(choices, rng.permutation(values))[decisive] for _ in range(5)]
    assert np.mean(shuffled) < 0.5 * found[decisive]


def test_too_few_settings():
    choices = [chosen for _, chosen in settings("EQ", Space(), LEAST)]
    assert importances(choices, [*range(LEAST - 1), np.inf]) == {}
    assert len(importances(choices, range(LEAST))) > 3
