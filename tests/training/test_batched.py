"""Trainings in step against the same ones alone: equal to rounding, in any grouping, and each stops independently."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.export import export

import small_ensembles
from fluxeq.nets.architecture import configured
from fluxeq.training import batched as module
from fluxeq.training.fit import Trainer
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SEEDS = (1, 2, 3, 4)
TOLERANCE = 1e-4  # for losses and weights of order 1: float32 rounding over some hundred steps; measured 4e-6


def trainer(task="regression", architecture="EQ", augmentation=False, **recipe):
    strided = {"stride": 2} if architecture == "ST" else {}
    settings = {"blocks": [{"channels": 3, "kernel": 2, **strided}]}
    config = configured(architecture, settings, small_ensembles.SHAPE)
    return Trainer(small_ensembles.data(task), config, Recipe(**recipe), augmentation, together=True)


@pytest.fixture(scope="module")
def noisy():
    """A learning rate so high that the validation loss soon rises, at a different epoch for each seed."""
    return trainer(epochs=40, patience=3, learning_rate=0.1, batch_size=8)


@pytest.fixture(scope="module")
def in_step(noisy):
    return dict(noisy.epochs({seed: noisy.begin(seed) for seed in SEEDS}))


def by_itself(made, seed, training=None):
    """Complete a training of the same problem alone, from its start or from a given state."""
    alone = Trainer(
        small_ensembles.data(made.problem.task.name), made.problem._config, made.recipe, made.problem.augmentation
    )
    return dict(alone.trained({seed: training or alone.begin(seed)}))[seed]


def agree(made, one, other):
    """Whether two trainings have the same learning curve and best weights, up to rounding."""
    (network, curve), (network_2, curve_2) = (made.result(training) for training in (one, other))
    if curve.validation.shape != curve_2.validation.shape or curve.best_epoch != curve_2.best_epoch:
        return False
    pairs = [(curve.training, curve_2.training), (curve.validation, curve_2.validation)]
    pairs += zip(jax.tree.leaves(network), jax.tree.leaves(network_2), strict=True)
    return all(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE) for a, b in pairs)


def test_any_patience():
    """Also a number that exceeds the integers of a device."""
    made = trainer(epochs=2, patience=10**30)
    assert dict(made.epochs({1: made.begin(1)}))[1].n_epochs == 2


def test_the_same_results_as_alone_to_rounding(noisy, in_step):
    alone = {seed: by_itself(noisy, seed) for seed in SEEDS}
    n_epochs = [alone[seed].n_epochs for seed in SEEDS]
    assert len(set(n_epochs)) > 1  # some stop before others, within a call and between two calls
    assert any(n % module.EPOCHS_PER_CALL for n in n_epochs)
    for seed in SEEDS:
        assert agree(noisy, alone[seed], in_step[seed])
        assert not agree(noisy, alone[seed], in_step[seed % 4 + 1])  # another seed


def test_any_grouping_as_large_as_the_device_allows(noisy, in_step, monkeypatch):
    monkeypatch.setattr(module, "MEMORY", int(2.5 * noisy.problem.bytes_needed() / module.SHARE_OF_MEMORY))
    assert noisy.epochs_of.most == 2
    groups = []
    found = noisy.epochs({seed: noisy.begin(seed) for seed in SEEDS}, lambda epochs, _: groups.append([*epochs]))
    assert all(agree(noisy, training, in_step[seed]) for seed, training in found)
    assert {tuple(group) for group in groups} >= {(1, 2), (3, 4)}
    assert max(map(len, groups)) == 2


@pytest.mark.parametrize(
    ("task", "architecture", "augmentation"),
    [("regression", "FL", True), ("detection", "ST", False)],
)
def test_all_architectures_and_levenberg_marquardt_after_it(task, architecture, augmentation):
    n_steps = 2 if task == "regression" else 0
    made = trainer(
        task, architecture, augmentation, epochs=3, learning_rate=1e-3, schedule="cosine", levenberg_marquardt=n_steps
    )
    found = dict(made.trained({seed: made.begin(seed) for seed in (1, 2)}))
    for seed in (1, 2):
        alone, ended = by_itself(made, seed), found[seed]
        assert len(ended.losses) == 3 + n_steps
        assert agree(made, alone, ended)
        assert not agree(made, alone, found[3 - seed])


def test_what_is_seen_on_the_way(noisy):
    """The progress of each, and trainings that can be continued alone."""
    seen, points = [], []

    def watch(reached, trainings):
        seen.append(reached)
        points.append(trainings())

    ended = dict(noisy.epochs({seed: noisy.begin(seed) for seed in (1, 2)}, watch))
    assert {seed: at.n for seed, at in seen[0].items()} == {seed: min(10, ended[seed].n_epochs) for seed in (1, 2)}
    assert {seed: training.reached for seed, training in points[0].items()} == seen[0]
    assert seen[0][1][1:] == ended[1].losses[seen[0][1].n - 1]
    assert agree(noisy, by_itself(noisy, 1, points[0][1]), ended[1])


@pytest.mark.parametrize("architecture", ["EQ", "ST", "FL"])
def test_products_are_in_full_float32_on_a_gpu(architecture):
    """The call lowered for a GPU, without needing one: products without explicit precision would be rounded."""
    made = trainer(architecture=architecture, augmentation=architecture != "EQ")
    states = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), made.begin(1).state, made.begin(2).state)
    call = jax.jit(partial(module.several_epochs, made.problem))
    lowered = export(call, platforms=["cuda"])(states, np.zeros(2, np.int32), *made.epochs_of.data)
    text = lowered.mlir_module()
    n_products = text.count("stablehlo.dot_general")
    assert n_products >= 5  # forward, backward, validation
    assert text.count("precision = [HIGHEST, HIGHEST]") == n_products
