"""The exact results against sums over configurations, determinants, and each other."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from fluxeq import exact, observables
from fluxeq.errors import InputError, StabilityError
from fluxeq.lattice import neighbours
from fluxeq.theory import Theory, log_weight, weight_ratio

ROUNDING = 1e-11  # of sums in double precision


def log_determinant(eta, mu, shape):
    """ln det of eta minus the hops e^(+-mu) forward and backward in time, 1 in space: -ln Z of the free field."""
    table, d = neighbours(shape), len(shape)
    sites = np.arange(len(table[0]))
    matrix = eta * np.eye(len(sites))
    for direction, there in enumerate(table):
        np.add.at(matrix, (sites, there), -math.exp({0: mu, d: -mu}.get(direction, 0.0)))
    return np.linalg.slogdet(matrix).logabsdet


@pytest.mark.parametrize(
    ("eta", "mu", "shape"),
    [(3.0, 0.7, (2,)), (2.4, -0.5, (5,)), (4.8, 0.3, (6, 2)), (5.5, 0.8, (3, 4)), (7.2, 0.6, (4, 3, 2))],
)
def test_free_field(eta, mu, shape):
    """Derivatives of ln Z from differences with h = 1e-3 and 2e-3; errors of order h^2 cancel: accurate to 1e-8."""
    found = exact.free_field(Theory(eta, 0, mu), shape)

    def slope(log_z):
        narrow, wide = ((log_z(h) - log_z(-h)) / (2 * h * math.prod(shape)) for h in (1e-3, 2e-3))
        return (4 * narrow - wide) / 3

    assert found.n == pytest.approx(-slope(lambda h: log_determinant(eta, mu + h, shape)), rel=1e-8)
    assert found.phi2 == pytest.approx(slope(lambda h: log_determinant(eta + h, mu, shape)), rel=1e-8)
    assert found.truncation == 0


def every_closed_configuration(most_hops):
    """All configurations on 2 x 2 with at most this number of hops on all links together."""
    drawn = np.array(list(itertools.combinations_with_replacement(range(17), most_hops)))  # 16 kinds of hops, and none
    hops = np.stack([(drawn == kind).sum(axis=1) for kind in range(16)], axis=1).reshape(-1, 2, 2, 2, 2)
    forward, backward = hops[:, 0], hops[:, 1]
    configurations = np.concatenate([forward - backward, np.minimum(forward, backward)], axis=1)
    return configurations[~observables.divergence(configurations).any(axis=(1, 2))]


def mean_over(configurations, theory):
    """Weighted means of n and |phi|^2 over the given configurations."""
    k, l = observables.split(configurations)
    f = observables.field_powers(configurations)
    factorial = np.array([math.factorial(i) for i in range(20)])
    time = np.exp(theory.mu * k[:, 0]).prod(axis=(1, 2))
    links = 1 / (factorial[abs(k) + l] * factorial[l]).prod(axis=(1, 2, 3))
    weight = time * links * np.exp(log_weight(theory, f.max())[f]).prod(axis=(1, 2))
    values = observables.n(theory, configurations), observables.phi2(theory, configurations)
    return np.array([np.sum(weight * value) for value in values]) / weight.sum()


def test_transfer_matrix_against_every_configuration():
    """On 2 x 2 with few hops: the remainder decreases by the same factor with each further pair of hops."""
    theory = Theory(24, 1, 0.8)
    few, more = (mean_over(every_closed_configuration(hops), theory) for hops in (6, 8))
    found = exact.transfer_matrix(theory, 2)
    left_out = abs(more - (found.n, found.phi2))
    assert np.all(left_out < 0.1 * abs(few - (found.n, found.phi2)))
    assert np.all(left_out < 1e-4 * more)


def ring(theory, most_hops):
    """n and |phi|^2 on 2 x 2, a ring of four bonds of two links: s hops on a bond, j of them net around the ring."""
    s = np.arange(most_hops + 1)
    w, w_more = (np.exp(log_weight(theory, 2 * most_hops + 2)[np.add.outer(s, s) + power]) for power in (0, 2))
    z = hops_in_time = phi2 = 0.0
    for j in range(-most_hops, most_hops + 1):
        ways = np.zeros(len(s))
        for i in range(abs(j), most_hops + 1, 2):
            ways[i] = 1 / math.factorial((i + j) // 2) / math.factorial((i - j) // 2)
        space, time = (np.diag(ways * factor**s) for factor in (2.0, 2 * math.cosh(theory.mu)))
        rest = space @ w @ time @ w @ space @ w
        z += np.trace(time @ w @ rest)
        hops_in_time += 2 * np.trace(s[:, None] * time @ w @ rest)
        phi2 += np.trace(time @ w_more @ rest)
    return hops_in_time * math.tanh(theory.mu) / 4 / z, phi2 / z


@pytest.mark.parametrize("theory", [Theory(4.01, 1, 1.05), Theory(8, 1, -1), Theory(4.01, 1, 1.5), Theory(-1, 4, 1)])
def test_transfer_matrix_against_the_ring(theory):
    """The sum over all hops on 2 x 2, converged at 80 hops per bond."""
    found, expected = exact.transfer_matrix(theory, 2), ring(theory, 100)
    assert expected == pytest.approx(ring(theory, 80), rel=ROUNDING)
    assert (found.n, found.phi2) == pytest.approx(expected, rel=exact.ACCURACY)


@pytest.mark.parametrize("n_t", [2, 5])
def test_transfer_matrix_against_the_free_field(n_t):
    theory = Theory(7, 0, 0.9)
    found, expected = exact.transfer_matrix(theory, n_t), exact.free_field(theory, (n_t, 2))
    assert (found.n, found.phi2) == pytest.approx((expected.n, expected.phi2), rel=exact.ACCURACY)


def test_long_lattice():
    """Far below the onset n is exponentially small, with full relative accuracy; no power of M overflows."""
    short, long = (exact.transfer_matrix(Theory(6, 1, 0.5), n_t) for n_t in (100, 200))
    assert 0 < long.n < short.n**1.9
    assert long.phi2 == pytest.approx(short.phi2, rel=1e-9)


def test_truncation_converges():
    """In the densest case, k_t up to 8, a small cutoff is visibly wrong, and the coarse truncation already exact."""
    theory, n_t = Theory(4.01, 1, 1.5), 8
    found = exact.transfer_matrix(theory, n_t)
    change = [
        np.abs(exact._truncated(theory, n_t, m_max, 1e-6) / (found.n, found.phi2) - 1).max() for m_max in (14, 20, 26)
    ]
    assert change[0] > 1e-4
    assert change[0] > 100 * change[1] > 10000 * change[2]
    assert 0 < found.truncation < exact.ACCURACY


def test_dropped_states():
    """Dropping states of equal k0 and k1 at fixed m_max lowers Tr M; the change decreases with the cutoff."""
    theory = Theory(4.01, 1, 1.05)
    values = [exact._truncated(theory, 6, 30, smallest) for smallest in (1e-2, 1e-4, 1e-6, 1e-8)]
    change = [np.abs(value / values[-1] - 1).max() for value in values[:-1]]
    assert change[0] > 1e-5
    assert change[0] > 10 * change[1] > 100 * change[2]


def test_reversed_chemical_potential():
    forward, backward = (exact.transfer_matrix(Theory(8, 1, mu), 4) for mu in (1.0, -1.0))
    assert (backward.n, backward.phi2) == pytest.approx((-forward.n, forward.phi2), rel=ROUNDING)
    assert exact.transfer_matrix(Theory(8, 1, 0.0), 4).n == 0


def test_solve_picks_the_oracle():
    free, interacting = Theory(4.8, 0, 0.3), Theory(12, 1, 1)
    assert exact.solve(free, (4, 2)) == exact.free_field(free, (4, 2))
    assert exact.solve(replace(free, eta=7.0), (3, 2, 4)) == exact.free_field(Theory(7, 0, 0.3), (3, 2, 4))
    assert exact.solve(interacting, (3, 2)) == exact.transfer_matrix(interacting, 3)


@pytest.mark.parametrize("shape", [(2, 3), (4,), (4, 2, 2)])
def test_no_oracle(shape):
    with pytest.raises(InputError, match=r"free_field.*transfer_matrix") as failed:
        exact.solve(Theory(4.25, 1, 1), shape)
    assert "\n" not in str(failed.value)


def test_refused():
    with pytest.raises(InputError, match="lam = 1"):
        exact.free_field(Theory(4.25, 1, 1), (4, 4))
    with pytest.raises(StabilityError):
        exact.free_field(Theory(4.0, 0, 0.3), (4, 4))
    with pytest.raises(StabilityError):
        exact.transfer_matrix(Theory(4.0, 0, 0.3), 4)
    with pytest.raises(InputError, match="at least 2"):
        exact.solve(Theory(4.25, 1, 1), (1, 2))
    with pytest.raises(InputError, match="too large for the transfer matrix"):
        exact.transfer_matrix(Theory(4.01, 1, 3.0), 8)


@pytest.mark.parametrize(
    "theory",
    [
        Theory(1e-8, 1e-8, 617),
        Theory(11, 1e7, 143),
        Theory(-5000, 0.2, 1),
        Theory(-27, 0.003, 0),
        Theory(1, 1e-90, 0),
    ],
)
def test_couplings_with_fluxes_that_are_too_large(theory):
    for n_t in (2, 10**9):
        with pytest.raises(InputError, match=r"too large for the transfer matrix.*; raise eta or lam"):
            exact.transfer_matrix(theory, n_t)


@pytest.mark.parametrize("theory", [Theory(1e70, 15, -1), Theory(1e-60, 1e13, 1e-300), Theory(-1e6, 1e88, 0.1)])
def test_couplings_with_an_empty_lattice(theory):
    """No hops: |phi|^2 is that of an isolated site."""
    found = exact.transfer_matrix(theory, 4)
    assert abs(found.n) < 1e-20
    assert found.phi2 == pytest.approx(weight_ratio(theory, 0)[0], rel=1e-9)


def test_lattices_that_no_memory_holds():
    with pytest.raises(InputError, match="choose smaller extents"):
        exact.free_field(Theory(5, 0, 0), (10**5, 10**5))
    with pytest.raises(InputError, match=r"the momenta of 46000x46000: more than the .* GiB of memory"):
        exact.free_field(Theory(5, 0, 0), (46000, 46000))
