"""The public checks, on functions of which the answer is known, and on some that must fail."""

import equinox as eqx
import jax
import numpy as np
import pytest

from fluxeq.errors import InputError
from fluxeq.testing import translation_error, z_score

X = np.random.default_rng(0).normal(size=(2, 6, 4))


def smoothed(x):
    """Equivariant."""
    return x + 2 * np.roll(x, 1, 1) - np.roll(x, 1, 2)


def subsampled(x):
    """Equivariant under translations by 2."""
    return smoothed(x)[:, ::2, ::2]


def at_the_edge(x):
    """Not equivariant: zeros beyond the edge in place of a period."""
    return x + np.pad(x, [(0, 0), (1, 0), (0, 0)])[:, :-1]


def only_in_space(x):
    """Equivariant under translations along the second direction alone."""
    return np.cumsum(x, axis=1)


@pytest.mark.parametrize(
    ("net", "stride", "symmetric"),
    [
        (smoothed, 1, True),
        (subsampled, 2, True),
        (at_the_edge, 1, False),
        (only_in_space, 1, False),
        (lambda x: smoothed(x).mean(axis=(1, 2)), 1, True),
        (lambda x: (smoothed(x) ** 2).max(axis=(1, 2)), 1, True),
        (lambda x: subsampled(x).max(axis=(1, 2)), 2, True),
        (lambda x: subsampled(x).max(axis=(1, 2)), 1, False),
        (lambda x: x.ravel(), 1, False),
        (lambda x: x[0, 0], 1, False),
    ],
)
def test_translation_error(net, stride, symmetric):
    error = translation_error(net, X, stride)
    assert error < 1e-12 if symmetric else error > 1e-2


def test_every_translation_is_tried():
    """Only one site of 24 is seen, and only one of the 24 translations moves what is there to it."""
    x = np.zeros((2, 6, 4))
    x[0, 5, 3] = 3.0
    x[1] = 1.0
    assert translation_error(lambda x: x[:, 0, 1] + 1, x) == pytest.approx(3 / 2)
    assert translation_error(lambda x: x[:, 0, 1] + 1, x, 2) == 0  # no even translation moves (5, 3) to (0, 1)


def test_small_errors_are_measured_and_not_rounded_away():
    error = translation_error(lambda x: np.ones(1) + 1e-9 * x[0, 0, 0], X)
    assert 1e-10 < error < 1e-8


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_output_that_hides_any_error(value):
    with pytest.raises(InputError, match="nothing that a translation could change"):
        translation_error(lambda x: np.full(2, value), X)


def test_a_stride_that_does_not_divide():
    with pytest.raises(InputError, match="stride 4 does not divide the lattice 6x4"):
        translation_error(smoothed, X, 4)


def test_z_score():
    """Mean 3, standard deviation sqrt(2), four chains: an error of sqrt(1/2)."""
    means = [3 + np.sqrt(1.5), 3 - np.sqrt(1.5), 3 + np.sqrt(1.5), 3 - np.sqrt(1.5)]
    assert z_score(means, 3.0) == pytest.approx(0)
    assert z_score(means, 2.0) == pytest.approx(np.sqrt(2))
    assert z_score(means, 4.0) == pytest.approx(-np.sqrt(2))


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (0.3, False)])
def test_z_score_has_power(shift, agrees):
    means = np.random.default_rng(1).normal(2.0, 0.1, 16)
    z = z_score(means, 2.0 + shift)
    assert abs(z) < 4 if agrees else z < -6


def test_z_score_without_an_error():
    with pytest.raises(InputError, match="3 chains: at least 4"):
        z_score([1.0, 2.0, 3.0], 2.0)
    with pytest.raises(InputError, match="no error can be told"):
        z_score([1.0] * 8, 2.0)


@pytest.mark.parametrize(("mode", "symmetric"), [("CIRCULAR", True), ("ZEROS", False)])
def test_any_module_can_be_checked(mode, symmetric):
    """One with functions among its leaves."""
    first, second = (
        eqx.nn.Conv2d(2, 2, 3, padding=1, padding_mode=mode, key=jax.random.key(seed)) for seed in range(2)
    )
    net = eqx.nn.Sequential([first, eqx.nn.Lambda(jax.nn.gelu), second])
    error = translation_error(net, X)
    assert error < 1e-12 if symmetric else error > 1e-4
