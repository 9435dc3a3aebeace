"""Scores against plain NumPy: exact means over configurations, for any batch size."""

import equinox as eqx
import jax
import numpy as np
import pytest

import small_ensembles
from fluxeq.errors import InputError
from fluxeq.nets.architecture import configured
from fluxeq.tasks.task import TASKS
from fluxeq.training import evaluation
from fluxeq.training.datasets import Dataset
from fluxeq.training.evaluation import evaluate, predict, score
from fluxeq.training.models import Model

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


class Described:
    """The part of a description that a score needs."""

    def __init__(self, task, architecture, shape=small_ensembles.SHAPE):
        self.task, self.architecture, self.shape = task, architecture, shape
        self.config = configured(architecture, {}, shape).model_dump(mode="json")


def model(task, architecture="EQ"):
    described = Described(task, architecture)
    n_targets = TASKS[task].targets
    network = configured(architecture, {}, described.shape).build(2, n_targets, np.random.default_rng(0))
    return Model(network, described, None)


@pytest.mark.parametrize("batch", [1, 7, 40, 1000])
def test_means_over_configurations_and_not_over_batches(monkeypatch, batch):
    monkeypatch.setattr(evaluation, "BATCH_BYTES", batch * 4 * 4 * 16)
    found_model, data = model("regression"), small_ensembles.data("regression").training
    compiled, sizes = evaluation.of_many, []
    monkeypatch.setattr(evaluation, "of_many", lambda network, x: (sizes.append(len(x)), compiled(network, x))[1])
    found = evaluate(found_model, data)
    assert sizes == {1: [1] * 40, 7: [4] * 10, 40: [32] * 2, 1000: [40]}[batch]
    outputs = np.asarray(jax.vmap(found_model.network)(data.configurations), dtype=np.float64)
    errors = (outputs - data.labels) ** 2
    assert found.configurations == 40
    assert found.loss == pytest.approx(errors.mean(), rel=1e-5)
    means = [errors[data.chain == chain].mean() for chain in range(4)]
    assert found.loss_error == pytest.approx(np.std(means, ddof=1) / np.sqrt(4), rel=1e-5)
    assert [*found.per_target.values()] == pytest.approx(errors.mean(axis=0), rel=1e-5)
    assert [*found.bias.values()] == pytest.approx((outputs - data.labels).mean(axis=0), rel=1e-5)
    assert [*found.mean_prediction.values()] == pytest.approx(outputs.mean(axis=0), rel=1e-5)
    assert list(found.per_target) == ["n", "phi2"]
    assert found.accuracy is None


def test_accuracy_of_counting():
    found = score(
        TASKS["counting"], np.float32([[4.6], [0.2], [0.7], [5.4]]), np.float32([[5], [0], [0], [5]]), np.zeros(4)
    )
    assert found.accuracy == 0.75
    assert found.loss == pytest.approx((0.4**2 + 0.2**2 + 0.7**2 + 0.4**2) / 4, rel=1e-5)
    assert found.bias["n_worms"] == pytest.approx((-0.4 + 0.2 + 0.7 + 0.4) / 4, rel=1e-5)


def test_accuracy_and_bias_of_detection():
    """The bias is that of probabilities, not of logits."""
    found = score(
        TASKS["detection"], np.float32([[np.log(3)], [-np.log(3)], [50]]), np.float32([[1], [1], [0]]), np.zeros(3)
    )
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.loss == pytest.approx((np.log(4 / 3) + np.log(4) + 50) / 3, rel=1e-5)
    assert found.bias["open"] == pytest.approx((-0.25 - 0.75 + 1) / 3, abs=1e-6)
    assert found.mean_prediction["open"] == pytest.approx((0.75 + 0.25 + 1) / 3, rel=1e-6)


def test_the_error_is_that_of_independent_chains():
    """Repeated configurations within a chain do not lower the error; for one chain they are taken as independent."""
    few, many = np.float32([[1], [2], [4]]), np.repeat(np.float32([[1], [2], [4]]), 50, axis=0)
    chains = np.repeat(np.arange(3), 50)
    wanted = np.std([1, 4, 16], ddof=1) / np.sqrt(3)
    task = TASKS["counting"]
    assert score(task, few, np.zeros((3, 1)), np.zeros(3)).loss_error == pytest.approx(wanted)
    assert score(task, many, np.zeros((150, 1)), chains).loss_error == pytest.approx(wanted)
    assert score(task, many, np.zeros((150, 1)), np.zeros(150)).loss_error < 0.2 * wanted


def test_one_configuration_has_no_error():
    assert score(TASKS["counting"], np.float32([[1]]), np.float32([[2]]), np.zeros(1)).loss_error is None


def test_predictions_are_in_the_units_of_the_labels():
    x = small_ensembles.opened(1).configurations
    found_model = model("detection")
    found = predict(found_model, x)
    logits = np.asarray(jax.vmap(found_model.network)(x), dtype=np.float64)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert found.shape == (40, 1)
    assert found.dtype == np.float64


def test_another_lattice_is_refused():
    other = small_ensembles.closed(1, n=4, shape=(6, 4))
    flat = model("regression", "FL")
    with pytest.raises(InputError, match="this FL network is for 4x4 only"):
        predict(flat, other.configurations)
    with pytest.raises(InputError, match="this FL network is for 4x4 only"):
        evaluate(
            flat,
            Dataset(TASKS["regression"], other.configurations, np.zeros((4, 2), np.float32), np.zeros(4, np.int64)),
        )
    assert predict(model("regression"), other.configurations).shape == (4, 2)


def test_any_function_of_a_batch_or_module_is_scored_like_a_model():
    found, data = model("detection"), small_ensembles.data("detection").training
    wanted = evaluate(found, data)
    assert evaluate(found.network, data) == wanted
    assert evaluate(lambda x: np.asarray(jax.vmap(found.network)(x)), data).loss == pytest.approx(wanted.loss, rel=1e-6)
    np.testing.assert_array_equal(
        predict(found.network, data.configurations, "detection"), predict(found, data.configurations)
    )
    assert repr(wanted).startswith("Score(loss ")
    with pytest.raises(InputError, match="task: only a model knows its own"):
        predict(found.network, data.configurations)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: np.zeros(len(x)),
            r"<lambda>: returns shape \(40,\) for 40 configurations; regression needs numbers of shape \(40, 2\)",
        ),
        (lambda x: np.zeros((len(x), 1)), r"regression needs numbers of shape \(40, 2\)"),
        (lambda x: np.full((len(x), 2), np.nan), "returns non-finite numbers"),
        (eqx.nn.Lambda(lambda x: x.sum()), r"Lambda: returns shape \(40,\)"),
        (eqx.nn.Lambda(lambda x: (x, x)), "Lambda: returns tuple"),
    ],
)
def test_what_is_no_network_for_the_task(function, message):
    with pytest.raises(InputError, match=message) as failed:
        evaluate(function, small_ensembles.data("regression").training)
    assert "\n" not in str(failed.value)


def test_what_are_no_configurations():
    with pytest.raises(InputError, match=r"configurations of shape \(4, 4\): must be \(n, 2 d, \*shape\)"):
        predict(model("regression"), np.zeros((4, 4), np.int8))
    with pytest.raises(InputError, match="data for counting: the model was trained for regression"):
        evaluate(model("regression"), small_ensembles.data("counting").training)
