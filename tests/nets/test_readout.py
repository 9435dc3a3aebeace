"""The readout of densities: correct on every lattice by construction if nothing is added after it."""

import numpy as np
import pytest

from fluxeq.nets.architecture import configured
from fluxeq.nets.network import Block
from fluxeq.tasks.task import Target
from fluxeq.testing import translation_error

BLOCKS = [{"channels": 4, "kernel": 2}, {"channels": 3, "kernel": 1}]
STRIDED = [{"channels": 4, "kernel": 3, "stride": 2}, {"channels": 3, "kernel": 1}]
TARGETS = (Target("density", "intensive"), Target("number", "extensive"), Target("any", "presence"))


def built(name="EQ", shape=(6, 4), targets=TARGETS, **fields):
    fields = {"blocks": BLOCKS, "activation": "tanh", **fields}
    return configured(name, fields, shape).build(2, targets, np.random.default_rng(1))


def configuration(shape=(6, 4)):
    return np.random.default_rng(2).integers(-2, 3, (4, *shape)).astype(np.float32)


@pytest.mark.parametrize(("readout", "exact"), [(None, True), ("local", True), ("pooled", False)])
def test_two_copies_of_a_lattice(readout, exact):
    """Densities and maxima are unchanged, numbers double; a pooled readout adds its constant only once."""
    x = configuration()
    twice = np.concatenate([x, x], axis=2)
    for targets, factor in (((TARGETS[0],), 1), ((TARGETS[1],), 2), ((TARGETS[2],), 1)):
        network = built(targets=targets, readout=readout)
        one, two = np.asarray(network(x)), np.asarray(network(twice))
        holds = np.allclose(two, factor * one, rtol=1e-5)
        assert holds == (exact or factor == 1)


def test_each_target_has_the_pooling_of_its_nature():
    x = configuration()
    network = built()
    density = np.asarray(network.dense[-1](np.moveaxis(np.asarray(network.feature_maps(x)), 0, -1))).reshape(-1, 3)
    expected = [density[:, 0].mean(), density[:, 1].sum(), density[:, 2].max()]
    np.testing.assert_allclose(network(x), expected, rtol=1e-5)


def test_a_given_pooling_holds_for_all():
    x = configuration()
    network = built(global_pooling="maximum")
    density = np.asarray(network.dense[-1](np.moveaxis(np.asarray(network.feature_maps(x)), 0, -1))).reshape(-1, 3)
    np.testing.assert_allclose(network(x), density.max(axis=0), rtol=1e-5)


def test_an_average_is_the_same_before_and_behind_a_linear_layer():
    x, targets = configuration(), (TARGETS[0],)
    local, pooled = (built(targets=targets, readout=readout) for readout in ("local", "pooled"))
    np.testing.assert_allclose(local(x), pooled(x), rtol=1e-5)


@pytest.mark.parametrize(("shape", "windows"), [((6, 4), (3, 2)), ((7, 5), (4, 3)), ((3, 2), (2, 1))])
def test_strides_take_every_lattice(shape, windows):
    """ceil(L / s) windows per direction; the last one is continued periodically."""
    x = configuration(shape)
    network = built("ST", shape, blocks=STRIDED)
    maps = np.asarray(network.feature_maps(x))
    assert maps.shape[1:] == windows
    beyond = np.concatenate([x, x[:, :2]], axis=1)  # periodic continuation beyond the end
    last = np.asarray(network.feature_maps(beyond[:, 2 * (windows[0] - 1) : 2 * (windows[0] - 1) + 3]))
    np.testing.assert_allclose(maps[:, -1], last[:, 0], rtol=1e-5)


def test_what_is_left_of_the_symmetry():
    """Translations by multiples of the stride if it divides the extents; none otherwise."""
    for shape, kept in (((6, 4), True), ((7, 5), False)):
        network = built("ST", shape, blocks=STRIDED)
        assert (translation_error(network, configuration(shape), 2) < 1e-9) == kept
        assert translation_error(network, configuration(shape)) > 1e-4


def test_flattening_behind_a_stride_that_does_not_divide():
    network = built("FL", (7, 5), blocks=STRIDED)
    assert network.dense[0].weight.shape[0] == 4 * 3 * 3
    assert np.isfinite(np.asarray(network(configuration((7, 5))))).all()


def test_hidden_layers_are_behind_the_pooling():
    network = built(dense=(5,))
    assert not network.is_local
    with pytest.raises(ValueError, match="impossible with hidden layers"):
        built(dense=(5,), readout="local")
    assert Block(channels=1, kernel=1).stride == 1
