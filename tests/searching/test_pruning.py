"""Settings are pruned only if they cannot win any more: the winner is that of a search without pruning."""

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from no_data import NO_DATA

from fluxeq.searching import search as module
from fluxeq.searching.pruning import PRUNED, BoundPruner, best_value
from fluxeq.searching.space import Space
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SPACE = Space(layers=(1, 1), kernels=(1, 2, 3), channels=(2, 3), poolings=(1,), activations=("gelu",))
LOSSES = st.lists(st.lists(st.floats(-8, 1).map(lambda x: 10**x), min_size=3, max_size=3), min_size=2, max_size=8)


class MeansSoFar(optuna.pruners.BasePruner):
    """The control: it prunes whatever has a worse mean so far, noise or not."""

    def __init__(self, repeats):
        self._repeats = repeats

    def prune(self, study, trial):
        losses = list(trial.intermediate_values.values())
        return len(losses) < self._repeats and np.mean(losses) > best_value(study, trial.number)


def winner(losses, pruner):
    """The winning setting and the number of trainings; a setting is a row of losses."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, n_trainings = optuna.create_study(pruner=pruner), 0

    def value(trial):
        nonlocal n_trainings
        row, done, lost, cannot_win = losses[trial.number], [], False, module._judge(trial)
        while len(done) < len(row) and not lost:
            done.append(row[len(done)])
            lost = cannot_win(done[-1])
        n_trainings += len(done)
        said = {"config": {"number": trial.number}, "losses": done, "n_parameters": 1}
        for name, attribute in (said | {PRUNED: True} if lost else said).items():
            trial.set_user_attr(name, attribute)
        return float(np.mean(done))

    study.optimize(value, n_trials=len(losses))
    return min(module._tried(study).values(), key=lambda setting: setting.rank).config["number"], n_trainings


@given(LOSSES)
def test_the_winner_is_the_one_without_pruning(losses):
    best, n_trainings = winner(losses, BoundPruner(3))
    assert best == np.argmin([np.mean(row) for row in losses])
    assert n_trainings <= 3 * len(losses)


@pytest.mark.parametrize(
    ("pruner", "best", "n"),
    [(BoundPruner(3), 1, 3 + 3 + 1 + 2 + 2), (MeansSoFar(3), 0, 3 + 1 + 1 + 2 + 2)],
    ids=["exact", "control"],
)
def test_a_bad_start_is_not_yet_a_loss(pruner, best, n):
    """0.2 alone is worse than a mean of 0.1, but two good repeats may follow; 0.31 cannot be compensated."""
    losses = [[0.1, 0.1, 0.1], [0.2, 1e-3, 1e-3], [0.31, 1e-3, 1e-3], [0.05, 0.2, 1e-9], [0.1, 0.9, 0.1]]
    assert winner(losses, pruner) == (best, n)


def test_what_was_given_up_counts_keeps_its_mean_and_never_wins(monkeypatch):
    def losses_of(trainer, seed, observed):
        return {1: 2.0, 2: 1.0, 3: 9.0}[trainer.kernel], {}

    class Trainer:
        n_parameters = 1

        def __init__(self, data, config, recipe, device):
            self.kernel = config.blocks[0].kernel

    monkeypatch.setattr(module, "Trainer", Trainer)
    monkeypatch.setattr(module, "_losses", losses_of)
    found = [run(prune) for prune in (False, True)]
    assert [setting.pruned for setting in found[0]] == [False] * 6
    assert len(found[1]) == 6
    assert found[1][0].config == found[0][0].config
    pruned = [setting for setting in found[1] if setting.pruned]
    assert pruned
    assert {setting.losses for setting in pruned} <= {(9.0,), (2.0, 2.0)}
    assert all(setting.value == setting.losses[0] for setting in pruned)
    assert found[1][-len(pruned) :] == pruned


def run(prune):
    storage = optuna.storages.InMemoryStorage()
    space = SPACE.model_copy(update={"dense_layers": (0, 0)})
    return module.search(module.Problem(NO_DATA, "EQ", space, Recipe(), 6, 3, 1), storage, "s", prune=prune)
