"""ln W against arbitrary precision, its recursion and its closed form; invalid couplings are refused."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxeq.errors import InputError, StabilityError
from fluxeq.theory import Theory, log_weight, theory_of, weight_ratio

TOLERANCE = 1e-12  # relative, of W; ln W reaches 1700, where one rounding error is 2e-13


def precise(eta: float, lam: float, f: int) -> float:
    """ln W(f) from a parabolic cylinder function (Gradshteyn and Ryzhik 3.462.1), with 30 digits."""
    with mpmath.workdps(30):
        nu, b, c = mpmath.mpf(f) / 2 + 1, mpmath.mpf(eta), 2 * mpmath.mpf(lam)
        integral = mpmath.gamma(nu) * mpmath.pcfd(-nu, b / mpmath.sqrt(c)) / 2
        return float(mpmath.log(integral) + b**2 / (4 * c) - nu / 2 * mpmath.log(c))


@pytest.mark.parametrize(
    ("eta", "lam", "step"),
    [(-3, 0.01, 40), (-3, 1, 1), (-1, 10, 1), (0, 0.01, 1), (4.01, 0.01, 40), (4.01, 1, 1), (10, 0.01, 1), (10, 10, 1)],
)
def test_log_weight(eta, lam, step):
    """All f up to 400; every 40th where mpmath is slow."""
    f = np.arange(0, 401, step)
    expected = np.array([precise(eta, lam, int(i)) for i in f])
    assert np.abs(log_weight(Theory(eta, lam, 0), 400)[f] - expected).max() < TOLERANCE


def test_precise_reference():
    """The special function agrees with the integral that defines W."""
    with mpmath.workdps(30):
        integral = mpmath.quad(lambda r: r**8 * mpmath.exp(3 * r**2 - r**4 / 100), [0, 5, 10, 12, 15, 20, 40])
    assert precise(-3, 0.01, 7) == pytest.approx(float(mpmath.log(integral)), rel=1e-15)


@pytest.mark.parametrize("eta", [-3.0, 0.0, 4.01, 10.0])
@pytest.mark.parametrize("lam", [0.01, 1.0, 10.0])
def test_recursion(eta, lam):
    f = np.arange(397)
    log_w = log_weight(Theory(eta, lam, 0), 400)
    quadratic, quartic = (np.exp(log_w[step : step + 397] - log_w[:397]) for step in (2, 4))
    size = 2 * abs(eta) * quadratic + 4 * lam * quartic
    assert np.all(np.abs((f + 2) - 2 * eta * quadratic - 4 * lam * quartic) < TOLERANCE * size)


def test_closed_form_of_the_free_field():
    eta = 4.2
    expected = [math.lgamma(f / 2 + 1) - (f / 2 + 1) * math.log(eta) - math.log(2) for f in range(101)]
    np.testing.assert_allclose(log_weight(Theory(eta, 0, 0), 100), expected, rtol=1e-14, atol=1e-14)


def test_weak_coupling_approaches_the_free_field():
    """The integral and the closed form are separate code; to first order in lam, W decreases by lam W(f+4)."""
    lam = 1e-7
    free, weak = log_weight(Theory(4.2, 0, 0), 24), log_weight(Theory(4.2, lam, 0), 20)
    np.testing.assert_allclose(weak - free[:21], -lam * np.exp(free[4:] - free[:21]), rtol=1e-4)


def test_weights_that_are_changed_change_no_others():
    """They are cached, for all mu."""
    theory = Theory(4.2, 0.7, 0.1)
    expected = log_weight(theory, 12).copy()
    log_weight(theory, 12)[:] = 0
    np.testing.assert_array_equal(log_weight(Theory(4.2, 0.7, 0.9), 12), expected)


def test_weight_ratio():
    theory = Theory(4.01, 1, 0)
    log_w = log_weight(theory, 12)
    np.testing.assert_allclose(weight_ratio(theory, 10), np.exp(log_w[2:] - log_w[:11]), rtol=1e-13)


def test_theory_does_not_depend_on_the_type_of_its_numbers():
    assert Theory(4, 1, np.float64(0.5)) == Theory(4.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("couplings", "named"),
    [
        ((math.nan, 1, 1), "eta"),
        ((4, math.inf, 1), "lam"),
        ((4, 1, "1"), "mu"),
        ((4, 1, True), "mu"),
        ((4, -0.1, 1), "lam"),
        ((0, 0, 1), "eta"),
        ((-1, 0, 1), "eta"),
        ((1e308, 1, 1), "eta"),
        ((-1e308, 1e300, 1), "eta"),
        ((5e-324, 0, 0), "eta"),
        ((4, 1e308, 1), "lam"),
        ((4, 1e-320, 1), "lam"),
        ((4, 1, 800), "mu"),
        ((4, 1, -1000), "mu"),
        ((-1e6, 1, 1), "eta"),
        ((-1, 1e-20, 1), "eta"),
        (("x" * 1000, 1, 1), "eta"),
    ],
)
def test_impossible_couplings(couplings, named):
    with pytest.raises(InputError, match=f"^{named} = ") as failed:
        Theory(*couplings)
    assert len(str(failed.value)) < 200


def test_numbers_beyond_all_floats():
    for number in (10**400, 10**5000, Fraction(10**400, 3)):
        with pytest.raises(
            InputError, match=r"^lam is too large for a floating-point number: a coupling must be finite"
        ):
            Theory(4, number, 1)


sizes = st.floats(-100, 100).map(lambda power: 10.0**power)
couplings = st.one_of(st.floats(), st.floats(-10, 10), sizes, sizes.map(lambda size: -size))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(couplings, couplings, couplings)
def test_all_couplings_have_weights_or_a_name(eta, lam, mu):
    """Valid couplings of any size obey the recursion; all others, including NaN and infinity, are refused."""
    try:
        theory = Theory(eta, lam, mu)
    except InputError:
        return
    log_w, f = log_weight(theory, 24), np.arange(21)
    quadratic, quartic = (np.log(factor) + log_w[step : step + 21] - log_w[:21] for step, factor in recursion(theory))
    terms = np.stack([np.sign(theory.eta) * np.exp(quadratic), np.exp(quartic)])
    rounding = 1e-13 * (1 + np.abs(log_w[:21]))
    assert np.all(np.abs(terms.sum(axis=0) - (f + 2)) <= rounding * np.abs(terms).sum(axis=0))
    assert np.all(weight_ratio(theory, 10) > 0)


def recursion(theory):
    """Steps in f, and the coefficients of W(f + 2) and W(f + 4); a coupling of 0 is replaced by a negligible one."""
    return (2, 2 * abs(theory.eta) or 1e-300), (4, 4 * theory.lam or 1e-300)


@pytest.mark.parametrize(("eta", "lam"), [(-1e8, 1e8), (-1e-40, 1e-80), (3e40, 1e-60), (1e-90, 1e90), (-150, 1)])
def test_log_weight_of_extreme_couplings(eta, lam):
    """ln W has 15 digits; in a deep well W has fewer."""
    f = np.array([0, 1, 30, 400])
    expected = np.array([quadrature(eta, lam, int(i)) for i in f])
    np.testing.assert_allclose(log_weight(Theory(eta, lam, 0), 400)[f], expected, rtol=3e-15, atol=1e-13)


def quadrature(eta, lam, f):
    """ln W(f) with 40 digits, in u = ln r around the maximum."""
    with mpmath.workdps(40):
        eta, lam, power = mpmath.mpf(eta), mpmath.mpf(lam), mpmath.mpf(f + 2)
        root = mpmath.sqrt(eta**2 + 4 * lam * power)
        peak = power / (eta + root) if eta > 0 else (root - eta) / (4 * lam)
        quadratic, quartic = eta * peak, lam * peak**2
        width = 1 / mpmath.sqrt(4 * quadratic + 16 * quartic)
        edges = sorted({-60, -20, -5, -2, *(step * width for step in range(-24, 25, 3)), 3})
        total = mpmath.quad(
            lambda u: mpmath.exp(power * u - quadratic * mpmath.expm1(2 * u) - quartic * mpmath.expm1(4 * u)),
            [edge for edge in edges if edge <= 3],
        )
        return float(power / 2 * mpmath.log(peak) - quadratic - quartic + mpmath.log(total))


def test_any_shape_of_powers():
    f = np.arange(24).reshape(2, 3, 4)
    for lam in (0.0, 1.0):
        theory = Theory(4.01, lam, 0)
        np.testing.assert_array_equal(theory.log_site_weight(f).ravel(), theory.log_site_weight(f.ravel()))


@pytest.mark.parametrize("f_max", [-1, 10**5, 10**30])
def test_powers_that_are_not_tabulated(f_max):
    with pytest.raises(InputError, match=f"f_max = {f_max}: powers of the field are tabulated from 0 to 10000"):
        log_weight(Theory(4, 1, 0), f_max)


def test_stability():
    """The free field is stable above 2 cosh(mu) + 2 (d - 1), the interacting one always."""
    bound = 2 * math.cosh(0.3) + 4
    Theory(bound + 1e-9, 0, 0.3).require_stable(3)
    Theory(-3, 0.01, 5).require_stable(3)
    with pytest.raises(StabilityError, match=r"d = 3.*raise eta"):
        Theory(bound, 0, 0.3).require_stable(3)


def test_names_and_couplings():
    assert theory_of("phi4", {"mu": 1, "lam": 0.5, "eta": 4}) == Theory(4, 0.5, 1)
    assert theory_of("fluxeq.theory:Theory", Theory(4, 1, 0).couplings) == Theory(4, 1, 0)
    assert str(Theory(4, 1, 0.5)) == "eta 4.0, lam 1.0, mu 0.5"
    for name, couplings, message in (
        ("nothing", {}, "theory 'nothing': choose one of phi4, or give package.module:Name"),
        ("phi4", {"eta": 4, "lam": 1}, "theory 'phi4': its couplings are eta, lam, mu; eta, lam given"),
        ("phi4", {"eta": 4, "lam": 1, "mu": "x"}, "mu = 'x': a coupling must be a finite number"),
        (
            "fluxeq.theory:coupling_text",
            {},
            "theory 'fluxeq.theory:coupling_text': must be a frozen dataclass derived from",
        ),
    ):
        with pytest.raises(InputError, match=message):
            theory_of(name, couplings)
