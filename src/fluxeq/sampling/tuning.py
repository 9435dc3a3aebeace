"""Thermalisation, spacing and weight of the open sector, determined by pilot runs and then fixed."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fluxeq import observables, statistics
from fluxeq.errors import InputError
from fluxeq.sampling.chains import Chains, Recorder, record, require_whole
from fluxeq.sampling.drivers import LARGEST_FLUX
from fluxeq.sampling.tables import added_hop_weight, ratios, require_storable
from fluxeq.theory import FluxTheory, log_weight

Report = Callable[[str], None]

PILOT_LENGTH = 64  # configurations per chain recorded in a pilot
PILOT_TAU = 400  # minimum total length of a pilot, all chains together, in autocorrelation times
FEWEST_CHAINS = math.ceil(PILOT_TAU / 2 / PILOT_LENGTH)  # fewer never reach it, since tau_int is at least 1/2
LARGEST_R_HAT = 1.1  # exceeded even by chains that agree, if each is shorter than about 17 tau_int
LONGEST_STRIDE = 2**22  # maximum number of worms between two configurations of a pilot
WORMS_PER_SITE = 4  # mean number that start between two configurations of a pilot; none on e^-4 of the sites
PILOT_MEMORY = 2**25  # maximum bytes of configurations of a pilot in memory


@dataclass(frozen=True)
class Tuning:
    """Results of the pilots: spacing and thermalisation in worms, from the autocorrelation; open-sector weight."""

    spacing: int
    thermalisation: int
    tau_int: float  # in worms, the largest over n, |phi|^2 and the mean of l
    entry: float


def tune(
    theory: FluxTheory, chains: Chains, *, record: Recorder = record, report: Report = lambda line: None
) -> tuple[Chains, Tuning]:
    """Thermalise the chains and determine spacing and entry, by pilots of increasing length.

    Empty chains get low- and high-density starts, see ``overdispersed``, so that they cannot agree before they are
    thermalised: above the onset, an empty lattice appears thermalised until the first worm winds around it.

    A pilot is accepted if all chains together are at least 400 tau_int of n, |phi|^2 and the mean of l long, and agree
    (R-hat below 1.1, which chains shorter than about 17 tau_int do not reach). All pilots are discarded; the spacing is
    2 tau_int. Entry is 1 over the mean of g (see ``moves``) in the previous pilot, so that entering is as likely as
    leaving. ``record`` determines the device.

    If hops are rare, nothing may fluctuate in a pilot except the relaxation from the start. It is accepted if the three
    observables are constant and equal for all chains in its second half, despite different starts, and if 4 worms have
    started on every site, on average, between two configurations: hops are made and removed by worms that start beside
    them, so there was time for both. Configurations then count as independent, and tau_int as half of the spacing.

    Raises InputError for fewer than 4 chains, for which no pilot is accepted, and if no pilot is long enough.
    """
    require_storable(theory, len(chains.shape))
    require_whole("chains of a pilot", len(chains.hops), FEWEST_CHAINS)
    if not chains.hops.any():
        chains = overdispersed(theory, chains)
    stride, before, entry = 1, int(chains.worms[0]), 1.0
    while stride <= LONGEST_STRIDE:
        chains, series, g = _measured(theory, chains, stride, entry, record)
        tau_int, r_hat = _assess_pilot(series, stride >= min(WORMS_PER_SITE * math.prod(chains.shape), LONGEST_STRIDE))
        found = f"tau_int {tau_int * stride:.0f} worms, R-hat {r_hat:.3f}"
        report(f"pilot: stride {stride} worms, {found if tau_int < math.inf else 'no fluctuations yet'}")
        if len(chains.hops) * PILOT_LENGTH / tau_int >= PILOT_TAU and r_hat < LARGEST_R_HAT:
            spacing = max(1, math.ceil(2 * tau_int * stride))
            return chains, Tuning(spacing, int(chains.worms[0]) - before, tau_int * stride, entry)
        stride *= 2
        entry = 1 / g
    raise InputError(
        f"the chains do not thermalise within {int(chains.worms[0]) - before} worms each: "
        "lattice too cold or too large for this sampler; choose other couplings or a smaller lattice"
    )


def _assess_pilot(series: list[list[np.ndarray]], may_be_constant: bool) -> tuple[float, float]:
    """The largest tau_int, in steps of the series, and R-hat of several observables; infinite if unknown."""
    if all(map(_is_constant_at_end, series)):
        return (0.5, 1.0) if may_be_constant else (math.inf, math.inf)
    why = [statistics.unknown(chains) for chains in series]
    if "frozen" in why:
        return math.inf, math.inf
    fluctuating = [chains for chains, reason in zip(series, why, strict=True) if reason is None]
    tau_int = max(map(statistics.windowed_tau_int, fluctuating), default=math.inf)
    return tau_int, max((r_hat for r_hat in map(statistics.r_hat, fluctuating) if r_hat is not None), default=1.0)


def _is_constant_at_end(series: list[np.ndarray]) -> bool:
    """Whether all chains are constant and equal in the second half of a pilot."""
    return statistics.is_constant(np.concatenate([chain[len(chain) // 2 :] for chain in series]))


def overdispersed(theory: FluxTheory, chains: Chains) -> Chains:
    """High-density start of every other chain: filled with lines of the heavier hops in time, above equilibrium.

    If all p arrivals at a site were independent, they would have the weight L^p W(2 p) / p! (see ``moves``); the number
    of lines is twice the p of maximum weight, plus one.
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

    Configurations are processed in blocks that fit into memory.
    """
    d = len(chains.shape)
    block = max(1, min(PILOT_LENGTH, PILOT_MEMORY // (len(chains.hops) * 2 * d * math.prod(chains.shape))))
    parts, weight = [], theory.hop_weights(d).sum()
    for first in range(0, PILOT_LENGTH, block):
        n = min(block, PILOT_LENGTH - first)
        chains, configurations = record(theory, chains, n, stride, entry=entry)
        flat = configurations.reshape(-1, 2 * d, *chains.shape)
        p = observables.field_powers(flat) // 2
        g = weight * added_hop_weight(ratios(theory, p))[p].reshape(len(flat), -1).mean(axis=1)
        values = observables.n(theory, flat), observables.phi2(theory, flat), observables.hop_pairs(flat), g
        parts.append(np.stack(values).reshape(4, len(chains.hops), n))
    *series, g = np.concatenate(parts, axis=2)
    return chains, [list(chain) for chain in series], float(g.mean())
