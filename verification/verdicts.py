"""The result of a check: a measured number, its expected value, and the deviation between them.

With few chains a deviation in standard errors follows Student's t; z is the normal deviation of the same probability. A
number fails at |z| > 4: among about a hundred numbers, one exceeds this by chance in less than one run in a hundred.
Smaller biases show in the sum of z^2 over a family, which fails at p < 1e-4. Controls are wrong on purpose, and fail
unless they are detected at p < 1e-6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LARGEST_Z = 4.0
SMALLEST_P = 1e-4
CONTROL_P = 1e-6


@dataclass(frozen=True)
class Verdict:
    """One line of the table; ``measured`` and ``error`` beside ``exact``, or a p-value alone."""

    check: str
    what: str
    measured: float | None
    error: float | None
    exact: float | None
    z: float | None
    p: float | None
    passed: bool

    def __str__(self) -> str:
        columns = [f"{self.check:16}", f"{self.what:66}"]
        for value, form in ((self.measured, ".6g"), (self.error, ".2g"), (self.exact, ".6g")):
            columns.append(f"{'' if value is None else format(value, form):>11}")
        score = f"z {self.z:+.2f}" if self.z is not None else f"p {self.p:.2g}"
        return " ".join([*columns, f"{score:>11}", "passed" if self.passed else "FAILED"])


def number(
    check: str,
    what: str,
    chains: Sequence[float] | np.ndarray,
    exact: float,
    exact_error: float = 0.0,
    *,
    is_control: bool = False,
) -> Verdict:
    """The mean over independent chains against an exact number, or one with an error of its own."""
    values = np.asarray(chains, dtype=np.float64)
    error = math.hypot(values.std(ddof=1) / math.sqrt(len(values)), exact_error)
    deviation = float(values.mean() - exact)
    if error == 0:  # a constant observable must be exact
        z = 0.0 if deviation == 0 else math.inf
    else:
        z = math.copysign(stats.norm.isf(stats.t.sf(abs(deviation) / error, len(values) - 1)), deviation)
    passed = abs(z) > stats.norm.isf(CONTROL_P / 2) if is_control else abs(z) < LARGEST_Z
    return Verdict(check, what, float(values.mean()), error, exact, z, None, bool(passed))


def probability(check: str, what: str, p: float, *, is_control: bool = False) -> Verdict:
    """The probability of a worse fit if the sampler is exact."""
    return Verdict(check, what, None, None, None, None, p, p < CONTROL_P if is_control else p > SMALLEST_P)


def family(check: str, verdicts: Sequence[Verdict]) -> Verdict:
    """All z of a check together."""
    z = [verdict.z for verdict in verdicts if verdict.z is not None]
    return probability(check, f"all {len(z)} together", float(stats.chi2.sf(np.square(z).sum(), len(z))))
