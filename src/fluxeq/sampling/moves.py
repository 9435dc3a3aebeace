"""The moves of the worm, written once as plain functions; ``backends`` compiles this file for each kind of machine.

The state of a chain is the number of hops on every link, forward (a) and backward (b), with link weight
exp(mu (a - b)) / (a! b!) in time and 1 / (a! b!) in space; k = a - b, l = min(a, b), |k| + 2 l = a + b. An open worm
has a tail and a head, and each counts as one more power of the field at its site: with ``f`` the sum of the hops that
touch a site plus head and tail, every site has the weight W(f) and f is always even. One ratio r(f) = W(f+2) / W(f)
decides each move, and the moves below are each other's inverse:

    enter   head = tail = x for a uniform x     weight r(f_x)                         leave
    add     a hop towards the neighbour y       weight e^(+-mu) / (a + 1) * r(f_y)    remove

``entry`` fixes the weight of the open sector relative to the closed one, which is arbitrary. Where head and tail meet,
leaving is proposed with probability ``LEAVING`` and any other move with what is left, which the acceptance corrects.
A rejected entry is a step of the chain: the configuration counts once more (Prokof'ev and Svistunov,
Phys. Rev. Lett. 87 (2001) 160601; the embedded chain of closed configurations keeps their distribution).

Arrays of one chain, V sites in row-major order:
    hops        int16 (2, d, V)     a and b on the link from x to x + nu_hat
    powers      int32 (V,)          f, kept up to date
    ends        int64 (2,)          head and tail, -1 where the configuration is closed
    rng         uint64 (4,)         state of xoshiro256++ (Blackman and Vigna, ACM Trans. Math. Softw. 47 (2021) 36)
    tally       int64 (4, 2)        moves proposed and accepted: enter, leave, add, remove
and shared by all: neighbours int64 (2 d, V), first all x + nu_hat, then all x - nu_hat; factor float64 (2 d,),
e^(+-mu) for a hop in each direction; ratio float64 (n,), r(2 i).
"""

import numpy as np

DONE, TABLE_TOO_SHORT, OVERFLOW = 0, 1, 2
ENTER, LEAVE, ADD, REMOVE = 0, 1, 2, 3
LEAVING = 0.5
LARGEST = 127  # of an int8


def rotated(x, n):
    """The 64 bits of x, rotated to the left by n."""
    return (x << np.uint64(n)) | (x >> np.uint64(64 - n))


def uniform(rng):
    """A random number in [0, 1) with 53 bits; advances the stream."""
    value = rotated(rng[0] + rng[3], 23) + rng[0]
    shifted = rng[1] << np.uint64(17)
    rng[2] ^= rng[0]
    rng[3] ^= rng[1]
    rng[1] ^= rng[2]
    rng[0] ^= rng[3]
    rng[2] ^= shifted
    rng[3] = rotated(rng[3], 45)
    return np.int64(value >> np.uint64(11)) * 2.0**-53


def enter(powers, ends, rng, tally, ratio, entry):
    """Try to put head and tail on a random site of a closed configuration."""
    site = int(uniform(rng) * len(powers))
    tally[ENTER, 0] += 1
    if uniform(rng) < entry * ratio[powers[site] >> 1]:
        powers[site] += 2
        ends[0] = site
        ends[1] = site
        tally[ENTER, 1] += 1


def leave(powers, ends, rng, tally, ratio, entry):
    """Try to take head and tail, which are on one site, out of the configuration."""
    site = ends[0]
    tally[LEAVE, 0] += 1
    if uniform(rng) * entry * ratio[(powers[site] >> 1) - 1] < 1.0:
        powers[site] -= 2
        ends[0] = -1
        ends[1] = -1
        tally[LEAVE, 1] += 1


def shift_head(hops, powers, ends, rng, tally, neighbours, factor, ratio, leaving):
    """Try to move the head to a neighbour, by a new hop or by undoing one; 1 if it moved, else 0.

    ``leaving`` is the probability with which leaving is proposed where head and tail meet; 0 if they never part.
    """
    d = hops.shape[1]
    head = ends[0]
    scaled = uniform(rng) * (4 * d)
    choice = int(scaled)
    chance = scaled - choice  # what is left of the random number is uniform again
    direction = choice >> 1
    target = neighbours[direction, head]
    forward = direction < d
    nu = direction if forward else direction - d
    link = head if forward else target
    along = 0 if forward else 1
    if head == ends[1]:
        chance *= 1.0 - leaving
    elif target == ends[1]:
        chance /= 1.0 - leaving
    if choice & 1:
        tally[ADD, 0] += 1
        count = hops[along, nu, link]
        if chance * (count + 1) < factor[direction] * ratio[powers[target] >> 1]:
            hops[along, nu, link] = count + 1
            powers[target] += 2
            ends[0] = target
            tally[ADD, 1] += 1
            return 1
    else:
        tally[REMOVE, 0] += 1
        count = hops[1 - along, nu, link]
        if count > 0 and chance * ratio[(powers[head] >> 1) - 1] < factor[direction] * count:
            hops[1 - along, nu, link] = count - 1
            powers[head] -= 2
            ends[0] = target
            tally[REMOVE, 1] += 1
            return 1
    return 0


def run_worms(hops, powers, ends, rng, tally, neighbours, factor, ratio, entry, done, n_worms):
    """Let worms enter, run and leave until ``done[0]`` entries have been tried and, where they succeeded, closed again.

    Stops with TABLE_TOO_SHORT before a move that the ratios do not reach; call again with more of them.
    """
    while done[0] < n_worms:
        if ends[0] < 0:
            enter(powers, ends, rng, tally, ratio, entry)
        elif beyond_table(powers, ends, ratio):
            return TABLE_TOO_SHORT
        elif ends[0] == ends[1] and uniform(rng) < LEAVING:
            leave(powers, ends, rng, tally, ratio, entry)
        else:
            shift_head(hops, powers, ends, rng, tally, neighbours, factor, ratio, LEAVING)
        if ends[0] < 0:
            done[0] += 1
    return DONE


def beyond_table(powers, ends, ratio):
    """Whether the head has just raised a site beyond the table; all other sites were checked when they grew."""
    return (powers[ends[0]] >> 1) >= len(ratio)


def record(hops, powers, ends, rng, tally, neighbours, factor, ratio, entry, done, spacing, stored):
    """Store a configuration, int8 ``(2 d, V)``, after every ``spacing`` worms until ``stored`` is full.

    ``done`` counts the worms since the last stored configuration and the configurations stored. Stops with
    TABLE_TOO_SHORT like ``run_worms``, or with OVERFLOW where a flux does not fit into int8.
    """
    while done[1] < len(stored):
        if run_worms(hops, powers, ends, rng, tally, neighbours, factor, ratio, entry, done, spacing) != DONE:
            return TABLE_TOO_SHORT
        if not store_fluxes(hops, stored[done[1]]):
            return OVERFLOW
        done[0] = 0
        done[1] += 1
    return DONE


def store_fluxes(hops, fluxes):
    """Write k and l of all links to ``fluxes``; False if one of them does not fit."""
    d = hops.shape[1]
    for nu in range(d):
        for x in range(hops.shape[2]):
            forward = hops[0, nu, x]
            backward = hops[1, nu, x]
            k = forward - backward
            l = min(forward, backward)
            if abs(k) > LARGEST or l > LARGEST:
                return False
            fluxes[nu, x] = k
            fluxes[d + nu, x] = l
    return True


def add_worms(hops, powers, ends, rng, tally, neighbours, factor, ratio, done, longest, heads, tails):
    """Draw one open worm after another into a configuration until ``heads`` and ``tails`` are full.

    Each starts on a random site that is not yet an end, makes a number of accepted moves drawn uniformly from
    1 ... ``longest``, and goes on until its head is on a site of its own. ``done`` counts the finished worms, and the
    moves made by and wanted from the present one. Stops with TABLE_TOO_SHORT like ``run_worms``.
    """
    while done[0] < len(heads):
        if ends[0] < 0:
            site = int(uniform(rng) * len(powers))
            if is_end(site, heads, tails, done[0]):
                continue
            powers[site] += 2
            ends[0] = site
            ends[1] = site
            done[1] = 0
            done[2] = 1 + int(uniform(rng) * longest)
        if beyond_table(powers, ends, ratio):
            return TABLE_TOO_SHORT
        done[1] += shift_head(hops, powers, ends, rng, tally, neighbours, factor, ratio, 0.0)
        if done[1] >= done[2] and ends[0] != ends[1] and not is_end(ends[0], heads, tails, done[0]):
            heads[done[0]] = ends[0]
            tails[done[0]] = ends[1]
            ends[0] = -1
            ends[1] = -1
            done[0] += 1
    return DONE


def is_end(site, heads, tails, n):
    """Whether one of the first ``n`` worms ends on the site."""
    for i in range(n):  # noqa: SIM110  (Numba compiles no generators)
        if heads[i] == site or tails[i] == site:
            return True
    return False
