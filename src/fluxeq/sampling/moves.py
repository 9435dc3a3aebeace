"""The moves of the worm, written once as plain functions; ``backends`` compiles them for each kind of machine.

The state of a chain is the number of hops on every link, forward (a) and backward (b), with link weight
h_+^a h_-^b / (a! b!), see ``theory``; k = a - b, l = min(a, b), |k| + 2 l = a + b. An open worm has a tail and a head,
and each counts as one more power of the field at its site: with ``f`` the number of hops at a site plus head and tail,
every site has the weight W(f), and p = f / 2 is an integer: the number of arrivals at the site, hops and tail.

The worm adds hops until a move is rejected, then removes hops until one is rejected, and so on. A hop is added in
direction i with probability h_i / L, where L is the sum of all h; to remove a hop, one of the p arrivals at the head is
drawn. If that is the tail, the worm leaves. The link factors then cancel, and the acceptance depends on one number per
site, g(p) = L r(2 p) / (p + 1) with r(f) = W(f+2) / W(f):

    add     a hop to the neighbour y            min(1, g(p_y))                  enter   min(1, entry g(p_x)), x uniform
    remove  a hop that arrives at the head x    min(1, 1 / g(p_x - 1))          leave   min(1, 1 / (entry g(p_x - 1)))

``entry`` is the relative weight of the open sector, which is arbitrary. g is near 1, so that nearly all moves are
accepted, and the number of hops moves up and down ballistically instead of diffusing: the chain is lifted (Turitsyn,
Chertkov and Vucelja, Physica D 240 (2011) 410; for worms Elci et al., Phys. Rev. E 97 (2018) 042126). A rejected entry
is a step of the chain: the configuration counts once more (Prokof'ev and Svistunov, Phys. Rev. Lett. 87 (2001) 160601;
the embedded chain of closed configurations keeps their distribution).
"""

import math
from typing import NamedTuple

import numpy as np

from fluxeq.sampling.packed_counts import arrivals_at, arrived, put
from fluxeq.sampling.random_numbers import scrambled, stepped, uniform

ENTER, LEAVE, REMOVE, ADD = 0, 1, 2, 3


class State(NamedTuple):
    """The state of moving chains; V sites in row-major order, directions first all forward, then all backward.

    Arrivals at a site are counted in the lanes of one or more words: hops of each direction, then tails.
    """

    arrivals: np.ndarray  # uint64 (chain, V * words), see ``packed_counts``
    ends: np.ndarray  # int64 (2, chain), head and tail, -1 if the configuration is closed
    adds: np.ndarray  # int32 (chain,), 1 while the head adds hops, 0 while it removes them
    rng: np.ndarray  # uint64 (2, chain), see ``random_numbers``
    tally: np.ndarray  # int64 (4, 2, chain), moves rejected and accepted: enter, leave, remove, add
    numbers: np.ndarray  # float64 (chain,), random, for the next step of each head
    choice: np.ndarray  # int32 (chain,), the proposed step: 2 * direction, plus one if it adds a hop
    chance: np.ndarray  # float64 (chain,), uniform in [0, 1); the step is accepted if this is below its acceptance
    moved: np.ndarray  # int32 (chain,), 1 if it was accepted, else 0
    leaves: np.ndarray  # int32 (chain,), 1 if the tail was drawn, so that the worm tries to leave


class Tables(NamedTuple):
    """Tables shared by all chains of one theory and lattice."""

    steps: np.ndarray  # uint32 (V, 4 d), the site to which each choice moves the head
    site: np.ndarray  # float64 (n, 2), for p at the site that changes: 1 / g(p - 1) (remove), g(p) (add)
    edges: tuple  # 2 d - 1 floats, the boundaries of the directions in [0, 1)
    entry: float


def draw(state):
    """Draw two random numbers for every open chain; for closed ones, a chance that is never accepted."""
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


def begin(state, c, site, tables):
    """Place head and tail on a site of a closed configuration."""
    put(state, c, site, len(tables.edges) + 1, 1, tables)
    state.ends[0, c] = site
    state.ends[1, c] = site
    state.adds[c] = 1


def enter(state, c, tables):
    """Propose head and tail on a random site of a closed configuration."""
    site = np.uint64(uniform(state.rng, c) * tables.steps.shape[0])
    accepted = uniform(state.rng, c) < tables.entry * tables.site[arrivals_at(state, c, site, tables), 1]
    if not accepted:
        state.tally[ENTER, 0, c] += 1
    else:
        state.tally[ENTER, 1, c] += 1
        begin(state, c, site, tables)


def leave(state, c, tables):
    """Propose to remove head and tail, which are on the same site."""
    site = np.uint64(state.ends[0, c])
    accepted = uniform(state.rng, c) * tables.entry < tables.site[arrivals_at(state, c, site, tables), 0]
    if not accepted:
        state.tally[LEAVE, 0, c] += 1
    else:
        state.tally[LEAVE, 1, c] += 1
        put(state, c, site, len(tables.edges) + 1, -1, tables)
        state.ends[0, c] = -1
        state.ends[1, c] = -1


def propose_addition(state, c, tables):
    """Draw the direction in which the head of chain c adds a hop, if it adds one."""
    direction = np.int32(0)
    for i in range(len(tables.edges)):
        direction += np.int32(state.numbers[c] >= tables.edges[i])
    state.choice[c] = state.adds[c] * (2 * direction + 1)


def propose_removal(state, c, tables):
    """Draw the hop that the head of chain c removes, if it removes one, among all arrivals there.

    If that is the tail, or nothing, ``leaves`` is set, and the choice is not carried out.
    """
    choice = state.choice[c]
    remove = np.int64(1) - (np.int64(choice) & np.int64(1))
    head = np.uint64(max(state.ends[0, c], 0))
    direction = np.int64(arrived(state, c, head, state.numbers[c], tables))
    last = np.int64(len(tables.edges))
    state.leaves[c] = np.int64(direction > last) & remove
    state.choice[c] = choice + 2 * remove * min(direction, last)


def shift_head(state, c, tables):
    """Accept or reject the chosen move of the head, adding or removing a hop; returns p of the site concerned.

    After a rejection it switches between adding and removing hops.
    """
    choice = np.uint64(state.choice[c])
    add = choice & np.uint64(1)
    head = np.uint64(max(state.ends[0, c], 0))
    target = np.uint64(tables.steps[head, choice])
    site = target if add else head
    p = arrivals_at(state, c, site, tables)
    moved = np.uint64(state.chance[c] < tables.site[p, add]) & np.uint64(1 - state.leaves[c])
    change = moved * (np.uint64(2) * add - np.uint64(1))
    put(state, c, site, choice >> np.uint64(1), change, tables)
    state.ends[0, c] += np.int64(moved * (target - head))
    state.adds[c] ^= np.int32(np.uint64(1) - moved)
    state.moved[c] = moved
    return np.int64(p + change)


def count_step(state, c):
    """Count the step; one in which the tail was drawn is counted as an attempt to leave instead."""
    moved = state.moved[c]
    add = state.choice[c] & 1
    tried = np.int32(state.chance[c] <= 1.0) & (1 - state.leaves[c])
    state.tally[REMOVE, 0, c] += tried & ~moved & ~add
    state.tally[REMOVE, 1, c] += moved & ~add
    state.tally[ADD, 0, c] += tried & ~moved & add
    state.tally[ADD, 1, c] += moved & add


def step(state, c, tables):
    """One step of the head of chain c; returns p of the site concerned."""
    state.numbers[c] = uniform(state.rng, c)
    state.chance[c] = uniform(state.rng, c)
    propose_addition(state, c, tables)
    propose_removal(state, c, tables)
    p = shift_head(state, c, tables)
    count_step(state, c)
    return p
