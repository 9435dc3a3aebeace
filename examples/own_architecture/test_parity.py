"""The example meets the requirements, has its symmetry, and can be trained, saved, loaded, evaluated and searched."""

import numpy as np
import pytest

import fluxeq
from fluxeq import testing


@pytest.fixture(scope="module")
def ensembles():
    theory = fluxeq.Theory(4.01, 1.0, 1.5)
    return [fluxeq.sample(theory, (6, 4), 40, seed=seed) for seed in (1, 2, 3)]


def test_laws():
    testing.check_architecture("parity:PE")


def test_a_reflection_is_one():
    """It is its own inverse and leaves n, |phi|^2 and vanishing divergence unchanged."""
    from parity import reflected

    theory = fluxeq.Theory(4.01, 1.0, 1.5)
    x = fluxeq.sample(theory, (6, 4), 8, seed=1).configurations
    moved = np.stack([np.asarray(reflected(one)) for one in x])
    assert not np.array_equal(moved, x)
    np.testing.assert_array_equal(np.stack([np.asarray(reflected(one)) for one in moved]), x)
    for observable in (fluxeq.observables.n, fluxeq.observables.phi2):
        np.testing.assert_allclose(observable(theory, moved), observable(theory, x))
    assert not fluxeq.observables.divergence(moved).any()


def test_symmetry_with_a_control():
    from parity import reflected

    from fluxeq.nets.architecture import configured

    x = np.random.default_rng(1).integers(-2, 3, (4, 6, 4)).astype(np.float32)
    targets = fluxeq.TASKS["regression"].targets
    for name, symmetric in (("parity:PE", True), ("EQ", False)):
        network = configured(name, {}, (6, 4)).build(2, targets, np.random.default_rng(0))
        change = np.abs(np.asarray(network(np.asarray(reflected(x))) - network(x))).max()
        assert (change < 1e-5) == symmetric


def test_trained_saved_loaded_and_scored(ensembles, tmp_path):
    training, validation, test = (fluxeq.dataset("regression", each) for each in ensembles)
    (model,) = fluxeq.train("regression", "parity:PE", training, validation, recipe={"epochs": 2})
    fluxeq.save_model(tmp_path / "pe.safetensors", model)
    again = fluxeq.load_model(tmp_path / "pe.safetensors")
    assert fluxeq.evaluate(again, test) == fluxeq.evaluate(model, test)


def test_searched(ensembles):
    training, validation, _ = (fluxeq.dataset("regression", each) for each in ensembles)
    space = {"layers": [1, 2], "channels": [2, 4]}
    found = fluxeq.search(
        "regression", "parity:PE", training, validation, space=space, trials=2, repeats=1, recipe={"epochs": 1}
    )
    assert len(found) == 2
