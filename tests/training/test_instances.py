"""Many instances: each depends only on its number, and finished ones are kept."""

import equinox as eqx
import jax
import numpy as np
import pytest

import small_ensembles
from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import configured
from fluxeq.training.evaluation import evaluate
from fluxeq.training.fit import Trainer
from fluxeq.training.instances import Series, train_instances, train_networks
from fluxeq.training.models import describe, load_model
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SETTINGS = {"blocks": [{"channels": 2, "kernel": 1}]}


def train(
    folder, instances, *, seed=1, task="regression", settings=SETTINGS, augmentation=False, together=False, **recipe
):
    """The epochs trained, by instance, and the paths."""
    trained, data = [], small_ensembles.data(task)
    config = configured("EQ", settings, small_ensembles.SHAPE)
    chosen = Recipe(**{"epochs": 2} | recipe)

    def note(reached):
        trained.extend((instance, at.n) for instance, at in reached.items())

    series = Series(data, "EQ", config, chosen, augmentation, seed)
    paths = train_instances(series, instances, folder, together, note)
    return trained, paths


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder of two instances; not to be changed."""
    folder = tmp_path_factory.mktemp("pair")
    return folder, train(folder, range(2))


def test_models_and_curves(pair):
    folder, (trained, paths) = pair
    assert trained == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert paths == [folder / "EQ-000.safetensors", folder / "EQ-001.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("EQ-000.csv", "EQ-000.safetensors", "EQ-001.csv", "EQ-001.safetensors")
    ]
    found = describe(paths[1])
    assert (found.instance, found.seed, found.epochs, found.n_training, found.n_validation) == (1, 1, 2, 40, 12)
    header, *rows = (folder / "EQ-001.csv").read_text().splitlines()
    assert header == "epoch,training_loss,validation_loss"
    losses = [float(row.split(",")[2]) for row in rows]
    assert found.validation_loss == pytest.approx(min(losses), rel=1e-8)
    assert losses.index(min(losses)) == found.best_epoch - 1


def test_again_trains_nothing(pair):
    folder, _ = pair
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    trained, paths = train(folder, range(2))
    assert trained == []
    assert len(paths) == 2
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_what_is_missing_is_trained_and_groups_do_not_matter(pair, tmp_path):
    folder, _ = pair
    trained, _ = train(tmp_path, [1])
    assert trained == [(1, 1), (1, 2)]
    trained, _ = train(tmp_path, [1, 0])
    assert trained == [(0, 1), (0, 2)]
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "EQ-000.csv").read_bytes() != (tmp_path / "EQ-001.csv").read_bytes()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 2}, "seed = 1, requested 2"),
        ({"task": "counting"}, "task = regression, requested counting"),
        ({"settings": SETTINGS | {"dense": [3]}}, "config = "),
        ({"augmentation": True}, "augmentation = False, requested True"),
        ({"epochs": 3}, "recipe = "),
    ],
)
def test_other_settings_are_refused(pair, changed, named):
    with pytest.raises(InputError, match=rf"EQ-000\.safetensors: trained with {named}.*choose another output"):
        train(pair[0], range(3), **changed)
    assert not (pair[0] / "EQ-002.safetensors").exists()


@pytest.mark.parametrize("together", [False, True])
def test_one_that_diverges_leaves_the_others_alone(tmp_path, monkeypatch, together):
    """It is named after all others have been trained."""
    result, ended = Trainer.result, []

    def second_diverged(self, training):
        ended.append(training)
        state = training.state._replace(best_loss=np.inf) if len(ended) == 2 else training.state
        return result(self, training._replace(state=state))

    monkeypatch.setattr(Trainer, "result", second_diverged)
    with pytest.raises(
        DivergedError, match=r"EQ-00\d: learning_rate = 0.01: .*never finite; .*; the others are kept"
    ) as failed:
        train(tmp_path, range(3), together=together)
    kept = {path.stem for path in tmp_path.glob("*.safetensors")}
    assert len(kept) == 2
    assert not any(name in str(failed.value) for name in kept)


def test_other_data_are_refused(pair, monkeypatch):
    other = small_ensembles.data("regression", 30)
    monkeypatch.setattr(small_ensembles, "data", lambda task: other)
    with pytest.raises(InputError, match="n_training = 40, requested 30"):
        train(pair[0], range(1))


class Linear(eqx.Module):
    """A user-defined network: the sum over sites of a linear function."""

    weight: np.ndarray

    def __call__(self, x):
        return self.weight @ x.sum(axis=(1, 2))


class OwnConfig:
    """The part of a config that a training needs."""

    def build(self, d, targets, rng):
        return Linear(rng.normal(size=(len(targets), 2 * d)).astype(np.float32) / 100)

    def require_shape(self, shape):
        if len(shape) != 2:
            raise InputError("two dimensions only")


@pytest.mark.parametrize("together", [False, True])
def test_networks_in_memory(pair, together):
    """The same as in files, or for a user-defined module; nothing is written."""
    data, config, recipe = small_ensembles.data("regression"), configured("EQ", SETTINGS, (4, 4)), Recipe(epochs=2)
    series = Series(data, "EQ", config, recipe, seed=1)
    found = {i: (network, curve) for i, network, curve in train_networks(series, range(2), together=together)}
    for i, (network, curve) in found.items():
        there = load_model(pair[0] / f"EQ-{i:03d}.safetensors")
        for a, b in zip(jax.tree.leaves(network), jax.tree.leaves(there.network), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=0 if not together else 1e-6)
        assert curve.best == pytest.approx(there.description.validation_loss, rel=1e-5)
        assert repr(curve) == f"Curve(2 epochs, lowest validation loss {curve.best:.3g} at {curve.best_epoch})"
    own = train_networks(Series(data, "", OwnConfig(), Recipe(epochs=5), seed=1), range(2), together=together)
    for _, network, curve in own:
        assert isinstance(network, Linear)
        assert curve.training[-1] < curve.training[0]
        assert evaluate(network, data.validation).loss == pytest.approx(curve.best, rel=1e-5)
