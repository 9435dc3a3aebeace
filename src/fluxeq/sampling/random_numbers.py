"""Random numbers of the moves: xoroshiro128++ (Blackman and Vigna, ACM Trans. Math. Softw. 47 (2021) 36).

One generator per chain, with state ``rng`` uint64 ``(2, chain)``. Plain functions, compiled by ``backends``.
"""

import numpy as np


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
    """64 random bits from the state of a generator."""
    return rotated(first + second, 17) + first


def stepped(first, second):
    """The next state of a generator."""
    second ^= first
    return rotated(first, 49) ^ second ^ (second << np.uint64(21)), rotated(second, 28)


def uniform(rng, c):
    """A random number in [0, 1) with 53 bits."""
    return np.int64(random_bits(rng, c) >> np.uint64(11)) * 2.0**-53
