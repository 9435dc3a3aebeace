"""How long chains wait, and how readily worms enter: chosen by pilot runs, then frozen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fluxeq import observables, statistics
from fluxeq.errors import InputError
from fluxeq.sampling.chains import Chains, Recorder, record, require_whole
from fluxeq.sampling.drivers import LARGEST_FLUX
from fluxeq.sampling.tables import ratios, require_storable, vacancy
from fluxeq.theory import FluxTheory, log_weight

Report = Callable[[str], None]

PILOT_LENGTH = 64  # recorded configurations a chain, in one pilot
PILOT_TAU = 400  # autocorrelation times that all chains of a pilot must span together
FEWEST_CHAINS = math.ceil(PILOT_TAU / 2 / PILOT_LENGTH)  # fewer never span them, since tau_int is at least 1/2
LARGEST_R_HAT = 1.1  # also for chains that agree, if each spans fewer than some 17 tau_int
LONGEST_STRIDE = 2**22  # worms between two configurations of a pilot
WORMS_A_SITE = 4  # that begin between two configurations of a pilot, on average; e^-4 of the sites have none
PILOT_MEMORY = 2**25  # bytes of configurations that a pilot may hold at once


@dataclass(frozen=True)
class Tuning:
    """What the pilots found: waiting times in worms, from the measured autocorrelation, and the weight of entering."""

    spacing: int
    thermalisation: int
    tau_int: float  # in worms, the largest over n, |phi|^2 and the mean of l
    entry: float


def tune(
    theory: FluxTheory, chains: Chains, *, record: Recorder = record, report: Report = lambda line: None
) -> tuple[Chains, Tuning]:
    """Thermalise the chains and choose spacing and entry: pilots of growing length until one spans many tau_int.

    Chains that are all empty begin from both sides, see ``dispersed``, so that they cannot agree before they have come
    to rest: an empty lattice above the onset looks as if it were at rest until the first worm winds around it.
    A pilot is accepted when all chains together span at least 400 tau_int of n, |phi|^2 and the mean of l, and they
    agree (R-hat below 1.1, which shorter chains than some 17 tau_int each do not reach). All pilots are thrown away;
    the spacing is 2 tau_int. Entry is 1 over the mean of g (see ``moves``) in the pilot before, with which entering is
    as likely as leaving. ``record`` says on which device.

    Where hops are rare, nothing may fluctuate in a pilot, but what is left of the start. It is accepted if all chains
    keep one value of each of the three in its second half, though they began on both sides, and if 4 worms began on
    every site, on average, between two configurations: a hop is made and undone by worms that begin beside it, so that
    there was time for both. Configurations count as independent then, and tau_int as half of their distance.

    Raises InputError for fewer than 4 chains, which no pilot would let pass, and if no pilot is long enough.
    """
    require_storable(theory, len(chains.shape))
    require_whole("chains of a pilot", len(chains.hops), FEWEST_CHAINS)
    if not chains.hops.any():
        chains = dispersed(theory, chains)
    stride, before, entry = 1, int(chains.worms[0]), 1.0
    while stride <= LONGEST_STRIDE:
        chains, series, g = _measured(theory, chains, stride, entry, record)
        tau_int, r_hat = _judged(series, stride >= min(WORMS_A_SITE * math.prod(chains.shape), LONGEST_STRIDE))
        found = f"tau_int {tau_int * stride:.0f} worms, R-hat {r_hat:.3f}"
        report(f"pilot: stride {stride} worms, {found if tau_int < math.inf else 'no chain fluctuates yet'}")
        if len(chains.hops) * PILOT_LENGTH / tau_int >= PILOT_TAU and r_hat < LARGEST_R_HAT:
            spacing = max(1, math.ceil(2 * tau_int * stride))
            return chains, Tuning(spacing, int(chains.worms[0]) - before, tau_int * stride, entry)
        stride *= 2
        entry = 1 / g
    raise InputError(
        f"the chains do not come to rest within {int(chains.worms[0]) - before} worms each: "
        "too cold or too large a lattice for this sampler; choose other couplings or a smaller lattice"
    )


def _judged(series: list[list[np.ndarray]], may_be_constant: bool) -> tuple[float, float]:
    """The largest tau_int, in steps of the series, and R-hat of some observables; infinite where unknown."""
    if all(map(_ends_constant, series)):
        return (0.5, 1.0) if may_be_constant else (math.inf, math.inf)
    why = [statistics.unknown(chains) for chains in series]
    if "frozen" in why:
        return math.inf, math.inf
    fluctuating = [chains for chains, reason in zip(series, why, strict=True) if reason is None]
    tau_int = max(map(statistics.windowed_tau_int, fluctuating), default=math.inf)
    return tau_int, max((r_hat for r_hat in map(statistics.r_hat, fluctuating) if r_hat is not None), default=1.0)


def _ends_constant(series: list[np.ndarray]) -> bool:
    """Whether all chains keep one value in the second half of a pilot."""
    return statistics.is_constant(np.concatenate([chain[len(chain) // 2 :] for chain in series]))


def dispersed(theory: FluxTheory, chains: Chains) -> Chains:
    """Every other chain filled with lines of the heavier hops in time, more of them than it will keep.

    If all p that arrive at a site were independent, they would weigh L^p W(2 p) / p! (see ``moves``); the lines are
    twice as many as the heaviest p, and one more.
    """
    d = len(chains.shape)
    h, p = theory.hop_weights(d), np.arange(LARGEST_FLUX // 2)
    weight = p * math.log(h.sum()) + log_weight(theory, LARGEST_FLUX)[2 * p]
    n_lines = 2 * int(np.argmax(weight - [math.lgamma(arrivals + 1) for arrivals in p])) + 1
    hops = chains.hops.copy()
    hops[::2, 0 if h[0] >= h[d] else 1, 0] = min(n_lines, LARGEST_FLUX)
    return chains._replace(hops=hops)


def _measured(
    theory: FluxTheory, chains: Chains, stride: int, entry: float, record: Recorder
) -> tuple[Chains, list[list[np.ndarray]], float]:
    """Series of n, |phi|^2 and the mean of l over a pilot, one array per chain, and the mean of g.

    Configurations are made in blocks that fit into memory.
    """
    d = len(chains.shape)
    block = max(1, min(PILOT_LENGTH, PILOT_MEMORY // (len(chains.hops) * 2 * d * math.prod(chains.shape))))
    parts, weight = [], theory.hop_weights(d).sum()
    for first in range(0, PILOT_LENGTH, block):
        n = min(block, PILOT_LENGTH - first)
        chains, configurations = record(theory, chains, n, stride, entry=entry)
        flat = configurations.reshape(-1, 2 * d, *chains.shape)
        p = observables.field_powers(flat) // 2
        g = weight * vacancy(ratios(theory, p))[p].reshape(len(flat), -1).mean(axis=1)
        values = observables.n(theory, flat), observables.phi2(theory, flat), observables.hop_pairs(flat), g
        parts.append(np.stack(values).reshape(4, len(chains.hops), n))
    *series, g = np.concatenate(parts, axis=2)
    return chains, [list(chain) for chain in series], float(g.mean())
