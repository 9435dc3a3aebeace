"""Winding numbers: known for single loops, integer for closed configurations, measured by name, targets of a task."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from winding import WINDINGS, spatial, temporal

import fluxeq
from fluxeq.__main__ import main
from fluxeq.data.ensembles import save_ensemble
from fluxeq.testing import check_observable
from fluxeq.theory import Theory
from fluxeq.training.datasets import dataset

pytestmark = [
    pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning"),  # imported by pyerrors
    pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens:UserWarning"),  # under pytest
]

THEORY = Theory(4.01, 1, 1.05)


@pytest.fixture(scope="module")
def ensemble():
    return fluxeq.sample(THEORY, (4, 3), 80, seed=1)


def test_a_loop_in_each_direction():
    loops = np.zeros((2, 4, 4, 3), dtype=np.int8)
    loops[0, 0, :, 1] = 1
    loops[1, 1, 2, :] = -2
    assert temporal(THEORY, loops).tolist() == [1, 0]
    assert spatial(THEORY, loops).tolist() == [0, -2]


def test_they_are_whole_numbers(ensemble):
    for name in ("winding:temporal", "winding:spatial"):
        values = ensemble.observable(name)
        np.testing.assert_allclose(values, np.round(values), atol=1e-12)
        assert len(set(np.round(values))) > 1
    np.testing.assert_allclose(ensemble.observable("winding:temporal"), 3 * ensemble.n, atol=1e-12)


@pytest.mark.parametrize("name", ["winding:temporal", "winding:spatial"])
def test_laws(name):
    check_observable(name, THEORY)


def test_measured_from_outside(ensemble, tmp_path, monkeypatch, capsys):
    save_ensemble(str(tmp_path / "e.h5"), ensemble)
    monkeypatch.chdir(Path(__file__).parent)
    words = f"measure {tmp_path / 'e.h5'} --observable winding:temporal --json --plot {tmp_path / 'e.png'}"
    monkeypatch.setattr(sys, "argv", ["fluxeq", *words.split()])
    main()
    found = json.loads(capsys.readouterr().out)
    assert list(found)[:3] == ["n", "phi2", "winding:temporal"]
    assert found["winding:temporal"]["value"] == pytest.approx(3 * found["n"]["value"])
    assert found["winding:temporal"]["tau_int"] == pytest.approx(found["n"]["tau_int"])
    assert (tmp_path / "e.png").is_file()
    measured = ensemble.measure("winding:spatial")["winding:spatial"]
    assert abs(measured.value) < 5 * measured.error


def test_until_its_error_is_small_enough():
    made = fluxeq.sample(THEORY, (4, 3), 10**5, seed=1, until="winding:spatial=0.1")
    assert made.measure("winding:spatial")["winding:spatial"].error <= 0.1
    assert len(made) < 10**4


def test_labels_of_a_task(ensemble):
    data = dataset(WINDINGS, ensemble)
    expected = np.stack([temporal(THEORY, data.configurations), spatial(THEORY, data.configurations)], axis=1)
    np.testing.assert_array_equal(data.labels, expected.astype(np.float32))


def test_the_task_is_learned(ensemble):
    """Both windings are linear in k, so a small network is enough."""
    from fluxeq.nets.eq import EQ

    config = EQ(blocks=[{"channels": 4, "kernel": 1}], activation="tanh")
    validation = fluxeq.sample(ensemble.theory, ensemble.shape, 20, seed=99)
    (model,) = fluxeq.train(
        "winding:WINDINGS", config, ensemble, validation, recipe={"epochs": 30, "levenberg_marquardt": 20}
    )
    test = fluxeq.dataset("winding:WINDINGS", fluxeq.sample(ensemble.theory, ensemble.shape, 20, seed=98))
    assert fluxeq.evaluate(model, test).loss < test.labels.var(axis=0).mean()
