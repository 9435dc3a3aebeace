"""A varied recipe keeps its budget, and without changes it is the same."""

import pytest
from pydantic import ValidationError

from fluxeq.training.recipe import Recipe


@pytest.mark.parametrize("batch", [1, 7, 10, 20, 50, 100, 400])
@pytest.mark.parametrize("n", [100, 250, 999])
def test_other_batches_take_no_more_steps(n, batch):
    recipe = Recipe(epochs=60, patience=30, batch_size=20)
    varied = recipe.varied(n, {"batch_size": batch})
    assert varied.batch_size == batch
    assert varied.steps(n) <= recipe.steps(n) or varied.epochs == 1
    assert varied.steps(n) > recipe.steps(n) - n // varied.batch_for(n)  # by less than one epoch
    assert varied.patience == pytest.approx(varied.epochs / 2, abs=1)


def test_nothing_else_changes():
    recipe = Recipe(epochs=60, levenberg_marquardt=5)
    assert recipe.varied(100, {}) == recipe
    assert recipe.varied(100, {"learning_rate": 0.5}) == Recipe(epochs=60, levenberg_marquardt=5, learning_rate=0.5)
    assert recipe.varied(100, {"batch_size": 50}) == Recipe(epochs=60, levenberg_marquardt=5, batch_size=50)


NUMBERS = [0, -1, 1e-300, 1e300, float("inf"), float("nan")]


@pytest.mark.parametrize(
    "changes",
    [
        *({"batch": 5}, {"batch_size": 0}, {"schedule": "linear"}, [1], None, {"betas": (1, 1)}, {"epochs": 1e300}),
        *({"learning_rate": rate} for rate in NUMBERS),
        *({"weight_decay": decay} for decay in NUMBERS[1:]),
    ],
    ids=str,
)
def test_nonsense(changes):
    with pytest.raises(ValidationError):
        Recipe().varied(100, changes)
