"""The moves in plain Python, one at a time: random numbers, detailed balance, storage, open worms."""

import math
from functools import cache

import numpy as np
import pytest

from fluxeq.lattice import neighbours
from fluxeq.sampling import backends, chains, drivers, moves
from fluxeq.sampling.moves import State
from fluxeq.sampling.tables import tables
from fluxeq.theory import Theory, log_weight

SCRIPTED, SCRIPT = backends.bind(lambda function: function), []
SCRIPTED.enter.__globals__["uniform"] = lambda rng, c: SCRIPT.pop(0)
PLAIN = backends.bind(np.errstate(over="ignore"))  # the random numbers overflow on purpose
ENTRY = 0.7  # so that entering and leaving are both rejected at times
N_PAIRS = 200  # pairs of states, for each move
THEORY = Theory(1.5, 0.8, 0.6)


def scripted(*numbers):
    """The moves with given numbers in place of random ones."""
    SCRIPT[:] = numbers
    return SCRIPTED


def random_state(rng, shape):
    """Hops along a random walk of the head, up to 25 steps, often until it meets the tail; and the ends."""
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
    """f at every site: the hops that touch it, and one for each end."""
    total = np.zeros(shape, dtype=int)
    for nu in range(len(shape)):
        both = hops.reshape(2, len(shape), *shape)[:, nu].sum(axis=0, dtype=int)
        total += both + np.roll(both, 1, axis=nu)
    np.add.at(total.reshape(-1), ends[ends >= 0], 1)
    return total.ravel()


def state_of(hops, ends, shape):
    """One chain in this state, without random numbers, which are scripted."""
    arrivals, tally = chains.arrivals_of(hops.reshape(1, 2, len(shape), *shape)), np.zeros((4, 2, 1), dtype=int)
    state = State(arrivals, ends[:, None].copy(), np.zeros(1, np.int32), None, tally, *chains.workspace(1))
    if ends[1] >= 0:
        PLAIN.put(state, 0, np.uint64(ends[1]), 2 * len(shape), 1, long_tables(THEORY, shape))
    return state


@cache
def log_weights(theory):
    return log_weight(theory, 200)


def log_probability(theory, hops, ends, shape):
    """ln of the weight of a state, from its definition; an open one has the additional factor ENTRY L / V."""
    f = powers(hops, ends, shape)
    time = theory.mu * (hops[0, 0].sum(dtype=int) - hops[1, 0].sum(dtype=int))
    weights = theory.hop_weights(len(shape))
    open_sector = math.log(ENTRY * weights.sum() / len(f)) if ends[0] >= 0 else 0.0
    links = sum(math.lgamma(int(count) + 1) for count in hops.ravel())
    return time - links + log_weights(theory)[f].sum() + open_sector


def acceptance(accepted):
    """The acceptance probability of a move: by bisection, the largest random number with which it is accepted."""
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


def number_for(state, choice, shape):
    """A random number for which the head selects this choice, and the probability of that; 0 if it is impossible."""
    direction, head, found = choice // 2, int(state.ends[0, 0]), long_tables(THEORY, shape)
    if choice & 1:
        edges = [0.0, *found.edges, 1.0]
        return (edges[direction] + edges[direction + 1]) / 2, edges[direction + 1] - edges[direction]
    arrived = [int(PLAIN.hops(state.arrivals, 0, head, i, found)) for i in range(2 * len(shape) + 1)]
    number = (sum(arrived[:direction]) + 0.5) / sum(arrived)
    return number, arrived[direction] / sum(arrived)


def shifted(hops, ends, shape, choice, chance):
    """The state after a given choice of the head, whether it was accepted, and the probability of its proposal."""
    state, found = state_of(hops, ends, shape), long_tables(THEORY, shape)
    state.numbers[0], proposed = number_for(state, choice, shape)
    state.chance[0], state.adds[0] = chance, choice & 1
    if not proposed:
        return (hops, ends), 0, 0.0
    PLAIN.propose_addition(state, 0, found)
    PLAIN.propose_removal(state, 0, found)
    assert state.choice[0] == choice
    assert not state.leaves[0]
    PLAIN.shift_head(state, 0, found)
    PLAIN.count_step(state, 0)
    after, there = chains.links_of(state.arrivals, shape).reshape(hops.shape), state.ends[:, 0]
    moved = int(there[0] != ends[0])
    assert moved == state.moved[0]
    assert state.adds[0] == (choice & 1 if moved else 1 - (choice & 1))
    assert state.tally.sum() == state.tally[moves.ADD if choice % 2 else moves.REMOVE, moved, 0] == 1
    found_powers = [int(PLAIN.arrivals_at(state, 0, np.uint64(site), found)) for site in range(math.prod(shape))]
    np.testing.assert_array_equal(2 * np.array(found_powers), powers(after, there, shape))
    return (after, there), moved, proposed


def probability_of_step(hops, ends, shape, choice):
    """The probability that a step of the head is proposed and accepted."""
    proposed = shifted(hops, ends, shape, choice, 0.0)[2]
    return proposed * acceptance(lambda chance: shifted(hops, ends, shape, choice, chance)[1])


@pytest.mark.parametrize("shape", [(3,), (2, 2), (4, 2), (3, 2, 4), (2, 2, 2, 3)])
def test_steps_of_the_head_balance(shape):
    """P(A) P(A to B) = P(B) P(B to A) for every step; the reverse step undoes the hop, or makes it again.

    One of the two steps belongs to a head that adds hops, the other to one that removes them; a rejection switches.
    """
    d, rng = len(shape), np.random.default_rng(1)
    compared = 0
    while compared < N_PAIRS:
        before, choice = random_state(rng, shape), int(rng.integers(4 * d))
        after, moved, proposed = shifted(*before, shape, choice, 0.0)
        if not moved:
            assert not choice & 1  # only undoing a hop that does not exist is impossible
            assert not proposed
            continue
        back = choice ^ 1  # the same hop, undone or made
        there, again = (probability_of_step(*end) for end in ((*before, shape, choice), (*after, shape, back)))
        change = log_probability(THEORY, *after, shape) - log_probability(THEORY, *before, shape)
        assert math.log(there) == pytest.approx(change + math.log(again), abs=1e-9)
        np.testing.assert_array_equal(shifted(*after, shape, back, 0.0)[0][0], before[0])
        compared += 1


@pytest.mark.parametrize("shape", [(3,), (4, 2), (3, 2, 4)])
def test_whatever_arrives_is_drawn_alike(shape):
    """Each hop that arrives at the head has an equal share of the numbers, and so has the tail."""
    rng, found, tails = np.random.default_rng(3), long_tables(THEORY, shape), 0
    for _ in range(N_PAIRS):
        state = state_of(*random_state(rng, shape), shape)
        head = np.uint64(state.ends[0, 0])
        n = int(PLAIN.arrivals_at(state, 0, head, found))
        drawn = [int(PLAIN.arrived(state, 0, head, (k + 0.5) / n, found)) for k in range(n)]
        expected = [int(PLAIN.hops(state.arrivals, 0, int(head), i, found)) for i in range(2 * len(shape) + 1)]
        np.testing.assert_array_equal(np.bincount(drawn, minlength=len(expected)), expected)
        assert expected[-1] == (state.ends[0, 0] == state.ends[1, 0])
        tails += expected[-1]
    assert 0 < tails < N_PAIRS


def test_the_tail_is_no_hop():
    """The last number selects the tail: the head stays where it is, and the worm attempts to leave."""
    shape, ends = (4, 2), np.array([3, 3])
    state, found = state_of(np.zeros((2, 2, 8), np.uint16), ends, shape), long_tables(THEORY, (4, 2))
    state.numbers[0], state.chance[0], before = 0.9999, 0.0, state.arrivals.copy()
    PLAIN.propose_addition(state, 0, found)
    PLAIN.propose_removal(state, 0, found)
    PLAIN.shift_head(state, 0, found)
    PLAIN.count_step(state, 0)
    assert state.leaves[0]
    assert not state.moved[0]
    assert not state.tally.any()
    np.testing.assert_array_equal(state.arrivals, before)
    np.testing.assert_array_equal(state.ends[:, 0], ends)


@pytest.mark.parametrize("number", [0.0, 0.4, 0.8])
def test_a_closed_configuration_that_waits_is_left_alone(number):
    """Also if undoing a hop would always be accepted, with 1 / g above 2."""
    theory, shape = Theory(12.0, 0, 0.7), (4, 2)
    found = tables(theory, shape, np.array([100]), ENTRY)
    assert found.site[1, 0] > 2
    hops = np.ones((1, 2, 2, *shape), dtype=np.uint16)
    state = chains.state_of(chains.Chains(hops, np.ones((1, 2), np.uint64), np.zeros((1, 4, 2), int)))
    before = state.arrivals.copy()
    PLAIN.draw(state)
    state.numbers[0] = number
    for move in (PLAIN.propose_addition, PLAIN.propose_removal, PLAIN.shift_head):
        move(state, 0, found)
    PLAIN.count_step(state, 0)
    np.testing.assert_array_equal(state.arrivals, before)
    assert (state.ends == -1).all()
    assert not state.tally.any()


@np.errstate(over="ignore")
@pytest.mark.parametrize("shape", [(3,), (4, 2), (3, 2, 2)])
def test_entering_and_leaving_balance(shape):
    """A closed chain enters at one of V sites; where head and tail meet, one of p numbers lets the worm leave."""
    rng, n_sites = np.random.default_rng(2), math.prod(shape)
    found = long_tables(THEORY, shape)
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

        change = log_probability(THEORY, hops, opened, shape) - log_probability(THEORY, hops, closed, shape)
        p = powers(hops, opened, shape)[site] / 2
        there, back = acceptance(entered) / n_sites, acceptance(left) / p
        assert math.log(there) == pytest.approx(change + math.log(back), abs=1e-9)


def test_random_numbers():
    """xoroshiro128++ from the state 1, 2, against arbitrary-precision integers; each chain has its own stream."""
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
    assert expected[:2] == [393217, 669327710093319]  # as published for other implementations


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_words_hold_the_hops(d):
    """Hops on links are packed into the words of a state, and recovered."""
    shape = (3, 2, 4, 2, 2)[:d]
    hops = np.random.default_rng(d).integers(0, 255, (3, 2, d, *shape)).astype(np.uint16)
    state = chains.state_of(chains.Chains(hops, np.zeros((3, 2), np.uint64), np.zeros((3, 4, 2), int)))
    np.testing.assert_array_equal(chains.links_of(state.arrivals, shape), hops)


def test_store_fluxes():
    """k and l from hops; 127 fits, 128 does not."""
    shape, found = (2, 3), long_tables(THEORY, (2, 3))
    hops, fluxes = np.zeros((2, 2, 2, *shape), dtype=np.uint16), np.zeros((4, 6), dtype=np.int8)
    hops[1, :, 0, 0] = [5, 0, 254], [2, 127, 127]
    hops[1, :, 1, 1] = [0, 3, 1], [1, 1, 4]

    def store():
        state = chains.state_of(chains.Chains(hops, np.zeros((2, 2), np.uint64), np.zeros((2, 4, 2), int)))
        return PLAIN.store_fluxes(state.arrivals, 1, found, fluxes)

    assert store()
    expected = [[3, -127, 127, 0, 0, 0], [0, 0, 0, -1, 2, -3], [2, 0, 127, 0, 0, 0], [0, 0, 0, 0, 1, 1]]
    np.testing.assert_array_equal(fluxes, expected)
    for too_many in ([128, 0], [0, 128], [128, 128]):
        hops[1, :, 0, 0, 1] = too_many
        assert not store()


def drawn_worm(rng, shape, longest):
    """Moves made and requested for one open worm in an empty lattice, and its ends."""
    heads, tails, done = np.full(1, -1), np.full(1, -1), np.zeros(3, dtype=np.int64)
    state = state_of(np.zeros((2, len(shape), math.prod(shape)), np.uint16), np.full(2, -1), shape)._replace(rng=rng)
    assert PLAIN.add_worms(state, 0, long_tables(THEORY, shape), done, longest, heads, tails) == drivers.DONE
    return done[1], done[2], heads[0], tails[0]


def test_length_and_place_of_open_worms():
    """Requested lengths and tails are uniform (chi^2 within 4 sigma); longer only if the head met the tail."""
    rng, shape, longest, n_worms = np.array([[1], [2]], dtype=np.uint64), (4, 2), 6, 1200
    worms = [drawn_worm(rng, shape, longest) for _ in range(n_worms)]
    made, wanted, heads, tails = np.array(worms).T
    for values, n_values in ((wanted - 1, longest), (tails, 8)):
        expected = n_worms / n_values
        chi2 = np.sum((np.bincount(values, minlength=n_values) - expected) ** 2) / expected
        assert abs(chi2 - (n_values - 1)) < 4 * math.sqrt(2 * (n_values - 1))
    assert (heads != tails).all()
    assert (made >= wanted).all()
    assert (made[wanted == 1] == 1).all()
    assert 0 < np.mean(made > wanted) < 0.5
