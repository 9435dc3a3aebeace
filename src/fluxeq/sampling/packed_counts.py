"""Packed numbers of arrivals at each site: hops of each direction, then tails, in the lanes of 64-bit words.

A word has five counts of 12 bits, whose sum, p, is one multiplication. Plain functions, compiled by ``backends``.
"""

import numpy as np

LANES = 5  # counts per word
WIDTH = np.uint64(12)  # bits per count
FULL = np.uint64(0xFFF)
ONES = np.uint64(0x0001001001001001)  # 1 in every lane: a product with it gives cumulative sums of lanes
HIGH = np.uint64(0x0800800800800800)  # the highest bit of every lane, always unused
TOP = np.uint64(48)  # start of the last lane
MOST_ARRIVALS = 2000  # p beyond which a lane could overflow


def words_for(n_directions):
    """Words per site: enough lanes for all directions and the tail."""
    return n_directions // LANES + 1


def n_words(tables):
    """Words per site for the lattice of the tables."""
    return words_for(len(tables.edges) + 1)


def arrivals_at(state, c, site, tables):
    """p of a site, the sum of all its lanes."""
    words = np.uint64(n_words(tables))
    total = np.uint64(0)
    for i in range(n_words(tables)):
        total += (state.arrivals[c, site * words + np.uint64(i)] * ONES >> TOP) & FULL
    return total


def put(state, c, site, direction, change, tables):
    """Change the number of hops that arrive at a site in a direction; the index after all directions is the tail."""
    words = np.uint64(n_words(tables))
    lane = np.uint64(direction)
    word = np.uint64(0)
    if n_words(tables) > 1:
        word = lane // np.uint64(LANES)
        lane -= word * np.uint64(LANES)
    state.arrivals[c, site * words + word] += np.uint64(np.int64(change)) << (WIDTH * lane)  # wraps for -1


def arrived(state, c, site, number, tables):
    """The direction of one of all arrivals at a site, selected by a number in [0, 1)."""
    words = np.uint64(n_words(tables))
    hop = np.uint64(np.int64(number * np.int64(arrivals_at(state, c, site, tables)))) + np.uint64(1)
    direction = np.uint64(LANES) * words
    below = np.uint64(0)
    for i in range(n_words(tables)):
        sums = (state.arrivals[c, site * words + np.uint64(i)] + below) * ONES
        enough = ((sums | HIGH) - hop * ONES) & HIGH  # one bit for each lane whose cumulative sum is large enough
        direction -= ((enough >> (WIDTH - np.uint64(1))) * ONES >> TOP) & FULL
        below = (sums >> TOP) & FULL
    return direction


def hops(arrivals, c, site, direction, tables):
    """Number of hops that arrive at a site in a direction."""
    word = site * n_words(tables) + direction // LANES
    return np.int64(arrivals[c, word] >> (WIDTH * np.uint64(direction % LANES)) & FULL)
