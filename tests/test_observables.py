"""Observables against loops over sites and configurations computed by hand, in one, two and three dimensions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fluxeq import observables
from fluxeq.errors import InputError
from fluxeq.theory import Theory, log_weight

THEORY = Theory(4.01, 1.0, 1.05)


@st.composite
def fluxes(draw, largest=127):
    """Any k and any l >= 0 up to ``largest``, on lattices in one to three dimensions; closed or not."""
    d = draw(st.integers(1, 3))
    n, *shape = draw(st.tuples(st.integers(1, 3), *[st.integers(2, 4)] * d))
    k = draw(hnp.arrays(np.int8, (n, d, *shape), elements=st.integers(-largest, largest)))
    l = draw(hnp.arrays(np.int8, (n, d, *shape), elements=st.integers(0, largest)))
    return np.concatenate([k, l], axis=1)


def links_at(shape, site):
    """The links at a site: direction, site where the link starts, +1 if it leaves and -1 if it arrives."""
    for nu, extent in enumerate(shape):
        before = list(site)
        before[nu] = (site[nu] - 1) % extent
        yield nu, tuple(site), 1
        yield nu, tuple(before), -1


@settings(max_examples=30, deadline=None, derandomize=True)
@given(fluxes())
def test_against_loops(configurations):
    _, channels, *shape = configurations.shape
    d = channels // 2
    divergence, f = observables.divergence(configurations), observables.field_powers(configurations)
    for i, configuration in enumerate(configurations.astype(int)):
        k, l = configuration[:d], configuration[d:]
        for site in np.ndindex(*shape):
            links = list(links_at(shape, site))
            assert divergence[i][site] == sum(sign * k[nu][start] for nu, start, sign in links)
            assert f[i][site] == sum(abs(k[nu][start]) + 2 * l[nu][start] for nu, start, _ in links)
        assert observables.n(THEORY, configurations)[i] == pytest.approx(sum(k[0].flat) / k[0].size, rel=1e-14)
        assert observables.hop_pairs(configurations)[i] == pytest.approx(sum(l.flat) / l.size, rel=1e-14)
        assert observables.n_worms(configurations)[i] == sum(abs(total) for total in divergence[i].flat) // 2


@settings(max_examples=15, deadline=None, derandomize=True)
@given(fluxes(largest=5))
def test_phi2(configurations):
    """The mean of W(f+2) / W(f), with f from the sum over links above."""
    f = observables.field_powers(configurations)
    log_w = log_weight(THEORY, f.max() + 2)
    expected = [np.mean([np.exp(log_w[i + 2] - log_w[i]) for i in sites.ravel()]) for sites in f]
    np.testing.assert_allclose(observables.phi2(THEORY, configurations), expected, rtol=1e-12)


@pytest.mark.parametrize("block", [1, 30, 100])
def test_blocks_change_no_bit(monkeypatch, block):
    """Seven configurations of twelve sites: one at a time, or two and a last one, or all."""
    rng = np.random.default_rng(1)
    configurations = np.abs(rng.integers(-3, 4, (7, 4, 4, 3))).astype(np.int8)
    whole = observables.phi2(THEORY, configurations), observables.n_worms(configurations)
    monkeypatch.setattr(observables, "BLOCK", block)
    for name, values in zip(("phi2", "n_worms"), whole, strict=True):
        arguments = (THEORY, configurations) if name == "phi2" else (configurations,)
        np.testing.assert_array_equal(getattr(observables, name)(*arguments), values)
    assert len(set(whole[0])) == 7


def empty(*shape):
    return np.zeros((1, 2 * len(shape), *shape), dtype=np.int8)


def test_loop_around_time():
    """One particle world line on 4 x 2: n = 1 / N_x, f = 2 on the line."""
    configuration = empty(4, 2)
    configuration[0, 0, :, 1] = 1
    assert not observables.divergence(configuration).any()
    assert observables.n(THEORY, configuration) == [0.5]
    np.testing.assert_array_equal(observables.field_powers(configuration)[0], [[0, 2]] * 4)
    assert observables.n_worms(configuration) == [0]


def test_plaquette():
    """A loop of four links: closed, with zero density, f = 2 at its corners."""
    configuration = empty(5, 4)
    configuration[0, 0, 4, 3] = 1  # up from (4, 3) to (0, 3)
    configuration[0, 1, 0, 3] = 1  # right to (0, 0)
    configuration[0, 0, 4, 0] = -1  # down to (4, 0)
    configuration[0, 1, 4, 3] = -1  # left to (4, 3)
    assert not observables.divergence(configuration).any()
    assert observables.n(THEORY, configuration) == [0]
    expected = np.zeros((5, 4))
    expected[np.ix_([4, 0], [3, 0])] = 2
    np.testing.assert_array_equal(observables.field_powers(configuration)[0], expected)


def test_open_worm():
    """A path of three links with turns: +1 at its tail, -1 at its head, 0 elsewhere."""
    configuration = empty(4, 4)
    configuration[0, 0, 3, 1] = 1  # from (3, 1) to (0, 1)
    configuration[0, 1, 0, 1] = 1  # to (0, 2)
    configuration[0, 0, 3, 2] = -1  # to (3, 2)
    divergence = observables.divergence(configuration)[0]
    expected = np.zeros((4, 4))
    expected[3, 1], expected[3, 2] = 1, -1
    np.testing.assert_array_equal(divergence, expected)
    assert observables.n_worms(configuration) == [1]


def test_pairs_of_hops():
    """l = 1 on one link of 2 x 2: f = 2 at both ends, no flux; for lam = 0, |phi|^2 = (f / 2 + 1) / eta at a site."""
    configuration = empty(2, 2)
    configuration[0, 3, 0, 0] = 1  # l_x
    np.testing.assert_array_equal(observables.field_powers(configuration)[0], [[2, 2], [0, 0]])
    assert observables.hop_pairs(configuration) == [1 / 8]
    assert observables.phi2(Theory(5, 0, 0), configuration)[0] == pytest.approx((2 + 2 + 1 + 1) / 4 / 5, rel=1e-14)


def test_largest_fluxes_do_not_wrap():
    """127 everywhere: f = 4 (127 + 2 * 127) in two dimensions, far beyond int8."""
    configuration = np.full((1, 4, 3, 3), 127, dtype=np.int8)
    assert (observables.field_powers(configuration) == 4 * 3 * 127).all()
    assert observables.n(THEORY, configuration) == [127]
    assert not observables.divergence(configuration).any()


def test_no_configurations():
    nothing = np.zeros((0, 4, 4, 2), dtype=np.int8)
    assert observables.n(THEORY, nothing).shape == observables.phi2(THEORY, nothing).shape == (0,)


@pytest.mark.parametrize("shape", [(3, 4), (3, 3, 4, 4), (3, 4, 4), (3, 2, 4, 4)])
def test_wrong_number_of_channels(shape):
    with pytest.raises(InputError, match="2 d"):
        observables.split(np.zeros(shape, dtype=np.int8))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda theory, k: 1 / 0, "fails with ZeroDivisionError"),
        (lambda theory, k: k, r"but returns int8 \(3, 4, 4, 2\)"),
        (lambda theory, k: np.array(["a"] * len(k)), "but returns <U1"),
        (lambda theory, k: np.full(len(k), np.nan), "must return finite numbers, but returns nan"),
    ],
)
def test_functions_that_are_no_observables(monkeypatch, function, message):
    monkeypatch.setitem(observables.OBSERVABLES._found, "fluxeq:own", function)
    with pytest.raises(InputError, match=f"observable 'fluxeq:own': .*{message}"):
        observables.observed("fluxeq:own", THEORY, np.zeros((3, 4, 4, 2), dtype=np.int8))


def test_observables_by_name():
    configurations = np.zeros((3, 4, 4, 2), dtype=np.int8)
    for name in ("n", "phi2", "fluxeq.observables:n"):
        assert observables.observed(name, THEORY, configurations).shape == (3,)
    with pytest.raises(InputError, match="observable 'nothing': choose one of n, phi2"):
        observables.observed("nothing", THEORY, configurations)
