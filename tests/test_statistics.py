"""Errors, tau_int and R-hat of autoregressive series, for which they are known."""

import math

import numpy as np
import pytest

from fluxeq import statistics
from fluxeq.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.scipy.odr. is deprecated:DeprecationWarning")  # imported by pyerrors

N_CHAINS, LENGTH = 4, 5000


def autoregressive(a, length, seed):
    """Normal series of unit variance and zero mean with rho(t) = a^t, hence tau_int = (1 + a) / (2 (1 - a))."""
    normal = np.random.default_rng(seed).normal(size=length)
    series = np.empty(length)
    series[0] = normal[0]
    for i in range(1, length):
        series[i] = a * series[i - 1] + math.sqrt(1 - a * a) * normal[i]
    return series


def chains(a, experiment, length=LENGTH):
    return [autoregressive(a, length, seed=(experiment, c)) for c in range(N_CHAINS)]


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
def test_autocorrelation_time_and_error(a):
    """The spread of tau_int at a = 0.9 is 12 % (of 60 experiments), 4 % for the mean of ten."""
    tau_int = (1 + a) / (2 * (1 - a))
    error = math.sqrt(2 * tau_int / (N_CHAINS * LENGTH))
    estimates = [statistics.estimate(chains(a, experiment)) for experiment in range(10)]
    assert all(estimate.status == "ok" for estimate in estimates)
    assert np.mean([estimate.tau_int for estimate in estimates]) == pytest.approx(tau_int, rel=0.08)
    assert np.mean([estimate.error for estimate in estimates]) == pytest.approx(error, rel=0.04)


def test_autocorrelation_time_of_many_short_chains():
    """Seven tau_int each: with the overall mean, tau_int is nearly right; with each chain's own, it is far too small.

    The spread is 14 % for 200 chains, 4 % for the mean of ten experiments; lags beyond half a chain contribute 3 %.
    """
    experiments = [[autoregressive(0.9, 64, seed=(e, c)) for c in range(200)] for e in range(10)]
    mean = np.mean([statistics.estimate(series).tau_int for series in experiments])
    assert mean == pytest.approx(9.5, rel=0.1)
    around_own = [[chain - chain.mean() for chain in series] for series in experiments]
    assert np.mean([statistics.estimate(series).tau_int for series in around_own]) < 9.5 / 2


@pytest.mark.parametrize("a", [-0.6, 0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("lengths", [[8], [9], [64, 64, 64], [8, 200, 31]])
def test_tau_int_without_pyerrors(a, lengths):
    """The same value, also if the window reaches the end of the shortest or the longest chain."""
    for experiment in range(20):
        series = [autoregressive(a, length, seed=(experiment, c)) for c, length in enumerate(lengths)]
        found = statistics.windowed_tau_int(series)
        assert found == pytest.approx(statistics.estimate(series).tau_int, rel=1e-12)


def test_errors_cover_the_mean():
    """(value / error)^2 is 1 on average: for 100 experiments within 0.57, four standard errors of sqrt(2 / 100).

    The control ignores tau_int, which gives an average of 2 tau_int = 3.
    """
    estimates = [statistics.estimate(chains(0.5, experiment, length=500)) for experiment in range(100)]
    squared = np.array([(estimate.value / estimate.error) ** 2 for estimate in estimates])
    assert abs(squared.mean() - 1) < 0.57
    naive = np.array([estimate.value**2 * N_CHAINS * 500 for estimate in estimates])
    assert abs(naive.mean() - 1) > 1


def test_value_is_the_mean_of_all_measurements():
    """Chains may differ in length; a longer one has more weight."""
    series = [np.arange(10.0), np.arange(30.0)]
    assert statistics.estimate(series).value == pytest.approx(np.concatenate(series).mean())


def test_constant_series():
    estimate = statistics.estimate([np.full(100, 0.1)] * 3)
    assert estimate == statistics.Estimate(pytest.approx(0.1), None, None, None, None, "constant")


def test_too_few_measurements():
    """Fewer than 8 per chain: a mean and nothing else."""
    estimate = statistics.estimate([np.arange(7.0), np.arange(100.0)])
    assert (estimate.error, estimate.tau_int, estimate.r_hat, estimate.status) == (None, None, None, "short")


def test_too_few_autocorrelation_times():
    """80 measurements with tau_int near 10 give estimates, marked as unreliable."""
    estimate = statistics.estimate([autoregressive(0.9, 80, seed=1)])
    assert estimate.status == "short"
    assert estimate.error is not None
    assert statistics.estimate([autoregressive(0.0, 200, seed=1)]).status == "ok"


@pytest.mark.parametrize("series", [[], [np.array([])]])
def test_no_measurements(series):
    with pytest.raises(InputError, match="at least one"):
        statistics.estimate(series)


@pytest.mark.parametrize(("shift", "agree"), [(0.0, True), (2.0, False)], ids=["one mean", "shifted"])
def test_r_hat(shift, agree):
    """One of four chains, 2 of 8 halves, shifted by s standard deviations: sqrt(1 + 3 s^2 / 14) = 1.36; otherwise 1."""
    series = chains(0.5, 0)
    series[0] = series[0] + shift
    r_hat = statistics.r_hat(series)
    assert r_hat == pytest.approx(1.0, abs=0.01) if agree else r_hat == pytest.approx(1.36, abs=0.03)
    assert statistics.estimate(series).r_hat == r_hat


def test_r_hat_sees_a_drift():
    """Split chains: a drift common to all chains does not show in their means alone."""
    drift = np.linspace(-1, 1, LENGTH)
    assert statistics.r_hat([one + drift for one in chains(0.5, 0)]) > 1.1


def test_r_hat_of_constant_chains():
    assert statistics.r_hat([np.ones(10), np.ones(10)]) is None


def test_by_chain():
    """Measurements keep their order within each chain, however the chains are interleaved."""
    values, chain = np.array([5.0, 1.0, 4.0, 2.0, 3.0]), np.array([7, 0, 7, 0, 7])
    first, second = statistics.by_chain(values, chain)
    np.testing.assert_array_equal(first, [1, 2])
    np.testing.assert_array_equal(second, [5, 4, 3])


def test_frozen_chains_have_no_error():
    """Each keeps its own value: the spread within chains contains no information on the error."""
    estimate = statistics.estimate([np.full(200, 1.0), np.full(200, 2.0)])
    assert (estimate.value, estimate.error, estimate.tau_int, estimate.status) == (1.5, None, None, "frozen")


def test_rounding_is_no_fluctuation():
    """Means of the same numbers in another order differ in the last digits."""
    rng = np.random.default_rng(1)
    values = 0.25 * (1 + 2e-16 * rng.integers(-2, 3, (4, 100)))
    assert np.ptp(values) > 0
    assert statistics.estimate(values).status == "constant"
    assert statistics.estimate([values[0], values[1] + 0.1]).status == "frozen"
    assert statistics.estimate(values + 1e-9 * rng.normal(size=values.shape)).status == "ok"


@pytest.mark.parametrize(
    ("value", "error", "status", "text"),
    [
        (0.12345, 0.0056, "ok", "0.1235(56)"),
        (0.12345, 0.00996, "ok", "0.123(10)"),
        (12.3, 1.25, "ok", "12.3(1.2)"),
        (1234, 12.7, "ok", "1234(13)"),
        (-0.5, 0.01, "short", "-0.500(10) (short)"),
        (1e-20, 1e-22, "ok", "1e-20 +- 1e-22"),
        (0.25, None, "constant", "0.25 (constant)"),
    ],
)
def test_estimates_in_print(value, error, status, text):
    assert repr(statistics.Estimate(value, error, 1.0, 0.1, 1.0, status)) == text
