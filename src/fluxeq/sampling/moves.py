"""The moves of the worm, written once as plain functions; ``backends`` compiles this file for each kind of machine.

The state of a chain is the number of hops on every link, forward (a) and backward (b), with link weight
exp(mu (a - b)) / (a! b!) in time and 1 / (a! b!) in space; k = a - b, l = min(a, b), |k| + 2 l = a + b. An open worm
has a tail and a head, and each counts as one more power of the field at its site: with ``f`` the sum of the hops that
touch a site plus head and tail, every site has the weight W(f), and p = f / 2 is a whole number: that of the hops that
arrive at the site, a tail counted as one of them.

The worm makes hops until a move is refused, then undoes hops until one is refused, and so on. A hop is made in
direction i with probability e_i / L, where e_i = e^(+-mu) in time and 1 in space, and L is their sum; to be undone, one
of the p that arrive at the head is drawn. If that is the tail, the worm leaves. The factors of the links then cancel,
and one number a site decides, g(p) = L r(2 p) / (p + 1) with r(f) = W(f+2) / W(f):

    add     a hop to the neighbour y            min(1, g(p_y))                  enter   min(1, entry g(p_x)), x uniform
    remove  a hop that arrives at the head x    min(1, 1 / g(p_x - 1))          leave   min(1, 1 / (entry g(p_x - 1)))

``entry`` fixes the weight of the open sector relative to the closed one, which is arbitrary. g is near 1, so that
nearly all moves are made, and the number of hops does not wander but sweeps up and down: the chain is lifted (Turitsyn,
Chertkov and Vucelja, Physica D 240 (2011) 410; for worms Elci et al., Phys. Rev. E 97 (2018) 042126). A rejected entry
is a step of the chain: the configuration counts once more (Prokof'ev and Svistunov, Phys. Rev. Lett. 87 (2001) 160601;
the embedded chain of closed configurations keeps their distribution).

Chains that share a processor go in step: first the closed ones enter, then all heads draw, then all take a step, which
has no branches. What one chain waits for the others use, and drawing needs no lookups, so that compilers do it for many
chains at once.
"""

import math
from typing import NamedTuple

import numpy as np

RUNNING, DONE, TABLE_TOO_SHORT, OVERFLOW = 0, 1, 2, 3
ENTER, LEAVE, REMOVE, ADD = 0, 1, 2, 3
LARGEST = 127  # of an int8
STEPS = 8  # of all heads, between two times at which worms may enter and leave

LANES = 5  # numbers in one word
WIDTH = np.uint64(12)  # bits of each
FULL = np.uint64(0xFFF)
ONES = np.uint64(0x0001001001001001)  # 1 in every lane: a product with it is the sum of a lane and all before it
HIGH = np.uint64(0x0800800800800800)  # the highest bit of every lane, which is never used
TOP = np.uint64(48)  # where the last lane begins
MOST_POWERS = 2000  # p beyond which a lane could spill over


class State(NamedTuple):
    """Chains in the middle of their moves; V sites in row-major order, directions first all forward, then all backward.

    What arrives at a site is one or more words, in whose lanes the hops of each direction are counted, then the tails.
    """

    arrivals: np.ndarray  # uint64 (chain, V * words)
    ends: np.ndarray  # int64 (2, chain), head and tail, -1 where the configuration is closed
    adds: np.ndarray  # int32 (chain,), 1 while the head makes hops, 0 while it undoes them
    rng: np.ndarray  # uint64 (2, chain), of xoroshiro128++ (Blackman and Vigna, ACM Trans. Math. Softw. 47 (2021) 36)
    tally: np.ndarray  # int64 (4, 2, chain), moves refused and accepted: enter, leave, remove, add
    numbers: np.ndarray  # float64 (chain,), random, for the next step of each head
    choice: np.ndarray  # int32 (chain,), which step that is: 2 * direction, one more if it makes a hop
    chance: np.ndarray  # float64 (chain,), uniform in [0, 1); the step is made if this is below its acceptance
    moved: np.ndarray  # int32 (chain,), 1 if it was made, else 0
    leaves: np.ndarray  # int32 (chain,), 1 if the tail was drawn, so that the worm is to leave


class Tables(NamedTuple):
    """What all chains of one theory and lattice share."""

    steps: np.ndarray  # uint32 (V, 4 d), where each choice takes the head
    site: np.ndarray  # float64 (n, 2), for p at the site that changes: 1 / g(p - 1) (remove), g(p) (add)
    edges: tuple  # 2 d - 1 floats, where in [0, 1) one direction ends and the next begins
    entry: float


def rotated(x, n):
    """The 64 bits of x, rotated to the left by n."""
    return (x << np.uint64(n)) | (x >> np.uint64(64 - n))


def random_bits(rng, c):
    """The next 64 random bits of chain c."""
    first = rng[0, c]
    second = rng[1, c]
    rng[0, c], rng[1, c] = stepped(first, second)
    return scrambled(first, second)


def scrambled(first, second):
    """64 random bits out of the state of a generator."""
    return rotated(first + second, 17) + first


def stepped(first, second):
    """The next state of a generator."""
    second ^= first
    return rotated(first, 49) ^ second ^ (second << np.uint64(21)), rotated(second, 28)


def uniform(rng, c):
    """A random number in [0, 1) with 53 bits."""
    return np.int64(random_bits(rng, c) >> np.uint64(11)) * 2.0**-53


def draw(state):
    """Two random numbers for the head of every chain that has one; no chance is enough for the steps of the others."""
    for c in range(len(state.numbers)):
        first = state.rng[0, c]
        second = state.rng[1, c]
        middle = stepped(first, second)
        following = stepped(middle[0], middle[1])
        is_open = state.ends[0, c] >= 0
        chance = np.int64(scrambled(middle[0], middle[1]) >> np.uint64(11)) * 2.0**-53
        state.numbers[c] = np.int64(scrambled(first, second) >> np.uint64(11)) * 2.0**-53
        state.chance[c] = chance if is_open else math.inf
        state.rng[0, c] = following[0] if is_open else first
        state.rng[1, c] = following[1] if is_open else second


def words_for(n_directions):
    """Words a site: enough lanes for all directions and the tail."""
    return n_directions // LANES + 1


def n_words(tables):
    """The same for the lattice of some tables."""
    return words_for(len(tables.edges) + 1)


def powers(state, c, site, tables):
    """p of a site: the sum of all its lanes."""
    words = np.uint64(n_words(tables))
    total = np.uint64(0)
    for i in range(n_words(tables)):
        total += (state.arrivals[c, site * words + np.uint64(i)] * ONES >> TOP) & FULL
    return total


def put(state, c, site, direction, change, tables):
    """Change the number of hops that arrive at a site in a direction; after all directions come the tails."""
    words = np.uint64(n_words(tables))
    lane = np.uint64(direction)
    word = np.uint64(0)
    if n_words(tables) > 1:
        word = lane // np.uint64(LANES)
        lane -= word * np.uint64(LANES)
    state.arrivals[c, site * words + word] += np.uint64(np.int64(change)) << (WIDTH * lane)  # wraps for -1


def begin(state, c, site, tables):
    """Put head and tail on a site of a closed configuration."""
    put(state, c, site, len(tables.edges) + 1, 1, tables)
    state.ends[0, c] = site
    state.ends[1, c] = site
    state.adds[c] = 1


def enter(state, c, tables):
    """Try to put head and tail on a random site of a closed configuration."""
    site = np.uint64(uniform(state.rng, c) * tables.steps.shape[0])
    accepted = uniform(state.rng, c) < tables.entry * tables.site[powers(state, c, site, tables), 1]
    if not accepted:
        state.tally[ENTER, 0, c] += 1
    else:
        state.tally[ENTER, 1, c] += 1
        begin(state, c, site, tables)


def leave(state, c, tables):
    """Try to take head and tail, which are on one site, out of the configuration."""
    site = np.uint64(state.ends[0, c])
    accepted = uniform(state.rng, c) * tables.entry < tables.site[powers(state, c, site, tables), 0]
    if not accepted:
        state.tally[LEAVE, 0, c] += 1
    else:
        state.tally[LEAVE, 1, c] += 1
        put(state, c, site, len(tables.edges) + 1, -1, tables)
        state.ends[0, c] = -1
        state.ends[1, c] = -1


def aim(state, c, tables):
    """In which direction the head of chain c tries to make a hop, if it does not undo one."""
    direction = np.int32(0)
    for i in range(len(tables.edges)):
        direction += np.int32(state.numbers[c] >= tables.edges[i])
    state.choice[c] = state.adds[c] * (2 * direction + 1)


def arrived(state, c, site, number, tables):
    """The direction in which one of all that arrive at a site has come, drawn by a number in [0, 1)."""
    words = np.uint64(n_words(tables))
    hop = np.uint64(np.int64(number * np.int64(powers(state, c, site, tables)))) + np.uint64(1)
    direction = np.uint64(LANES) * words
    below = np.uint64(0)
    for i in range(n_words(tables)):
        sums = (state.arrivals[c, site * words + np.uint64(i)] + below) * ONES
        enough = ((sums | HIGH) - hop * ONES) & HIGH  # one bit for each lane up to which there are that many
        direction -= ((enough >> (WIDTH - np.uint64(1))) * ONES >> TOP) & FULL
        below = (sums >> TOP) & FULL
    return direction


def choose(state, c, tables):
    """Which hop the head of chain c tries to undo, if it does not make one: drawn among all that arrive there.

    If that is the tail, or nothing, ``leaves`` is set, and the choice one that is not carried out.
    """
    choice = state.choice[c]
    remove = np.int64(1) - (np.int64(choice) & np.int64(1))
    head = np.uint64(max(state.ends[0, c], 0))
    direction = np.int64(arrived(state, c, head, state.numbers[c], tables))
    last = np.int64(len(tables.edges))
    state.leaves[c] = np.int64(direction > last) & remove
    state.choice[c] = choice + 2 * remove * min(direction, last)


def shift_head(state, c, tables):
    """Try to move the head as chosen, by a new hop or by undoing one: p of the site that it may change.

    Where it does not move, it turns from making hops to undoing them, or back.
    """
    choice = np.uint64(state.choice[c])
    add = choice & np.uint64(1)
    head = np.uint64(max(state.ends[0, c], 0))
    target = np.uint64(tables.steps[head, choice])
    site = target if add else head
    power = powers(state, c, site, tables)
    moved = np.uint64(state.chance[c] < tables.site[power, add]) & np.uint64(1 - state.leaves[c])
    change = moved * (np.uint64(2) * add - np.uint64(1))
    put(state, c, site, choice >> np.uint64(1), change, tables)
    state.ends[0, c] += np.int64(moved * (target - head))
    state.adds[c] ^= np.int32(np.uint64(1) - moved)
    state.moved[c] = moved
    return np.int64(power + change)


def count_step(state, c):
    """Take down what became of the step; one in which the tail was drawn counts where the worm tries to leave."""
    moved = state.moved[c]
    add = state.choice[c] & 1
    tried = np.int32(state.chance[c] <= 1.0) & (1 - state.leaves[c])
    state.tally[REMOVE, 0, c] += tried & ~moved & ~add
    state.tally[REMOVE, 1, c] += moved & ~add
    state.tally[ADD, 0, c] += tried & ~moved & add
    state.tally[ADD, 1, c] += moved & add


def step(state, c, tables):
    """One step of the head of chain c: p of the site that it may change."""
    state.numbers[c] = uniform(state.rng, c)
    state.chance[c] = uniform(state.rng, c)
    aim(state, c, tables)
    choose(state, c, tables)
    power = shift_head(state, c, tables)
    count_step(state, c)
    return power


def beyond_table(state, c, tables):
    """Whether the head has just raised a site beyond the tables; all other sites were checked when they grew."""
    head = state.ends[0, c]
    return head >= 0 and powers(state, c, np.uint64(head), tables) >= np.uint64(tables.site.shape[0])


def finish_worm(state, c, tables, done, spacing, stored):
    """Count a worm that has left or was refused; store the configuration after ``spacing`` of them, False if it can't.

    See ``record``.
    """
    done[c, 0] += 1
    if done[c, 0] == spacing:
        if not store(state.arrivals, c, tables, stored[c, done[c, 1]]):
            return False
        done[c, 0] = 0
        done[c, 1] += 1
    return True


def until_open(state, c, tables, done, spacing, stored):
    """Enter until there is a worm: DONE when ``stored`` is full, OVERFLOW where a flux does not fit, else RUNNING."""
    while state.ends[0, c] < 0:
        if done[c, 1] == stored.shape[1]:
            return DONE
        enter(state, c, tables)
        if state.ends[0, c] < 0 and not finish_worm(state, c, tables, done, spacing, stored):
            return OVERFLOW
    return RUNNING


def record(state, tables, done, spacing, stored):
    """Move all chains until each has stored its configurations ``spacing`` worms apart, int8 ``(chain, n, 2 d, V)``.

    ``done`` int64 ``(chain, 2)`` counts the worms since the last stored configuration and the configurations stored.
    DONE when ``stored`` is full; TABLE_TOO_SHORT before moves that the tables may not reach, to be called again with
    longer ones; OVERFLOW where a flux does not fit into int8.
    """
    n_chains = len(done)
    while True:
        n_done = 0
        for c in range(n_chains):
            if state.ends[0, c] < 0:
                status = until_open(state, c, tables, done, spacing, stored)
                if status == OVERFLOW:
                    return OVERFLOW
                n_done += int(status == DONE)
        if n_done == n_chains:
            return DONE
        draw(state)
        for c in range(n_chains):
            aim(state, c, tables)
        for c in range(n_chains):
            choose(state, c, tables)
        highest = 0
        for c in range(n_chains):
            highest = max(highest, shift_head(state, c, tables))
        for c in range(n_chains):
            count_step(state, c)
        for c in range(n_chains):
            if state.leaves[c] and state.ends[0, c] >= 0:
                leave(state, c, tables)
                if state.ends[0, c] < 0 and not finish_worm(state, c, tables, done, spacing, stored):
                    return OVERFLOW
        if highest >= tables.site.shape[0] - 1:  # a site may still be entered before the next step
            return TABLE_TOO_SHORT


def record_alone(state, c, tables, done, spacing, stored):
    """The same for chain c on a processor that takes the same turn for many chains at once, each a thread.

    Where some threads enter or leave, all others wait; so a worm that has ended waits too, until all heads have made
    ``STEPS`` steps.
    """
    while True:
        status = until_open(state, c, tables, done, spacing, stored)
        if status != RUNNING:
            return status
        for _ in range(STEPS):
            power = step(state, c, tables)
            if state.leaves[c]:
                break
            if power >= tables.site.shape[0] - 1:
                return TABLE_TOO_SHORT
        if state.leaves[c]:
            leave(state, c, tables)
            if state.ends[0, c] < 0 and not finish_worm(state, c, tables, done, spacing, stored):
                return OVERFLOW


def correlate(state, c, tables, extents, visits, done, n_worms):
    """Run ``n_worms`` worms of chain c, and count in ``visits`` int64 ``(V,)`` where the head is, seen from the tail.

    ``done`` int64 ``(1,)`` counts the worms. Stops with TABLE_TOO_SHORT like ``record``.
    """
    while done[0] < n_worms:
        if beyond_table(state, c, tables):
            return TABLE_TOO_SHORT
        if state.ends[0, c] < 0:
            enter(state, c, tables)
        else:
            step(state, c, tables)
            if state.leaves[c]:
                leave(state, c, tables)
        if state.ends[0, c] < 0:
            done[0] += 1
        else:
            visits[separation(state.ends[0, c], state.ends[1, c], extents)] += 1
    return DONE


def separation(head, tail, extents):
    """head - tail on the periodic lattice, as a site in row-major order."""
    found = 0
    n_inner = 1
    for nu in range(len(extents) - 1, -1, -1):
        extent = extents[nu]
        found += ((head % extent - tail % extent) % extent) * n_inner
        head //= extent
        tail //= extent
        n_inner *= extent
    return found


def hops(arrivals, c, site, direction, tables):
    """How many hops arrive at a site in a direction."""
    word = site * n_words(tables) + direction // LANES
    return np.int64(arrivals[c, word] >> (WIDTH * np.uint64(direction % LANES)) & FULL)


def store_fluxes(arrivals, c, tables, fluxes):
    """Write k and l of all links to ``fluxes``; False if one of them does not fit."""
    d = fluxes.shape[0] // 2
    for nu in range(d):
        for x in range(fluxes.shape[1]):
            forward = hops(arrivals, c, np.int64(tables.steps[x, 2 * nu + 1]), nu, tables)
            backward = hops(arrivals, c, x, d + nu, tables)
            k = forward - backward
            l = min(forward, backward)
            if abs(k) > LARGEST or l > LARGEST:
                return False
            fluxes[nu, x] = k
            fluxes[d + nu, x] = l
    return True


def store_words(arrivals, c, tables, words):
    """Write the words of the state instead, for ``store_fluxes`` to read later; True, since they always fit."""
    for i in range(len(words)):
        words[i] = arrivals[c, i]
    return True


store = store_fluxes  # what ``record`` does with a configuration; ``backends`` may choose the other


def add_worms(state, c, tables, done, longest, heads, tails):
    """Draw one open worm after another into configuration c until ``heads`` and ``tails`` are full.

    Each starts on a random site that is not yet an end, makes a number of accepted moves drawn uniformly from
    1 ... ``longest``, and goes on until its head is on a site of its own. ``done`` counts the finished worms, and the
    moves made by and wanted from the present one. Stops with TABLE_TOO_SHORT like ``record``.
    """
    while done[0] < len(heads):
        if state.ends[0, c] < 0:
            site = int(uniform(state.rng, c) * tables.steps.shape[0])
            if is_end(site, heads, tails, done[0]):
                continue
            begin(state, c, np.uint64(site), tables)
            done[1] = 0
            done[2] = 1 + int(uniform(state.rng, c) * longest)
        if beyond_table(state, c, tables):
            return TABLE_TOO_SHORT
        before = state.ends[0, c]
        state.adds[c] = random_bits(state.rng, c) >> np.uint64(63)
        step(state, c, tables)
        head = state.ends[0, c]
        done[1] += int(head != before)
        if done[1] >= done[2] and head != state.ends[1, c] and not is_end(head, heads, tails, done[0]):
            heads[done[0]] = head
            tails[done[0]] = state.ends[1, c]
            state.ends[0, c] = -1
            state.ends[1, c] = -1
            done[0] += 1
    return DONE


def is_end(site, heads, tails, n):
    """Whether one of the first ``n`` worms ends on the site."""
    for i in range(n):  # noqa: SIM110  (Numba compiles no generators)
        if heads[i] == site or tails[i] == site:
            return True
    return False
