"""Independent chains against exact n and |phi|^2; they depend on the seed only."""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fluxeq import exact, observables
from fluxeq.errors import FluxOverflowError, InputError, StabilityError
from fluxeq.sampling import backends, chains, tables
from fluxeq.testing import z_score
from fluxeq.theory import Theory, weight_ratio

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

N_CHAINS, N_THREADS = 16, 2
THEORY, SHAPE = Theory(4.01, 1, 1.05), (4, 2)

POINTS = {  # theory, shape, worms between configurations
    "free, one dimension": (Theory(3.0, 0, 0.7), (5,), 120),
    "free, odd": (Theory(4.8, 0, 0.65), (5, 3), 500),
    "free, three dimensions": (Theory(7.0, 0, 0.85), (3, 2, 3), 300),
    "free, entries are refused": (Theory(12.0, 0, 2.2), (4, 2), 200),
    "two columns": (Theory(4.01, 1, 1.0), (8, 2), 80),
    "two columns, dilute": (Theory(4.25, 1, 0.9), (5, 2), 250),
    "two columns, dense": (Theory(4.01, 1, 1.5), (8, 2), 10),
}


def means(theory, shape, n_configurations, spacing, *, n_chains=N_CHAINS, moves=None, entry=1.0):
    """n and |phi|^2 of each chain, after thermalisation for a tenth of the run."""
    started = chains.empty_chains(shape, n_chains, seed=5)
    wait = n_configurations * spacing // 10
    thermal, _ = chains.record(theory, started, 1, wait, n_threads=N_THREADS, moves=moves, entry=entry)
    _, run = chains.record(theory, thermal, n_configurations, spacing, n_threads=N_THREADS, moves=moves, entry=entry)
    flat = run.reshape(-1, 2 * len(shape), *shape)
    assert not observables.divergence(flat).any()
    values = {"n": observables.n(theory, flat), "phi2": observables.phi2(theory, flat)}
    return {name: series.reshape(n_chains, -1).mean(axis=1) for name, series in values.items()}


@cache
def point(name):
    theory, shape, spacing = POINTS[name]
    return means(theory, shape, 2500, spacing)


@cache
def oracle(theory, shape, shift=0.0):
    return exact.solve(replace(theory, mu=theory.mu + shift), shape)


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (0.05, False)], ids=["exact", "power"])
@pytest.mark.parametrize("observable", ["n", "phi2"])
@pytest.mark.parametrize("name", POINTS)
def test_against_the_oracle(name, observable, shift, agrees):
    """Within 4 standard errors, from the spread of independent chains; errors are below 1 %, so a bias would show."""
    values, expected = point(name)[observable], getattr(oracle(*POINTS[name][:2], shift), observable)
    assert values.std(ddof=1) / np.sqrt(N_CHAINS) < 0.01 * expected
    z = z_score(values, expected)
    assert abs(z) < 4 if agrees else abs(z) > 6


@pytest.mark.parametrize(("entry", "spacing"), [(0.5, 120), (30.0, 15)])
def test_weight_of_entering_is_arbitrary(entry, spacing):
    """At 0.5 most entries are rejected, at 30 most attempts to leave; both are steps of the chain."""
    theory, shape = Theory(4.25, 1, 1.25), (6, 2)
    expected, values = oracle(theory, shape), means(theory, shape, 1000, spacing, entry=entry)
    for observable in ("n", "phi2"):
        assert values[observable].std(ddof=1) / np.sqrt(N_CHAINS) < 0.01 * getattr(expected, observable)
        assert abs(z_score(values[observable], getattr(expected, observable))) < 4


@cache
def plain_densities(theory, shape):
    """n of each chain from the plain moves, continued from chains thermalised with the compiled ones."""
    thermal, _ = chains.record(theory, chains.empty_chains(shape, N_CHAINS, seed=5), 1, 500)
    _, run = chains.record(theory, thermal, 10, 1, moves=backends.reference())
    return observables.n(theory, run.reshape(-1, 4, *shape)).reshape(N_CHAINS, -1).mean(axis=1)


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (-0.4, False)], ids=["exact", "power"])
def test_plain_python_against_the_oracle(shift, agrees):
    """A dense point, where 160 worms give n to 6 %; bitwise the compiled moves, tested more strictly above."""
    theory, shape = Theory(4.01, 1, 1.5), (8, 2)
    values, expected = plain_densities(theory, shape), oracle(theory, shape, shift).n
    assert values.std(ddof=1) / np.sqrt(N_CHAINS) < 0.06 * oracle(theory, shape).n
    z = z_score(values, expected)
    assert abs(z) < 4 if agrees else abs(z) > 6


@pytest.mark.parametrize(("theory", "shape"), [(THEORY, SHAPE), (Theory(3.0, 0, 0.7), (5,)), (THEORY, (3, 2, 2))])
def test_plain_python_is_compiled_bit_for_bit(theory, shape):
    started = chains.empty_chains(shape, 2, seed=3)
    plain, compiled = (chains.record(theory, started, 10, 20, moves=moves) for moves in (backends.reference(), None))
    assert_equal(plain, compiled)


def assert_equal(first, second):
    """Two results of ``record`` agree in every bit: state and configurations."""
    for one, other in zip([*first[0], first[1]], [*second[0], second[1]], strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_threads_do_not_matter():
    started = chains.empty_chains(SHAPE, 5, seed=1)
    assert_equal(*(chains.record(THEORY, started, 20, 10, n_threads=n_threads) for n_threads in (1, 3)))


def test_half_a_run_and_half_a_run_are_one_run():
    started = chains.empty_chains(SHAPE, 3, seed=1)
    middle, first = chains.record(THEORY, started, 12, 7)
    end, second = chains.record(THEORY, middle, 8, 7)
    assert_equal((end, np.concatenate([first, second], axis=1)), chains.record(THEORY, started, 20, 7))
    assert not started.hops.any()  # the start is not modified by the run


def test_streams_differ():
    """Between chains, and between seeds; equal seeds give equal chains."""
    runs = [chains.record(THEORY, chains.empty_chains(SHAPE, 2, seed), 20, 20)[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    for one, other in ((runs[0][0], runs[0][1]), (runs[0], runs[2])):
        assert (one != other).any()


@pytest.mark.parametrize("shape", [(2,), (2, 2), (3, 5), (2, 3, 4)])
def test_configurations_are_closed(shape):
    _, run = chains.record(Theory(7.0, 0, 0.7), chains.empty_chains(shape, 2, seed=1), 100, 5)
    flat = run.reshape(-1, 2 * len(shape), *shape)
    assert flat.dtype == np.int8
    assert flat.any()
    assert not observables.divergence(flat).any()
    assert (flat[:, len(shape) :] >= 0).all()


def test_hops_and_fluxes_belong_together():
    """The last configuration is the state, its hops are recovered from it, and powers agree with the observables."""
    end, run = chains.record(THEORY, chains.empty_chains(SHAPE, 4, seed=2), 5, 50)
    last = run[:, -1]
    np.testing.assert_array_equal(chains.hops_of(last), end.hops)
    p = chains.require_in_bounds(THEORY, chains.state_of(end), SHAPE, 0)
    np.testing.assert_array_equal(2 * p, observables.field_powers(last).reshape(4, -1))
    assert (end.worms == 5 * 50).all()


def test_tables_grow(monkeypatch):
    """A table that is always too short gives the same result as a long one and as the real one; f exceeds 64."""
    theory, started, asked = Theory(4.01, 1, 2.0), chains.empty_chains((4, 2), 2, seed=1), []

    def shortest(theory, p):
        asked.append(int(p.max()))
        return weight_ratio(theory, 2 * asked[-1] + 2)[::2].copy()

    real = chains.record(theory, started, 5, 20)
    monkeypatch.setattr(tables, "ratios", shortest)
    grown = chains.record(theory, started, 5, 20)
    monkeypatch.setattr(tables, "ratios", lambda theory, p: weight_ratio(theory, 400)[::2].copy())
    assert_equal(grown, real)
    assert_equal(grown, chains.record(theory, started, 5, 20))
    assert len(asked) > 10
    assert 2 * max(asked) > 32


def test_overflow_names_the_link():
    """mu = 4.5 drives k_t beyond 127: an error, never an overflow; the tables grow on the way."""
    message = r"^\|k_t\| = [1-9]\d\d on the link from site \(\d, \d\) of chain 0: .*int8"
    with pytest.raises(FluxOverflowError, match=message):
        chains.record(Theory(4.01, 1, 4.5), chains.empty_chains((2, 2), 1, seed=1), 50, 5)


def test_overflow_of_a_link_in_space():
    """l counts as well; chain and link are those of the largest flux."""
    hops = np.zeros((3, 2, 3, 2, 2, 4), dtype=np.uint16)
    hops[2, :, 2, 1, 0, 3] = 200, 130
    error = chains.overflow_error(THEORY, hops, first_chain=5)
    assert str(error).startswith("|l_x2| = 130 on the link from site (1, 0, 3) of chain 7:")


@pytest.mark.parametrize("shape", [SHAPE, (3,), (2, 2, 2)])
def test_more_chains_begin_like_fewer(shape):
    """One chain is therefore the first of four."""
    for one, other in zip(chains.empty_chains(shape, 1, 7), chains.empty_chains(shape, 4, 7), strict=True):
        np.testing.assert_array_equal(one, other[:1])


@pytest.mark.parametrize(
    ("theory", "d", "fits"),
    [
        (Theory(4.01, 1, 2.5), 2, True),  # the largest flux of 40 configurations on 8x8 is 82
        (Theory(4.01, 1, 3.0), 2, False),
        (Theory(4.01, 1, -3.0), 2, False),
        (Theory(-100, 1, 0), 2, True),  # l is 49 on average
        (Theory(-600, 1, 0), 2, False),
        (Theory(2, 1, 3), 1, False),
        (Theory(4.01, 1, 700), 2, False),
        (Theory(1e90, 1, 0), 3, True),
        (Theory(4.01, 1e-90, 1), 2, False),  # the free field has no ground state there
        (Theory(4.2, 1e-90, 0.1), 2, True),
        (Theory(-1e8, 1e8, 2), 2, True),  # |phi|^2 is 1/2
        (Theory(5, 0, 0.5), 2, True),
    ],
)
def test_fluxes_that_do_not_fit_are_known_beforehand(theory, d, fits):
    with (
        nullcontext()
        if fits
        else pytest.raises(FluxOverflowError, match=r"choose a smaller \|mu\| or larger eta or lam$")
    ):
        tables.require_storable(theory, d)


@pytest.mark.parametrize("theory", [Theory(4.01, 1, 3.0), Theory(-600, 1, 0), Theory(4.01, 0.01, 1.5)])
def test_what_is_refused_beforehand_does_overflow(theory):
    for refused in (
        lambda: tables.require_storable(theory, 2),
        lambda: chains.record(theory, chains.empty_chains((4, 4), 1, 1), 20, 20),
    ):
        with pytest.raises(FluxOverflowError):
            refused()


def test_tally():
    """Worms, acceptance and length follow from the moves; a kind never attempted has no acceptance."""
    started = chains.empty_chains(SHAPE, 3, seed=1)
    assert np.isnan(started.acceptance["add"])
    assert np.isnan(started.worm_length)
    end, _ = chains.record(THEORY, started, 10, 20)
    entered, left = end.tally[:, 0, 1].sum(), end.tally[:, 1, 1].sum()
    assert entered == left
    assert (end.worms == 200).all()
    assert end.acceptance["enter"] == entered / end.tally[:, 0].sum()
    assert end.worm_length == end.tally[:, 2:].sum() / left
    # Hops made minus hops undone are those present.
    assert end.tally[:, 3, 1].sum() - end.tally[:, 2, 1].sum() == end.hops.sum()


@pytest.mark.parametrize(
    ("shape", "n_chains", "seed", "named"),
    [((4, 1), 2, 1, "4x1"), ((), 2, 1, "empty"), ((4, 2), 0, 1, "chains = 0"), ((4, 2), 2, -1, "seed = -1")],
)
def test_impossible_starts(shape, n_chains, seed, named):
    with pytest.raises(InputError, match=named):
        chains.empty_chains(shape, n_chains, seed)


def test_a_runaway_link_ends_the_chain():
    """Hops pile up at large mu; the chain stops with an error long before counts overflow."""
    with pytest.raises(FluxOverflowError, match="the maximum stored flux is 127"):
        chains.record(Theory(2.0, 0.01, 6.0), chains.empty_chains((2, 2), 1, seed=1), 1, 100000)


def test_an_unstable_theory_is_refused():
    with pytest.raises(StabilityError):
        chains.record(Theory(2.0, 0.0, 1.0), chains.empty_chains((2, 2), 1, seed=1), 1, 1)
