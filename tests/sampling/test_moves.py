"""The moves in plain Python, one at a time: random numbers, detailed balance, storage, open worms."""

import math
from functools import cache

import numpy as np
import pytest

from fluxeq.lattice import neighbours
from fluxeq.sampling import backends, chains, moves
from fluxeq.sampling.moves import State
from fluxeq.sampling.tables import tables
from fluxeq.theory import Theory, log_weight

SCRIPTED, SCRIPT = backends.bind(lambda function: function), []
SCRIPTED.enter.__globals__["uniform"] = lambda rng, c: SCRIPT.pop(0)
PLAIN = backends.bind(np.errstate(over="ignore"))  # the random numbers wrap on purpose
ENTRY = 0.7  # so that entering and leaving are both refused at times
N_PAIRS = 200  # of states, for each move


def scripted(*numbers):
    """The moves with given numbers in place of the random ones."""
    SCRIPT[:] = numbers
    return SCRIPTED


def random_state(rng, shape):
    """Hops along a random walk of the head, up to 25 steps, often until it meets its tail; its ends."""
    d, n_sites, table = len(shape), math.prod(shape), neighbours(shape)
    hops, ends = np.zeros((2, d, n_sites), dtype=np.uint16), np.full(2, rng.integers(n_sites))
    closed, n_steps = rng.random() < 0.4, rng.integers(25)
    while n_steps > 0 or (closed and ends[0] != ends[1]):
        direction = rng.integers(2 * d)
        there = table[direction, ends[0]]
        hops[(0, direction, ends[0]) if direction < d else (1, direction - d, there)] += 1
        ends[0] = there
        n_steps -= 1
    return hops, ends


def powers(hops, ends, shape):
    """f at every site: hops that touch it, and one for each end."""
    total = np.zeros(shape, dtype=int)
    for nu in range(len(shape)):
        both = hops.reshape(2, len(shape), *shape)[:, nu].sum(axis=0, dtype=int)
        total += both + np.roll(both, 1, axis=nu)
    np.add.at(total.reshape(-1), ends[ends >= 0], 1)
    return total.ravel()


def state_of(hops, ends, shape):
    """One chain in that state; without random numbers, since they are scripted."""
    half, tally = powers(hops, ends, shape)[None] // 2, np.zeros((4, 2, 1), dtype=int)
    return State(
        hops.reshape(1, -1).copy(), half.astype(np.uint32), ends[:, None].copy(), None, tally, *chains.workspace(1)
    )


@cache
def log_weights(theory):
    return log_weight(theory, 200)


def log_probability(theory, hops, ends, shape):
    """ln of the weight of a state, from its definition; an open one has the weight ENTRY / V besides."""
    f = powers(hops, ends, shape)
    time = theory.mu * (hops[0, 0].sum(dtype=int) - hops[1, 0].sum(dtype=int))
    open_sector = math.log(ENTRY / len(f)) if ends[0] >= 0 else 0.0
    links = sum(math.lgamma(int(count) + 1) for count in hops.ravel())
    return time - links + log_weights(theory)[f].sum() + open_sector


def acceptance(accepted):
    """Largest random number with which a move is accepted, by bisection: the probability that it is."""
    if accepted(1 - 1e-14):
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    return low


@cache
def long_tables(theory, shape):
    """Tables for f up to 200."""
    return tables(theory, shape, np.array([100]), ENTRY)


def shifted(theory, hops, ends, shape, choice, chance):
    """The state after the given choice of a step of the head, and whether it was accepted."""
    number, state = (choice + chance) / (4 * len(shape)), state_of(hops, ends, shape)
    state.numbers[0], found = number, long_tables(theory, shape)
    PLAIN.choose(state, 0, found)
    changed = PLAIN.shift_head(state, 0, found)
    PLAIN.count_step(state, 0)
    after, there = state.hops.reshape(hops.shape), state.ends[:, 0]
    moved = int(there[0] != ends[0])
    assert moved == state.moved[0]
    assert state.tally.sum() == state.tally[moves.ADD if choice % 2 else moves.REMOVE, moved, 0] == 1
    assert changed in state.powers
    np.testing.assert_array_equal(2 * state.powers[0], powers(after, there, shape))
    return (after, there), moved


def probability_of_step(theory, hops, ends, shape, choice):
    """That a step of the head is proposed and accepted, relative to 1 / (4 d) proposed steps of each kind."""
    return acceptance(lambda chance: shifted(theory, hops, ends, shape, choice, chance)[1])


@pytest.mark.parametrize("shape", [(3,), (2, 2), (4, 2), (3, 2, 4)])
def test_steps_of_the_head_balance(shape):
    """P(A) P(A to B) = P(B) P(B to A) for every step; the step back undoes or restores the hop the other way.

    Where head and tail meet a step is proposed half as often, and the state weighs twice as much: that cancels.
    """
    theory, d, rng = Theory(1.5, 0.8, 0.6), len(shape), np.random.default_rng(1)
    compared = 0
    while compared < N_PAIRS:
        before, choice = random_state(rng, shape), int(rng.integers(4 * d))
        after, moved = shifted(theory, *before, shape, choice, 0.0)
        if not moved:
            assert not choice & 1  # only undoing a hop that is not there is impossible
            continue
        back = 2 * ((choice // 2 + d) % (2 * d)) + 1 - choice % 2
        there, again = (probability_of_step(theory, *end) for end in ((*before, shape, choice), (*after, shape, back)))
        change = log_probability(theory, *after, shape) - log_probability(theory, *before, shape)
        assert math.log(there) == pytest.approx(change + math.log(again), abs=1e-9)
        np.testing.assert_array_equal(shifted(theory, *after, shape, back, 0.0)[0][0], before[0])
        compared += 1


@pytest.mark.parametrize("shape", [(3,), (4, 2), (3, 2, 2)])
def test_entering_and_leaving_balance(shape):
    """The coin where head and tail meet leaves half of the proposals; the state weighs twice as much."""
    theory, rng, n_sites = Theory(1.5, 0.8, 0.6), np.random.default_rng(2), math.prod(shape)
    found = long_tables(theory, shape)
    for _ in range(N_PAIRS):
        hops, ends = random_state(rng, shape)
        if ends[0] != ends[1]:
            continue
        site, closed = int(rng.integers(n_sites)), np.full(2, -1)
        opened = np.full(2, site)

        def entered(chance, hops=hops, site=site, closed=closed):
            state = state_of(hops, closed, shape)
            scripted((site + 0.5) / n_sites, chance).enter(state, 0, found)
            return state.ends[0, 0] == site

        def left(chance, hops=hops, opened=opened):
            state = state_of(hops, opened, shape)
            scripted(chance).leave(state, 0, found)
            return state.ends[0, 0] < 0

        change = log_probability(theory, hops, opened, shape) - log_probability(theory, hops, closed, shape)
        there, back = acceptance(entered) / n_sites, acceptance(left)
        assert math.log(there) == pytest.approx(change + math.log(back), abs=1e-9)


def test_random_numbers():
    """xoroshiro128++ from the state 1, 2, against whole numbers of any size; each chain has a stream of its own."""
    mask, first, second, expected = 2**64 - 1, 1, 2, []
    for _ in range(20):
        total = (first + second) & mask
        expected.append((((total << 17) | (total >> 47)) + first) & mask)
        second ^= first
        first = ((first << 49) | (first >> 15)) & mask ^ second ^ (second << 21) & mask
        second = ((second << 28) | (second >> 36)) & mask
    state = np.array([[7, 1, 1], [7, 2, 2]], dtype=np.uint64)
    assert [int(PLAIN.random_bits(state, 1)) for _ in expected] == expected
    assert [PLAIN.uniform(state, 2) for _ in expected] == [(value >> 11) * 2.0**-53 for value in expected]
    assert (state[:, 0] == 7).all()
    assert expected[:2] == [393217, 669327710093319]  # as other implementations publish


def test_store_fluxes():
    """k and l from hops; 127 fits, 128 does not."""
    hops, fluxes = np.zeros((2, 2, 3), dtype=np.uint16), np.zeros((2, 3), dtype=np.int8)
    hops[1] = [[5, 0, 254], [2, 127, 127]]
    assert PLAIN.store_fluxes(hops.reshape(2, 6), 1, fluxes)
    np.testing.assert_array_equal(fluxes, [[3, -127, 127], [2, 0, 127]])
    for too_many in ([128, 0], [0, 128], [128, 128]):
        hops[1, :, 1] = too_many
        assert not PLAIN.store_fluxes(hops.reshape(2, 6), 1, fluxes)


def drawn_worm(rng, theory, shape, longest):
    """Moves made and wanted by one open worm in an empty lattice, and its ends."""
    d, n_sites = len(shape), math.prod(shape)
    heads, tails, done = np.full(1, -1), np.full(1, -1), np.zeros(3, dtype=np.int64)
    hops, half = np.zeros((1, 2 * d * n_sites), np.uint16), np.zeros((1, n_sites), np.uint32)
    state = State(hops, half, np.full((2, 1), -1), rng, np.zeros((4, 2, 1), int), *chains.workspace(1))
    assert PLAIN.add_worms(state, 0, long_tables(theory, shape), done, longest, heads, tails) == moves.DONE
    return done[1], done[2], heads[0], tails[0]


def test_length_and_place_of_open_worms():
    """Lengths wanted and tails are uniform (chi^2 within 4 widths); longer only where the head met the tail."""
    rng, shape, longest, n_worms = np.array([[1], [2]], dtype=np.uint64), (4, 2), 6, 1200
    theory = Theory(4.01, 1, 1)
    worms = [drawn_worm(rng, theory, shape, longest) for _ in range(n_worms)]
    made, wanted, heads, tails = np.array(worms).T
    for values, n_values in ((wanted - 1, longest), (tails, 8)):
        expected = n_worms / n_values
        chi2 = np.sum((np.bincount(values, minlength=n_values) - expected) ** 2) / expected
        assert abs(chi2 - (n_values - 1)) < 4 * math.sqrt(2 * (n_values - 1))
    assert (heads != tails).all()
    assert (made >= wanted).all()
    assert (made[wanted == 1] == 1).all()
    assert 0 < np.mean(made > wanted) < 0.5
