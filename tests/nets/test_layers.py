"""Layers against loops over sites, and their behaviour under translations."""

import itertools
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fluxeq.nets.layers import (
    Dense,
    Flatten,
    GlobalPooling,
    PeriodicConvolution,
    PeriodicPooling,
    affine,
    affine_on_sites,
)
from fluxeq.testing import translation_error

ROUNDING = 1e-13
SHAPES = {1: (6,), 2: (6, 4), 3: (4, 2, 6)}


def random_lattice(d, channels, seed=0):
    return np.random.default_rng(seed).normal(size=(*SHAPES[d], channels))


def promoted(layer):
    """The layer with weights in float64."""
    return jax.tree.map(lambda leaf: leaf.astype(np.float64), layer)


def windows(x, kernel, stride):
    """Every output site, with the part of the lattice in its window: ``(kernel, ..., kernel, channels)``."""
    shape = x.shape[:-1]
    for site in itertools.product(*(range(extent // stride) for extent in shape)):
        rows = [[(stride * s + step) % extent for step in range(kernel)] for s, extent in zip(site, shape, strict=True)]
        yield site, x[np.ix_(*rows)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("d", "kernel"), [(1, 2), (1, 5), (2, 1), (2, 2), (2, 3), (3, 2)])
def test_convolution_against_a_loop(d, kernel, stride):
    layer = PeriodicConvolution(d, 2, 3, kernel, stride, np.random.default_rng(1))
    x = random_lattice(d, 2)
    weight = layer.weight.astype(np.float64).reshape(*(kernel,) * d, 2, 3)
    expected = np.empty((*(extent // stride for extent in SHAPES[d]), 3))
    for site, seen in windows(x, kernel, stride):
        expected[site] = layer.bias + np.tensordot(seen, weight, d + 1)
    with jax.enable_x64(True):
        found = np.asarray(eqx.filter_jit(promoted(layer))(x))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING, strict=True)


@pytest.mark.parametrize("kind", ["average", "maximum"])
@pytest.mark.parametrize(("extent", "stride"), [(2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("d", SHAPES)
def test_pooling_against_a_loop(d, extent, stride, kind):
    x = random_lattice(d, 2)
    reduce = {"average": np.mean, "maximum": np.max}[kind]
    expected = np.empty((*(n // stride for n in SHAPES[d]), 2))
    for site, seen in windows(x, extent, stride):
        expected[site] = reduce(seen, axis=tuple(range(d)))
    with jax.enable_x64(True):
        found = np.asarray(eqx.filter_jit(PeriodicPooling(d, extent, stride, kind))(x))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING, strict=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("extent", [1, 2, 3])
@pytest.mark.parametrize("d", SHAPES)
def test_gradients_against_differences(d, extent, stride):
    x = random_lattice(d, 2)
    with jax.enable_x64(True):
        layers = [promoted(PeriodicConvolution(d, 2, 3, extent, stride, np.random.default_rng(1)))]
        layers += [PeriodicPooling(d, extent, stride, kind) for kind in ("average", "maximum")]
        for layer in layers:
            check_grads(eqx.filter_jit(layer), (x,), order=1, modes=["rev"])


@pytest.mark.parametrize("activation", [None, "gelu", "relu"])
def test_gradients_on_sites(activation):
    """Those of all arguments, for one configuration and summed over a batch, as JAX finds them; also twice."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        arrays = [jnp.asarray(rng.normal(size=size)) for size in ((5, 4, 3, 2), (2, 3), 3)]

        def loss(function, x, weight, bias):
            return jnp.sin(function(x, weight, bias, activation)).sum()

        def of_batch(function, x, weight, bias):
            return jax.vmap(partial(loss, function), (0, None, None))(x, weight, bias).sum()

        for total in (loss, of_batch):
            found, expected = (
                jax.jit(jax.grad(partial(total, f), (0, 1, 2)))(*arrays) for f in (affine_on_sites, affine)
            )
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12, strict=True)
        twice = [jax.jacrev(jax.grad(partial(of_batch, f), 1), 1)(*arrays) for f in (affine_on_sites, affine)]
        np.testing.assert_allclose(*twice, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("kind", "reduce"), [("average", np.mean), ("sum", np.sum), ("maximum", np.max)])
def test_global_pooling(kind, reduce):
    x = random_lattice(2, 3)
    with jax.enable_x64(True):
        found = GlobalPooling((kind,))(jax.numpy.asarray(x))
    np.testing.assert_allclose(found, reduce(x, axis=(0, 1)), rtol=0, atol=1e-12)


def test_flatten_keeps_every_number():
    x = random_lattice(2, 3)
    assert sorted(Flatten()(x)) == sorted(x.ravel())


def test_dense():
    layer, x = Dense(3, 2, np.random.default_rng(1)), np.array([1.0, -2.0, 0.5])
    with jax.enable_x64(True):
        found = np.asarray(promoted(layer)(x))
    np.testing.assert_allclose(found, x @ layer.weight + layer.bias, rtol=1e-6)
    assert layer.weight.shape == (3, 2)


LAYERS = {
    "convolution": lambda d, stride: PeriodicConvolution(d, 2, 3, 3, stride, np.random.default_rng(1)),
    "average": lambda d, stride: PeriodicPooling(d, 3, stride, "average"),
    "maximum": lambda d, stride: PeriodicPooling(d, 3, stride, "maximum"),
}


def channels_first(layer):
    """The layer as a function of ``(channels, *shape)``, in float64."""
    layer = promoted(layer)
    return lambda x: np.moveaxis(np.asarray(layer(jax.numpy.moveaxis(x, 0, -1))), -1, 0)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("d", [1, 2])
def test_stride_1_keeps_every_translation(d, name):
    x = np.moveaxis(random_lattice(d, 2), -1, 0)
    assert translation_error(channels_first(LAYERS[name](d, 1)), x) < ROUNDING


@pytest.mark.parametrize("name", LAYERS)
def test_stride_2_keeps_translations_by_2_alone(name):
    x = np.moveaxis(random_lattice(2, 2), -1, 0)
    net = channels_first(LAYERS[name](2, 2))
    pooled = lambda x: net(x).sum(axis=(1, 2))  # noqa: E731
    assert translation_error(net, x, 2) < ROUNDING
    assert translation_error(pooled, x, 2) < ROUNDING
    assert translation_error(pooled, x, 1) > 1e-3


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("extent", [1, 2, 3])
@pytest.mark.parametrize("kind", ["average", "maximum"])
def test_windows_of_any_stride_are_periodic(kind, extent, stride):
    """ceil(L / s) windows per direction, against windows taken one by one."""
    x = np.random.default_rng(0).normal(size=(7, 3))
    found = np.asarray(PeriodicPooling(1, extent, stride, kind)(jax.numpy.asarray(x)))
    combine = {"average": np.mean, "maximum": np.max}[kind]
    windows = [x[[(at + step) % 7 for step in range(extent)]] for at in range(0, 7, stride)]
    np.testing.assert_allclose(found, [combine(window, axis=0) for window in windows], atol=1e-6)


def test_weights_start_uniform_within_the_fan_in():
    layer = PeriodicConvolution(2, 16, 64, 3, 1, np.random.default_rng(1))
    bound = 1 / np.sqrt(3 * 3 * 16)
    assert layer.weight.dtype == np.float32
    assert 0.99 * bound < np.abs(layer.weight).max() <= bound * (1 + 1e-6)
    assert layer.weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)  # 9216 numbers: 4 standard errors
