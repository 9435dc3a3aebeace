"""The public checks, on functions with known answers, and on some that must fail."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from fluxeq import testing
from fluxeq.enumeration import enumerated
from fluxeq.errors import InputError
from fluxeq.nets.architecture import ARCHITECTURES
from fluxeq.testing import check_architecture, check_observable, check_theory, translation_error, z_score
from fluxeq.theory import FluxTheory, Theory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

X = np.random.default_rng(0).normal(size=(2, 6, 4))


def smoothed(x):
    """Equivariant."""
    return x + 2 * np.roll(x, 1, 1) - np.roll(x, 1, 2)


def subsampled(x):
    """Equivariant under translations by 2."""
    return smoothed(x)[:, ::2, ::2]


def at_the_edge(x):
    """Not equivariant: zero padding in place of periodic boundaries."""
    return x + np.pad(x, [(0, 0), (1, 0), (0, 0)])[:, :-1]


def only_in_space(x):
    """Equivariant only under translations along the second direction."""
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


def test_a_network_is_called_once_for_each_translation():
    """And equally often for the reference, in a block of the same length; blocks are not padded to the memory limit."""
    calls = []
    translation_error(lambda x: calls.append(1) or x.sum(axis=(1, 2)), np.ones((2, 6, 4)), 2)
    assert len(calls) == 6 + 6


@pytest.mark.parametrize("n_bytes", [1, 1000, 2**19], ids=["one by one", "some", "all at once"])
def test_every_translation_is_tried(monkeypatch, n_bytes):
    """The output depends on one site of 24, and only one of the 24 translations moves the source there."""
    monkeypatch.setattr(testing, "MANY", n_bytes)
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
    with pytest.raises(InputError, match="so a translation cannot change it"):
        translation_error(lambda x: np.full(2, value), X)


def test_a_stride_below_1():
    with pytest.raises(InputError, match="stride = 0: must be an integer of at least 1"):
        translation_error(smoothed, X, 0)


@pytest.mark.parametrize("stride", [0, -1, 1.5])
def test_a_stride_that_cannot_be(stride):
    with pytest.raises(InputError, match=f"stride = {stride}: must be an integer of at least 1"):
        translation_error(smoothed, X, stride)


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
    with pytest.raises(InputError, match="3 chains: an error needs at least 4"):
        z_score([1.0, 2.0, 3.0], 2.0)
    with pytest.raises(InputError, match="so there is no error"):
        z_score([1.0] * 8, 2.0)


@pytest.mark.parametrize(("mode", "symmetric"), [("CIRCULAR", True), ("ZEROS", False)])
def test_any_module_can_be_checked(mode, symmetric):
    """With functions among its leaves."""
    first, second = (
        eqx.nn.Conv2d(2, 2, 3, padding=1, padding_mode=mode, key=jax.random.key(seed)) for seed in range(2)
    )
    net = eqx.nn.Sequential([first, eqx.nn.Lambda(jax.nn.gelu), second])
    error = translation_error(net, X)
    assert error < 1e-12 if symmetric else error > 1e-4


@dataclass(frozen=True)
class Rotor(FluxTheory):
    """Spins of unit length, with coupling beta."""

    beta: float = 0.8

    def log_site_weight(self, f):
        return np.zeros(f.shape)

    def hop_weights(self, d):
        return np.full(2 * d, self.beta / 2)


def changed(**methods):
    """A theory that violates one requirement, at a location where its name is found."""
    kind = dataclass(frozen=True)(type("Changed", (Rotor,), {"__annotations__": {}, "__module__": __name__, **methods}))
    globals()["Changed"] = kind
    from fluxeq import registry, theory

    registry._at.cache_clear()
    theory.THEORIES._found.clear()
    return kind()


@pytest.mark.parametrize(("theory", "shape"), [(Rotor(), (3,)), (Rotor(0.6), (2, 2)), (Theory(6, 1, 0.8), (2, 2))])
def test_laws_of_theories(theory, shape):
    check_theory(theory, shape)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"hop_weights": lambda self, d: np.full(d, 0.4)}, r"hop_weights\(1\) is not an array of shape \(2,\)"),
        ({"hop_weights": lambda self, d: np.full(2 * d, -0.4)}, r"hop_weights\(1\) are not all positive"),
        ({"log_site_weight": lambda self, f: 0.0}, "log_site_weight: wrong shape"),
        ({"log_site_weight": lambda self, f: np.where(f > 300, np.nan, 0.0)}, "log_site_weight is not finite"),
        ({"log_site_weight": lambda self, f: f / f.max(initial=1)}, "log_site_weight at one f depends on the other"),
        ({"couplings": property(lambda self: {"beta": 1.0})}, "is not restored from its name and couplings"),
        ({"name": "phi4"}, "is not the theory registered as 'phi4'"),
    ],
)
def test_theories_that_break_a_law(methods, message):
    with pytest.raises(InputError, match=message) as failed:
        check_theory(changed(**methods))
    assert "\n" not in str(failed.value)


def test_a_sample_of_other_weights_is_found_out(monkeypatch):
    """The control: an exact result for a larger mu."""
    monkeypatch.setattr("fluxeq.testing.enumerated", lambda theory, shape: enumerated(replace(theory, mu=1.0), shape))
    with pytest.raises(InputError, match=r"n of a sample is 0\.\d+, -\d+\.\d standard errors off"):
        check_theory(Theory(6, 1, 0.8))


def test_laws_of_observables():
    for name in ("n", "phi2"):
        check_observable(name, Theory(4.01, 1, 1.05))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda theory, k: k.mean(), r"must return one number each, float64 \(n,\), but returns float64 \(\)"),
        (lambda theory, k: k[:, :2].sum(axis=(2, 3)), r"but returns int64 \(36, 2\)"),
        (lambda theory, k: np.log(np.zeros(len(k)), where=False, out=np.full(len(k), np.inf)), "but returns inf"),
        (lambda theory, k: k[:, 7, 0, 0], "fails with IndexError"),
        (lambda theory, k: k[:, 0, 0].sum(axis=-1, dtype=k.dtype), "overflows: int8 is too small"),
        (lambda theory, k: k[:, 0, 0, 0] - k[:, 0, 0, 0].mean() if len(k) else np.zeros(0), "depends on the other"),
        (lambda theory, k: np.add(k, 1, out=k)[:, 0, 0, 0].astype(float), "modifies its configurations"),
    ],
)
def test_observables_that_break_a_law(function, message):
    with pytest.raises(InputError, match=message) as failed:
        check_observable(function, Theory(4.01, 1, 1.05))
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_laws_of_architectures(name):
    check_architecture(name)


class Sound(BaseModel):
    """An architecture that meets all requirements; each class derived from it violates one."""

    model_config = ConfigDict(frozen=True)

    width: int = 3
    stride: int | None = None

    def build(self, d, targets, rng):
        return Mean(np.float32(rng.normal(size=(2 * d, len(targets)))))

    def require_shape(self, shape):
        """Accepts all lattices."""


class Mean(eqx.Module):
    weight: np.ndarray
    first_site: bool = eqx.field(static=True, default=False)

    def __call__(self, x):
        values = x[:, 0, 0] if self.first_site else x.mean(axis=tuple(range(1, x.ndim)))
        return values @ self.weight


class SameStart(Sound):
    def build(self, d, targets, rng):
        return Mean(np.ones((2 * d, len(targets)), np.float32))


class OwnStart(Sound):
    def build(self, d, targets, rng):
        return super().build(d, targets, np.random.default_rng())


class Wide(Sound):
    def build(self, d, targets, rng):
        return Mean(np.float32(rng.normal(size=(2 * d, 5))))


class Overstated(Sound):
    stride: int | None = 1

    def build(self, d, targets, rng):
        return eqx.tree_at(lambda net: net.weight, Mean(super().build(d, targets, rng).weight, True), replace_fn=abs)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Sound, None),
        (SameStart, "different seeds give equal weights"),
        (OwnStart, "equal seeds give different weights"),
        (Wide, r"returns an array \(5,\) for two targets"),
        (Overstated, "translations by 1 change its output .* its stride is wrong"),
    ],
)
def test_architectures_that_break_a_law(monkeypatch, kind, message):
    monkeypatch.setitem(ARCHITECTURES._found, "own:Kind", kind)
    if message is None:
        check_architecture("own:Kind")
        return
    with pytest.raises(InputError, match=f"own:Kind: {message}") as failed:
        check_architecture("own:Kind")
    assert "\n" not in str(failed.value)


def test_what_is_no_architecture():
    for name, message in (("math:pi", "must be a config class"), ("pathlib:Path", "has no model_validate")):
        with pytest.raises(InputError, match=message):
            check_architecture(name)
