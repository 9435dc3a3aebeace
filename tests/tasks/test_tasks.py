"""Labels, losses and metrics of the tasks, computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

import small_ensembles
from fluxeq.errors import InputError
from fluxeq.tasks.task import TASKS
from fluxeq.training.datasets import dataset

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

REGRESSION, DETECTION, COUNTING = (TASKS[name] for name in ("regression", "detection", "counting"))


def test_loss_of_the_regression():
    loss = REGRESSION.loss(np.array([1.0, 2.0]), np.array([0.5, 4.0]))
    np.testing.assert_allclose(loss, [0.25, 4.0])
    assert REGRESSION.target_names == ("n", "phi2")
    assert REGRESSION.correct is None


@pytest.mark.parametrize(
    ("logit", "label", "expected"),
    [
        (0.0, 1.0, math.log(2)),
        (0.0, 0.0, math.log(2)),
        (math.log(3), 1.0, math.log(4 / 3)),  # a probability of 3/4
        (math.log(3), 0.0, math.log(4)),
        (200.0, 1.0, 0.0),
        (200.0, 0.0, 200.0),
        (-200.0, 1.0, 200.0),
    ],
)
def test_loss_of_the_detection(logit, label, expected):
    assert DETECTION.loss(np.float32([logit]), np.float32([label]))[0] == pytest.approx(expected, abs=1e-6)


def test_loss_of_the_counting():
    assert COUNTING.loss(np.array([3.5]), np.array([5.0]))[0] == pytest.approx(2.25)


def test_values():
    assert DETECTION.value(np.float32([math.log(3)]))[0] == pytest.approx(0.75)
    assert COUNTING.value(np.float32([3.5]))[0] == 3.5
    np.testing.assert_array_equal(REGRESSION.value(np.float32([1.0, 2.0])), [1.0, 2.0])


@pytest.mark.parametrize(
    ("task", "output", "label", "right"),
    [
        ("detection", 0.1, 1, True),
        ("detection", 0.1, 0, False),
        ("detection", -0.1, 0, True),
        ("detection", -0.1, 1, False),
        ("counting", 4.6, 5, True),
        ("counting", 5.4, 5, True),
        ("counting", 4.4, 5, False),
        ("counting", -0.4, 0, True),
        ("counting", 0.6, 0, False),
    ],
)
def test_what_is_right(task, output, label, right):
    assert bool(TASKS[task].correct(np.float32([output]), np.float32([label]))) is right


def test_labels():
    closed, opened = small_ensembles.closed(1), small_ensembles.opened(1, (0, 1, 3))
    np.testing.assert_allclose(dataset(REGRESSION, [closed]).labels, np.stack([closed.n, closed.phi2], 1), rtol=1e-6)
    np.testing.assert_array_equal(dataset(COUNTING, [opened]).labels[:, 0], opened.n_worms)
    np.testing.assert_array_equal(dataset(DETECTION, [opened]).labels[:, 0], opened.n_worms > 0)
    assert set(opened.n_worms) == {0, 1, 3}
    assert dataset(COUNTING, [opened]).labels.dtype == np.float32
    np.testing.assert_array_equal(dataset(COUNTING, [opened]).configurations, opened.configurations)


@pytest.mark.parametrize("n", [4, 12, 30])
def test_any_first_part_holds_all_ensembles_alike(n):
    """One ensemble is twice as long as the other; they are distinguished by the size of n."""
    dense, dilute = small_ensembles.closed(1, n=40), small_ensembles.closed(3, n=20, mu=1.0)
    assert dense.n.min() > dilute.n.max()
    labels = dataset(REGRESSION, [dense, dilute]).first(n).labels[:, 0]
    assert abs(np.sum(labels < dense.n.min()) - n / 3) <= 1


def test_examples_keep_their_labels_when_they_are_mixed():
    mixed = dataset(REGRESSION, [small_ensembles.closed(1), small_ensembles.closed(3, n=20, mu=1.0)])
    np.testing.assert_allclose(mixed.labels[:, 0], mixed.configurations[:, 0].mean(axis=(1, 2)), rtol=1e-6)
    assert len(mixed) == 60


def with_observable(name, values):
    ensemble = small_ensembles.closed(1)
    return replace(ensemble, observables={**ensemble.observables, name: values})


@pytest.mark.parametrize(
    ("ensemble", "name"),
    [
        (lambda: with_observable("n", small_ensembles.closed(1).n + 1e-6), "n"),
        (lambda: with_observable("phi2", small_ensembles.closed(1).phi2[::-1]), "phi2"),
        (lambda: replace(small_ensembles.opened(1), worms=None), "n_worms"),
    ],
)
def test_damaged_labels_are_refused(ensemble, name):
    with pytest.raises(InputError, match=f": {name} of configuration .* is stored as .* but is .*damaged"):
        dataset(REGRESSION, [ensemble()])


def test_refused():
    with pytest.raises(InputError, match=r"several shapes \(4x4, 6x4\)"):
        dataset(REGRESSION, [small_ensembles.closed(1), small_ensembles.closed(1, n=4, shape=(6, 4))])
    with pytest.raises(InputError, match="task 'sorting': choose one of regression, detection, counting"):
        TASKS["sorting"]
    with pytest.raises(InputError, match="41 examples requested, but there are 40"):
        dataset(REGRESSION, [small_ensembles.closed(1)]).first(41)
