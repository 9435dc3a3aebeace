"""The moves of the worm, written once as plain functions; ``backends`` compiles this file for each kind of machine.

The state of a chain is the number of hops on every link, forward (a) and backward (b), with link weight
exp(mu (a - b)) / (a! b!) in time and 1 / (a! b!) in space; k = a - b, l = min(a, b), |k| + 2 l = a + b. An open worm
has a tail and a head, and each counts as one more power of the field at its site: with ``f`` the sum of the hops that
touch a site plus head and tail, every site has the weight W(f) and f is always even. One ratio r(f) = W(f+2) / W(f)
decides each move, and the moves below are each other's inverse:

    enter   head = tail = x for a uniform x     weight entry * r(f_x)                 leave
    add     a hop towards the neighbour y       weight e^(+-mu) / (a + 1) * r(f_y)    remove

``entry`` fixes the weight of the open sector relative to the closed one, which is arbitrary. Where head and tail meet,
a coin decides between leaving and a step of the head. Both are then proposed half as often as elsewhere, which is as if
these states weighed twice as much: closed configurations keep their weights, and only they are ever looked at.
A rejected entry is a step of the chain: the configuration counts once more (Prokof'ev and Svistunov,
Phys. Rev. Lett. 87 (2001) 160601; the embedded chain of closed configurations keeps their distribution).

Chains that share a processor go in step: first those without a way to go enter or leave, then all heads draw, then all
take a step, which has no branches. What one chain waits for the others use, and drawing needs no lookups, so that
compilers do it for many chains at once.
"""

from typing import NamedTuple

import numpy as np

RUNNING, DONE, TABLE_TOO_SHORT, OVERFLOW = 0, 1, 2, 3
ENTER, LEAVE, REMOVE, ADD = 0, 1, 2, 3
LARGEST = 127  # of an int8
STEPS = 8  # of all heads, between two times at which worms may enter and leave


class State(NamedTuple):
    """Chains in the middle of their moves; V sites in row-major order. Unsigned, so that indices need no check."""

    hops: np.ndarray  # uint16 (chain, 2 d V), all a, then all b, on the links from x to x + nu_hat
    powers: np.ndarray  # uint32 (chain, V), f / 2, kept up to date
    ends: np.ndarray  # int64 (2, chain), head and tail, -1 where the configuration is closed
    rng: np.ndarray  # uint64 (2, chain), of xoroshiro128++ (Blackman and Vigna, ACM Trans. Math. Softw. 47 (2021) 36)
    tally: np.ndarray  # int64 (4, 2, chain), moves refused and accepted: enter, leave, remove, add
    numbers: np.ndarray  # float64 (chain,), random, for the next step of each head
    choice: np.ndarray  # int32 (chain,), which step that is
    chance: np.ndarray  # float64 (chain,), uniform in [0, 1); the step is made if this is below its ratio of weights
    moved: np.ndarray  # int32 (chain,), 1 if it was made, else 0


class Tables(NamedTuple):
    """What all chains of one theory and lattice share; a step is 2 * direction, one more if it adds a hop."""

    steps: np.ndarray  # uint32 (V, 4 d, 2), the neighbour, and where in ``hops`` the count lies that a step changes
    site: np.ndarray  # float64 (n, 2), for f = 2 i: 1 / r(f - 2) of the site left, r(f) of the site reached
    link: np.ndarray  # float64 (m, 4 d), for a count: itself (remove) or 1 / (count + 1) (add), e^(+-mu) in time
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
    """A random number for the head of every chain that has one."""
    for c in range(len(state.numbers)):
        first = state.rng[0, c]
        second = state.rng[1, c]
        state.numbers[c] = np.int64(scrambled(first, second) >> np.uint64(11)) * 2.0**-53
        following = stepped(first, second)
        is_open = state.ends[0, c] >= 0
        state.rng[0, c] = following[0] if is_open else first
        state.rng[1, c] = following[1] if is_open else second


def enter(state, c, tables):
    """Try to put head and tail on a random site of a closed configuration."""
    site = int(uniform(state.rng, c) * state.powers.shape[1])
    accepted = uniform(state.rng, c) < tables.entry * tables.site[state.powers[c, site], 1]
    if not accepted:
        state.tally[ENTER, 0, c] += 1
    else:
        state.tally[ENTER, 1, c] += 1
        state.powers[c, site] += 1
        state.ends[0, c] = site
        state.ends[1, c] = site


def leave(state, c, tables):
    """Try to take head and tail, which are on one site, out of the configuration."""
    site = state.ends[0, c]
    accepted = uniform(state.rng, c) * tables.entry < tables.site[state.powers[c, site], 0]
    if not accepted:
        state.tally[LEAVE, 0, c] += 1
    else:
        state.tally[LEAVE, 1, c] += 1
        state.powers[c, site] -= 1
        state.ends[0, c] = -1
        state.ends[1, c] = -1


def enter_or_leave(state, c, tables):
    """One of these moves where it is its turn, and whether it was; if not, that of a step of the head is."""
    if state.ends[0, c] < 0:
        enter(state, c, tables)
    elif state.ends[0, c] == state.ends[1, c] and random_bits(state.rng, c) >> np.uint64(63):
        leave(state, c, tables)
    else:
        return False
    return True


def choose(state, c, tables):
    """Which step the head of chain c tries, by its random number; none if there is no head."""
    scaled = state.numbers[c] * tables.steps.shape[1]
    choice = np.int32(scaled)
    state.choice[c] = choice
    state.chance[c] = scaled - choice if state.ends[0, c] >= 0 else np.inf  # the rest of the number is uniform again


def shift_head(state, c, tables):
    """Try to move the head to the chosen neighbour, by a new hop or by undoing one: f / 2 of the site it may change."""
    choice = np.uint32(state.choice[c])
    add = choice & np.uint32(1)
    head = np.uint32(max(state.ends[0, c], 0))
    target = tables.steps[head, choice, 0]
    slot = tables.steps[head, choice, 1]
    count = state.hops[c, slot]
    site = target if add else head  # the one whose f changes
    power = state.powers[c, site]
    moved = int(state.chance[c] < tables.link[count, choice] * tables.site[power, add])
    change = moved * (2 * np.int64(add) - 1)
    state.hops[c, slot] = count + change
    state.powers[c, site] = power + change
    state.ends[0, c] += moved * (np.int64(target) - np.int64(head))
    state.moved[c] = moved
    return power + change


def count_step(state, c):
    """Take down what became of the step."""
    moved = state.moved[c]
    add = state.choice[c] & 1
    is_open = np.int32(state.ends[0, c] >= 0)
    state.tally[REMOVE, 0, c] += is_open & ~moved & ~add
    state.tally[REMOVE, 1, c] += moved & ~add
    state.tally[ADD, 0, c] += is_open & ~moved & add
    state.tally[ADD, 1, c] += moved & add


def step(state, c, tables):
    """One step of the head of chain c: f / 2 of the site it may change."""
    state.numbers[c] = uniform(state.rng, c)
    choose(state, c, tables)
    power = shift_head(state, c, tables)
    count_step(state, c)
    return power


def beyond_table(state, c, tables):
    """Whether the head has just raised a site beyond the tables; all other sites were checked when they grew."""
    return state.ends[0, c] >= 0 and state.powers[c, state.ends[0, c]] >= tables.site.shape[0]


def until_step(state, c, tables, done, spacing, stored):
    """Enter and leave until it is the turn of a step of the head; after ``spacing`` worms the configuration is stored.

    DONE when ``stored`` is full; OVERFLOW where a flux does not fit into int8; else RUNNING. See ``record``.
    """
    while state.ends[0, c] == state.ends[1, c]:
        if state.ends[0, c] < 0 and done[c, 1] == stored.shape[1]:
            return DONE
        if not enter_or_leave(state, c, tables):
            return RUNNING
        if state.ends[0, c] < 0:
            done[c, 0] += 1
            if done[c, 0] == spacing:
                if not store_fluxes(state.hops, c, stored[c, done[c, 1]]):
                    return OVERFLOW
                done[c, 0] = 0
                done[c, 1] += 1
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
            if state.ends[0, c] == state.ends[1, c]:
                status = until_step(state, c, tables, done, spacing, stored)
                if status == OVERFLOW:
                    return OVERFLOW
                n_done += int(status == DONE)
        if n_done == n_chains:
            return DONE
        draw(state)
        for c in range(n_chains):
            choose(state, c, tables)
        highest = 0
        for c in range(n_chains):
            highest = max(highest, shift_head(state, c, tables))
        for c in range(n_chains):
            count_step(state, c)
        if highest >= tables.site.shape[0] - 1:  # a site may still be entered before the next step
            return TABLE_TOO_SHORT


def record_alone(state, c, tables, done, spacing, stored):
    """The same for chain c on a processor that takes the same turn for many chains at once, each a thread.

    Where some threads enter or leave, all others wait; so a head that comes to its tail waits too, until all heads have
    made ``STEPS`` steps.
    """
    while True:
        status = until_step(state, c, tables, done, spacing, stored)
        if status != RUNNING:
            return status
        for _ in range(STEPS):
            if step(state, c, tables) >= tables.site.shape[0] - 1:
                return TABLE_TOO_SHORT
            if state.ends[0, c] == state.ends[1, c]:
                break


def correlate(state, c, tables, extents, visits, done, n_worms):
    """Run ``n_worms`` worms of chain c, and count in ``visits`` int64 ``(V,)`` where the head is, seen from the tail.

    ``done`` int64 ``(1,)`` counts the worms. Stops with TABLE_TOO_SHORT like ``record``.
    """
    while done[0] < n_worms:
        if beyond_table(state, c, tables):
            return TABLE_TOO_SHORT
        if not enter_or_leave(state, c, tables):
            step(state, c, tables)
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


def store_fluxes(hops, c, fluxes):
    """Write k and l of all links to ``fluxes``; False if one of them does not fit."""
    n_links = hops.shape[1] // 2
    d = fluxes.shape[0] // 2
    n_sites = fluxes.shape[1]
    for nu in range(d):
        for x in range(n_sites):
            forward = np.int64(hops[c, nu * n_sites + x])
            backward = np.int64(hops[c, n_links + nu * n_sites + x])
            k = forward - backward
            l = min(forward, backward)
            if abs(k) > LARGEST or l > LARGEST:
                return False
            fluxes[nu, x] = k
            fluxes[d + nu, x] = l
    return True


def add_worms(state, c, tables, done, longest, heads, tails):
    """Draw one open worm after another into configuration c until ``heads`` and ``tails`` are full.

    Each starts on a random site that is not yet an end, makes a number of accepted moves drawn uniformly from
    1 ... ``longest``, and goes on until its head is on a site of its own. ``done`` counts the finished worms, and the
    moves made by and wanted from the present one. Stops with TABLE_TOO_SHORT like ``record``.
    """
    while done[0] < len(heads):
        if state.ends[0, c] < 0:
            site = int(uniform(state.rng, c) * state.powers.shape[1])
            if is_end(site, heads, tails, done[0]):
                continue
            state.powers[c, site] += 1
            state.ends[0, c] = site
            state.ends[1, c] = site
            done[1] = 0
            done[2] = 1 + int(uniform(state.rng, c) * longest)
        if beyond_table(state, c, tables):
            return TABLE_TOO_SHORT
        before = state.ends[0, c]
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
