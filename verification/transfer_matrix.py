"""The interacting theory at N_x = 2, dense and dilute, against the transfer matrix, which checks its own truncation."""

from collections.abc import Iterator
from dataclasses import replace

from fluxeq import exact
from fluxeq.theory import Theory
from verification.sampled import chain_means
from verification.verdicts import Verdict, family, number

N_CONFIGURATIONS = 600  # per chain
POINTS = [
    (Theory(4.01, 1.0, 0.5), (7, 2)),
    (Theory(4.01, 1.0, 0.91), (20, 2)),
    (Theory(4.01, 1.0, 1.05), (50, 2)),
    (Theory(4.01, 1.0, 1.5), (8, 2)),
    (Theory(4.01, 1.0, -1.5), (9, 2)),
    (Theory(4.25, 1.0, 1.0), (8, 2)),
    (Theory(4.25, 1.0, -0.8), (13, 2)),
    (Theory(4.04, 1.0, 1.25), (16, 2)),
    (Theory(6.0, 0.3, 1.2), (6, 2)),
    (Theory(8.0, 5.0, 2.0), (5, 2)),
    (Theory(2.0, 0.5, 0.3), (4, 2)),
    (Theory(-1.0, 1.0, 0.4), (3, 2)),
]


def check(seed: int, device: str) -> Iterator[Verdict]:
    """n and |phi|^2 at every point, all of them together, and a control with a wrong mu."""
    verdicts = []
    for i, (theory, shape) in enumerate(POINTS):
        means, expected = chain_means(theory, shape, N_CONFIGURATIONS, seed + i, device), exact.solve(theory, shape)
        where = f"{shape[0]}x2 eta {theory.eta:g} lam {theory.lam:g} mu {theory.mu:+g}"
        for name in ("n", "phi2"):
            verdicts.append(number("transfer matrix", f"{name} {where}", means[name], getattr(expected, name)))
            yield verdicts[-1]
    yield family("transfer matrix", verdicts)
    theory, shape = POINTS[3]
    wrong = exact.solve(replace(theory, mu=theory.mu + 0.02), shape)
    means = chain_means(theory, shape, N_CONFIGURATIONS, seed, device)
    yield number("transfer matrix", "control: n 8x2 with mu off by 0.02", means["n"], wrong.n, is_control=True)
