"""The moves of the worm, written once as plain functions; ``backends`` compiles them for each kind of machine.

The state of a chain is the number of hops on every link, forward (a) and backward (b), with link weight
h_+^a h_-^b / (a! b!), see ``theory``; k = a - b, l = min(a, b), |k| + 2 l = a + b. An open worm has a tail and a head,
and each counts as one more power of the field at its site: with ``f`` the sum of the hops that touch a site plus head
and tail, every site has the weight W(f), and p = f / 2 is a whole number: that of the arrivals at the site, of hops and
of a tail.

The worm makes hops until a move is refused, then undoes hops until one is refused, and so on. A hop is made in
direction i with probability h_i / L, where L is the sum of all h; to be undone, one of the p that arrive at the head is
drawn. If that is the tail, the worm leaves. The factors of the links then cancel,
and one number a site decides, g(p) = L r(2 p) / (p + 1) with r(f) = W(f+2) / W(f):

    add     a hop to the neighbour y            min(1, g(p_y))                  enter   min(1, entry g(p_x)), x uniform
    remove  a hop that arrives at the head x    min(1, 1 / g(p_x - 1))          leave   min(1, 1 / (entry g(p_x - 1)))

``entry`` fixes the weight of the open sector relative to the closed one, which is arbitrary. g is near 1, so that
nearly all moves are made, and the number of hops does not wander but sweeps up and down: the chain is lifted (Turitsyn,
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
    """Chains in the middle of their moves; V sites in row-major order, directions first all forward, then all backward.

    What arrives at a site is one or more words, in whose lanes the hops of each direction are counted, then the tails.
    """

    arrivals: np.ndarray  # uint64 (chain, V * words), see ``packed_counts``
    ends: np.ndarray  # int64 (2, chain), head and tail, -1 where the configuration is closed
    adds: np.ndarray  # int32 (chain,), 1 while the head makes hops, 0 while it undoes them
    rng: np.ndarray  # uint64 (2, chain), see ``random_numbers``
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


def begin(state, c, site, tables):
    """Put head and tail on a site of a closed configuration."""
    put(state, c, site, len(tables.edges) + 1, 1, tables)
    state.ends[0, c] = site
    state.ends[1, c] = site
    state.adds[c] = 1


def enter(state, c, tables):
    """Try to put head and tail on a random site of a closed configuration."""
    site = np.uint64(uniform(state.rng, c) * tables.steps.shape[0])
    accepted = uniform(state.rng, c) < tables.entry * tables.site[arrivals_at(state, c, site, tables), 1]
    if not accepted:
        state.tally[ENTER, 0, c] += 1
    else:
        state.tally[ENTER, 1, c] += 1
        begin(state, c, site, tables)


def leave(state, c, tables):
    """Try to take head and tail, which are on one site, out of the configuration."""
    site = np.uint64(state.ends[0, c])
    accepted = uniform(state.rng, c) * tables.entry < tables.site[arrivals_at(state, c, site, tables), 0]
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
    p = arrivals_at(state, c, site, tables)
    moved = np.uint64(state.chance[c] < tables.site[p, add]) & np.uint64(1 - state.leaves[c])
    change = moved * (np.uint64(2) * add - np.uint64(1))
    put(state, c, site, choice >> np.uint64(1), change, tables)
    state.ends[0, c] += np.int64(moved * (target - head))
    state.adds[c] ^= np.int32(np.uint64(1) - moved)
    state.moved[c] = moved
    return np.int64(p + change)


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
    p = shift_head(state, c, tables)
    count_step(state, c)
    return p
