"""Means of Monte Carlo time series with errors, autocorrelation times and agreement of chains.

    tau_int = 1/2 + sum over t > 0 of rho(t),        error^2 = 2 tau_int variance / N

Errors and tau_int come from the Gamma method (Wolff, Comput. Phys. Commun. 156 (2004) 143) as implemented by pyerrors;
R-hat is the split form of Gelman et al., Bayesian Data Analysis (2013), section 11.4. Verified on AR(1) series, for
which tau_int = (1 + a) / (2 (1 - a)).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fluxeq.errors import InputError

Status = Literal["ok", "constant", "frozen", "short"]

SHORTEST = 100
"""If all chains together are shorter than this number of tau_int, the error is unreliable."""

ROUNDING = 1e-13
"""Relative difference of numbers that are equal up to rounding."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its error. Unknown values are None, with the reason in ``status``.

    "constant": a single value throughout; "frozen": each chain is constant, at different values; "short": fewer than 8
    measurements per chain, or, if numbers are given, all chains together shorter than 100 tau_int.
    """

    value: float
    error: float | None  #: one standard error, in the units of the value
    tau_int: float | None  #: in steps of the series; 1/2 for independent measurements
    tau_int_error: float | None
    r_hat: float | None  #: near 1 if the chains agree
    status: Status

    def __repr__(self) -> str:
        if self.error is None:
            return f"{self.value:.6g} ({self.status})"
        return _with_error(self.value, self.error) + (f" ({self.status})" if self.status != "ok" else "")


def _with_error(value: float, error: float) -> str:
    """A mean and two digits of its error, as in 0.1234(56); written out if that would be long."""
    n_decimals = 1 - math.floor(math.log10(float(f"{error:.1e}"))) if error > 0 else -1
    if not 0 <= n_decimals <= 8:
        return f"{value:.6g} +- {error:.2g}"
    last_digits = f"{error:.{n_decimals}f}"
    return f"{value:.{n_decimals}f}({last_digits if error >= 1 else last_digits.lstrip('0.')})"


def estimate(series: Sequence[np.ndarray]) -> Estimate:
    """Mean, error, tau_int (in steps of the series) and R-hat of one observable, one series ``(n,)`` per chain.

    Raises InputError if there are no measurements.
    """
    chains = [np.asarray(chain, dtype=np.float64) for chain in series if len(chain)]
    if not chains:
        raise InputError("no measurements: an estimate needs at least one; sample more configurations")
    everything = np.concatenate(chains)
    value = float(everything.mean())
    if status := unknown(chains):
        return Estimate(value, None, None, None, None, status)
    import pyerrors

    names = [f"chain|r{index:04d}" for index in range(len(chains))]
    # subtract the mean of all chains: own means would underestimate tau_int of short chains
    around = [chain - value for chain in chains]
    observable = pyerrors.Obs(around, names, means=[value] * len(chains))
    observable.gamma_method()
    tau_int, tau_int_error = float(observable.e_tauint["chain"]), float(observable.e_dtauint["chain"])
    status = "short" if len(everything) < SHORTEST * tau_int else "ok"
    return Estimate(value, float(observable.dvalue), tau_int, tau_int_error, r_hat(chains), status)


def unknown(chains: Sequence[np.ndarray]) -> Status | None:
    """Why chains ``(n,)`` have no error: they are "short", "constant" or "frozen"; None if they have one."""
    if min(map(len, chains)) < 8:
        return "short"
    if is_constant(np.concatenate(chains)):
        return "constant"
    return "frozen" if all(map(is_constant, chains)) else None


def windowed_tau_int(chains: Sequence[np.ndarray]) -> float:
    """tau_int in steps of chains ``(n,)`` that fluctuate: the number in ``estimate``, without importing pyerrors (1 s).

    Wolff's automatic window with S = 2 and bias correction, eqs. (31), (49) and (52) of the reference above.
    """
    n, n_lags = sum(map(len, chains)), max(map(len, chains)) // 2
    lags, mean = np.arange(n_lags), np.concatenate(chains).mean()
    gamma, n_pairs = np.zeros(n_lags), np.zeros(n_lags)
    for chain in chains:
        spectrum = np.fft.rfft(chain - mean, len(chain) + n_lags + (len(chain) + n_lags) % 2)
        gamma += np.fft.irfft(np.abs(spectrum) ** 2)[:n_lags]
        n_pairs += np.maximum(len(chain) - lags, 0)
    rho = gamma / n_pairs / (gamma[0] / n_pairs[0])
    sums = np.maximum(np.cumsum(rho) - 0.5, 0.5 + np.finfo(float).eps)
    decay = 2 / np.log((2 * sums[1:] + 1) / (2 * sums[1:] - 1))
    is_beyond = np.exp(-lags[1:] / decay) < decay / np.sqrt(lags[1:] * n)
    window = 1 + int(np.argmax(is_beyond)) if is_beyond.any() else n_lags - 1
    return float(sums[window] * (1 + (2 * window + 1) / n) / (1 + 1 / n))


def is_constant(values: np.ndarray) -> bool:
    """Whether values are equal up to rounding of sums in a different order."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def r_hat(series: Sequence[np.ndarray]) -> float | None:
    """Split R-hat: near 1 if the halves of all chains have the same mean; None if every half is constant.

    Takes one series ``(n,)`` per chain, each of at least 4 numbers; of longer chains the middle is left out.
    """
    half = min(map(len, series)) // 2
    halves = np.array([part for chain in series for part in (chain[:half], chain[len(chain) - half :])])
    within = halves.var(axis=1, ddof=1).mean()
    if within == 0:
        return None
    between = halves.mean(axis=1).var(ddof=1)
    return float(np.sqrt((half - 1) / half + between / within))


def by_chain(values: np.ndarray, chain: np.ndarray) -> list[np.ndarray]:
    """The measurements ``(n,)`` of each chain in order; ``chain`` is the chain index of each measurement."""
    _, n_of_each = np.unique(chain, return_counts=True)
    in_order = values[np.argsort(chain, kind="stable")]
    return np.split(in_order, np.cumsum(n_of_each)[:-1])[: len(n_of_each)]
