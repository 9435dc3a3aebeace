"""Exact n and |phi|^2 of phi^4: the free field on every finite lattice, and any coupling on N_t x 2.

``enumeration`` has exact results for any theory on tiny lattices.

Free field (lam = 0), p over the momenta of the lattice:

    ln Z = - sum over p of ln D(p),      D(p) = eta - 2 cos(p_t - i mu) - 2 sum over i of cos(p_i)
    n = (1/V) d ln Z / d mu,             |phi|^2 = - (1/V) d ln Z / d eta

Transfer matrix in the flux basis (N_x = 2): each of the two sites has a state (k, m), m = |k| + 2 l, on its link in
time, with link weight 1 / (a! b!), a = (m + k) / 2, b = (m - k) / 2. Both links in space join the same two sites, so A
hops one way and B the other have the summed weight 2^(A + B) / (A! B!):

    M[k0 m0 k1 m1, k0' m0' k1' m1'] = sqrt(link weights) * sum over A - B = k0 - k0' of 2^(A + B) / (A! B!)
                                      * W(m0 + m0' + A + B) W(m1 + m1' + A + B)

M conserves Q = k0 + k1 and does not change with Q -> -Q, so Z = sum over Q of exp(mu Q N_t) Tr M_Q^N_t and n = <Q> / 2.
|phi|^2 is one M with W(m0 + m0' + A + B + 2) in place of W(m0 + m0' + A + B).

Truncation: m <= m_max and A + B <= 2 m_max; of the states with equal k0 and k1 only relevant combinations are kept. M
is a positive mixture over r0, r1 and an angle, and exp(4 r0 r1 cos) <= exp(2 r0^2 + 2 r1^2), so that as quadratic forms

    M <= sum over k0 + k1 = Q of N_k0 x N_k1,      N_k[m, m'] = sqrt(link weights) W(m + m') at eta - 2;

the eigenvectors of the right-hand side with the smallest eigenvalues are dropped, which lowers Tr M by at most the sum
of these. Reference for the flux form: Gattringer and Kloiber, Nucl. Phys. B 869 (2013) 56. Verified against enumeration
on 2 x 2, the free field against derivatives of ln Z, and both against each other at lam = 0.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from fluxeq.errors import InputError
from fluxeq.lattice import require_shape, shape_name
from fluxeq.system.capacity import require_memory
from fluxeq.theory import Theory, log_weight

COARSE, FINE = (34, 1e-8), (50, 1e-10)
"""Truncations: m_max, and the smallest eigenvalue kept relative to the largest of the same Q."""

ACCURACY = 1e-10  # largest relative change of n or |phi|^2 between the two truncations
MOST_STATES = 1200  # per Q: a matrix of this size takes nearly a second
NEGLIGIBLE = -30.0  # ln of the probability of a Q that is dropped


@dataclass(frozen=True)
class Exact:
    """Exact n and |phi|^2, lattice units.

    ``truncation`` is their largest change from a coarser truncation, 0 if there is none.
    """

    n: float
    phi2: float
    truncation: float


def solve(theory: Theory, shape: Sequence[int]) -> Exact:
    """Exact n and |phi|^2 by the applicable method; raises InputError if there is none."""
    require_shape(shape)
    if theory.lam == 0:
        return free_field(theory, shape)
    if len(shape) == 2 and shape[1] == 2:
        return transfer_matrix(theory, shape[0])
    raise InputError(
        f"no exact solution for lam = {theory.lam:g} on {shape_name(shape)}: there is one for lam = 0 on every "
        "lattice (free_field) and for every lam on N_t x 2 (transfer_matrix)"
    )


def free_field(theory: Theory, shape: Sequence[int]) -> Exact:
    """Exact n and |phi|^2 at lam = 0 on a finite lattice; raises InputError at lam > 0, StabilityError if unstable."""
    p_t, inverse = _in_momenta(theory, shape)
    return Exact(float(np.mean(2j * np.sin(p_t) * inverse).real), float(np.mean(inverse).real), 0.0)


def free_two_point(theory: Theory, shape: Sequence[int]) -> np.ndarray:
    """Exact <phi_(y + x) phi*_y> at lam = 0 on a finite lattice, (1/V) sum over p of e^(-i p x) / D(p); ``shape``.

    Raises InputError at lam > 0, StabilityError if the theory is unstable.
    """
    _, inverse = _in_momenta(theory, shape)
    return np.fft.fftn(inverse).real / inverse.size


def _in_momenta(theory: Theory, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """p_t - i mu and 1 / D(p) at the momenta of the lattice, each ``shape``."""
    require_shape(shape)
    if theory.lam != 0:
        raise InputError(f"lam = {theory.lam:g}: the free field has lam = 0; on N_t x 2 use transfer_matrix")
    theory.require_stable(len(shape))
    require_memory(f"the momenta of {shape_name(shape)}", 16 * (2 * len(shape) + 4) * math.prod(shape))
    momenta = [2 * np.pi * np.arange(extent) / extent for extent in shape]
    p_t, *p_space = np.meshgrid(momenta[0] - 1j * theory.mu, *momenta[1:], indexing="ij")
    return p_t, 1 / (theory.eta - 2 * np.cos(p_t) - sum(2 * np.cos(p) for p in p_space))


def transfer_matrix(theory: Theory, n_t: int) -> Exact:
    """Exact n and |phi|^2 on ``n_t`` x 2, to a relative 1e-10.

    Raises InputError if the finest truncation is too coarse for that, StabilityError if a free theory is unstable.
    """
    require_shape((n_t, 2))
    theory.require_stable(2)
    try:
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            coarse, fine = (_truncated(theory, n_t, *truncation) for truncation in (COARSE, FINE))
    except (FloatingPointError, InputError):  # matrix elements beyond double precision, or the bound at eta - 2
        raise _too_large(theory, n_t) from None
    change = np.abs(fine - coarse)
    if np.any(change > ACCURACY * np.abs(fine)):
        raise _too_large(theory, n_t)
    return Exact(float(fine[0]), float(fine[1]), float(change.max()))


def _too_large(theory: Theory, n_t: int) -> InputError:
    """The error for fluxes beyond the finest truncation."""
    return InputError(
        f"eta = {theory.eta:g}, lam = {theory.lam:g}, mu = {theory.mu:g} on {n_t}x2: the fluxes are too large for the "
        f"transfer matrix (|k| + 2 l <= {FINE[0]}, {MOST_STATES} states); raise eta or lam, or lower |mu|"
    )


class _Site(NamedTuple):
    """One of the two sites, in the basis that diagonalises the bound N_k."""

    m_max: int
    bound: list[np.ndarray]  # for each |k|, the eigenvalues of N_k that are not negligible
    element: Callable[[int, int, int], np.ndarray]  # of |k|, |k'|, added power of the field: (A + B, state, state')
    hops: Callable[[int], np.ndarray]  # of A - B: the weight for each A + B, relative to what is in ``element``


def _truncated(theory: Theory, n_t: int, m_max: int, smallest: float) -> np.ndarray:
    """n and |phi|^2 at one truncation; raises InputError if a relevant Q is cut off."""
    site, tilt = _site(theory, m_max, smallest), theory.mu * n_t
    log_z: list[float] = []
    phi2: list[float] = []
    for q in range(2 * m_max + 1):
        kept = _kept(site, q, smallest)
        if sum(map(len, kept.values())) > MOST_STATES:
            raise _too_large(theory, n_t)
        for values, value in zip((log_z, phi2), _sector(site, q, kept, n_t), strict=True):
            values.append(value)
        likely = np.array(log_z) + abs(tilt) * np.arange(q + 1)
        if likely[-1] < likely.max() + NEGLIGIBLE:
            break
    else:
        raise _too_large(theory, n_t)
    charge = np.arange(q + 1)
    plus, minus = (np.exp(np.array(log_z) + sign * tilt * charge - likely.max()) for sign in (1, -1))
    total = plus.sum() + minus[1:].sum()  # Q = 0 once
    return np.array([np.sum((plus - minus) * charge) / 2, np.sum(plus * phi2) + np.sum((minus * phi2)[1:])]) / total


def _site(theory: Theory, m_max: int, smallest: float) -> _Site:
    """The matrix elements of one site, scaled so that no N_k exceeds 1 on its diagonal."""
    log_factorial = np.array([math.lgamma(half / 2 + 1) for half in range(4 * m_max + 1)])  # of 0, 1/2, 1, ...
    log_w = log_weight(theory, 4 * m_max + 2)
    log_bound = log_weight(Theory(theory.eta - 2, theory.lam, theory.mu), 2 * m_max)
    m = [np.arange(k, m_max + 1, 2) for k in range(m_max + 1)]
    log_link = [-(log_factorial[m[k] + k] + log_factorial[m[k] - k]) / 2 for k in range(m_max + 1)]
    scale = max(np.max(2 * log_link[k] + log_bound[2 * m[k]]) for k in range(m_max + 1))
    both = np.arange(2 * m_max + 1)  # A + B
    log_even = both * math.log(2) / 2 - log_factorial[both]  # half the weight of A = B goes to each site

    def dressed(k: int, other: int, log_field: np.ndarray) -> np.ndarray:
        """The link weights of m and m' times e^``log_field``."""
        return np.exp(log_link[k][:, None] + log_link[other] + log_field - scale)

    bounds = (dressed(k, k, log_bound[np.add.outer(m[k], m[k])]) for k in range(m_max + 1))
    bound, basis = zip(*(_largest(matrix, smallest) for matrix in bounds), strict=True)

    @cache
    def element(k: int, other: int, power: int) -> np.ndarray:
        s = both[(k - other) % 2 :: 2, None, None]
        log_field = log_w[np.add.outer(m[k], m[other]) + s + power] + log_even[s]
        return basis[k].T @ dressed(k, other, log_field) @ basis[other]

    @cache
    def hops(difference: int) -> np.ndarray:
        s, j = both[difference % 2 :: 2], abs(difference)
        log_hops = s * math.log(2) - log_factorial[s + j] - log_factorial[np.maximum(s - j, 0)] - 2 * log_even[s]
        return np.where(s >= j, np.exp(log_hops), 0.0)

    return _Site(m_max, list(bound), element, hops)


def _largest(matrix: np.ndarray, smallest: float) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues of a positive matrix that are not negligible, and their eigenvectors."""
    values, vectors = np.linalg.eigh(matrix)
    large = values > smallest * values[-1]
    return values[large], vectors[:, large]


def _kept(site: _Site, q: int, smallest: float) -> dict[int, np.ndarray]:
    """For each k0, the pairs of states (a flat index) of the two sites whose bound is not negligible at Q = ``q``."""
    bound = {k: np.outer(site.bound[abs(k)], site.bound[abs(q - k)]) for k in range(q - site.m_max, site.m_max + 1)}
    largest = max(product.max(initial=0) for product in bound.values())
    kept = {k: np.flatnonzero(product > smallest * largest) for k, product in bound.items()}
    return {k: pairs for k, pairs in kept.items() if len(pairs)}


def _sector(site: _Site, q: int, kept: dict[int, np.ndarray], n_t: int) -> tuple[float, float]:
    """ln Tr M_Q^``n_t``, and the mean |phi|^2 at Q."""
    matrix = _matrix(site, q, kept, 0)
    others, log_scale = _power(matrix, n_t - 1)
    trace = np.sum(matrix * others)  # both are symmetric
    return log_scale + math.log(trace), np.sum(_matrix(site, q, kept, 2) * others) / trace


def _power(matrix: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """A matrix and a logarithm, with ``matrix``^``n`` = e^logarithm times the matrix, which has unit norm; n >= 1."""
    if n == 1:
        power, log_scale = matrix, 0.0
    else:
        half, log_half = _power(matrix, n // 2)
        power, log_scale = half @ half, 2 * log_half
        power = power @ matrix if n % 2 else power
    norm = np.linalg.norm(power)
    return power / norm, log_scale + math.log(norm)


def _matrix(site: _Site, q: int, kept: dict[int, np.ndarray], power: int) -> np.ndarray:
    """M_Q between the states kept, with ``power`` more powers of the field at site 0."""
    end = np.cumsum([len(pairs) for pairs in kept.values()])
    rows = {k: slice(stop - len(kept[k]), stop) for k, stop in zip(kept, end, strict=True)}
    matrix = np.empty((end[-1], end[-1]))
    for k, other in itertools.combinations_with_replacement(kept, 2):
        block = _block(site, q, (k, other), power)[np.ix_(kept[k], kept[other])]
        matrix[rows[k], rows[other]], matrix[rows[other], rows[k]] = block, block.T
    return matrix


def _block(site: _Site, q: int, k0: tuple[int, int], power: int) -> np.ndarray:
    """M_Q between all pairs of states of the sites at k0 and at k0': the sum over A + B as one matrix product."""
    k, other = k0
    first = site.element(abs(k), abs(other), power) * site.hops(k - other)[:, None, None]
    second = site.element(abs(q - k), abs(q - other), 0)
    (n, rows, columns), (_, rows_1, columns_1) = first.shape, second.shape
    product = (first.reshape(n, -1).T @ second.reshape(n, -1)).reshape(rows, columns, rows_1, columns_1)
    return product.transpose(0, 2, 1, 3).reshape(rows * rows_1, columns * columns_1)
