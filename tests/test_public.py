"""The Python interface: the examples of the README, in as few lines as promised."""

import inspect
import pydoc
import subprocess
import sys

import numpy as np
import pytest

import fluxeq

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors


def study_in_few_lines():
    """All three data sets; EQ, ST and FL trained on each, and scored on the training lattice and a larger one."""
    small, large, theory = (8, 8), (16, 16), fluxeq.Theory(eta=4.01, lam=1.0, mu=1.5)
    closed = [fluxeq.sample(theory, shape, 40, seed=seed) for seed, shape in enumerate((small, small, small, large))]
    one = [fluxeq.open_worms(ensemble, (0, 1), seed=1) for ensemble in closed]
    many = [fluxeq.open_worms(ensemble, (0, 5), seed=1) for ensemble in closed]
    scores = {}
    for task, ensembles in {"regression": closed, "detection": one, "counting": many}.items():
        training, validation, *tests = (fluxeq.dataset(task, ensemble) for ensemble in ensembles)
        for architecture in ("EQ", "ST", "FL"):
            (model,) = fluxeq.train(task, architecture, training, validation, recipe={"epochs": 2})
            for test in tests if architecture != "FL" else tests[:1]:
                scores[task, architecture, test.shape] = fluxeq.evaluate(model, test)
    return scores


def test_a_study_in_few_lines():
    source = inspect.getsource(study_in_few_lines).splitlines()
    assert len(source) - 2 < 20  # without signature and docstring
    scores = study_in_few_lines()
    assert len(scores) == 3 * (2 + 2 + 1)
    assert all(np.isfinite(score.loss) for score in scores.values())


def test_names_are_shown():
    for name in fluxeq.__all__:
        assert name in dir(fluxeq)
        assert getattr(fluxeq, name) is not None
    text = pydoc.render_doc(fluxeq)
    for name in ("sample", "open_worms", "train", "evaluate", "load_model"):
        assert name in text
        assert getattr(fluxeq, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'smaple'"):
        _ = fluxeq.smaple


class Deep(fluxeq.EQ):
    """A user-defined config, from public names only."""

    blocks: tuple[fluxeq.Block, ...] = (fluxeq.Block(channels=2, kernel=1),) * 3


def test_what_an_architecture_from_outside_needs():
    config: fluxeq.Architecture = Deep()
    theory = fluxeq.Theory(eta=4.01, lam=1.0, mu=1.5)
    training, validation = (fluxeq.sample(theory, (6, 4), 30, seed=seed) for seed in (1, 2))
    (model,) = fluxeq.train("regression", config, training, validation, recipe=fluxeq.Recipe(epochs=1))
    assert model.config == config
    found = fluxeq.search(
        "regression",
        "EQ",
        training,
        validation,
        space=fluxeq.Space(layers=(1, 1), channels=(2,), kernels=(1,), activations=("gelu",), dense_layers=(0, 0)),
        recipe={"epochs": 1},
        trials=1,
        repeats=1,
    )
    assert isinstance(found[0], fluxeq.Setting)
    _, correlator = fluxeq.two_point(theory, training.state, 100)
    assert correlator.shape == (4, 6, 4)


def test_errors_have_public_names():
    with pytest.raises(fluxeq.StabilityError):
        fluxeq.sample(fluxeq.Theory(eta=4.01, lam=0, mu=1.5), (4, 4), 4)
    for error in (fluxeq.StabilityError, fluxeq.FluxOverflowError, fluxeq.DivergedError):
        assert issubclass(error, fluxeq.InputError)


def test_import_is_light():
    heavy = ("jax", "numba", "pandas", "matplotlib", "pyerrors", "optuna", "h5py")
    code = f"import sys, fluxeq; fluxeq.Theory(4.01, 1, 1); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_own_networks_and_functions_of_others():
    """Any Equinox module can be trained and scored, and any NumPy function of a batch can be scored."""
    import equinox as eqx
    import jax

    theory = fluxeq.Theory(eta=4.01, lam=1.0, mu=1.5)
    training, validation, test = (
        fluxeq.dataset("regression", fluxeq.sample(theory, (6, 4), 30, seed=seed)) for seed in (1, 2, 3)
    )

    class Linear(eqx.Module):
        layer: eqx.nn.Linear

        def __call__(self, x):
            return self.layer(x.astype(jax.numpy.float32).mean(axis=(1, 2)))

    start = Linear(eqx.nn.Linear(4, 2, key=jax.random.key(0)))
    (model,) = fluxeq.train("regression", start, training, validation, recipe={"epochs": 20})
    before, after = fluxeq.evaluate(start, test), fluxeq.evaluate(model, test)
    assert after.loss < before.loss
    exact = fluxeq.evaluate(lambda x: np.stack([x[:, 0].mean(axis=(1, 2)), np.zeros(len(x))], axis=1), test)
    assert exact.per_target["n"] < 1e-12
    assert fluxeq.predict(model, test.configurations).shape == (30, 2)
    with pytest.raises(fluxeq.InputError, match="own module"):
        fluxeq.train("regression", start, training, validation, instances=2)


def test_models_come_back(tmp_path):
    theory = fluxeq.Theory(eta=4.01, lam=1.0, mu=1.5)
    training, validation = (fluxeq.sample(theory, (6, 4), 30, seed=seed) for seed in (1, 2))
    models = fluxeq.train("regression", "EQ", training, validation, recipe={"epochs": 1}, instances=2, output=tmp_path)
    assert [model.path.name for model in models] == ["EQ-000.safetensors", "EQ-001.safetensors"]
    fluxeq.save_model(str(tmp_path / "copy.safetensors"), models[0])
    again = fluxeq.load_model(str(tmp_path / "copy.safetensors"))
    expected = fluxeq.predict(models[0], training.configurations)
    np.testing.assert_array_equal(fluxeq.predict(again, training.configurations), expected)
    in_memory = fluxeq.train("regression", "EQ", training, validation, recipe={"epochs": 1}, instances=2)
    np.testing.assert_array_equal(fluxeq.predict(in_memory[0], training.configurations), expected)
    assert "EQ" in repr(again)
    assert len(repr(again)) < 120
