"""Drivers: loops that run the moves for many steps and store configurations.

Chains on the same processor advance in step: first the closed ones enter, then all heads draw random numbers, then all
take a step without branches. This hides the latency of a chain by the others, and drawing can be vectorised.
"""

import numpy as np

from fluxeq.sampling.moves import (
    begin,
    count_step,
    draw,
    enter,
    leave,
    propose_addition,
    propose_removal,
    shift_head,
    step,
)
from fluxeq.sampling.packed_counts import arrivals_at, hops
from fluxeq.sampling.random_numbers import random_bits, uniform

RUNNING, DONE, TABLE_TOO_SHORT, OVERFLOW = 0, 1, 2, 3
LARGEST_FLUX = 127  # maximum of int8
STEPS = 8  # of all heads between two opportunities for worms to enter and leave


def finish_worm(state, c, tables, done, spacing, stored):
    """Count a worm that has left or was rejected; store a configuration every ``spacing`` worms, False on overflow.

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
    """Try to enter until there is a worm: DONE if ``stored`` is full, OVERFLOW if a flux exceeds int8, else RUNNING."""
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
    DONE if ``stored`` is full; TABLE_TOO_SHORT before moves that may exceed the tables, to be called again with longer
    ones; OVERFLOW if a flux exceeds int8.
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
            propose_addition(state, c, tables)
        for c in range(n_chains):
            propose_removal(state, c, tables)
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
        if highest >= tables.site.shape[0] - 1:  # a worm may still enter a site before the next step
            return TABLE_TOO_SHORT


def record_alone(state, c, tables, done, spacing, stored):
    """The same for chain c on a GPU, where each chain is a thread and threads of a warp execute together.

    If some threads enter or leave, all others wait; a worm that has ended therefore waits until all heads have made
    ``STEPS`` steps.
    """
    while True:
        status = until_open(state, c, tables, done, spacing, stored)
        if status != RUNNING:
            return status
        for _ in range(STEPS):
            p = step(state, c, tables)
            if state.leaves[c]:
                break
            if p >= tables.site.shape[0] - 1:
                return TABLE_TOO_SHORT
        if state.leaves[c]:
            leave(state, c, tables)
            if state.ends[0, c] < 0 and not finish_worm(state, c, tables, done, spacing, stored):
                return OVERFLOW


def correlate(state, c, tables, extents, visits, done, n_worms):
    """Run ``n_worms`` worms of chain c, and count in ``visits`` int64 ``(V,)`` the positions of head relative to tail.

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


def store_fluxes(arrivals, c, tables, fluxes):
    """Write k and l of all links to ``fluxes``; False if one exceeds int8."""
    d = fluxes.shape[0] // 2
    for nu in range(d):
        for x in range(fluxes.shape[1]):
            forward = hops(arrivals, c, np.int64(tables.steps[x, 2 * nu + 1]), nu, tables)
            backward = hops(arrivals, c, x, d + nu, tables)
            k = forward - backward
            l = min(forward, backward)
            if abs(k) > LARGEST_FLUX or l > LARGEST_FLUX:
                return False
            fluxes[nu, x] = k
            fluxes[d + nu, x] = l
    return True


def store_words(arrivals, c, tables, words):
    """Write the words of the state, to be unpacked by ``store_fluxes`` later; always True."""
    for i in range(len(words)):
        words[i] = arrivals[c, i]
    return True


store = store_fluxes  # used by ``record``; ``backends`` may substitute the other


def add_worms(state, c, tables, done, longest, heads, tails):
    """Insert open worms into configuration c until ``heads`` and ``tails`` are full.

    Each starts on a random site that is not yet an end, makes a number of accepted moves drawn uniformly from
    1 ... ``longest``, and continues until its head is on an unoccupied site. ``done`` has the number of finished worms,
    and the moves made by and required of the current one. Stops with TABLE_TOO_SHORT like ``record``.
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
    for i in range(n):  # noqa: SIM110  (Numba does not support generators)
        if heads[i] == site or tails[i] == site:
            return True
    return False


def beyond_table(state, c, tables):
    """Whether the head has just moved a site beyond the tables; the others were checked when the tables were made."""
    head = state.ends[0, c]
    return head >= 0 and arrivals_at(state, c, np.uint64(head), tables) >= np.uint64(tables.site.shape[0])
