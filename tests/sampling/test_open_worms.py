"""Open worms: in the requested numbers, with distinct ends, drawn into otherwise unchanged configurations."""

import numpy as np
import pytest

from fluxeq import observables
from fluxeq.errors import FluxOverflowError, InputError
from fluxeq.sampling import backends, chains, open_worms, tables
from fluxeq.theory import Theory, weight_ratio

THEORY = Theory(4.01, 1, 1.5)


def closed(shape, n_configurations, theory=THEORY):
    """Equilibrated configurations from one chain."""
    thermal, _ = chains.record(theory, chains.empty_chains(shape, 1, seed=1), 1, 300)
    _, run = chains.record(theory, thermal, n_configurations, 2)
    return run[0]


@pytest.mark.parametrize("shape", [(8, 8), (7, 5), (20,), (4, 3, 5)])
def test_number_and_ends(shape):
    """The requested number of worms: +1 at every tail, -1 at every head, 0 elsewhere, no site used twice."""
    theory = Theory(8.0, 1, 1.5)
    n_worms = np.arange(60) % 6
    drawn = open_worms.insert_worms(theory, closed(shape, 60, theory), n_worms, seed=3)
    np.testing.assert_array_equal(drawn.n_worms, n_worms)
    np.testing.assert_array_equal(observables.n_worms(drawn.configurations), n_worms)
    assert drawn.heads.shape == drawn.tails.shape == (60, 5, len(shape))
    expected = np.zeros((60, *shape), dtype=int)
    for i, n in enumerate(n_worms):
        assert (drawn.heads[i, n:] == -1).all()
        assert (drawn.tails[i, n:] == -1).all()
        for head, tail in zip(drawn.heads[i, :n], drawn.tails[i, :n], strict=True):
            expected[i][tuple(tail)] += 1
            expected[i][tuple(head)] -= 1
        assert np.abs(expected[i]).sum() == 2 * n
    np.testing.assert_array_equal(observables.divergence(drawn.configurations), expected)


def test_without_worms_nothing_changes():
    """The partner is unchanged, and so is the array that was passed."""
    before = closed((6, 4), 10)
    given = before.copy()
    drawn = open_worms.insert_worms(THEORY, given, np.array([0, 3] * 5), seed=1)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(drawn.configurations[::2], before[::2])
    assert drawn.configurations.dtype == np.int8
    assert (drawn.configurations[1::2] != before[1::2]).any(axis=(1, 2, 3)).all()
    none = open_worms.insert_worms(THEORY, given, np.zeros(10, dtype=int), seed=1)
    np.testing.assert_array_equal(none.configurations, before)
    assert none.heads.shape == (10, 0, 2)


def test_only_the_worm_differs():
    """Each move changes one hop by one: at least as many as separate head and tail, and hardly more than were drawn.

    For even extents, moves and distance have the same parity.
    """
    before = closed((8, 8), 200)
    drawn = open_worms.insert_worms(THEORY, before, np.ones(200, dtype=int), seed=2)
    difference = chains.hops_of(drawn.configurations).astype(int) - chains.hops_of(before)
    changed = np.abs(difference).reshape(200, -1).sum(axis=1)
    apart = np.abs(drawn.heads - drawn.tails)[:, 0]
    distance = np.minimum(apart, 8 - apart).sum(axis=1)
    assert (changed >= distance).all()
    assert ((changed - distance) % 2 == 0).all()
    assert np.mean(changed <= 16) > 0.9
    assert 4 < changed.mean() < 6  # of 8.5 moves, less those undone


def test_the_seed_decides():
    before, n_worms = closed((6, 6), 20), np.full(20, 2)
    first, same, other = (open_worms.insert_worms(THEORY, before, n_worms, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.configurations, same.configurations)
    np.testing.assert_array_equal(first.heads, same.heads)
    assert (first.configurations != other.configurations).any()


def test_plain_python_is_compiled_bit_for_bit():
    before, n_worms = closed((4, 4), 20), np.arange(20) % 4
    plain = backends.bind(np.errstate(over="ignore"))
    one, other = (open_worms.insert_worms(THEORY, before, n_worms, seed=1, moves=moves) for moves in (plain, None))
    for name in ("configurations", "n_worms", "heads", "tails"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_tables_grow(monkeypatch):
    """A table that is always too short gives the same result as a long one."""
    nothing, n_worms, asked = np.zeros((20, 4, 4, 4), dtype=np.int8), np.full(20, 4), []

    def shortest(theory, p):
        asked.append(int(p.max()))
        return weight_ratio(theory, 2 * asked[-1] + 2)[::2].copy()

    real = open_worms.insert_worms(THEORY, nothing, n_worms, seed=1)
    monkeypatch.setattr(tables, "ratios", shortest)
    grown = open_worms.insert_worms(THEORY, nothing, n_worms, seed=1)
    np.testing.assert_array_equal(grown.configurations, real.configurations)
    assert len(asked) > 1


def test_overflow_names_the_link():
    """Configurations at the limit of int8: a worm that exceeds it is an error, never an overflow."""
    full = np.zeros((30, 4, 2, 2), dtype=np.int8)
    full[:, 0] = 127
    with pytest.raises(FluxOverflowError, match=r"^\|k_t\| = 12[89] on the link from site \(\d, \d\) of chain \d+:"):
        open_worms.insert_worms(Theory(4.01, 1, 6.0), full, np.ones(30, dtype=int), seed=1)


@pytest.mark.parametrize(("shape", "most"), [((2, 2), 1), ((4, 4), 4), ((3, 3), 2)])
def test_too_many_worms(shape, most):
    """At most half of all sites are ends."""
    nothing = np.zeros((3, 4, *shape), dtype=np.int8)
    drawn = open_worms.insert_worms(THEORY, nothing, np.full(3, most), seed=1)
    assert (observables.n_worms(drawn.configurations) == most).all()
    with pytest.raises(InputError, match=f"^{most + 1} worms on .*at most {most}$"):
        open_worms.insert_worms(THEORY, nothing, np.full(3, most + 1), seed=1)
