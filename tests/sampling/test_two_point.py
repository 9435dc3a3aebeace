"""The two-point function from the worm, against the free field; and that it advances chains like ``record``."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fluxeq import exact
from fluxeq.sampling import backends, chains
from fluxeq.sampling.two_point import two_point
from fluxeq.theory import Theory

N_CHAINS = 16
FREE, SHAPE = Theory(4.8, 0, 0.3), (6, 3)


@pytest.fixture(scope="module")
def correlator():
    """One row per chain."""
    thermal, _ = chains.record(FREE, chains.empty_chains(SHAPE, N_CHAINS, seed=3), 1, 3000)
    return two_point(FREE, thermal, 60000, n_threads=2)[1]


@pytest.mark.parametrize(
    ("shift", "agrees"), [(0.0, True), (0.1, False), (-0.6, False)], ids=["exact", "power", "sign"]
)
def test_free_field(correlator, shift, agrees):
    """Every distance, forward and backward in time, by Student's t for 16 chains; errors below 1 % of G(0)."""
    expected = exact.free_two_point(replace(FREE, mu=FREE.mu + shift), SHAPE)
    expected /= expected[0, 0]
    error = correlator.std(axis=0, ddof=1) / np.sqrt(N_CHAINS)
    assert (error < 0.01).all()
    t = (correlator.mean(axis=0) - expected).ravel()[1:] / error.ravel()[1:]
    worst = 2 * stats.t.sf(np.abs(t).max(), N_CHAINS - 1)
    assert worst > 1e-4 if agrees else worst < 1e-6


def test_mass(correlator):
    """At zero momentum, without e^(mu t): G(t + 1) + G(t - 1) = 2 cosh(m) G(t), and eta = 2 cosh(m) + 2 (d - 1)."""
    exact_cosh = (FREE.eta - 2) / 2
    t = np.arange(SHAPE[0])
    expected = exact.free_two_point(FREE, SHAPE).sum(axis=1)
    for sums, accuracy in ((expected[None], 1e-12), (correlator.sum(axis=2), 0.02)):
        g = sums.mean(axis=0) * np.exp(-FREE.mu * t)
        assert (g[3] + g[1]) / (2 * g[2]) == pytest.approx(exact_cosh, rel=accuracy)


def test_plain_python_is_compiled_bit_for_bit():
    started = chains.empty_chains((3, 2, 2), 2, seed=1)
    plain, compiled = (two_point(Theory(7, 1, 0.5), started, 40, moves=moves) for moves in (backends.reference(), None))
    for one, other in zip([*plain[0], plain[1]], [*compiled[0], compiled[1]], strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_makes_the_moves_of_record():
    started = chains.empty_chains(SHAPE, 2, seed=1)
    recorded, _ = chains.record(FREE, started, 1, 500)
    correlated, _ = two_point(FREE, started, 500)
    for one, other in zip(recorded, correlated, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isnan(two_point(FREE, started, 0)[1]).all()
