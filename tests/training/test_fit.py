"""Trainings of small networks: what is kept, what the result depends on, what is refused."""

import gc
import itertools
import weakref

import jax
import numpy as np
import pytest

import small_ensembles
from fluxeq.errors import DivergedError, InputError
from fluxeq.nets.architecture import configured
from fluxeq.tasks.task import TASKS
from fluxeq.training import evaluation, problem
from fluxeq.training.datasets import Dataset
from fluxeq.training.device import CPU, Device
from fluxeq.training.epoch import translated
from fluxeq.training.fit import Trainer
from fluxeq.training.levenberg_marquardt import is_affordable
from fluxeq.training.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

SETTINGS = {"blocks": [{"channels": 3, "kernel": 2}]}
SHORT = Recipe(epochs=2, learning_rate=1e-3, levenberg_marquardt=3)


SMALLEST = {"blocks": [{"channels": 1, "kernel": 2}]}  # 21 parameters: steps start with 21 of 40 configurations


def trainer(task="regression", architecture="EQ", augmentation=False, device=CPU, **recipe):
    config = configured(architecture, SETTINGS, small_ensembles.SHAPE)
    return Trainer(small_ensembles.data(task), config, Recipe(**recipe), augmentation, device)


@pytest.fixture(scope="module")
def noisy():
    """A learning rate so high that the validation loss soon rises."""
    return trainer(epochs=40, patience=3, learning_rate=0.1)


def leaves(network):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(network)]


def test_the_seed_decides_and_nothing_else(noisy):
    (one, first), (two, second), (other, third) = (noisy.fit(seed) for seed in (1, 1, 2))
    for a, b, c in zip(leaves(one), leaves(two), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).all()
    np.testing.assert_array_equal(first.training, second.training)
    assert not np.array_equal(first.validation[:3], third.validation[:3])


@pytest.mark.parametrize("together", [False, True])
def test_compiled_code_is_freed_with_its_trainer(together):
    """No cycle of references keeps it until the garbage collector runs: a search compiles many networks."""
    config = configured("EQ", SMALLEST, small_ensembles.SHAPE)
    made = Trainer(small_ensembles.data("regression"), config, SHORT, together=together)
    made.fit(1)
    gc.collect()
    gc.disable()
    try:
        kept = [weakref.ref(made.problem), weakref.ref(made.alone), weakref.ref(made.epochs_of), weakref.ref(made)]
        del made
        assert [each() for each in kept] == [None] * len(kept)
    finally:
        gc.enable()


@pytest.mark.parametrize("augmentation", [False, True])
def test_a_batch_in_parts_trains_the_same_network(monkeypatch, augmentation):
    """Up to rounding; with single examples as the smallest parts, and in one part on a GPU."""
    settings = {"epochs": 3, "batch_size": 12, "learning_rate": 1e-3}
    whole = trainer(augmentation=augmentation, **settings)
    network, curve = whole.fit(1)
    found = [leaves(network)]
    longest = max(array.size for array in jax.tree.leaves(whole.problem.kept_by_a_batch())) * 4
    assert longest > 48 * whole.n_parameters  # so that it fits into the memory of the weights
    for n_bytes, n_parts in ((longest / 3.5, 4), (4 * whole.n_parameters, 12), (4 * whole.n_parameters - 1, 1)):
        monkeypatch.setattr(problem, "CACHED", n_bytes)
        parted = trainer(augmentation=augmentation, **settings)
        assert (whole.problem.n_parts, parted.problem.n_parts) == (1, n_parts)
        network, other = parted.fit(1)
        found.append(leaves(network))
        np.testing.assert_allclose(other.training, curve.training, rtol=1e-5)
    for a, *others in zip(*found, strict=True):
        for b in others:
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
    assert any((a != b).any() for a, b in zip(*found[:2], strict=True))
    monkeypatch.setattr(problem, "CACHED", 4 * whole.n_parameters)
    assert trainer(device=Device("cuda"), **settings).problem.n_parts == 1


def test_the_best_weights_are_kept(noisy):
    network, curve = noisy.fit(1)
    n_epochs = len(curve.validation)
    assert 4 < n_epochs < 40
    assert n_epochs == curve.best_epoch + 3
    assert curve.validation[curve.best_epoch - 1] == curve.validation.min() < curve.validation[-1]
    data = small_ensembles.data("regression")
    found = evaluation.score(
        data.task,
        evaluation.outputs(network, data.validation.configurations),
        data.validation.labels,
        data.validation.chain,
    )
    assert found.loss == pytest.approx(curve.validation.min(), rel=1e-5)


def test_the_curve_has_every_epoch(noisy):
    seen = []
    _, curve = noisy.fit(3, seen.append)
    assert seen == list(range(1, len(curve.training) + 1))
    assert len(curve.training) == len(curve.validation)
    assert curve.training[:10].min() < curve.training[0]  # it learns something


def test_the_epoch_is_compiled_once(noisy):
    noisy.fit(1)
    noisy.fit(4)
    assert noisy.alone._steps._cache_size() == 1


def test_the_number_of_examples_is_no_part_of_what_is_compiled():
    """Steps, outputs and derivatives for 40 and 32 configurations are the same programs."""

    def programs(n):
        data, config = small_ensembles.data("regression", n), configured("EQ", SETTINGS, small_ensembles.SHAPE)
        made, found = (
            Trainer(data, config, Recipe(epochs=3, batch_size=8, schedule="cosine", levenberg_marquardt=1)),
            set(),
        )

        def watched(function):
            plain = jax.jit(function.__wrapped__)
            return lambda *given: (found.add(plain.lower(*given).as_text()), function(*given))[1]

        made.alone._steps = watched(made.alone._steps)
        made.alone._outputs = watched(made.alone._outputs)
        made._method._linearised = watched(made._method._linearised)
        made.fit(1)
        return found

    assert len(programs(40)) == 3
    assert programs(40) == programs(32)


def test_outputs_and_derivatives_are_computed_in_parts_that_fit_the_caches(monkeypatch):
    """Of evaluation, of a validation loss, and of a Levenberg-Marquardt step."""
    monkeypatch.setattr("fluxeq.training.batches.CACHE_BYTES", 1)
    made = trainer(epochs=1, levenberg_marquardt=1)
    state, x = made.begin(1).state, made.problem.data.training.configurations
    network, parameters = made.problem.network(state.network), made._method.start(state.network, 1, 2).parameters
    calls = [
        lambda x: evaluation.of_many.__wrapped__(network, x),
        lambda x: made.alone._outputs.__wrapped__(state.network, x),
        lambda x: made._method._linearised.__wrapped__(parameters.astype(np.float32), x),
    ]
    for call in calls:
        lengths = [equation.params.get("length") for equation in jax.make_jaxpr(call)(x).eqns]
        assert len(x) in lengths


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", np.full(10, 1e-2)), ("cosine", 1e-2 * (1 + np.cos(np.pi * np.arange(10) / 10)) / 2)],
)
def test_rates(schedule, rates):
    """For Adam without memory, every step is +- the learning rate; ten epochs of one step each."""
    recipe = {"epochs": 10, "patience": 10, "batch_size": 40, "betas": (0.0, 0.0), "amsgrad": False}
    made = trainer(learning_rate=1e-2, schedule=schedule, **recipe)
    training = made.begin(1)
    points = [training.state.network]
    while training.learns(made.recipe):
        training = training.after(*made.alone.epoch(training.state))
        points.append(training.state.network)
    found = [
        max(np.abs(a - b).max() for a, b in zip(leaves(before), leaves(after), strict=True))
        for before, after in itertools.pairwise(points)
    ]
    assert found == pytest.approx(rates, rel=1e-3)


def test_the_number_of_epochs_is_a_limit():
    _, curve = trainer(epochs=2, patience=1000, learning_rate=1e-3).fit(1)
    assert len(curve.validation) == 2


def test_translations():
    """Many copies of two configurations: each is translated independently, and all translations occur."""
    shape, n = (3, 2), 150
    pair = np.random.default_rng(0).integers(-100, 100, (2, 4, *shape)).astype(np.int8)
    moved = np.asarray(jax.jit(translated)(np.repeat(pair, n, axis=0), jax.random.key(1)))
    for i, original in enumerate(pair):
        steps = [(t, x) for t in range(3) for x in range(2)]
        turned = [np.roll(original, step, (1, 2)).tobytes() for step in steps]
        found = [configuration.tobytes() for configuration in moved[i * n : (i + 1) * n]]
        assert set(found) == set(turned)
        counts = np.array([found.count(one) for one in turned])
        assert np.sum((counts - n / 6) ** 2) / (n / 6) < 25  # chi^2, 5 degrees of freedom: p = 1e-4
    assert moved.dtype == np.int8


def test_translations_in_three_dimensions():
    x = np.random.default_rng(0).integers(-100, 100, (20, 6, 2, 3, 2)).astype(np.int8)
    moved = np.asarray(translated(x, jax.random.key(1)))
    steps = [(t, a, b) for t in range(2) for a in range(3) for b in range(2)]
    for before, after in zip(x, moved, strict=True):
        assert any(np.array_equal(np.roll(before, step, (1, 2, 3)), after) for step in steps)
    assert not np.array_equal(x, moved)


def test_augmentation_reaches_the_training():
    """FL, whose weights depend on the site, learns something else."""
    plain, augmented = (
        trainer(architecture="FL", augmentation=augmentation, epochs=1, learning_rate=1e-2).fit(1)[1].validation[0]
        for augmentation in (False, True)
    )
    assert abs(augmented / plain - 1) > 1e-4


def test_a_training_that_diverges():
    with pytest.raises(DivergedError, match=r"learning_rate = 1e\+30: .*never finite; lower it"):
        trainer(epochs=2, learning_rate=1e30).fit(1)


def test_more_steps_than_a_device_can_count():
    with pytest.raises(InputError, match=r"epochs = 2147483648: 2147483648 steps; allow fewer than 2\^31"):
        trainer(epochs=2**31)
    assert len(trainer(epochs=1, patience=10**30).fit(1)[1].validation) == 1


def test_levenberg_marquardt():
    """After two epochs much remains to be gained, and the best weights are those of Levenberg-Marquardt."""
    made = trainer(epochs=2, learning_rate=1e-3, levenberg_marquardt=6, augmentation=True)
    network, curve = made.fit(1)
    assert len(curve.training) == 2 + 6
    assert curve.best_epoch > 2
    assert curve.training[-1] < 0.1 * curve.training[1]
    data = small_ensembles.data("regression")
    found = evaluation.outputs(network, data.validation.configurations)
    assert evaluation.score(data.task, found, data.validation.labels, data.validation.chain).loss == pytest.approx(
        curve.validation.min(), rel=1e-5
    )


@pytest.mark.parametrize("task", ["regression", "counting"])
def test_levenberg_marquardt_is_for_squared_errors(task):
    assert trainer(task, levenberg_marquardt=1)
    with pytest.raises(InputError, match="levenberg_marquardt = 1: detection has no squared error; set it to 0"):
        trainer("detection", levenberg_marquardt=1)


def test_levenberg_marquardt_sums_over_parts_of_the_training_set(monkeypatch):
    """Two configurations at a time give the same steps as all at once; half of all would not."""
    whole, half = (
        Trainer(small_ensembles.data("regression", n), configured("EQ", SETTINGS, small_ensembles.SHAPE), SHORT)
        for n in (40, 20)
    )
    wanted = whole.fit(1)[1].training[-3:]
    monkeypatch.setattr("fluxeq.training.levenberg_marquardt.LARGEST_JACOBIAN", 2 * 2 * whole.n_parameters)
    assert whole.fit(1)[1].training[-3:] == pytest.approx(wanted, rel=1e-3)
    assert half.fit(1)[1].training[-3:] != pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize(
    ("used_up", "n"), [(0.0, [21, 40, 40, 40]), (np.inf, [21, 21, 21, 21])], ids=["loss far below", "as low"]
)
@pytest.mark.parametrize("augmentation", [False, True])
def test_levenberg_marquardt_sees_more_when_it_has_used_up_what_it_sees(monkeypatch, used_up, n, augmentation):
    monkeypatch.setattr("fluxeq.training.fit.USED_UP", used_up)
    assert seen_by_steps(lambda step, *given: step(*given), augmentation) == n


def test_levenberg_marquardt_ends_without_patience_only_when_it_has_seen_all(monkeypatch):
    """Steps without any progress."""
    monkeypatch.setattr("fluxeq.training.fit.USED_UP", np.inf)
    monkeypatch.setattr("fluxeq.training.fit.PATIENCE", 2)
    assert seen_by_steps(lambda step, at, *given: (at, 1.0), n_steps=6) == [21, 21, 40, 40]


def seen_by_steps(change, augmentation=False, n_steps=4):
    """The number of configurations in each step; ``change`` receives the step and its arguments."""
    config = configured("EQ", SMALLEST, small_ensembles.SHAPE)
    recipe = Recipe(epochs=2, learning_rate=1e-3, levenberg_marquardt=n_steps)
    made, found = Trainer(small_ensembles.data("regression"), config, recipe, augmentation), []

    def step(at, examples, noise, step=made._method.step):
        assert at.n == len(examples[0])
        found.append(at.n)
        return change(step, at, examples, noise)

    made._method.step = step
    made.fit(1)
    return found


@pytest.mark.parametrize(
    ("n_parameters", "n_residuals", "affordable"),
    [(850, 40_000, True), (3_000, 40_000, False), (20_000, 400, True), (30_000, 400, False)],
    ids=["many data", "too much work", "few data", "too much memory"],
)
def test_which_networks_are_small_enough(n_parameters, n_residuals, affordable):
    assert is_affordable(n_parameters, n_residuals) == affordable


def test_levenberg_marquardt_leaves_a_network_that_is_too_large_as_it_is(monkeypatch):
    monkeypatch.setattr("fluxeq.training.levenberg_marquardt.MOST_WORK", 1000)
    _, curve = trainer(epochs=1, levenberg_marquardt=3).fit(1)
    assert len(curve.training) == 1


def test_no_examples():
    data, nothing = (
        small_ensembles.data("regression"),
        Dataset(TASKS["regression"], np.empty((0, 4, 4, 4), np.int8), np.empty((0, 2)), np.empty(0, np.int64)),
    )
    config = configured("EQ", SETTINGS, small_ensembles.SHAPE)
    for purpose in ("training", "validation"):
        with pytest.raises(InputError, match=f"no {purpose} examples: must be at least one"):
            Trainer(data._replace(**{purpose: nothing}), config, Recipe())


def test_a_lattice_that_the_network_cannot_take():
    config = configured("FL", SETTINGS, (4, 6))
    with pytest.raises(InputError, match="this FL network is for 4x6 only"):
        Trainer(small_ensembles.data("regression"), config, Recipe())


@pytest.mark.parametrize(
    ("recipe", "n", "batch", "steps"),
    [
        ({"epochs": 3}, 40, 40, 3),
        ({"epochs": 3}, 120, 50, 6),
        ({"epochs": 3}, 700, 100, 21),
        ({"epochs": 3, "batch_size": 7}, 40, 7, 15),
    ],
)
def test_batches(recipe, n, batch, steps):
    assert Recipe(**recipe).batch_for(n) == batch
    assert Recipe(**recipe).steps(n) == steps
