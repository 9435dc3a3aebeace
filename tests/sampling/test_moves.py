"""The moves in plain Python, one at a time: random numbers, detailed balance, storage, open worms."""

import math
from functools import cache

import numpy as np
import pytest

from fluxeq.lattice import neighbours
from fluxeq.sampling import backends, moves
from fluxeq.sampling.chains import hop_factor, powers_of
from fluxeq.theory import Theory, log_weight, weight_ratio

SCRIPTED, SCRIPT = backends.bind(lambda function: function), []
SCRIPTED.enter.__globals__["uniform"] = lambda rng: SCRIPT.pop(0)
PLAIN = backends.bind(np.errstate(over="ignore"))  # the random numbers wrap on purpose
ENTRY = 0.7  # so that entering and leaving are both refused at times
N_PAIRS = 200  # of states, for each move


def scripted(*numbers):
    """The moves with given numbers in place of the random ones."""
    SCRIPT[:] = numbers
    return SCRIPTED


def random_state(rng, shape):
    """Hops along a random walk of the head, up to 25 steps, often until it meets its tail; its powers."""
    d, n_sites, table = len(shape), math.prod(shape), neighbours(shape)
    hops, ends = np.zeros((2, d, n_sites), dtype=np.int16), np.full(2, rng.integers(n_sites))
    closed, n_steps = rng.random() < 0.4, rng.integers(25)
    while n_steps > 0 or (closed and ends[0] != ends[1]):
        direction = rng.integers(2 * d)
        there = table[direction, ends[0]]
        hops[(0, direction, ends[0]) if direction < d else (1, direction - d, there)] += 1
        ends[0] = there
        n_steps -= 1
    return hops, ends, powers(hops, ends, shape)


def powers(hops, ends, shape):
    """f at every site: hops that touch it, and one for each end."""
    total = powers_of(hops.reshape(1, 2, len(shape), *shape))[0]
    np.add.at(total, ends[ends >= 0], 1)
    return total


@cache
def log_weights(theory):
    return log_weight(theory, 200)


def log_probability(theory, hops, ends, shape):
    """ln of the weight of a state, from its definition; an open one has the weight ENTRY / (LEAVING V) besides."""
    f = powers(hops, ends, shape)
    time = theory.mu * (hops[0, 0].sum() - hops[1, 0].sum(dtype=int))
    open_sector = math.log(ENTRY / moves.LEAVING / len(f)) if ends[0] >= 0 else 0.0
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
def tables(theory, shape):
    """What all moves share: neighbours, factors of the hops, ratios."""
    return neighbours(shape), hop_factor(theory, len(shape)), weight_ratio(theory, 200)[::2].copy()


def shifted(theory, state, shape, choice, chance):
    """The state after the given choice of a step of the head, and whether it was accepted."""
    hops, ends, f = (part.copy() for part in state)
    number = (choice + chance) / (4 * len(shape))
    shared = *tables(theory, shape), moves.LEAVING
    moved = scripted(number).shift_head(hops, f, ends, None, np.zeros((4, 2), int), *shared)
    return (hops, ends, f), moved


def probability_of_step(theory, state, shape, choice):
    """That a step of the head is proposed and accepted; where head and tail meet, leaving is proposed as well."""
    proposed = (1 - moves.LEAVING if state[1][0] == state[1][1] else 1.0) / (4 * len(shape))
    return proposed * acceptance(lambda chance: shifted(theory, state, shape, choice, chance)[1])


@pytest.mark.parametrize("shape", [(3,), (2, 2), (4, 2), (3, 2, 4)])
def test_steps_of_the_head_balance(shape):
    """P(A) P(A to B) = P(B) P(B to A) for every step; the step back undoes or restores the hop the other way."""
    theory, d, rng = Theory(1.5, 0.8, 0.6), len(shape), np.random.default_rng(1)
    compared = 0
    while compared < N_PAIRS:
        before, choice = random_state(rng, shape), int(rng.integers(4 * d))
        after, moved = shifted(theory, before, shape, choice, 0.0)
        if not moved:
            assert not choice & 1  # only undoing a hop that is not there is impossible
            continue
        back = 2 * ((choice // 2 + d) % (2 * d)) + 1 - choice % 2
        there, again = (probability_of_step(theory, *end) for end in ((before, shape, choice), (after, shape, back)))
        change = log_probability(theory, *after[:2], shape) - log_probability(theory, *before[:2], shape)
        assert math.log(there) == pytest.approx(change + math.log(again), abs=1e-9)
        np.testing.assert_array_equal(after[2], powers(*after[:2], shape))
        np.testing.assert_array_equal(shifted(theory, after, shape, back, 0.0)[0][0], before[0])
        compared += 1


@pytest.mark.parametrize("shape", [(3,), (4, 2), (3, 2, 2)])
def test_entering_and_leaving_balance(shape):
    theory, rng, n_sites = Theory(1.5, 0.8, 0.6), np.random.default_rng(2), math.prod(shape)
    ratio, tally = tables(theory, shape)[2], np.zeros((4, 2), int)
    for _ in range(N_PAIRS):
        hops, ends, _ = random_state(rng, shape)
        if ends[0] != ends[1]:
            continue
        site, closed = int(rng.integers(n_sites)), np.full(2, -1)
        opened = np.full(2, site)

        def entered(chance, hops=hops, site=site, closed=closed):
            ends = closed.copy()
            numbers = (site + 0.5) / n_sites, chance
            scripted(*numbers).enter(powers(hops, closed, shape), ends, None, tally, ratio, ENTRY)
            return ends[0] == site

        def left(chance, hops=hops, opened=opened):
            ends = opened.copy()
            scripted(chance).leave(powers(hops, opened, shape), ends, None, tally, ratio, ENTRY)
            return ends[0] < 0

        change = log_probability(theory, hops, opened, shape) - log_probability(theory, hops, closed, shape)
        there, back = acceptance(entered) / n_sites, acceptance(left) * moves.LEAVING
        assert math.log(there) == pytest.approx(change + math.log(back), abs=1e-9)


def test_random_numbers():
    """The first outputs of xoshiro256++ from the state 1, 2, 3, 4, as published by its authors."""
    state = np.array([1, 2, 3, 4], dtype=np.uint64)
    published = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205]
    assert [PLAIN.uniform(state) for _ in published] == [(value >> 11) * 2.0**-53 for value in published]


def test_store_fluxes():
    """k and l from hops; 127 fits, 128 does not."""
    hops, fluxes = np.zeros((2, 1, 3), dtype=np.int16), np.zeros((2, 3), dtype=np.int8)
    hops[:, 0] = [[5, 0, 254], [2, 127, 127]]
    assert PLAIN.store_fluxes(hops, fluxes)
    np.testing.assert_array_equal(fluxes, [[3, -127, 127], [2, 0, 127]])
    for too_many in ([128, 0], [0, 128], [128, 128]):
        hops[:, 0, 1] = too_many
        assert not PLAIN.store_fluxes(hops, fluxes)


def drawn_worm(rng, theory, shape, longest):
    """Moves made and wanted by one open worm in an empty lattice, and its ends."""
    d, n_sites = len(shape), math.prod(shape)
    heads, tails, done = np.full(1, -1), np.full(1, -1), np.zeros(3, dtype=np.int64)
    state = np.zeros((2, d, n_sites), np.int16), np.zeros(n_sites, np.int32), np.full(2, -1), rng, np.zeros((4, 2), int)
    assert PLAIN.add_worms(*state, *tables(theory, shape), done, longest, heads, tails) == moves.DONE
    return done[1], done[2], heads[0], tails[0]


def test_length_and_place_of_open_worms():
    """Lengths wanted and tails are uniform (chi^2 within 4 widths); longer only where the head met the tail."""
    rng, shape, longest, n_worms = np.array([1, 2, 3, 4], dtype=np.uint64), (4, 2), 6, 1200
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
