"""Thermalisation, spacing and open-sector weight, determined by pilots."""

from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

from fluxeq import exact, observables
from fluxeq.errors import InputError, StabilityError
from fluxeq.sampling import chains, tuning
from fluxeq.theory import Theory

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

N_THREADS = 2
THEORY, SHAPE = Theory(4.01, 1, 1.05), (4, 2)


def test_tune():
    """Thermalisation and spacing are positive, and depend on the seed only."""
    started = chains.empty_chains(SHAPE, 4, seed=1)
    lines = []
    thermal, found = tuning.tune(THEORY, started, report=lines.append)
    again, same = tuning.tune(THEORY, started, record=partial(chains.record, n_threads=2))
    assert found == same
    for one, other in zip(thermal, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.spacing >= 2 * found.tau_int > 0
    assert (thermal.worms == found.thermalisation).all()
    assert found.thermalisation >= tuning.PILOT_LENGTH
    assert 0.9 < found.entry < 1.1  # g is near 1 here
    assert lines
    assert all(line.startswith("pilot: stride ") for line in lines)


@pytest.mark.parametrize(
    ("theory", "shape"),
    [(THEORY, SHAPE), (Theory(4.01, 1, -1.5), (8, 2)), (Theory(4.25, 1, 0.9), (5, 2)), (Theory(4.8, 0, 0.65), (5, 3))],
)
def test_chains_begin_on_both_sides(theory, shape):
    """Every other lattice is closed and denser than in equilibrium, and the others are empty."""
    begun = tuning.overdispersed(theory, chains.empty_chains(shape, 5, seed=1))
    _, stored = chains.record(theory, begun, 0, 1)
    k = begun.hops[:, 0].astype(int) - begun.hops[:, 1]
    full = np.concatenate([k, np.zeros_like(k)], axis=1)
    assert not observables.divergence(full).any()
    density = observables.n(theory, full)
    assert (density[1::2] == 0).all()
    assert (np.abs(density[::2]) > 1.2 * abs(exact.solve(theory, shape).n)).all()
    assert (np.sign(density[::2]) == np.sign(theory.mu)).all()
    assert stored.shape[1] == 0


@pytest.mark.parametrize("is_dispersed", [True, False], ids=["both sides", "control"])
def test_chains_whose_density_is_stuck_are_not_at_rest(monkeypatch, is_dispersed):
    """All but n fluctuates, as before the first worm winds around; empty lattices alone would appear thermalised."""
    rng = np.random.default_rng(1)

    def stuck(theory, state, n, spacing, *, entry):
        k = (state.hops[:, 0].astype(int) - state.hops[:, 1])[:, None].repeat(n, axis=1)
        return state, np.concatenate([k, rng.integers(0, 2, k.shape)], axis=2).astype(np.int8)

    if not is_dispersed:
        monkeypatch.setattr(tuning, "overdispersed", lambda theory, state: state)
    refused = pytest.raises(InputError, match="do not thermalise") if is_dispersed else nullcontext()
    with refused:
        tuning.tune(THEORY, chains.empty_chains(SHAPE, 4, seed=1), record=stuck)


def test_tuned_configurations_are_nearly_independent():
    """At the chosen spacing of 2 tau_int, rho(1) is near e^-2 and below 0.3; after one worm it is near 1."""
    theory, shape = Theory(4.25, 1, 0.5), (8, 8)  # dilute, hence short worms
    thermal, found = tuning.tune(theory, chains.empty_chains(shape, 8, seed=1))
    rho = {}
    for spacing in (found.spacing, 1):
        _, run = chains.record(theory, thermal, 1000, spacing, n_threads=N_THREADS)
        series = observables.hop_pairs(run.reshape(-1, 4, *shape)).reshape(8, -1)
        rho[spacing] = np.mean([np.corrcoef(one[:-1], one[1:])[0, 1] for one in series])
    assert rho[found.spacing] < 0.3
    assert rho[1] > 0.8


def test_each_chain_comes_to_rest():
    """Many chains span many tau_int together long before any of them has forgotten its start."""
    _, found = tuning.tune(Theory(4.25, 1, 0.5), chains.empty_chains((8, 8), 256, seed=1))
    assert found.thermalisation >= 20 * found.tau_int


@pytest.mark.parametrize("n_chains", [1, 2, 3])
def test_too_few_chains_are_refused(n_chains):
    """They would never span 400 tau_int: 64 configurations each are at most 128 tau_int."""
    assert 3 * tuning.PILOT_LENGTH / 0.5 < tuning.PILOT_TAU < tuning.FEWEST_CHAINS * tuning.PILOT_LENGTH / 0.5
    with pytest.raises(InputError, match=f"chains of a pilot = {n_chains}: must be an integer of at least 4"):
        tuning.tune(THEORY, chains.empty_chains(SHAPE, n_chains, seed=1))


VACUUM = Theory(1e4, 1, 0)


@pytest.mark.parametrize("shape", [(2,), (4, 4), (30, 2), (2, 3, 2)])
def test_where_nothing_fluctuates(shape):
    """A pilot counts after several worms per site; the start, half of which was filled, is forgotten."""
    lines = []
    thermal, found = tuning.tune(VACUUM, chains.empty_chains(shape, 4, seed=1), report=lines.append)
    assert found.spacing >= tuning.WORMS_PER_SITE * np.prod(shape)
    assert found.spacing == 2 * found.tau_int
    assert found.thermalisation < 300 * tuning.WORMS_PER_SITE * np.prod(shape)
    assert not thermal.hops.any()
    assert all(line.startswith("pilot: stride ") for line in lines)


def constant(n_of_chains, n_of_last=None):
    """A sampler whose chains each keep a density of their own, or have two in succession."""

    def record(theory, state, n, spacing, *, entry):
        made = np.zeros((len(state.hops), n, 4, *SHAPE), dtype=np.int8)
        made[:, :, 0] = np.array(n_of_chains)[:, None, None, None]
        if n_of_last is not None:
            made[:, n // 2 :, 0] = n_of_last
        tally = state.tally.copy()
        tally[:, chains.ENTER, 0] += n * spacing
        return state._replace(tally=tally), made

    return record


@pytest.mark.parametrize(
    ("record", "is_at_rest"),
    [
        (constant([0, 0, 0, 0]), True),
        (constant([2, 2, 2, 2]), True),
        (constant([3, 0, 3, 0], 0), True),
        (constant([3, 0, 3, 0]), False),
        (constant([0, 0, 0, 1]), False),
    ],
    ids=["empty", "the same", "the start is left behind", "control: both sides", "control: one of them"],
)
def test_constant_chains_are_at_rest_if_they_agree(record, is_at_rest):
    with nullcontext() if is_at_rest else pytest.raises(InputError, match="do not thermalise"):
        _, found = tuning.tune(THEORY, chains.empty_chains(SHAPE, 4, seed=1), record=record)
        assert found.spacing == tuning.WORMS_PER_SITE * 8  # not before several worms per site


def test_pilots_fit_into_memory(monkeypatch):
    """Configurations are made in small portions, with the same result."""
    started = chains.empty_chains(SHAPE, 4, seed=1)
    whole = tuning.tune(THEORY, started)
    monkeypatch.setattr(tuning, "PILOT_MEMORY", 5 * 4 * 4 * 8)
    parts = tuning.tune(THEORY, started)
    assert parts[1].spacing == whole[1].spacing
    np.testing.assert_array_equal(parts[0].hops, whole[0].hops)


def test_tune_refuses_an_unstable_theory():
    with pytest.raises(StabilityError):
        tuning.tune(Theory(4.0, 0, 0.5), chains.empty_chains(SHAPE, 4, seed=1))
