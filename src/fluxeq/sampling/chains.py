"""Independent worm chains: their state, their advance in parallel, and how long to wait between configurations.

One random stream per chain (spawned by NumPy's SeedSequence), so that results do not depend on threads or scheduling;
half a run continued by the other half is one run.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from fluxeq import observables, statistics
from fluxeq.errors import FluxOverflowError, InputError
from fluxeq.lattice import neighbours, require_shape
from fluxeq.sampling import backends
from fluxeq.theory import Theory, weight_ratio

ENTRY = 8.0
"""Weight of entering the open sector; any value is correct, this one is near the best on the lattices of the paper."""

PILOT_LENGTH = 64  # recorded configurations a chain, in one pilot
PILOT_TAU = 100  # autocorrelation times that all chains of a pilot must span together
LARGEST_R_HAT = 1.1
LONGEST_STRIDE = 2**22  # worms between two configurations of a pilot
PILOT_MEMORY = 2**28  # bytes of configurations that a pilot may hold at once

Moves = SimpleNamespace


class Chains(NamedTuple):
    """All that is needed to continue closed chains bit for bit: the checkpoint, and nothing else."""

    hops: np.ndarray  # (chain, 2, d, *shape) int16, forward and backward along each link
    rng: np.ndarray  # (chain, 4) uint64; one stream per chain
    worms: np.ndarray  # (chain,) int64, entries tried so far

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the lattice, time first."""
        return self.hops.shape[3:]


class Recording(NamedTuple):
    """Configurations in the order they were made, and how the moves went."""

    configurations: np.ndarray  # (chain, n, 2 d, *shape) int8
    tally: np.ndarray  # (4, 2) int64: enter, leave, add, remove; proposed and accepted


@dataclass(frozen=True)
class Tuning:
    """What a pilot found: waiting times in worms, chosen from the measured autocorrelation."""

    spacing: int
    thermalisation: int
    tau_int: float  # in worms, the largest over n, |phi|^2 and the mean of l


def start(shape: Sequence[int], n_chains: int, seed: int) -> Chains:
    """Empty lattices, one for each chain, each with its own random stream.

    Raises InputError for a lattice or a number of chains that cannot be.
    """
    require_shape(shape)
    if n_chains < 1:
        raise InputError(f"chains = {n_chains}: at least 1 is needed; 4 or more allow a test of their agreement")
    if seed < 0:
        raise InputError(f"seed = {seed}: a seed is a whole number from 0 on")
    streams = [child.generate_state(4, np.uint64) for child in np.random.SeedSequence(seed).spawn(n_chains)]
    hops = np.zeros((n_chains, 2, len(shape), *shape), dtype=np.int16)
    return Chains(hops, np.array(streams), np.zeros(n_chains, dtype=np.int64))


def hop_factor(theory: Theory, d: int) -> np.ndarray:
    """Weight exp(+-mu) of a hop in each direction, in the order of ``neighbours``; ``(2 d,)``."""
    factor = np.ones(2 * d)
    factor[0], factor[d] = math.exp(theory.mu), math.exp(-theory.mu)
    return factor


def hops_of(configurations: np.ndarray) -> np.ndarray:
    """Hops forward and backward on every link of ``(n, 2 d, *shape)`` configurations; int16 ``(n, 2, d, *shape)``."""
    k, l = (part.astype(np.int16) for part in observables.split(configurations))
    return np.stack([np.maximum(k, 0) + l, np.maximum(-k, 0) + l], axis=1)


def powers_of(hops: np.ndarray) -> np.ndarray:
    """f at every site, row-major, from ``(n, 2, d, *shape)`` hops; int32 ``(n, V)``."""
    total = np.zeros((len(hops), *hops.shape[3:]), dtype=np.int32)
    for nu in range(hops.shape[2]):
        both = hops[:, 0, nu].astype(np.int32) + hops[:, 1, nu]
        total += both + np.roll(both, 1, axis=1 + nu)
    return total.reshape(len(hops), -1)


def ratios(theory: Theory, powers: np.ndarray) -> np.ndarray:
    """r(f) = W(f+2) / W(f) at even f, reaching well beyond the largest of ``powers``."""
    return weight_ratio(theory, max(64, 2 * int(powers.max(initial=0))))[::2].copy()


def record(
    theory: Theory,
    chains: Chains,
    n_configurations: int,
    spacing: int,
    *,
    n_threads: int = 1,
    moves: Moves | None = None,
) -> tuple[Chains, Recording]:
    """Advance every chain and store ``n_configurations`` of each, ``spacing`` worms apart.

    Raises FluxOverflowError, naming the link, if a flux does not fit into int8, and StabilityError for a free theory
    without a ground state.
    """
    theory.require_stable(len(chains.shape))
    n_chains, d, n_sites = len(chains.hops), len(chains.shape), math.prod(chains.shape)
    hops, rng = chains.hops.reshape(n_chains, 2, d, n_sites).copy(), chains.rng.copy()
    powers = powers_of(chains.hops)
    tally = np.zeros((n_chains, 4, 2), dtype=np.int64)
    stored = np.empty((n_chains, n_configurations, 2 * d, n_sites), dtype=np.int8)
    lattice, factor = neighbours(chains.shape), hop_factor(theory, d)
    compiled = moves or backends.cpu()

    def advance(c: int) -> None:
        """Run one chain to its end; the table of ratios grows when a move asks for more of it."""
        ends, done = np.full(2, -1), np.zeros(2, dtype=np.int64)
        status = compiled.TABLE_TOO_SHORT
        while status == compiled.TABLE_TOO_SHORT:
            if hops[c].max() > 2 * compiled.LARGEST:  # a runaway, long before int16 is full: each table doubles f
                raise overflow_error(hops[c].reshape(2, d, *chains.shape), c)
            ratio = ratios(theory, powers[c])
            status = compiled.record(
                hops[c], powers[c], ends, rng[c], tally[c], lattice, factor, ratio, ENTRY, done, spacing, stored[c]
            )
        if status == compiled.OVERFLOW:
            raise overflow_error(hops[c].reshape(2, d, *chains.shape), c)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(advance, range(n_chains)))
    advanced = Chains(hops.reshape(chains.hops.shape), rng, chains.worms + n_configurations * spacing)
    return advanced, Recording(stored.reshape(n_chains, n_configurations, 2 * d, *chains.shape), tally.sum(axis=0))


def overflow_error(hops: np.ndarray, chain: int) -> FluxOverflowError:
    """The error for the link with the largest flux."""
    k, l = np.abs(hops[0] - hops[1]), hops.min(axis=0)
    name, values = ("k", k) if k.max() >= l.max() else ("l", l)
    nu, *site = (int(i) for i in np.unravel_index(np.argmax(values), values.shape))
    direction = "t" if nu == 0 else f"x{nu}"
    return FluxOverflowError(
        f"|{name}_{direction}| = {values.max()} on the link from site {tuple(site)} of chain {chain}: "
        "a stored flux is at most 127 (int8); choose a smaller mu or larger eta or lam"
    )


def tune(
    theory: Theory,
    chains: Chains,
    *,
    n_threads: int = 1,
    moves: Moves | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Chains, Tuning]:
    """Thermalise the chains and choose the spacing: pilots of growing length until one spans many tau_int.

    A pilot is accepted when all chains together span at least 100 tau_int of n, |phi|^2 and the mean of l, and the
    chains agree (R-hat below 1.1). All pilots are thrown away; the spacing is 2 tau_int. Raises InputError if no pilot
    is long enough.
    """
    theory.require_stable(len(chains.shape))
    stride, before = 1, int(chains.worms[0])
    while True:
        chains, series = _measured(theory, chains, stride, n_threads, moves)
        estimates = [estimate for estimate in map(statistics.estimate, series) if estimate.status != "constant"]
        tau_int = max((e.tau_int for e in estimates if e.tau_int is not None), default=None)
        r_hat = max((e.r_hat for e in estimates if e.r_hat is not None), default=1.0)
        frozen = any(e.status == "frozen" for e in estimates)
        if tau_int is not None and not frozen:
            spanned = len(chains.hops) * PILOT_LENGTH / tau_int
            report(f"pilot: stride {stride} worms, tau_int {tau_int * stride:.0f} worms, R-hat {r_hat:.3f}")
            if spanned >= PILOT_TAU and r_hat < LARGEST_R_HAT:
                spacing = max(1, math.ceil(2 * tau_int * stride))
                return chains, Tuning(spacing, int(chains.worms[0]) - before, tau_int * stride)
        stride *= 2
        if stride > LONGEST_STRIDE:
            raise InputError(
                f"the chains do not come to rest within {int(chains.worms[0]) - before} worms each: "
                "too cold or too large a lattice for this sampler; choose other couplings or a smaller lattice"
            )


def _measured(
    theory: Theory, chains: Chains, stride: int, n_threads: int, moves: Moves | None
) -> tuple[Chains, list[list[np.ndarray]]]:
    """Series of n, |phi|^2 and the mean of l over a pilot, one array per chain, in blocks that fit into memory."""
    d = len(chains.shape)
    block = max(1, min(PILOT_LENGTH, PILOT_MEMORY // (len(chains.hops) * 2 * d * math.prod(chains.shape))))
    parts = []
    for first in range(0, PILOT_LENGTH, block):
        n = min(block, PILOT_LENGTH - first)
        chains, (configurations, _) = record(theory, chains, n, stride, n_threads=n_threads, moves=moves)
        flat = configurations.reshape(-1, 2 * d, *chains.shape)
        values = observables.density(flat), observables.phi2(theory, flat), observables.hop_pairs(flat)
        parts.append(np.stack(values).reshape(3, len(chains.hops), n))
    return chains, [list(chain) for chain in np.concatenate(parts, axis=2)]
