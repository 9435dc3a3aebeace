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

A step of the head has no branches, and chains that share a processor take turns, one move each: what one waits for
(memory, random numbers) the others use.
"""

from typing import NamedTuple

import numpy as np

RUNNING, DONE, TABLE_TOO_SHORT, OVERFLOW = 0, 1, 2, 3
ENTER, LEAVE, REMOVE, ADD = 0, 1, 2, 3
LARGEST = 127  # of an int8


class State(NamedTuple):
    """Chains in the middle of their moves; V sites in row-major order. Unsigned, so that indices need no check."""

    hops: np.ndarray  # uint16 (chain, 2 d V), all a, then all b, on the links from x to x + nu_hat
    powers: np.ndarray  # uint32 (chain, V), f / 2, kept up to date
    ends: np.ndarray  # int64 (chain, 2), head and tail, -1 where the configuration is closed
    rng: np.ndarray  # uint64 (chain, 2), of xoroshiro128++ (Blackman and Vigna, ACM Trans. Math. Softw. 47 (2021) 36)
    tally: np.ndarray  # int64 (chain, 4, 2), moves refused and accepted: enter, leave, remove, add


class Tables(NamedTuple):
    """What all chains of one theory and lattice share; a step is 2 * direction, one more if it adds a hop."""

    targets: np.ndarray  # uint32 (V, 2 d), the neighbours: first all x + nu_hat, then all x - nu_hat
    slots: np.ndarray  # uint32 (V, 4 d), where in ``hops`` the count lies that a step changes
    factor: np.ndarray  # float64 (4 d,), e^(+-mu) for steps in time
    site: np.ndarray  # float64 (2, n), for f = 2 i: 1 / r(f - 2) of the site left, r(f) of the site reached
    link: np.ndarray  # float64 (2, m), for a count: itself (remove), 1 / (count + 1) (add)
    entry: float


def rotated(x, n):
    """The 64 bits of x, rotated to the left by n."""
    return (x << np.uint64(n)) | (x >> np.uint64(64 - n))


def random_bits(rng, c):
    """The next 64 random bits of chain c."""
    first = rng[c, 0]
    second = rng[c, 1]
    bits = rotated(first + second, 17) + first
    second ^= first
    rng[c, 0] = rotated(first, 49) ^ second ^ (second << np.uint64(21))
    rng[c, 1] = rotated(second, 28)
    return bits


def uniform(rng, c):
    """A random number in [0, 1) with 53 bits."""
    return np.int64(random_bits(rng, c) >> np.uint64(11)) * 2.0**-53


def enter(state, c, tables):
    """Try to put head and tail on a random site of a closed configuration."""
    site = int(uniform(state.rng, c) * state.powers.shape[1])
    accepted = int(uniform(state.rng, c) < tables.entry * tables.site[1, state.powers[c, site]])
    state.tally[c, ENTER, accepted] += 1
    if accepted:
        state.powers[c, site] += 1
        state.ends[c, 0] = site
        state.ends[c, 1] = site


def leave(state, c, tables):
    """Try to take head and tail, which are on one site, out of the configuration."""
    site = state.ends[c, 0]
    accepted = int(uniform(state.rng, c) * tables.entry < tables.site[0, state.powers[c, site]])
    state.tally[c, LEAVE, accepted] += 1
    if accepted:
        state.powers[c, site] -= 1
        state.ends[c, 0] = -1
        state.ends[c, 1] = -1


def shift_head(state, c, tables):
    """Try to move the head to a neighbour, by a new hop or by undoing one; 1 if it moved, else 0."""
    scaled = uniform(state.rng, c) * len(tables.factor)
    choice = np.uint32(scaled)
    chance = scaled - choice  # what is left of the random number is uniform again
    add = np.int64(choice & 1)
    head = state.ends[c, 0]
    target = tables.targets[head, choice >> 1]
    slot = tables.slots[head, choice]
    count = state.hops[c, slot]
    site = head + add * (target - head)  # the one whose f changes: the target if a hop is added, else the head
    power = state.powers[c, site]
    moved = int(chance < tables.factor[choice] * tables.site[add, power] * tables.link[add, count])
    change = moved * (2 * add - 1)
    state.hops[c, slot] = count + change
    state.powers[c, site] = power + change
    state.ends[c, 0] = head + moved * (target - head)
    state.tally[c, REMOVE + add, moved] += 1
    return moved


def move(state, c, tables):
    """One move of chain c: enter, leave, or a step of the head."""
    if state.ends[c, 0] < 0:
        enter(state, c, tables)
    elif state.ends[c, 0] == state.ends[c, 1] and random_bits(state.rng, c) >> np.uint64(63):
        leave(state, c, tables)
    else:
        shift_head(state, c, tables)


def beyond_table(state, c, tables):
    """Whether the head has just raised a site beyond the tables; all other sites were checked when they grew."""
    return state.ends[c, 0] >= 0 and state.powers[c, state.ends[c, 0]] >= tables.site.shape[1]


def advance(state, c, tables, done, spacing, stored):
    """One move of chain c; after every ``spacing`` worms its configuration is stored, int8 ``(2 d, V)``.

    ``done`` int64 ``(chain, 2)`` counts the worms since the last stored configuration and the configurations stored.
    DONE when ``stored`` ``(chain, n, 2 d, V)`` is full; TABLE_TOO_SHORT before a move that the tables do not reach,
    to be called again with longer ones; OVERFLOW where a flux does not fit into int8; else RUNNING.
    """
    if done[c, 1] == stored.shape[1]:
        return DONE
    if beyond_table(state, c, tables):
        return TABLE_TOO_SHORT
    move(state, c, tables)
    if state.ends[c, 0] < 0:
        done[c, 0] += 1
        if done[c, 0] == spacing:
            if not store_fluxes(state.hops, c, stored[c, done[c, 1]]):
                return OVERFLOW
            done[c, 0] = 0
            done[c, 1] += 1
    return RUNNING


def record(state, tables, done, spacing, stored):
    """Let the chains take turns until all of them are DONE, or one needs help: its status."""
    n_done = 0
    while n_done < len(done):
        n_done = 0
        for c in range(len(done)):
            status = advance(state, c, tables, done, spacing, stored)
            if status != RUNNING:
                if status != DONE:
                    return status
                n_done += 1
    return DONE


def correlate(state, c, tables, extents, visits, done, n_worms):
    """Run ``n_worms`` worms of chain c, and count in ``visits`` int64 ``(V,)`` where the head is, seen from the tail.

    ``done`` int64 ``(1,)`` counts the worms. Stops with TABLE_TOO_SHORT like ``advance``.
    """
    while done[0] < n_worms:
        if beyond_table(state, c, tables):
            return TABLE_TOO_SHORT
        move(state, c, tables)
        if state.ends[c, 0] < 0:
            done[0] += 1
        else:
            visits[separation(state.ends[c, 0], state.ends[c, 1], extents)] += 1
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
    moves made by and wanted from the present one. Stops with TABLE_TOO_SHORT like ``advance``.
    """
    while done[0] < len(heads):
        if state.ends[c, 0] < 0:
            site = int(uniform(state.rng, c) * state.powers.shape[1])
            if is_end(site, heads, tails, done[0]):
                continue
            state.powers[c, site] += 1
            state.ends[c, 0] = site
            state.ends[c, 1] = site
            done[1] = 0
            done[2] = 1 + int(uniform(state.rng, c) * longest)
        if beyond_table(state, c, tables):
            return TABLE_TOO_SHORT
        done[1] += shift_head(state, c, tables)
        head = state.ends[c, 0]
        if done[1] >= done[2] and head != state.ends[c, 1] and not is_end(head, heads, tails, done[0]):
            heads[done[0]] = head
            tails[done[0]] = state.ends[c, 1]
            state.ends[c, 0] = -1
            state.ends[c, 1] = -1
            done[0] += 1
    return DONE


def is_end(site, heads, tails, n):
    """Whether one of the first ``n`` worms ends on the site."""
    for i in range(n):  # noqa: SIM110  (Numba compiles no generators)
        if heads[i] == site or tails[i] == site:
            return True
    return False
