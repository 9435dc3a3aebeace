"""The distribution of configurations on 2x2, against an enumeration of those with up to ``MOST_HOPS`` hops.

Only these are compared, with probabilities normalised among them, so configurations with more hops do not matter.
Samples are far enough apart to be independent.
"""

import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import combinations_with_replacement
from types import ModuleType
from unittest import mock

import numpy as np
from scipy import stats

import fluxeq
from fluxeq.sampling import chains, tables
from fluxeq.theory import Theory, log_weight
from verification.verdicts import Verdict, probability

THEORY, SHAPE = Theory(7.0, 1.0, 0.9), (2, 2)
MOST_HOPS = 8
N_CHAINS, N_SAMPLES, THINNING = 16, 10000, 5  # per chain; configurations are 2 tau_int apart before thinning
FEWEST = 20  # expected counts in a bin; rarer configurations share one


def check(seed: int, device: str) -> Iterator[Verdict]:
    """Chi-square over all frequent configurations, and for a sampler with one acceptance wrong by 5 %."""
    exact = probabilities(THEORY)
    what = f"2x2, chi-square of the configurations with up to {MOST_HOPS} hops"
    yield probability("enumeration", what, chi_square(exact, counts(seed, device)))
    with mock.patch.object(sampler_of(device), "tables", wrong_tables):
        wrong = counts(seed, device)
    what = "control: the first hop to a site accepted 5 % too often"
    yield probability("enumeration", what, chi_square(exact, wrong), is_control=True)


def sampler_of(device: str) -> ModuleType:
    """The module from which chains on a device take their tables."""
    return chains if device == "cpu" else import_module("fluxeq.sampling.gpu")


def wrong_tables(*arguments: object) -> tables.Tables:
    """The sampler's tables with r(0) of the site reached 5 % too large, but not its inverse."""
    found = tables.tables(*arguments)  # type: ignore[arg-type]
    site = found.site.copy()
    site[0, 1] *= 1.05
    return found._replace(site=site)


def counts(seed: int, device: str = "cpu") -> Counter[bytes]:
    """Number of times that each configuration was sampled."""
    n = N_CHAINS * N_SAMPLES * THINNING
    made = fluxeq.sample(THEORY, SHAPE, n, chains=N_CHAINS, seed=seed, device=device, threads=2)
    kept = made.configurations.reshape(N_SAMPLES, THINNING, N_CHAINS, 4, *SHAPE)[:, -1].reshape(-1, 4, *SHAPE)
    return Counter(configuration.tobytes() for configuration in kept)


def chi_square(exact: dict[bytes, float], found: Counter[bytes]) -> float:
    """The p-value of the enumerated configurations; the rare ones share one bin."""
    n = sum(found[key] for key in exact)
    frequent = [key for key, p in exact.items() if n * p >= FEWEST]
    expected = np.array([n * exact[key] for key in frequent])
    measured = np.array([found[key] for key in frequent])
    expected, measured = np.append(expected, n - expected.sum()), np.append(measured, n - measured.sum())
    return float(stats.chi2.sf(np.sum((measured - expected) ** 2 / expected), len(expected) - 1))


@cache
def probabilities(theory: Theory) -> dict[bytes, float]:
    """The exact probability of every enumerated configuration, normalised among them, by its bytes."""
    hops = np.array(list(closed_hops()))  # (n, forward or backward, nu, t, x)
    forward, backward = hops[:, 0], hops[:, 1]
    f = sum(part + np.roll(part, 1, axis=1 + nu) for nu in range(2) for part in (forward[:, nu], backward[:, nu]))
    log_factorial = np.array([math.lgamma(n + 1) for n in range(MOST_HOPS + 1)])
    log_p = theory.mu * (forward[:, 0] - backward[:, 0]).sum(axis=(1, 2)) - log_factorial[hops].sum(axis=(1, 2, 3, 4))
    log_p += log_weight(theory, 4 * MOST_HOPS)[f].sum(axis=(1, 2))
    p = np.exp(log_p - log_p.max())
    k, l = forward - backward, np.minimum(forward, backward)
    keys = np.concatenate([k, l], axis=1).astype(np.int8)
    return {key.tobytes(): float(value / p.sum()) for key, value in zip(keys, p, strict=True)}


def closed_hops() -> Iterator[np.ndarray]:
    """All closed hops ``(2, 2, 2, 2)``, forward and backward, up to ``MOST_HOPS``."""
    for n_hops in range(0, MOST_HOPS + 1, 2):
        for places in combinations_with_replacement(range(16), n_hops):
            hops = np.bincount(places, minlength=16) if places else np.zeros(16, dtype=int)
            forward, backward = hops.reshape(2, 2, 2, 2)
            k = forward - backward
            if not (k[0] - np.roll(k[0], 1, 0) + k[1] - np.roll(k[1], 1, 1)).any():
                yield hops.reshape(2, 2, 2, 2)
