"""Exact n and |phi|^2 of any theory on rings and on 2x2, as sums over all hops.

    Z = sum over hops of  prod over bonds of  u^A v^B / (A! B!)  *  prod over sites of  W(f),    closed

A bond joins two sites: A hops go one way and B the other, each with the summed weight of all links between the two (two
links in a direction of extent 2). Sites are summed over one after another, with open indices for the hops on bonds to
later sites. Derivatives of ln Z are exact, by an infinitesimal imaginary step:

    n = (1/V) d ln Z / d mu,    h_t -> h_t e^(+-mu)        |phi|^2 = (1/V) d ln Z / d s,    W(f) -> W(f) + s W(f+2)

Truncation: A + B <= m on every bond; m grows until n and |phi|^2 converge. Verified against the transfer matrix, the
free field and, for the XY model, Bessel functions.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
from scipy.sparse import csr_array

from fluxeq.errors import InputError
from fluxeq.exact import Exact
from fluxeq.lattice import neighbours, require_shape, shape_name
from fluxeq.theory import FluxTheory

TRUNCATIONS = (2, 4, 6, 8, 12, 16, 20, 26, 34, 42, 50, 60, 80, 100, 130, 170)
"""Even numbers only: on some lattices an additional odd hop has no effect."""
ACCURACY = 1e-6
"""Largest change of n and |phi|^2 between the last two truncations."""
MOST_NUMBERS = 2**22
"""Maximum size of an intermediate array."""
STEP = 1e-30
"""Imaginary step, whose square is negligible."""

Bond = tuple[int, int]  # the smaller site first


def enumerated(theory: FluxTheory, shape: Sequence[int]) -> Exact:
    """Exact n and |phi|^2, to 1e-6; InputError if this takes too many hops on the lattice."""
    require_shape(shape)
    theory.require_stable(len(shape))
    n_sites, before = math.prod(shape), np.full(2, math.inf)
    bonds = _bonds(theory.hop_weights(len(shape)), shape, 0.0)
    for most in TRUNCATIONS:
        if _largest_array(bonds, n_sites, most) > MOST_NUMBERS:
            break
        try:
            with np.errstate(over="raise", invalid="raise"):
                z = [_partition_function(theory, shape, most, *change) for change in ((STEP, 0.0), (0.0, STEP))]
        except FloatingPointError:
            break
        found = np.array([each.imag / each.real for each in z]) / (n_sites * STEP)
        change = float(np.abs(found - before).max())
        if change < ACCURACY:
            return Exact(float(found[0]), float(found[1]), change)
        before = found
    raise InputError(
        f"{theory} on {shape_name(shape)}: too many hops to enumerate; choose a smaller lattice, or "
        f"{theory.fewer_hops.removeprefix('choose ')}"
    )


def _partition_function(theory: FluxTheory, shape: Sequence[int], most: int, mu: float, source: float) -> complex:
    """Z up to a constant factor, with imaginary steps in mu and W."""
    bonds = _bonds(theory.hop_weights(len(shape)), shape, mu)
    first, second = np.array([(a, m - a) for m in range(most + 1) for a in range(m + 1)]).T
    factorial = np.array([math.factorial(a) for a in range(most + 1)], dtype=float)
    weights = {bond: u**first * v**second / (factorial[first] * factorial[second]) for bond, (u, v) in bonds.items()}
    most_arrivals = most * max(sum(site in bond for bond in bonds) for site in range(math.prod(shape)))
    log_w = theory.log_site_weight(2 * np.arange(most_arrivals + 2))
    w = np.exp(log_w - log_w[0])
    w = w[:-1] + 1j * source * w[1:]
    open_bonds: list[Bond] = []
    total = np.ones((1, 1), dtype=complex)  # (hops on open bonds away from the site, hops on bonds of the site)
    for site in range(math.prod(shape)):
        shared = [bond for bond in open_bonds if site in bond]
        new = [bond for bond in bonds if min(bond) == site]
        tensor = _site(site, shared + new, first, second, w)
        for axis, bond in enumerate(reversed(new)):
            tensor = tensor * weights[bond].reshape(-1, *[1] * axis)
        axes = [open_bonds.index(bond) for bond in shared]
        total = np.moveaxis(total.reshape([len(first)] * len(open_bonds)), axes, range(-len(axes), 0))
        total = total.reshape(-1, len(first) ** len(shared)) @ csr_array(tensor.reshape(len(first) ** len(shared), -1))
        open_bonds = [bond for bond in open_bonds if bond not in shared] + new
    return complex(total.item())


def _site(site: int, touching: Sequence[Bond], first: np.ndarray, second: np.ndarray, w: np.ndarray) -> np.ndarray:
    """W(f) if as many hops arrive as leave, else 0; one axis for the hops on each bond of the site."""
    p = np.zeros((), dtype=int)  # hops that arrive
    left = np.zeros((), dtype=int)
    for start, _ in touching:
        away, back = (first, second) if start == site else (second, first)
        p, left = np.add.outer(p, back), np.add.outer(left, away)
    return np.where(p == left, w[p], 0)


def _bonds(h: np.ndarray, shape: Sequence[int], mu: float) -> dict[Bond, tuple[complex, complex]]:
    """Weights of a hop from the first to the second of two neighbours and back, summed over links."""
    d = len(shape)
    found: dict[Bond, list[complex]] = {}
    phase = np.ones(2 * d, dtype=complex)
    phase[[0, d]] = 1 + 1j * mu, 1 - 1j * mu
    for direction, targets in enumerate(neighbours(shape)):
        for site, target in enumerate(targets.tolist()):
            bond = min(site, target), max(site, target)
            sums = found.setdefault(bond, [0j, 0j])
            sums[int(site > target)] += h[direction] * phase[direction]
    return {bond: (u, v) for bond, (u, v) in found.items()}


def _largest_array(bonds: Collection[Bond], n_sites: int, most: int) -> int:
    """Size of the largest intermediate array."""
    touching = [sum(site in bond for bond in bonds) for site in range(n_sites)]
    left_open = [sum(first <= site < second for first, second in bonds) for site in range(n_sites)]
    return ((most + 1) * (most + 2) // 2) ** max(*touching, *left_open)
