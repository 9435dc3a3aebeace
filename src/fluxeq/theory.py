"""Theories in flux representation: couplings, site weights and hop weights.

    Z = sum over hops of  prod over links of  h_+^a h_-^b / (a! b!)  *  prod over sites of  W(f),    k = a - b closed

with a hops forward and b backward on each link, f the number of hops at a site, and h the weight of a hop in its
direction. A theory defines W(f) at even f, the 2 d numbers h, and its couplings; everything else is common. For the
complex scalar field phi^4:

    W(f) = integral over r > 0 of  r^(f+1) exp(-eta r^2 - lam r^4),        eta = 2 d + m^2, lattice units
    h = e^mu and e^-mu in time, 1 in space

Method: with u = ln r the integrand is analytic, has one maximum and falls off exponentially on both sides, so the
trapezoid rule converges exponentially in the step (Trefethen and Weideman, SIAM Review 56 (2014) 385). The exponent
is expanded around its maximum with expm1, so that its large parts cancel before they are rounded.
Verified against arbitrary-precision quadrature, the recursion (f+2) W(f) = 2 eta W(f+2) + 4 lam W(f+4) and the
closed form at lam = 0, Gamma(f/2 + 1) / (2 eta^(f/2 + 1)).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from numbers import Real
from typing import Any, ClassVar, cast

import numpy as np

from fluxeq.errors import InputError, StabilityError
from fluxeq.registry import Registry

LARGEST_COUPLING = 1e100
"""Maximum |eta| and lam; its inverse is the minimum unless 0. Their squares and ratios fit into a double."""
LARGEST_MU = 700.0
"""e^mu, the weight of a hop, fits into a double."""
DEEPEST_WELL = 1e8
"""Maximum depth eta^2 / (4 lam) of the potential at eta < 0: ln W is of this size, and W loses as many digits."""
LARGEST_POWER = 10**4
"""Maximum f of a table of W; ensembles stay below 4000 (see ``sampling.packed_counts``)."""
NEGLIGIBLE = -80.0
"""ln of the integrand, relative to its maximum, below which it is dropped (e^-80 is far below one rounding error)."""


class FluxTheory(ABC):
    """Base class of theories; a frozen dataclass whose fields are the couplings, which defines the weights."""

    name: ClassVar[str]
    """Name of its entry point in ``fluxeq.theories``, or ``package.module:Class``."""
    fewer_hops: ClassVar[str] = "choose couplings with fewer hops"
    """Advice in error messages if fluxes are too large."""
    more_hops: ClassVar[str] = "choose couplings with more hops"
    """Advice in error messages if nearly all sites are empty."""

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    @property
    def couplings(self) -> dict[str, float]:
        """The couplings by name."""
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    @abstractmethod
    def log_site_weight(self, f: np.ndarray) -> np.ndarray:
        """ln W at these f, non-negative integers; float64 of the same shape. A constant factor of W is arbitrary."""

    @abstractmethod
    def hop_weights(self, d: int) -> np.ndarray:
        """The weight h > 0 of a hop in each direction, first forward, then backward, time first; float64 ``(2 d,)``."""

    def require_stable(self, d: int) -> None:  # noqa: B027
        """Raise StabilityError if the sum over hops diverges in ``d`` dimensions; by default it does not."""

    def __str__(self) -> str:
        """Name and couplings in words, with all digits."""
        return f"{self.name} " + ", ".join(f"{name} {value!r}" for name, value in self.couplings.items())


@dataclass(frozen=True)
class Theory(FluxTheory):
    """A complex scalar field with couplings eta = 2 d + m^2 and lam, at chemical potential mu (lattice units, a = 1).

    Raises InputError if a coupling is not finite, lam is negative, or lam = 0 without a positive eta, and for couplings
    whose weights cannot be computed in double precision.
    """

    name: ClassVar[str] = "phi4"
    fewer_hops: ClassVar[str] = "choose a smaller |mu| or larger eta or lam"
    more_hops: ClassVar[str] = "choose a smaller eta or lam, or a larger |mu|"

    eta: float
    lam: float
    mu: float

    def __post_init__(self) -> None:
        for name in ("eta", "lam", "mu"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.lam < 0:
            raise InputError(f"lam = {self.lam:g}: the action is bounded from below only for lam >= 0")
        if self.lam == 0 and self.eta <= 0:
            raise InputError(f"eta = {self.eta:g} at lam = 0: the integral over the field needs eta > 0 or lam > 0")
        _require_precise(self.eta, self.lam, self.mu)

    def __str__(self) -> str:
        """The couplings without the name of the theory."""
        return super().__str__().removeprefix(f"{self.name} ")

    def log_site_weight(self, f: np.ndarray) -> np.ndarray:
        """ln W at these f, to machine precision."""
        exponents = f + 2.0  # of r, with the r of du = dr / r
        if self.lam == 0:
            log_gamma = np.array([math.lgamma(exponent / 2) for exponent in exponents.ravel()]).reshape(exponents.shape)
            return log_gamma - exponents / 2 * math.log(self.eta) - math.log(2)
        return _log_integral(tuple(exponents.ravel().tolist()), self.eta, self.lam).reshape(exponents.shape).copy()

    def hop_weights(self, d: int) -> np.ndarray:
        """e^mu and e^-mu in time, 1 in space."""
        weights = np.ones(2 * d)
        weights[[0, d]] = math.exp(self.mu), math.exp(-self.mu)
        return weights

    def require_stable(self, d: int) -> None:
        """Raise StabilityError if the free theory in ``d`` dimensions has no ground state."""
        bound = 2 * math.cosh(self.mu) + 2 * (d - 1)
        if self.lam == 0 and self.eta <= bound:
            raise StabilityError(
                f"eta = {self.eta:g} at lam = 0, mu = {self.mu:g}, d = {d}: the free field needs "
                f"eta > 2 cosh(mu) + 2 (d - 1) = {bound:g}; raise eta or lam, or lower |mu|"
            )


def _number(name: str, value: object) -> float:
    """A coupling as a float; InputError if it is not finite."""
    try:
        if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        raise InputError(f"{name} is too large for a floating-point number: a coupling must be finite") from None
    raise InputError(f"{name} = {value!r:.40}: a coupling must be a finite number")


def _require_precise(eta: float, lam: float, mu: float) -> None:
    """Raise InputError for couplings beyond double precision."""
    for name, value in (("eta", eta), ("lam", lam)):
        if value and not 1 / LARGEST_COUPLING <= abs(value) <= LARGEST_COUPLING:
            sizes = f"from {1 / LARGEST_COUPLING:g} to {LARGEST_COUPLING:g}"
            raise InputError(f"{name} = {value:g}: weights need double precision; choose 0, or a size {sizes}")
    if abs(mu) > LARGEST_MU:
        raise InputError(f"mu = {mu:g}: e^mu needs double precision; choose |mu| <= {LARGEST_MU:g}")
    if eta < 0 and eta**2 > 4 * lam * DEEPEST_WELL:
        raise InputError(
            f"eta = {eta:g}, lam = {lam:g}: the potential is eta^2 / (4 lam) = {eta**2 / (4 * lam):g} deep; double "
            f"precision is enough up to {DEEPEST_WELL:g}; raise eta or lam"
        )


def log_weight(theory: FluxTheory, f_max: int) -> np.ndarray:
    """ln W(f) for f = 0 ... ``f_max``; float64 ``(f_max + 1,)``.

    Raises InputError if ``f_max`` is negative or far larger than in any ensemble.
    """
    if not 0 <= f_max <= LARGEST_POWER:
        raise InputError(f"f_max = {f_max}: powers of the field are tabulated from 0 to {LARGEST_POWER}")
    return theory.log_site_weight(np.arange(f_max + 1))


def weight_ratio(theory: FluxTheory, f_max: int) -> np.ndarray:
    """W(f+2) / W(f) for f = 0 ... ``f_max``, i.e. |phi|^2 at a site with f; float64 ``(f_max + 1,)``."""
    log_w = log_weight(theory, f_max + 2)
    return np.exp(log_w[2:] - log_w[:-2])


def _require_theory(name: str, found: Any) -> type[FluxTheory]:
    if not (isinstance(found, type) and issubclass(found, FluxTheory) and is_dataclass(found)):
        raise InputError(f"theory {name!r}: must be a frozen dataclass derived from fluxeq.FluxTheory")
    return found


THEORIES: Registry[type[FluxTheory]] = Registry("theory", "theories", _require_theory, "phi4")
"""All theories by name."""


def theory_of(name: str, couplings: Mapping[str, float]) -> FluxTheory:
    """A theory from its name and couplings. Raises InputError for an unknown name, or wrong couplings."""
    kind = THEORIES[name]
    needed = [field.name for field in fields(cast(Any, kind))]
    if set(couplings) != set(needed):
        raise InputError(
            f"theory {name!r}: its couplings are {', '.join(needed)}; {', '.join(couplings) or 'none'} given"
        )
    try:
        return kind(**{coupling: _number(coupling, couplings[coupling]) for coupling in needed})
    except InputError:
        raise
    except Exception as error:  # anything raised by external code
        raise InputError(f"theory {name!r}: rejects its couplings ({type(error).__name__}: {error})") from error


@lru_cache(maxsize=64)  # ensembles that differ in mu need the same ones, and each of them several times
def _log_integral(given: tuple[float, ...], eta: float, lam: float) -> np.ndarray:
    """ln of the integral over u of exp(exponent u - eta e^(2u) - lam e^(4u)), for each exponent."""
    exponents = np.array(given)
    peak = _peak(exponents, eta, lam)  # r^2 at the maximum
    quadratic, quartic = eta * peak, lam * peak**2
    curvature = 4 * quadratic + 16 * quartic

    def relative(u: np.ndarray) -> np.ndarray:
        """The exponent at a distance u from the maximum, relative to the maximum."""
        # The exponents are replaced by what they equal at the maximum, which makes the slope there exactly zero.
        linear = 2 * u * (quadratic + 2 * quartic)
        with np.errstate(over="ignore", invalid="ignore"):
            value = linear - quadratic * np.expm1(2 * u) - quartic * np.expm1(4 * u)
        return np.where(np.isnan(value), -np.inf, value)

    left = _edge(relative, -np.ones_like(exponents))
    right = _edge(relative, np.ones_like(exponents))
    step = np.minimum(0.02, 0.2 / np.sqrt(curvature))
    n_points = int(np.ceil(np.max((right - left) / step))) + 1
    grid = left + (right - left) * np.linspace(0, 1, n_points)[:, None]
    total = np.exp(relative(grid)).sum(axis=0) * (right - left) / (n_points - 1)
    return exponents / 2 * np.log(peak) - quadratic - quartic + np.log(total)


def _peak(exponents: np.ndarray, eta: float, lam: float) -> np.ndarray:
    """The positive root r^2 of exponent = 2 eta r^2 + 4 lam r^4, without cancellation for either sign of eta."""
    root = np.sqrt(eta**2 + 4 * lam * exponents)
    return exponents / (eta + root) if eta > 0 else (root - eta) / (4 * lam)


def _edge(relative: Callable[[np.ndarray], np.ndarray], direction: np.ndarray) -> np.ndarray:
    """Where the integrand has become negligible, in the given direction (+1 or -1) from the maximum."""
    distance = np.full_like(direction, 1e-3)
    while np.any(growing := relative(direction * distance) > NEGLIGIBLE):
        distance = np.where(growing, 1.5 * distance, distance)
    return direction * distance


def coupling_text(value: float) -> str:
    """A coupling as text, with six digits if these are exact, otherwise with as many as required."""
    value += 0.0  # -0.0 is 0.0
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
