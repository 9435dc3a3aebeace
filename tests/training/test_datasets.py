"""Training and validation examples from files, verified to come from different chains."""

import shutil

import numpy as np
import pytest

import small_ensembles
from fluxeq.errors import InputError
from fluxeq.training.datasets import dataset, load_data

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    closed, opened = small_ensembles.closed, small_ensembles.opened
    made = {
        "one": closed(1),
        "two": closed(2),
        "longer one": closed(1, n=60),
        "worms in one": opened(1),
        "worms in two": opened(2),
        "small": closed(4, n=2),
    }
    return small_ensembles.save(tmp_path_factory.mktemp("ensembles"), made)


def test_examples_of_both_purposes(paths):
    data = load_data("regression", [paths["one"]], [paths["two"]])
    np.testing.assert_array_equal(data.training.configurations, small_ensembles.closed(1).configurations)
    np.testing.assert_array_equal(data.validation.configurations, small_ensembles.closed(2).configurations)
    assert data.training.origins == ("eta 4.01, lam 1.0, mu 1.5, 4x4, seed 1",)
    assert data.validation.origins == ("eta 4.01, lam 1.0, mu 1.5, 4x4, seed 2",)


@pytest.mark.parametrize(
    ("task", "training", "validation"),
    [
        ("regression", ["one"], ["one"]),
        ("regression", ["one"], ["longer one"]),
        ("regression", ["two", "one"], ["small", "longer one"]),
        ("detection", ["worms in one"], ["one"]),
    ],
)
def test_the_same_chains_for_both_are_refused(paths, task, training, validation):
    with pytest.raises(InputError, match=r"validation and training share chains \(.*seed 1\).*another seed"):
        load_data(task, [paths[name] for name in training], [paths[name] for name in validation])


@pytest.mark.parametrize("others", [[1], [2, 1]])
def test_the_same_configurations_twice_are_refused(others):
    several = [small_ensembles.closed(seed) for seed in (1, *others)]
    message = f"^ensemble {len(several)}: has the same configurations as ensemble 1; leave one of them out$"
    with pytest.raises(InputError, match=message):
        dataset("regression", several)
    assert len(dataset("detection", [small_ensembles.opened(1), small_ensembles.closed(1)])) == 80


def test_one_ensemble_may_serve_twice_on_one_side(paths):
    data = load_data("detection", [paths["worms in one"], paths["one"]], [paths["worms in two"]])
    assert len(data.training) == 80
    assert len(data.training.origins) == 1


@pytest.mark.parametrize(("n_training", "n_validation"), [(5, 1), (19, 1), (20, 2), (40, 4)])
def test_the_validation_is_a_tenth_and_never_empty(paths, n_training, n_validation):
    data = load_data("regression", [paths["one"]], [paths["two"]], n_training)
    assert (len(data.training), len(data.validation)) == (n_training, n_validation)


def test_too_few_configurations(paths):
    with pytest.raises(InputError, match="50 examples requested, but there are 40"):
        load_data("regression", [paths["one"]], [paths["two"]], 50)
    with pytest.raises(InputError, match="4 examples requested, but there are 2"):
        load_data("regression", [paths["one"]], [paths["small"]], 40)


def test_both_purposes_need_one_lattice(paths, tmp_path):
    other = small_ensembles.save(tmp_path, {"wider": small_ensembles.closed(5, n=8, shape=(4, 6))})["wider"]
    with pytest.raises(InputError, match="training and validation on 4x4 and 4x6"):
        load_data("regression", [paths["one"]], [other])


@pytest.mark.parametrize(
    "names", [("one", "one"), ("one", "copy"), ("one", "longer one"), ("two", "longer one", "one")]
)
def test_configurations_are_not_counted_twice(paths, tmp_path, names):
    """A file given twice, a copy, or a longer file of the same chains."""
    copy = shutil.copy(paths["one"], tmp_path / "copy.h5")
    named, other = [{**paths, "copy": copy}[name] for name in names], [paths["small"]]
    for training, validation in ((named, other), (other, named)):
        with pytest.raises(InputError, match=r"\.h5: has the same configurations as .*\.h5; leave one of them out"):
            load_data("regression", training, validation)


def test_no_data(paths):
    for training, validation, named in (([], [paths["one"]], "data"), ([paths["one"]], [], "validation")):
        with pytest.raises(InputError, match=f"{named}: at least one ensemble is needed"):
            load_data("regression", training, validation)


def test_one_kind_of_configuration_teaches_nothing(paths):
    with pytest.raises(InputError, match=r"open = \[0.0\] in all training data"):
        load_data("detection", [paths["one"]], [paths["worms in two"]])
